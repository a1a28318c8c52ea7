/**
 * Counts of events that had no room, by component: how many, the first, the last. Nothing is thrown away without being counted.
 *
 * What is full keeps the more urgent, and of those that must go the newest of the least urgent: the first reports of a fault
 * tell more than its thousandth repetition. Bounded: what has no line of its own is counted together under one name.
 */
import type { Urgency } from "./delivery-events.ts";
import type { FoldedEvents } from "./outbox.ts";

export const OTHER_COMPONENTS = "(other components)";

export class Folds {
  readonly #byComponent = new Map<string, FoldedEvents>();
  readonly #componentsMax: number;

  constructor(componentsMax: number) {
    this.#componentsMax = componentsMax;
  }

  /** What stands for the component now, to be written. */
  add(component: string, urgency: Urgency, wallMs: number): FoldedEvents {
    const hasRoom = this.#byComponent.size < this.#componentsMax;
    const name = hasRoom || this.#byComponent.has(component) ? component : OTHER_COMPONENTS;
    const old = this.#byComponent.get(name);
    const sum: FoldedEvents = {
      component: name,
      urgency: Math.min(urgency, old?.urgency ?? urgency) as Urgency,
      count: (old?.count ?? 0) + 1,
      firstWallMs: Math.min(wallMs, old?.firstWallMs ?? wallMs),
      lastWallMs: Math.max(wallMs, old?.lastWallMs ?? wallMs),
    };
    this.#byComponent.set(name, sum);
    return sum;
  }

  /** As it was written: the last one for a component counts. */
  set(sum: FoldedEvents): void {
    if (sum.count === 0) this.#byComponent.delete(sum.component);
    else this.#byComponent.set(sum.component, sum);
  }

  /** What was told is subtracted: more may have come meanwhile. Gives what is left, to be written; null: nothing was there. */
  take(told: FoldedEvents): FoldedEvents | null {
    const old = this.#byComponent.get(told.component);
    if (old === undefined) return null;
    const count = Math.max(0, old.count - told.count);
    const left = { ...old, count, firstWallMs: Math.min(told.lastWallMs, old.lastWallMs) };
    this.set(left);
    return left;
  }

  get(component: string): FoldedEvents | null {
    return this.#byComponent.get(component) ?? null;
  }

  all(): readonly FoldedEvents[] {
    return [...this.#byComponent.values()];
  }

  get count(): number {
    let count = 0;
    for (const sum of this.#byComponent.values()) count += sum.count;
    return count;
  }
}

/**
 * Counts of folded events on disk: one record for all that is folded into a component until it is written, and where the newest
 * record of each component lies, since its segment may not be deleted before the count is written elsewhere.
 */
import type { DiskFailure } from "../../runtime/disk.ts";
import type { FoldedEvents, OutboxItem } from "../outbox.ts";
import type { Segment } from "../outbox-index.ts";
import { encodeFold } from "../outbox-record.ts";
import { Folds } from "../storm.ts";
import type { Item } from "./outbox-writer.ts";

/** null: it is on disk. A failure: not yet, and it is tried again. */
export type Told = (failure: DiskFailure | null) => void;

export class OutboxFolds {
  readonly #folds: Folds;
  readonly #nowWallMs: () => number;
  readonly #add: (item: Item) => void;
  readonly #segments = new Map<string, Segment>();
  /** On their way to disk, with all who wait for it. */
  readonly #pending = new Map<string, Told[]>();

  constructor(componentsMax: number, nowWallMs: () => number, add: (item: Item) => void) {
    this.#folds = new Folds(componentsMax);
    this.#nowWallMs = nowWallMs;
    this.#add = add;
  }

  get count(): number {
    return this.#folds.count;
  }

  all(): readonly FoldedEvents[] {
    return this.#folds.all();
  }

  restore(fold: FoldedEvents, segment: Segment): void {
    this.#folds.set(fold);
    this.#place(fold.component, segment);
  }

  fold(
    {
      component,
      urgency,
      queuedWallMs,
    }: Pick<OutboxItem, "component" | "urgency" | "queuedWallMs">,
    done: Told,
  ): void {
    this.write(this.#folds.add(component, urgency, queuedWallMs).component, done);
  }

  take(taken: readonly FoldedEvents[], done: () => void): void {
    let waiting = 1;
    const one = (): void => {
      if (--waiting === 0) done();
    };
    for (const told of taken) {
      if (this.#folds.take(told) === null) continue;
      waiting++;
      this.write(told.component, one);
    }
    one();
  }

  /** As it is by the time it is written. */
  write(component: string, done: Told): void {
    const waiting = this.#pending.get(component);
    if (waiting !== undefined) {
      waiting.push(done);
      return;
    }
    const all = [done];
    this.#pending.set(component, all);
    this.#add({
      encode: () => {
        this.#pending.delete(component);
        const now = this.#nowWallMs();
        const none = {
          component,
          urgency: 4,
          count: 0,
          firstWallMs: now,
          lastWallMs: now,
        } as const;
        return encodeFold(this.#folds.get(component) ?? none);
      },
      apply: (segment) => {
        this.#place(component, segment);
        for (const each of all.splice(0)) each(null);
      },
      fail: null,
      delayed: (failure) => {
        for (const each of all.splice(0)) each(failure);
      },
    });
  }

  #place(component: string, segment: Segment): void {
    this.#segments.get(component)?.folds.delete(component);
    this.#segments.delete(component);
    if (this.#folds.get(component) === null) return;
    segment.folds.add(component);
    this.#segments.set(component, segment);
  }
}

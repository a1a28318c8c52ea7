/**
 * Whether an event is worth a bundle: grave enough, an assertion, and its component has had none for an hour.
 *
 * A storm over many components must not keep a machine busy with gathering either, so there is a bound for all of them together.
 * What was gathered before a restart is told to `remember`, so that a crash loop does not gather each time.
 */
import type { BmcEvent, Severity } from "../../../bmc/bmc.ts";

export const COMPONENT_EVERY_MS = 3_600_000;
/** In an hour, of all components. */
export const HOURLY_MAX = 12;
const COMPONENTS_MAX = 4_096;

const GRAVITY: readonly Severity[] = [
  "information",
  "ok",
  "warning",
  "critical",
  "non-recoverable",
];

export type GateAnswer =
  | { readonly kind: "gather" }
  | { readonly kind: "skip"; readonly why: "not-grave" | "deassertion" | "component" | "storm" };

export function componentOf({ system, category, subject }: BmcEvent): string {
  return JSON.stringify([system, category, subject]);
}

export class BundleGate {
  readonly #least: Severity;
  /** When the component last had one; the oldest first. */
  readonly #lastMs = new Map<string, number>();

  constructor(least: Severity) {
    this.#least = least;
  }

  remember(component: string, atMs: number): void {
    const known = this.#lastMs.get(component);
    if (known !== undefined && known >= atMs) return;
    this.#lastMs.delete(component);
    this.#lastMs.set(component, atMs);
    for (const first of this.#lastMs.keys()) {
      if (this.#lastMs.size <= COMPONENTS_MAX) break;
      this.#lastMs.delete(first);
    }
  }

  /** Counts it if it says `gather`. O(components within the hour). */
  consider(event: BmcEvent, nowMs: number): GateAnswer {
    if (GRAVITY.indexOf(event.severity) < GRAVITY.indexOf(this.#least)) {
      return { kind: "skip", why: "not-grave" };
    }
    if (!event.isAssertion) return { kind: "skip", why: "deassertion" };
    const component = componentOf(event);
    // A clock that was set back must not shut the gate for longer than an hour.
    const isRecent = (atMs: number): boolean => Math.abs(nowMs - atMs) < COMPONENT_EVERY_MS;
    const last = this.#lastMs.get(component);
    if (last !== undefined && isRecent(last)) return { kind: "skip", why: "component" };
    let recentCount = 0;
    for (const atMs of this.#lastMs.values()) if (isRecent(atMs)) recentCount++;
    if (recentCount >= HOURLY_MAX) return { kind: "skip", why: "storm" };
    this.remember(component, nowMs);
    return { kind: "gather" };
  }
}

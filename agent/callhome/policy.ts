/**
 * Which events leave for support: a floor of severity, what ends something that left, and what its source wished.
 *
 * A deassertion has a low severity and matters all the same, as it closes the ticket; so what was asserted and left is
 * remembered by system, category and subject, the newest few thousand. A source may say `callhome: "yes"` or `"no"` among its own
 * fields: a script knows better than a floor. Every decision has a reason, which is kept with the event's way.
 */
import type { BmcEvent, Severity } from "../../bmc/bmc.ts";
import { URGENCY_OF } from "./delivery-events.ts";

export interface CallhomePolicy {
  /** What is at least so severe leaves. */
  readonly floor: Severity;
}

export const DEFAULT_POLICY: CallhomePolicy = { floor: "warning" };

/** Field of `extra` by which a source says what it wishes. */
export const WISH_FIELD = "callhome";

export interface Verdict {
  readonly goes: boolean;
  readonly reason: string;
}

const REMEMBERED_MAX = 10_000;

/** What counts as the same fault: also what folded events are counted by. */
export function componentOf({ system, category, subject }: BmcEvent): string {
  return `${system} ${category} ${subject}`;
}

export class Departures {
  readonly #policy: CallhomePolicy;
  /** Of components, how many assertions left and were not taken back: a sensor may cross several thresholds at a time. */
  readonly #asserted = new Map<string, number>();

  constructor(policy: CallhomePolicy = DEFAULT_POLICY) {
    this.#policy = policy;
  }

  /** Judges a new event, and remembers it if it goes. */
  judge(event: BmcEvent): Verdict {
    const verdict = this.#verdictOn(event);
    if (verdict.goes) this.remember(event);
    return verdict;
  }

  /** One that left before a restart; given in order of time. */
  remember(event: BmcEvent): void {
    const component = componentOf(event);
    const count = (this.#asserted.get(component) ?? 0) + (event.isAssertion ? 1 : -1);
    this.#asserted.delete(component);
    if (count <= 0) return;
    this.#asserted.set(component, count);
    if (this.#asserted.size <= REMEMBERED_MAX) return;
    for (const oldest of this.#asserted.keys()) {
      this.#asserted.delete(oldest);
      return;
    }
  }

  #verdictOn(event: BmcEvent): Verdict {
    const wish = event.extra[WISH_FIELD];
    if (wish === "yes") return { goes: true, reason: "its source wishes so" };
    if (wish === "no") return { goes: false, reason: "its source wishes that it stays here" };
    const { floor } = this.#policy;
    if (URGENCY_OF[event.severity] <= URGENCY_OF[floor]) {
      return { goes: true, reason: `${event.severity} is at least ${floor}` };
    }
    if (!event.isAssertion && this.#asserted.has(componentOf(event))) {
      return { goes: true, reason: "it ends something that left" };
    }
    return { goes: false, reason: `${event.severity} is below ${floor}` };
  }
}

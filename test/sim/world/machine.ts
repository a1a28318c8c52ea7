/**
 * What the simulator needs of a node's decision code, and the two things it runs: the composed `NodeMachine`, and
 * membership by itself for histories that look at views only.
 *
 * A seeded defect (`../defects.ts`) is a wrapper of this interface: it changes events on their way in or effects on their
 * way out, never the code.
 */

import type { JobRecord } from "../../../agent/job/job.ts";
import type { NodeEffect, NodeEvent } from "../../../agent/job/node-events.ts";
import type { View } from "../../../agent/membership/membership.ts";
import type { MembershipEffect } from "../../../agent/membership/membership-events.ts";
import type { Membership } from "../../../agent/membership/membership-machine.ts";

export interface DecisionMachine {
  step(event: NodeEvent, nowMs: number): readonly NodeEffect[];
  dueMs(): number;
  view(): View | null;
  frozen(): string | null;
  records(): readonly JobRecord[];
}

const NO_EFFECTS: readonly NodeEffect[] = [];
const TICK = { kind: "tick" } as const;

/** Membership alone, behind the node's interface. */
export class MembershipOnly implements DecisionMachine {
  readonly #membership: Membership;

  constructor(membership: Membership) {
    this.#membership = membership;
  }

  step(event: NodeEvent, nowMs: number): readonly NodeEffect[] {
    let effects: readonly MembershipEffect[];
    if (event.kind === "membership") effects = this.#membership.step(event.event, nowMs);
    else if (event.kind === "tick") effects = this.#membership.step(TICK, nowMs);
    else return NO_EFFECTS;
    if (effects.length === 0) return NO_EFFECTS;
    return effects.map((effect) => ({ kind: "membership", effect }));
  }

  dueMs(): number {
    return this.#membership.dueMs();
  }

  view(): View | null {
    return this.#membership.view();
  }

  frozen(): string | null {
    return this.#membership.frozen();
  }

  records(): readonly JobRecord[] {
    return [];
  }
}

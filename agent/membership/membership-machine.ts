/**
 * The membership of one node: failure detection (`swim.ts`) and agreed views (`views.ts`) behind one step function.
 */
import type { Prng } from "../runtime/prng.ts";
import type { View } from "./membership.ts";
import type {
  MemberStatus,
  MembershipConfig,
  MembershipEffect,
  MembershipEvent,
  OwnHealth,
  SavedMembership,
} from "./membership-events.ts";

export declare class Membership {
  constructor(config: MembershipConfig, saved: SavedMembership | null, prng: Prng);
  step(event: MembershipEvent, nowMs: number): readonly MembershipEffect[];
  /** Absolute time at which a tick is wanted; Infinity before the start. */
  dueMs(): number;
  /** The newest view this node told of by a `view` effect; null before the first of this run. */
  view(): View | null;
  /** Why this node may not act, or null. */
  frozen(): string | null;
  members(): readonly MemberStatus[];
  health(): OwnHealth;
}

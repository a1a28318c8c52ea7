/**
 * When it is this node's turn to propose a wanted change: at once when it is first in line and the evidence is strong.
 *
 * First in line is the lowest-numbered member that is heard; each next one waits `takeoverMs` more, counted anew whenever
 * another is seen at work. Weak evidence waits until it is clear what else has failed, joins for those that start together.
 */
import type { Member, View } from "./membership.ts";
import { NEVER } from "./peers.ts";
import type { Swim } from "./swim.ts";
import type { MembershipTiming } from "./timing.ts";
import type { Change } from "./view-change.ts";

export function isHeard(
  swim: Swim,
  timing: MembershipTiming,
  member: Member,
  now: number,
): boolean {
  if (member.instance === swim.wire.self.instance) return true;
  const peer = swim.peers.get(member.instance);
  if (peer === undefined || peer.standing !== "alive") return false;
  return now - peer.contactMs <= timing.freezeMs;
}

const LOOK_AGAIN_MS = 10;

export class Turn {
  readonly #swim: Swim;
  readonly #timing: MembershipTiming;
  #wantedSinceMs: number = NEVER;
  #othersMs: number = NEVER;
  #backoffMs: number = NEVER;
  /** Before its first view a node gives the members of its saved one until then to show up. */
  #bootEndMs = 0;

  constructor(swim: Swim, timing: MembershipTiming) {
    this.#swim = swim;
    this.#timing = timing;
  }

  boot(now: number): void {
    this.#bootEndMs = now + this.#timing.bootGraceMs;
  }

  reset(): void {
    this.#wantedSinceMs = NEVER;
    this.#othersMs = NEVER;
    this.#backoffMs = NEVER;
  }

  nothingWanted(): void {
    this.#wantedSinceMs = NEVER;
  }

  wanted(now: number): void {
    if (this.#wantedSinceMs === NEVER) this.#wantedSinceMs = now;
  }

  othersAtWork(now: number): void {
    this.#othersMs = now;
  }

  backOff(untilMs: number): void {
    this.#backoffMs = untilMs;
  }

  /** How many members come before us. */
  rank(view: View, now: number): number {
    let rank = 0;
    for (const member of view.members) {
      if (member.instance === this.#swim.wire.self.instance) return rank;
      if (isHeard(this.#swim, this.#timing, member, now)) rank++;
    }
    return rank;
  }

  /** When to propose, if all stays as it is, and when to look again whether it has. */
  plan(
    view: View,
    change: Change,
    isBooting: boolean,
    now: number,
  ): { readonly startMs: number; readonly lookMs: number } {
    const { takeoverMs } = this.#timing;
    const rank = this.rank(view, now);
    const othersMs = this.#othersMs + (rank + 1) * takeoverMs;
    const turnMs = this.#wantedSinceMs + rank * takeoverMs;
    const earliestMs = Math.max(turnMs, othersMs, this.#backoffMs);
    const bootMs = isBooting && !this.#areAllHeard(view, now) ? this.#bootEndMs : NEVER;
    const startMs = Math.max(earliestMs, turnMs + this.#patienceMs(change, now), bootMs);
    // Before its turn nothing is to be done; from then on what it waits for may be settled at any moment.
    const lookMs = Math.max(earliestMs, Math.min(startMs, now + LOOK_AGAIN_MS));
    return { startMs, lookMs };
  }

  #areAllHeard(view: View, now: number): boolean {
    return view.members.every((member) => isHeard(this.#swim, this.#timing, member, now));
  }

  #patienceMs(change: Change, now: number): number {
    const { expelled, restarted, wishes } = change;
    const { batchMs, hintTimeoutMs, joinBatchMs } = this.#timing;
    if (expelled.some((one) => one.isCertain) || restarted.length > 0) return 0;
    if (expelled.length > 0) return this.#swim.isMoreToCome(now) ? batchMs : 0;
    // A peer's connection was just lost: if the peer is gone, one change says both.
    if (wishes.length > 0) return this.#swim.probes.hasHint() ? hintTimeoutMs : 0;
    return joinBatchMs;
  }
}

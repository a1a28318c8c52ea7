/**
 * Whether this node may act: it is in the newest view under its present incarnation, and hears a majority of it.
 *
 * "Hears" is any packet or message within `freezeMs`. A node that hears but is not heard is expelled by the others and told
 * so; a node that is heard but does not hear freezes here by itself. Once frozen it acts again under the newest epoch
 * it hears of, never under the one it was cut off with: the others have gone on from that.
 */
import { majorityOf, type View } from "./membership.ts";
import type { Outbox } from "./outbox.ts";
import type { Peer } from "./peers.ts";
import type { Swim } from "./swim.ts";
import type { MembershipTiming } from "./timing.ts";

export interface QuorumNeeds {
  readonly swim: Swim;
  readonly outbox: Outbox;
  readonly timing: MembershipTiming;
}

type FreezeKind = "no-view" | "turned-away" | "out" | "restarted" | "no-quorum" | "behind" | "left";

interface Freeze {
  readonly kind: FreezeKind;
  readonly reason: string;
}

export class Quorum {
  readonly #needs: QuorumNeeds;
  #freeze: Freeze | null = null;
  #turnedAway: string | null = null;
  /** Since when a newer view is heard of that does not come: this node is not heard, so it cannot ask. */
  #aheadSinceMs: number | null = null;

  constructor(needs: QuorumNeeds) {
    this.#needs = needs;
  }

  frozen(): string | null {
    return this.#freeze?.reason ?? null;
  }

  turnAway(reason: string): void {
    this.#turnedAway = reason;
  }

  leave(): void {
    this.#set({ kind: "left", reason: "this node has left the cluster" });
  }

  #heardCount(view: View, now: number): number {
    const { swim, timing } = this.#needs;
    const self = swim.wire.self.instance;
    let count = 0;
    for (const member of view.members) {
      if (member.instance === self) count++;
      else {
        const peer = swim.peers.get(member.instance);
        if (peer !== undefined && now - peer.contactMs <= timing.freezeMs) count++;
      }
    }
    return count;
  }

  isHeard(view: View, now: number): boolean {
    return this.#heardCount(view, now) >= majorityOf(view.members.length);
  }

  #cause(installed: View | null, decided: View | null, now: number): Freeze | null {
    const self = this.#needs.swim.wire.self;
    const view = installed ?? decided;
    const isMember = view?.members.some((member) => member.instance === self.instance) ?? false;
    if (!isMember && this.#turnedAway !== null) {
      return { kind: "turned-away", reason: this.#turnedAway };
    }
    if (view === null) {
      return { kind: "no-view", reason: "in no view yet: asking the seeds to be let in" };
    }
    if (!isMember) {
      const reason = `not in view ${view.epoch} (${view.reason}): asking to be let in`;
      return { kind: "out", reason };
    }
    if (installed === null || !isCurrent(installed, self.instance, self.incarnation)) {
      const reason =
        self.incarnation === 1
          ? "started: waiting for its first view"
          : `restarted: waiting for a view with incarnation ${self.incarnation}`;
      return { kind: "restarted", reason };
    }
    const count = this.#heardCount(view, now);
    const size = view.members.length;
    if (count >= majorityOf(size)) return this.#behind(view, now);
    const reason = `no quorum: ${count} of ${size} members heard, ${majorityOf(size)} needed`;
    return { kind: "no-quorum", reason };
  }

  /** With a quorum, but perhaps of a view that the others have left behind. */
  #behind(view: View, now: number): Freeze | null {
    const ahead = this.#ahead(view, now);
    if (ahead === null) {
      this.#aheadSinceMs = null;
      return null;
    }
    this.#aheadSinceMs ??= now;
    const isLong = now - this.#aheadSinceMs >= this.#needs.timing.freezeMs;
    if (this.#freeze === null && !isLong) return null;
    const reason = `${ahead.member.id} is under epoch ${ahead.epoch}: waiting for that view`;
    return { kind: "behind", reason };
  }

  /** Somebody heard of late who knows a newer view. In good order that view is a round trip away. */
  #ahead(view: View, now: number): Peer | null {
    const { swim, timing } = this.#needs;
    for (const peer of swim.peers.all()) {
      if (peer.epoch > view.epoch && now - peer.contactMs <= timing.freezeMs) return peer;
    }
    return null;
  }

  /** O(members); at each round and each view. */
  look(installed: View | null, decided: View | null, now: number): void {
    if (this.#freeze?.kind === "left") return;
    this.#set(this.#cause(installed, decided, now));
  }

  #set(next: Freeze | null): void {
    const before = this.#freeze;
    this.#freeze = next;
    if (next === null) {
      this.#turnedAway = null;
      if (before !== null) this.#needs.outbox.push({ kind: "thawed" });
    } else if (before?.kind !== next.kind) {
      this.#needs.outbox.push({ kind: "frozen", reason: next.reason });
    }
  }
}

function isCurrent(view: View, instance: string, incarnation: number): boolean {
  for (const member of view.members) {
    if (member.instance === instance) return member.incarnation === incarnation;
  }
  return false;
}

/**
 * Which change of the view is called for, seen from this node; and the view that results. Does not decide who proposes, or when.
 *
 * Out: who left, who is unreachable, who cannot be talked to directly. Exchanged: who runs anew (its programs are gone).
 * In: who is alive, has answered us, and has no namesake that lives. Same members, next epoch: when somebody wishes so.
 */
import { assert } from "../../core/assert.ts";
import { compareNodeIds, type Epoch, type Member, type View } from "./membership.ts";
import { isSendable } from "./packet-codec.ts";
import { NEVER, type Peer } from "./peers.ts";
import type { Swim } from "./swim.ts";
import { MEMBERS_MAX, type MembershipTiming } from "./timing.ts";

export interface Expulsion {
  readonly member: Member;
  /** It answers others but not us: the vote of one who hears it breaks the tie. */
  readonly isCut: boolean;
  /** Its port refuses, or it left: there is nothing to wait for. */
  readonly isCertain: boolean;
  readonly reason: string;
}

export interface Change {
  readonly expelled: readonly Expulsion[];
  /** New members; they take the place of one with the same id. */
  readonly entering: readonly Member[];
  /** Members under a new incarnation: their programs are gone. */
  readonly restarted: readonly Member[];
  /** Somebody wishes the next epoch, whatever else; in words. */
  readonly wishes: readonly string[];
}

export interface ChangeNeeds {
  readonly view: View;
  readonly swim: Swim;
  readonly timing: MembershipTiming;
  readonly wishes: readonly string[];
  /** How to tell one that wants in why it cannot. */
  readonly turnAway: (peer: Peer, reason: string) => void;
}

interface Draft {
  readonly expelled: Expulsion[];
  readonly entering: Member[];
  readonly restarted: Member[];
  /** When a node that must wait may be let in. */
  laterMs: number;
}

/** Null: the view is as it should be. `laterMs`: when to look again though nothing happens. O(members + peers). */
export function wantedChange(
  needs: ChangeNeeds,
  now: number,
): { readonly change: Change | null; readonly laterMs: number } {
  const draft: Draft = {
    expelled: [],
    entering: [],
    restarted: [],
    laterMs: Number.POSITIVE_INFINITY,
  };
  for (const member of needs.view.members) weighMember(needs, draft, member, now);
  for (const peer of needs.swim.peers.all()) {
    if (!peer.inView && peer.standing === "alive") weighOutsider(needs, draft, peer, now);
  }
  const { expelled, entering, restarted, laterMs } = draft;
  const wishes = needs.wishes;
  if (expelled.length + entering.length + restarted.length + wishes.length === 0) {
    return { change: null, laterMs };
  }
  return { change: { expelled, entering, restarted, wishes }, laterMs };
}

function weighMember(needs: ChangeNeeds, draft: Draft, member: Member, now: number): void {
  const { swim } = needs;
  const self = swim.wire.self;
  if (member.instance === self.instance) {
    if (swim.wire.leaving) expel(draft, member, "left", true);
    else if (member.incarnation < self.incarnation) draft.restarted.push(self);
    return;
  }
  const peer = swim.peers.get(member.instance);
  if (peer === undefined) return;
  if (peer.standing === "left") expel(draft, member, "left", true);
  else if (peer.standing === "unreachable") {
    expel(draft, member, `unreachable (${peer.reason})`, peer.refused);
  } else if (peer.standing === "alive" && peer.member.incarnation > member.incarnation) {
    if (peer.answeredMs !== NEVER) draft.restarted.push(peer.member);
  } else if (swim.isCut(peer, now)) {
    const reason = `has no direct path to ${self.id}`;
    draft.expelled.push({ member, isCut: true, isCertain: false, reason });
  }
}

function expel(draft: Draft, member: Member, reason: string, isCertain: boolean): void {
  draft.expelled.push({ member, isCut: false, isCertain, reason });
}

function weighOutsider(needs: ChangeNeeds, draft: Draft, peer: Peer, now: number): void {
  // Whoever answers through others only cannot work with us.
  if (peer.directMs === NEVER || peer.cutSinceMs !== NEVER) return;
  const readmitMs = mayEnterMs(peer, needs.timing);
  if (now < readmitMs) {
    draft.laterMs = Math.min(draft.laterMs, readmitMs);
    return;
  }
  const { id } = peer.member;
  const namesake = needs.view.members.find((member) => member.id === id);
  if (namesake !== undefined && isInTheWay(needs, namesake, peer, now)) return;
  if (!draft.entering.some((member) => member.id === id)) draft.entering.push(peer.member);
}

/** A run that was expelled has to show for a while that it is well. */
function mayEnterMs(peer: Peer, timing: MembershipTiming): number {
  if (peer.expelledIncarnation !== peer.member.incarnation) return NEVER;
  return peer.aliveSinceMs + timing.readmitMs * 2 ** Math.min(5, peer.expelledCount - 1);
}

/** Whether a member of the view with the same id keeps the newcomer out. */
function isInTheWay(needs: ChangeNeeds, namesake: Member, peer: Peer, now: number): boolean {
  const { swim } = needs;
  const old = swim.peers.get(namesake.instance);
  if (old?.standing === "unreachable" || old?.standing === "left") return false;
  const { id, address, port } = peer.member;
  if (old !== undefined && namesake.address === address && namesake.port === port) {
    // One process an address and port: the old instance must have ended. A probe will show it.
    swim.probes.hint(old, now);
    return true;
  }
  if (old?.standing !== "suspect") {
    const where = `${namesake.address} port ${namesake.port}`;
    needs.turnAway(peer, `the id ${id} is taken by the node at ${where}; give this one another`);
  }
  return true;
}

/** What a poll has confirmed of a change. */
export interface Confirmed {
  readonly expelled: readonly Expulsion[];
  readonly entering: readonly Member[];
}

/** The view after `base`. Null when nothing is left of the change. A newcomer whose namesake stays has to wait. */
export function composeView(base: View, change: Change, confirmed: Confirmed): View | null {
  const out = new Set(confirmed.expelled.map((one) => one.member.instance));
  const kept = new Map<string, Member>();
  for (const member of base.members) if (!out.has(member.instance)) kept.set(member.id, member);
  const reasons = confirmed.expelled.map((one) => `${one.member.id} ${one.reason}`);
  for (const member of change.restarted) {
    if (kept.get(member.id)?.instance !== member.instance) continue;
    kept.set(member.id, member);
    reasons.push(`${member.id} restarted`);
  }
  for (const member of confirmed.entering) {
    if (kept.has(member.id) || kept.size >= MEMBERS_MAX) continue;
    kept.set(member.id, member);
    reasons.push(`${member.id} joined`);
  }
  reasons.push(...change.wishes);
  if (kept.size === 0 || reasons.length === 0) return null;
  const members = [...kept.values()].sort((a, b) => compareNodeIds(a.id, b.id));
  const reason = reasons.join(", ").slice(0, REASON_CHARS_MAX);
  const view: View = { epoch: (base.epoch + 1) as Epoch, members, reason };
  assert(isWellFormed(view), "members are sorted, their ids unique");
  return view;
}

export const REASON_CHARS_MAX = 400;

/** Views come from the disk and from peers too: what is not well-formed is not taken. */
export function isWellFormed(view: View): boolean {
  const { members } = view;
  if (view.epoch < 1 || members.length < 1 || members.length > MEMBERS_MAX) return false;
  return members.every((member, i) => {
    const before = members[i - 1];
    return isSendable(member) && (before === undefined || compareNodeIds(before.id, member.id) < 0);
  });
}

/**
 * What this node knows about each other node, and in which order it probes them.
 *
 * A peer is one *instance* (data folder) of a node; a wiped node is another peer under the same id. Evidence kept here is
 * this node's own observation only; what others say is in the claims. Invariant: at most PEERS_MAX peers; those in the view
 * are never dropped.
 */
import type { Prng } from "../runtime/prng.ts";
import type { Epoch, Member, NodeId } from "./membership.ts";
import type { ClaimStanding } from "./packet.ts";
import type { Suspicion } from "./suspicion.ts";
import { PEERS_MAX } from "./timing.ts";

export const NEVER: number = Number.NEGATIVE_INFINITY;

/** A probe under way. */
export interface Probe {
  readonly seq: number;
  /** A hint probe asks by UDP and TCP at once and asks no others. */
  readonly hint: boolean;
  phase: "direct" | "indirect";
  deadlineMs: number;
  helperCount: number;
  /** Who said nack; a set, since a packet may arrive twice. Null while nobody did: most probes never have one. */
  nackers: Set<string> | null;
}

export class Peer {
  member: Member;
  rebuttal: number;
  standing: ClaimStanding = "alive";
  reason = "";
  inView = false;
  epoch: Epoch | 0 = 0;
  suspicion: Suspicion | null = null;
  probe: Probe | null = null;
  /** Last packet or message from it, whatever it was. */
  contactMs: number = NEVER;
  /** Last time it answered us, by any path. */
  answeredMs: number = NEVER;
  /** Last time it answered us itself, not through another. */
  directMs: number = NEVER;
  /** Last time a probe of ours ended without an answer. */
  failedMs: number = NEVER;
  /** First failed probe since it last answered. */
  silentSinceMs: number = NEVER;
  /** Last time its kernel took a connection that its agent did not serve. */
  stalledMs: number = NEVER;
  /** Since when it answers through others only; NEVER when it answers directly. */
  cutSinceMs: number = NEVER;
  cutProbes = 0;
  /** Its port refused a connection and it has not answered since: nobody lives there. */
  refused = false;
  /** Another node's verdict; it becomes ours only when our own probe fails too. */
  othersGaveUp = false;
  /** Since when it counts as alive, for letting it in again. */
  aliveSinceMs: number;
  expelledCount = 0;
  expelledIncarnation = -1;
  gossipedMs: number = NEVER;
  turnedAwayMs: number = NEVER;

  constructor(member: Member, rebuttal: number, now: number) {
    this.member = member;
    this.rebuttal = rebuttal;
    this.aliveSinceMs = now;
  }

  /** A new run of the node: nothing observed about the old one holds. */
  renew(member: Member, rebuttal: number, now: number): void {
    this.member = member;
    this.rebuttal = rebuttal;
    this.suspicion = null;
    this.answeredMs = NEVER;
    this.directMs = NEVER;
    this.aliveSinceMs = now;
    this.#acquit();
  }

  /** It contradicted, maybe to others: what we failed to hear before does not count. */
  refuted(rebuttal: number): void {
    this.rebuttal = rebuttal;
    this.suspicion = null;
    this.#acquit();
  }

  #acquit(): void {
    this.failedMs = NEVER;
    this.othersGaveUp = false;
    this.answered();
  }

  /** Forget what counts against it. */
  answered(): void {
    this.silentSinceMs = NEVER;
    this.stalledMs = NEVER;
    this.refused = false;
  }
}

export class PeerTable {
  readonly #byInstance: Map<string, Peer> = new Map();
  readonly #prng: Prng;
  #ring: Peer[] = [];
  #ringIndex = 0;
  #retryIndex = 0;

  constructor(prng: Prng) {
    this.#prng = prng;
  }

  get(instance: string): Peer | undefined {
    return this.#byInstance.get(instance);
  }

  size(): number {
    return this.#byInstance.size;
  }

  all(): IterableIterator<Peer> {
    return this.#byInstance.values();
  }

  /** The peer meant by a bare id: the one in the view, else the one heard last. */
  byId(id: NodeId): Peer | undefined {
    let best: Peer | undefined;
    for (const peer of this.#byInstance.values()) {
      if (peer.member.id !== id) continue;
      if (best === undefined || (peer.inView && !best.inView)) best = peer;
      else if (peer.inView === best.inView && peer.contactMs > best.contactMs) best = peer;
    }
    return best;
  }

  /** Null when the table is full of nodes that may not be forgotten. */
  add(member: Member, rebuttal: number, now: number): Peer | null {
    if (this.#byInstance.size >= PEERS_MAX && !this.#forgetOne()) return null;
    const peer = new Peer(member, rebuttal, now);
    this.#byInstance.set(member.instance, peer);
    // At a random place in what is left of this round, as SWIM asks for: a joiner is not probed by all at once.
    const at = this.#ringIndex + this.#prng.below(this.#ring.length - this.#ringIndex + 1);
    this.#ring.splice(at, 0, peer);
    return peer;
  }

  remove(peer: Peer): void {
    this.#byInstance.delete(peer.member.instance);
    peer.standing = "left";
    peer.inView = false;
    peer.probe = null;
    peer.suspicion = null;
  }

  /** O(PEERS_MAX), only when the table is full: the outsider not heard for longest goes. */
  #forgetOne(): boolean {
    let oldest: Peer | null = null;
    for (const peer of this.#byInstance.values()) {
      if (peer.inView || peer.standing === "alive") continue;
      if (oldest === null || peer.contactMs < oldest.contactMs) oldest = peer;
    }
    if (oldest === null) return false;
    this.remove(oldest);
    return true;
  }

  /** Shuffled round-robin: each is probed once a round, so the worst case is two rounds. */
  nextToProbe(): Peer | null {
    for (let tries = 0; tries < 2; tries++) {
      while (this.#ringIndex < this.#ring.length) {
        const peer = this.#ring[this.#ringIndex++] as Peer;
        if (peer.standing !== "unreachable" && peer.standing !== "left") return peer;
      }
      this.#ring = [...this.#byInstance.values()];
      this.#shuffle(this.#ring);
      this.#ringIndex = 0;
    }
    return null;
  }

  #shuffle(list: Peer[]): void {
    for (let i = list.length - 1; i > 0; i--) {
      const j = this.#prng.below(i + 1);
      const held = list[i] as Peer;
      list[i] = list[j] as Peer;
      list[j] = held;
    }
  }

  /** Up to `count` of those given up, in turn: they are tried for ever. */
  nextToRetry(count: number): Peer[] {
    const lost: Peer[] = [];
    for (const peer of this.#byInstance.values()) {
      if (peer.standing === "unreachable") lost.push(peer);
    }
    if (lost.length <= count) return lost;
    const chosen: Peer[] = [];
    for (let i = 0; i < count; i++) chosen.push(lost[this.#retryIndex++ % lost.length] as Peer);
    return chosen;
  }

  /** Up to `count` living peers other than `except`, at random. */
  someAlive(count: number, except: Peer | null): Peer[] {
    const alive: Peer[] = [];
    for (const peer of this.#byInstance.values()) {
      if (peer.standing === "alive" && peer !== except) alive.push(peer);
    }
    if (alive.length <= count) return alive;
    for (let i = 0; i < count; i++) {
      const j = i + this.#prng.below(alive.length - i);
      const held = alive[i] as Peer;
      alive[i] = alive[j] as Peer;
      alive[j] = held;
    }
    alive.length = count;
    return alive;
  }

  /** Peers that are alive or suspected, and this node. */
  livingCount(): number {
    let count = 1;
    for (const peer of this.#byInstance.values()) {
      if (peer.standing === "alive" || peer.standing === "suspect") count++;
    }
    return count;
  }
}

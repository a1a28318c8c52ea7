/**
 * This node's opinion of each peer: alive, suspect, unreachable, left, and what moves it from one to the other.
 *
 * Claims of others are taken in the order (incarnation, rebuttal, severity). Nobody is given up on hearsay: another's
 * accusation starts a suspicion and a probe of our own; the verdict needs that our own last probe failed, or that a port
 * refused us. A peer whose kernel still answers while its agent is silent is stalled and is waited for.
 */
import type { Awareness } from "./awareness.ts";
import type { NodeId } from "./membership.ts";
import type { Outbox } from "./outbox.ts";
import type { Claim, ClaimStanding } from "./packet.ts";
import { NEVER, type Peer, type PeerTable } from "./peers.ts";
import type { Probes } from "./probes.ts";
import { Suspicion } from "./suspicion.ts";
import type { MembershipTiming } from "./timing.ts";
import { claimAbout, type Wire } from "./wire.ts";

export interface StandingsNeeds {
  readonly timing: MembershipTiming;
  readonly peers: PeerTable;
  readonly wire: Wire;
  readonly awareness: Awareness;
  readonly outbox: Outbox;
  readonly probes: Probes;
}

export class Standings {
  readonly #needs: StandingsNeeds;
  readonly #suspects: Peer[] = [];
  /** No verdict before: this node was itself held up. */
  #quietUntilMs: number = NEVER;
  /** News that was not yet sent to anybody. */
  fresh = false;
  /** A standing changed since the views were last considered. */
  changed = false;

  constructor(needs: StandingsNeeds) {
    this.#needs = needs;
  }

  dueMs(): number {
    let due = Number.POSITIVE_INFINITY;
    for (let i = 0; i < this.#suspects.length; i++) {
      const suspicion = (this.#suspects[i] as Peer).suspicion;
      if (suspicion === null) continue;
      const at = suspicion.verdictMs();
      if (at < due) due = at;
    }
    return due;
  }

  suspects(): readonly Peer[] {
    return this.#suspects;
  }

  isQuiet(now: number): boolean {
    return now < this.#quietUntilMs;
  }

  /** Our own observation: it did not answer us, and it is not merely stalled. */
  isSilent(peer: Peer, now: number): boolean {
    if (peer.refused) return true;
    if (peer.failedMs === NEVER || peer.failedMs <= peer.answeredMs) return false;
    const { stalledToleranceMs, retryMs } = this.#needs.timing;
    const isStalled = now - peer.stalledMs < 2 * retryMs;
    return !isStalled || now - peer.silentSinceMs >= stalledToleranceMs;
  }

  #set(peer: Peer, standing: ClaimStanding, reason: string): void {
    peer.standing = standing;
    peer.reason = reason;
    this.changed = true;
    const told = standing === "unreachable" && !peer.inView ? "dead" : standing;
    this.#needs.outbox.push({ kind: "standing", member: peer.member, standing: told, reason });
  }

  spread(claim: Claim): void {
    this.#needs.wire.news.add(claim);
    this.fresh = true;
  }

  #unsuspect(peer: Peer): void {
    peer.suspicion = null;
    const at = this.#suspects.indexOf(peer);
    if (at >= 0) this.#suspects.splice(at, 1);
  }

  suspect(peer: Peer, accuser: NodeId, reason: string, now: number): void {
    const { timing, peers, wire } = this.#needs;
    peer.suspicion = new Suspicion(timing, peers.livingCount(), accuser, now);
    if (this.isQuiet(now)) peer.suspicion.postpone(this.#quietUntilMs);
    this.#suspects.push(peer);
    this.#set(peer, "suspect", reason);
    this.spread(claimAbout(peer, "suspect", accuser));
    if (accuser !== wire.self.id) this.#needs.probes.hint(peer, now);
  }

  giveUp(peer: Peer, reason: string): void {
    if (peer.standing === "unreachable" || peer.standing === "left") return;
    this.#unsuspect(peer);
    this.#set(peer, "unreachable", reason);
    this.spread(claimAbout(peer, "unreachable", this.#needs.wire.self.id));
  }

  /** We gave it up, yet others hear it: then it is as likely to be us. */
  doubt(peer: Peer, detail: string, now: number): void {
    if (peer.standing !== "unreachable" || peer.refused) return;
    this.#needs.awareness.raise(1);
    peer.othersGaveUp = false;
    this.suspect(peer, this.#needs.wire.self.id, detail, now);
  }

  /** A probe of ours found nothing. */
  failed(peer: Peer, now: number): void {
    if (this.isQuiet(now)) return;
    peer.failedMs = now;
    if (peer.silentSinceMs === NEVER) peer.silentSinceMs = now;
    if (peer.standing === "alive") {
      this.suspect(peer, this.#needs.wire.self.id, "does not answer probes", now);
    } else if (peer.suspicion !== null) {
      const own = this.#needs.wire.self.id;
      if (peer.suspicion.confirm(own)) this.spread(claimAbout(peer, "suspect", own));
    }
    if (peer.othersGaveUp && this.isSilent(peer, now)) {
      this.giveUp(peer, "does not answer probes, others found the same");
    }
  }

  /** A suspicion has run out. */
  #judge(peer: Peer, suspicion: Suspicion, now: number): void {
    if (this.isQuiet(now)) {
      suspicion.postpone(this.#quietUntilMs);
    } else if (this.isSilent(peer, now)) {
      this.giveUp(peer, `silent, confirmed by ${suspicion.accusers().join(" ")}`);
    } else if (peer.answeredMs >= suspicion.startedMs() && now >= suspicion.endMs()) {
      this.#unsuspect(peer);
      this.#set(peer, "alive", "answers, though it did not contradict");
    } else {
      const { probes, timing, awareness } = this.#needs;
      probes.hint(peer, now);
      suspicion.postpone(now + timing.hintTimeoutMs * awareness.factor() + 1);
    }
  }

  tick(now: number): void {
    for (let i = this.#suspects.length - 1; i >= 0; i--) {
      const peer = this.#suspects[i];
      if (peer === undefined) continue;
      if (peer.suspicion === null) this.#suspects.splice(i, 1);
      else if (peer.suspicion.verdictMs() <= now) this.#judge(peer, peer.suspicion, now);
    }
  }

  /** Newer word from the peer itself, direct or by others. */
  #revive(peer: Peer, claim: Claim, now: number): void {
    const wasAlive = peer.standing === "alive";
    const isNewRun = claim.member.incarnation > peer.member.incarnation;
    this.#unsuspect(peer);
    if (isNewRun) peer.renew(claim.member, claim.rebuttal, now);
    else peer.refuted(claim.rebuttal);
    if (!wasAlive || isNewRun) {
      peer.aliveSinceMs = now;
      this.#set(peer, "alive", isNewRun ? "a new run of it was heard" : "contradicted");
      this.#needs.probes.hint(peer, now);
    }
  }

  /** Takes a claim about another node; older ones are of no use. */
  merge(claim: Claim, now: number): void {
    const { peers, wire } = this.#needs;
    const instance = claim.member.instance;
    if (instance === wire.self.instance) {
      this.#answerForSelf(claim);
      return;
    }
    const peer = peers.get(instance);
    if (peer === undefined) {
      if (claim.standing === "alive" || claim.standing === "suspect") this.meet(claim, now);
      return;
    }
    const order =
      claim.member.incarnation - peer.member.incarnation || claim.rebuttal - peer.rebuttal;
    if (order < 0) return;
    if (order > 0) {
      this.#revive(peer, claim, now);
      this.spread(claimAbout(peer, "alive", peer.member.id));
    }
    if (claim.standing === "alive" || peer.standing === "left") return;
    if (claim.standing === "left") this.#seeOff(peer, claim);
    else if (peer.standing !== "unreachable") this.#accuse(peer, claim, now);
  }

  #seeOff(peer: Peer, claim: Claim): void {
    this.#unsuspect(peer);
    this.#set(peer, "left", "left in good order");
    this.spread(claim);
  }

  /** Another's accusation, `suspect` or `unreachable`. */
  #accuse(peer: Peer, claim: Claim, now: number): void {
    if (claim.standing === "unreachable") peer.othersGaveUp = true;
    if (peer.suspicion === null) {
      this.suspect(peer, claim.accuser, `suspected by ${claim.accuser}`, now);
    } else if (peer.suspicion.confirm(claim.accuser)) this.spread(claim);
    if (!peer.othersGaveUp) return;
    if (this.isSilent(peer, now) && !this.isQuiet(now)) {
      this.giveUp(peer, `does not answer probes, ${claim.accuser} found the same`);
    } else this.#needs.probes.hint(peer, now);
  }

  /** A node not known before. */
  meet(claim: Claim, now: number): Peer | null {
    const { peers, probes } = this.#needs;
    const peer = peers.add(claim.member, claim.rebuttal, now);
    if (peer === null) return null;
    peer.gossipedMs = now;
    this.#set(peer, "alive", "first heard");
    this.spread(claimAbout(peer, "alive", peer.member.id));
    probes.hint(peer, now);
    return peer;
  }

  /** Somebody says that we are not well: contradict, and take it as a sign that we may be slow. */
  #answerForSelf(claim: Claim): void {
    const { wire, awareness, outbox } = this.#needs;
    if (claim.member.incarnation > wire.self.incarnation) {
      outbox.log(
        "error",
        `a later run of this data folder is known (incarnation ${claim.member.incarnation}, here ` +
          `${wire.self.incarnation}): it was restored from an older copy; wipe it and join anew`,
      );
      return;
    }
    if (claim.member.incarnation < wire.self.incarnation || claim.rebuttal < wire.rebuttal) return;
    if (claim.standing === "alive" || wire.leaving) return;
    wire.rebuttal = claim.rebuttal + 1;
    awareness.raise(1);
    this.spread(wire.ownClaim());
  }

  /** This node was held up: its own observations and accusations are void. */
  heldUp(now: number): void {
    this.#quietUntilMs = now + this.#needs.timing.stallGraceMs;
    this.#needs.wire.news.dropAccusations();
    for (const peer of this.#needs.peers.all()) {
      peer.suspicion?.restart(now);
      if (!peer.refused) peer.failedMs = NEVER;
      peer.silentSinceMs = NEVER;
      peer.cutSinceMs = NEVER;
      peer.cutProbes = 0;
    }
  }
}

/**
 * Makes this node's packets: head, claims that ride along, and the claim about oneself.
 *
 * The buddy system is here: a packet to a peer that is suspected or given up carries that claim first, so that it hears of
 * it from whoever talks to it and can contradict at once.
 */

import { News } from "./gossip.ts";
import type { Epoch, Member } from "./membership.ts";
import type { Outbox } from "./outbox.ts";
import { type Claim, type ClaimStanding, type Endpoint, NO_CLAIMS } from "./packet.ts";
import type { Peer } from "./peers.ts";
import type { MembershipTiming } from "./timing.ts";

export function claimAbout(peer: Peer, standing: ClaimStanding, accuser: Claim["accuser"]): Claim {
  return { member: peer.member, rebuttal: peer.rebuttal, standing, accuser };
}

export class Wire {
  self: Member;
  rebuttal = 0;
  epoch: Epoch | 0 = 0;
  cluster = 0;
  leaving = false;
  readonly news: News = new News();
  readonly #outbox: Outbox;
  readonly #timing: MembershipTiming;
  #newsLimit = 1;
  #seq = 0;

  constructor(self: Member, timing: MembershipTiming, outbox: Outbox) {
    this.self = self;
    this.#timing = timing;
    this.#outbox = outbox;
  }

  nextSeq(): number {
    this.#seq = (this.#seq + 1) >>> 0;
    return this.#seq;
  }

  /** How often each piece of news is sent grows with the logarithm of the cluster. */
  setClusterSize(livingCount: number): void {
    this.#newsLimit = this.#timing.gossipMultiplier * Math.ceil(Math.log10(livingCount + 1));
  }

  ownClaim(): Claim {
    return {
      member: this.self,
      rebuttal: this.rebuttal,
      standing: this.leaving ? "left" : "alive",
      accuser: this.self.id,
    };
  }

  #claimsFor(peer: Peer | null): readonly Claim[] {
    const accused = peer !== null && peer.standing !== "alive";
    if (!accused && this.news.size() === 0) return NO_CLAIMS;
    const claims: Claim[] = [];
    if (accused) claims.push(claimAbout(peer, peer.standing, this.self.id));
    this.news.take(claims, this.#newsLimit);
    return claims;
  }

  /** `target` is the instance meant, empty for whoever is there; `peer` is what is known of it. */
  ping(to: Endpoint, peer: Peer | null, target: string, seq: number): void {
    this.#outbox.push({
      kind: "send-packet",
      to,
      packet: {
        kind: "ping",
        seq,
        target,
        from: this.self,
        rebuttal: this.rebuttal,
        epoch: this.epoch,
        cluster: this.cluster,
        claims: this.#claimsFor(peer),
      },
    });
  }

  answer(kind: "ack" | "nack", to: Endpoint, peer: Peer | null, seq: number): void {
    this.#outbox.push({
      kind: "send-packet",
      to,
      packet: {
        kind,
        seq,
        from: this.self,
        rebuttal: this.rebuttal,
        epoch: this.epoch,
        cluster: this.cluster,
        claims: this.#claimsFor(peer),
      },
    });
  }

  pingRequest(helper: Peer, target: Peer, seq: number): void {
    this.#outbox.push({
      kind: "send-packet",
      to: helper.member,
      packet: {
        kind: "ping-req",
        seq,
        target: target.member.instance,
        endpoint: { address: target.member.address, port: target.member.port },
        from: this.self,
        rebuttal: this.rebuttal,
        epoch: this.epoch,
        cluster: this.cluster,
        claims: this.#claimsFor(helper),
      },
    });
  }

  gossip(peer: Peer): void {
    this.#outbox.push({
      kind: "send-packet",
      to: peer.member,
      packet: {
        kind: "gossip",
        from: this.self,
        rebuttal: this.rebuttal,
        epoch: this.epoch,
        cluster: this.cluster,
        claims: this.#claimsFor(peer),
      },
    });
  }
}

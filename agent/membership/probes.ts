/**
 * Probing: who is asked, how, and when that counts as no answer. What follows from it is decided in `swim.ts`.
 *
 *   round probe   ping → (no answer) → ping-req to a few others and a TCP check → (none) → failed
 *   hint probe    ping and TCP check at once → (none) → failed
 *
 * A node that was asked to try for another says `nack` when it got no answer itself, so that the asker can tell a dead
 * target from its own bad connection (Lifeguard). Invariants: one probe a peer; at most RELAYS_MAX probes for others; every
 * probe ends by its deadline.
 */
import type { Awareness } from "./awareness.ts";
import type { TcpOutcome } from "./membership-events.ts";
import type { Outbox } from "./outbox.ts";
import type { Endpoint, Packet } from "./packet.ts";
import type { Peer, PeerTable } from "./peers.ts";
import { type MembershipTiming, RELAYS_MAX } from "./timing.ts";
import type { Wire } from "./wire.ts";

export type AnswerPath = "direct" | "indirect" | "tcp";

export interface ProbeListener {
  probeAnswered(peer: Peer, path: AnswerPath, now: number): void;
  probeFailed(peer: Peer, now: number): void;
  /** Nobody lives at the peer's address any more. */
  probeRefused(peer: Peer, detail: string, now: number): void;
  /** Its kernel answers, its agent does not. */
  probeStalled(peer: Peer, now: number): void;
}

export type PingRequest = Extract<Packet, { readonly kind: "ping-req" }>;

interface Relay {
  readonly seq: number;
  readonly origin: Endpoint;
  readonly originSeq: number;
  readonly target: string;
  nackMs: number;
  readonly endMs: number;
}

interface TcpCheck {
  readonly token: number;
  readonly peer: Peer;
  readonly incarnation: number;
  /** The shell should have answered long before; from then on another check may be asked for. */
  readonly endMs: number;
}

export interface ProbesNeeds {
  readonly timing: MembershipTiming;
  readonly peers: PeerTable;
  readonly wire: Wire;
  readonly awareness: Awareness;
  readonly outbox: Outbox;
  readonly listener: ProbeListener;
}

export class Probes {
  readonly #needs: ProbesNeeds;
  readonly #active: Peer[] = [];
  readonly #relays: Relay[] = [];
  readonly #checks: TcpCheck[] = [];
  #token = 0;

  constructor(needs: ProbesNeeds) {
    this.#needs = needs;
  }

  dueMs(): number {
    let due = Number.POSITIVE_INFINITY;
    for (let i = 0; i < this.#active.length; i++) {
      const probe = (this.#active[i] as Peer).probe;
      if (probe !== null && probe.deadlineMs < due) due = probe.deadlineMs;
    }
    for (let i = 0; i < this.#relays.length; i++) {
      const relay = this.#relays[i] as Relay;
      const at = Math.min(relay.nackMs, relay.endMs);
      if (at < due) due = at;
    }
    return due;
  }

  /** The regular probe of this round. */
  begin(peer: Peer, now: number): void {
    if (peer.probe !== null) return;
    const { wire, timing, awareness } = this.#needs;
    const seq = wire.nextSeq();
    const deadlineMs = now + timing.directTimeoutMs * awareness.factor();
    peer.probe = {
      seq,
      hint: false,
      phase: "direct",
      deadlineMs,
      helperCount: 0,
      nackers: null,
    };
    this.#active.push(peer);
    wire.ping(peer.member, peer, peer.member.instance, seq);
  }

  /** Something points at this peer: ask at once, with a short wait. A probe under way is made the shorter. */
  hint(peer: Peer, now: number): void {
    const { wire, timing, awareness } = this.#needs;
    if (peer.probe?.hint === true) return;
    if (peer.probe !== null) this.#end(peer);
    const seq = wire.nextSeq();
    const deadlineMs = now + timing.hintTimeoutMs * awareness.factor();
    peer.probe = {
      seq,
      hint: true,
      phase: "indirect",
      deadlineMs,
      helperCount: 0,
      nackers: null,
    };
    this.#active.push(peer);
    wire.ping(peer.member, peer, peer.member.instance, seq);
    this.#checkTcp(peer, timing.hintTimeoutMs * awareness.factor(), now);
  }

  #checkTcp(peer: Peer, withinMs: number, now: number): void {
    // A stalled agent's backlog is not filled with checks: what is known stays true for a while.
    if (now - peer.stalledMs < this.#needs.timing.retryMs) return;
    const old = this.#checks.findIndex((check) => check.peer === peer);
    if (old >= 0 && (this.#checks[old] as TcpCheck).endMs > now) return;
    if (old >= 0) this.#checks.splice(old, 1);
    const token = ++this.#token;
    const { id, instance, incarnation } = peer.member;
    this.#checks.push({ token, peer, incarnation, endMs: now + withinMs * 4 });
    this.#needs.outbox.push({
      kind: "check-tcp",
      token,
      to: { address: peer.member.address, port: peer.member.port },
      id,
      instance,
      timeoutMs: Math.round(withinMs * 0.9),
    });
  }

  /** Also an answer that comes after its probe has ended is evidence. */
  onTcp(token: number, outcome: TcpOutcome, now: number): void {
    const at = this.#checks.findIndex((check) => check.token === token);
    if (at < 0) return;
    const { peer, incarnation } = this.#checks[at] as TcpCheck;
    this.#checks.splice(at, 1);
    if (peer.member.incarnation !== incarnation) return;
    const { listener } = this.#needs;
    if (outcome === "answered") {
      this.#end(peer);
      listener.probeAnswered(peer, "tcp", now);
    } else if (outcome === "refused") {
      this.#end(peer);
      listener.probeRefused(peer, "its port refuses connections", now);
    } else if (outcome === "accepted") {
      listener.probeStalled(peer, now);
    }
  }

  onAck(seq: number, from: Peer, now: number): void {
    for (let i = 0; i < this.#active.length; i++) {
      const peer = this.#active[i] as Peer;
      if (peer.probe === null || peer.probe.seq !== seq) continue;
      const phase = peer.probe.phase;
      if (peer === from) {
        this.#end(peer);
        this.#needs.listener.probeAnswered(peer, "direct", now);
      } else if (
        from.member.address === peer.member.address &&
        from.member.port === peer.member.port
      ) {
        this.#end(peer);
        this.#needs.listener.probeRefused(peer, "another instance lives at its address", now);
      } else if (phase === "indirect") {
        this.#end(peer);
        this.#needs.listener.probeAnswered(peer, "indirect", now);
      }
      return;
    }
    this.#forward(seq, from);
  }

  #forward(seq: number, from: Peer): void {
    const at = this.#relays.findIndex((relay) => relay.seq === seq);
    if (at < 0) return;
    const relay = this.#relays[at] as Relay;
    if (relay.target !== from.member.instance) return;
    this.#relays.splice(at, 1);
    this.#needs.wire.answer("ack", relay.origin, null, relay.originSeq);
  }

  onNack(seq: number, from: Peer): void {
    for (const peer of this.#active) {
      if (peer.probe?.seq !== seq) continue;
      peer.probe.nackers ??= new Set();
      peer.probe.nackers.add(from.member.instance);
    }
  }

  /** Another node asks us to try. */
  relay(origin: Endpoint, request: PingRequest, now: number): void {
    const { seq: originSeq, target, endpoint: to } = request;
    if (this.#relays.length >= RELAYS_MAX) return;
    const { wire, timing, peers } = this.#needs;
    const seq = wire.nextSeq();
    // The asker waits for indirectTimeoutMs: the nack has to be there by then.
    const nackMs = now + timing.indirectTimeoutMs * 0.6;
    const endMs = now + timing.indirectTimeoutMs * 4;
    this.#relays.push({ seq, origin, originSeq, target, nackMs, endMs });
    wire.ping(to, peers.get(target) ?? null, target, seq);
  }

  /** Somebody is being looked at because of a hint. */
  hasHint(): boolean {
    return this.#active.some((peer) => peer.probe?.hint === true);
  }

  /** The observer was held up: nothing under way means anything. */
  discard(): void {
    for (const peer of this.#active) peer.probe = null;
    this.#active.length = 0;
    this.#relays.length = 0;
  }

  /** The observer was late by a little: answers may lie unread, so nothing ends before `untilMs`. */
  postpone(untilMs: number): void {
    for (const peer of this.#active) {
      if (peer.probe !== null && peer.probe.deadlineMs < untilMs) peer.probe.deadlineMs = untilMs;
    }
  }

  #end(peer: Peer): void {
    peer.probe = null;
    const at = this.#active.indexOf(peer);
    if (at >= 0) this.#active.splice(at, 1);
  }

  tick(now: number): void {
    for (let i = this.#active.length - 1; i >= 0; i--) {
      const peer = this.#active[i];
      if (peer === undefined) continue;
      if (peer.probe === null) this.#active.splice(i, 1);
      else if (peer.probe.deadlineMs <= now) this.#expire(peer, now);
    }
    for (let i = this.#relays.length - 1; i >= 0; i--) {
      const relay = this.#relays[i] as Relay;
      if (relay.nackMs <= now) {
        relay.nackMs = Number.POSITIVE_INFINITY;
        this.#needs.wire.answer("nack", relay.origin, null, relay.originSeq);
      }
      if (relay.endMs <= now) this.#relays.splice(i, 1);
    }
  }

  #expire(peer: Peer, now: number): void {
    const probe = peer.probe;
    if (probe === null) return;
    if (probe.phase === "direct") this.#askOthers(peer, now);
    else {
      this.#end(peer);
      // All who were asked said that they hear us: then it is the target. Each missing nack speaks against ourselves.
      const missing = Math.max(0, probe.helperCount - (probe.nackers?.size ?? 0));
      if (!probe.hint) this.#needs.awareness.raise(probe.helperCount > 0 ? missing : 1);
      this.#needs.listener.probeFailed(peer, now);
    }
  }

  #askOthers(peer: Peer, now: number): void {
    const probe = peer.probe;
    if (probe === null) return;
    const { peers, timing, wire, awareness } = this.#needs;
    const helpers = peers.someAlive(timing.indirectProbes, peer);
    probe.phase = "indirect";
    probe.helperCount = helpers.length;
    probe.deadlineMs = now + timing.indirectTimeoutMs * awareness.factor();
    for (const helper of helpers) wire.pingRequest(helper, peer, probe.seq);
    this.#checkTcp(peer, timing.indirectTimeoutMs * awareness.factor(), now);
  }
}

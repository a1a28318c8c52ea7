/**
 * The failure detector of one node: SWIM (Das, Gupta, Motivala, DSN 2002) with Lifeguard's refinements.
 *
 * Composes probing (`probes.ts`), opinions (`standings.ts`), news (`gossip.ts`) and own health (`awareness.ts`), and keeps
 * the pace: a round every probe interval. Knows of views only who is in them. Decides nothing about views.
 */
import type { Prng } from "../runtime/prng.ts";
import { Awareness } from "./awareness.ts";
import type { Epoch, Member, NodeId, View } from "./membership.ts";
import type { Outbox } from "./outbox.ts";
import type { Endpoint, Packet } from "./packet.ts";
import { NEVER, type Peer, PeerTable } from "./peers.ts";
import { type AnswerPath, type ProbeListener, Probes } from "./probes.ts";
import { Standings } from "./standings.ts";
import type { MembershipTiming } from "./timing.ts";
import type { Opinion } from "./view-message.ts";
import { claimAbout, Wire } from "./wire.ts";

/** Up to this size all are told at once; beyond, GOSSIP_FANOUT at random, who tell others. */
const GOSSIP_ALL_MAX = 8;
const GOSSIP_FANOUT = 4;
/** Lost members and seeds tried per retry. */
const RETRIES = 3;
/**
 * Everybody is probed within so many rounds, by several probes a round where the cluster is larger. Plain SWIM probes one a
 * round at any size; but a node has to know within `freezeMs` whether it still hears a majority.
 */
const PROBE_SPAN_ROUNDS = 8;
/** Direct probes that must have failed in a row before a path counts as cut. */
const CUT_PROBES = 3;
/** A peer met or restarted so recently that a refused link may still be about its past. */
const NEW_RUN_MS = 500;
const STRANGERS_MAX = 64;

export class Swim implements ProbeListener {
  readonly peers: PeerTable;
  readonly wire: Wire;
  readonly awareness: Awareness = new Awareness();
  readonly probes: Probes;
  readonly standings: Standings;
  readonly #timing: MembershipTiming;
  readonly #outbox: Outbox;
  readonly #prng: Prng;
  readonly #strangers: Set<string> = new Set();
  #seeds: readonly Endpoint[] = [];
  #roundMs: number = Number.POSITIVE_INFINITY;
  #roundsToProbe = 0;
  #retryMs: number = NEVER;
  #gossipMs: number = Number.POSITIVE_INFINITY;
  #seedIndex = 0;

  constructor(self: Member, timing: MembershipTiming, prng: Prng, outbox: Outbox) {
    this.#timing = timing;
    this.#outbox = outbox;
    this.#prng = prng.fork("swim");
    this.peers = new PeerTable(prng.fork("order"));
    this.wire = new Wire(self, timing, outbox);
    const { peers, wire, awareness } = this;
    this.probes = new Probes({ timing, peers, wire, awareness, outbox, listener: this });
    const probes = this.probes;
    this.standings = new Standings({ timing, peers, wire, awareness, outbox, probes });
  }

  start(seeds: readonly Endpoint[], now: number): void {
    const { address, port } = this.wire.self;
    this.#seeds = seeds.filter((seed) => seed.address !== address || seed.port !== port);
    // Nodes that start together do not probe in step.
    this.#roundMs = now + this.#timing.probeIntervalMs * this.#prng.unit();
    this.#retry(now);
  }

  dueMs(): number {
    return Math.min(this.#roundMs, this.#gossipMs, this.probes.dueMs(), this.standings.dueMs());
  }

  /** True when a round began, the pace for whoever looks at slow things. */
  tick(now: number): boolean {
    this.probes.tick(now);
    this.standings.tick(now);
    if (now < this.#roundMs) return false;
    this.#roundMs = now + this.#timing.probeIntervalMs;
    this.#round(now);
    return true;
  }

  #round(now: number): void {
    for (const peer of this.standings.suspects()) this.probes.hint(peer, now);
    if (this.#roundsToProbe > 0) this.#roundsToProbe--;
    else {
      this.#roundsToProbe = this.awareness.score();
      const count = Math.ceil((this.peers.size() + 1) / PROBE_SPAN_ROUNDS);
      for (let i = 0; i < count; i++) {
        const peer = this.peers.nextToProbe();
        if (peer !== null) this.probes.begin(peer, now);
      }
    }
    for (const peer of this.peers.all()) {
      if (peer.cutSinceMs !== NEVER && peer.standing === "alive") this.probes.begin(peer, now);
    }
    if (now >= this.#retryMs) this.#retry(now);
  }

  /** For ever, at a low rate: the lost, and the seeds while we belong to nothing. */
  #retry(now: number): void {
    const isOutside = this.wire.epoch === 0;
    this.#retryMs = now + (isOutside ? this.#timing.probeIntervalMs : this.#timing.retryMs);
    for (const peer of this.peers.nextToRetry(RETRIES)) {
      this.wire.ping(peer.member, peer, peer.member.instance, this.wire.nextSeq());
    }
    for (let i = 0; i < Math.min(RETRIES, this.#seeds.length); i++) {
      const seed = this.#seeds[this.#seedIndex++ % this.#seeds.length] as Endpoint;
      if (!isOutside && this.#isKnown(seed)) continue;
      this.wire.ping(seed, null, "", this.wire.nextSeq());
    }
  }

  #isKnown(seed: Endpoint): boolean {
    for (const { member } of this.peers.all()) {
      if (member.address === seed.address && member.port === seed.port) return true;
    }
    return false;
  }

  /** At the end of a step: what is new goes out at once, the rest at the pace of gossip. */
  flush(now: number): void {
    if (!this.standings.fresh && now < this.#gossipMs) return;
    this.standings.fresh = false;
    const { wire, peers, awareness } = this;
    if (wire.news.size() === 0) {
      this.#gossipMs = Number.POSITIVE_INFINITY;
      return;
    }
    const livingCount = peers.livingCount();
    wire.setClusterSize(livingCount);
    const fanout = livingCount <= GOSSIP_ALL_MAX ? GOSSIP_ALL_MAX : GOSSIP_FANOUT;
    const targets = peers.someAlive(fanout, null);
    for (const peer of targets) {
      if (wire.news.size() > 0) wire.gossip(peer);
    }
    const pace = targets.length > 0 ? this.#timing.gossipIntervalMs : this.#timing.retryMs;
    this.#gossipMs = wire.news.size() > 0 ? now + pace * awareness.factor() : Infinity;
  }

  /** The sender, or null when the packet is not for us to take. */
  onPacket(from: Endpoint, packet: Packet, now: number): Peer | null {
    const { wire, peers } = this;
    const sender = packet.from;
    if (packet.cluster !== wire.cluster && packet.cluster !== 0 && wire.cluster !== 0) {
      this.#stranger(sender, "belongs to another cluster");
      return null;
    }
    if (sender.instance === wire.self.instance) {
      if (sender.address !== wire.self.address || sender.port !== wire.self.port) {
        this.#stranger(sender, "runs on a copy of this node's data folder");
      }
      return null;
    }
    const peer = peers.get(sender.instance) ?? this.#meet(packet, now);
    if (peer === null) return null;
    if (sender.incarnation !== peer.member.incarnation || packet.rebuttal !== peer.rebuttal) {
      if (sender.incarnation < peer.member.incarnation) return null;
      this.standings.merge(
        { member: sender, rebuttal: packet.rebuttal, standing: "alive", accuser: sender.id },
        now,
      );
    }
    peer.contactMs = now;
    peer.epoch = packet.epoch;
    if (!peer.inView && wire.epoch > 0) this.#remind(peer, now);
    const claims = packet.claims;
    for (let i = 0; i < claims.length; i++) this.standings.merge(claims[i] as never, now);
    this.#serve(from, packet, peer, now);
    return peer;
  }

  #serve(from: Endpoint, packet: Packet, peer: Peer, now: number): void {
    switch (packet.kind) {
      case "ping":
        // Also when another instance was meant: the asker learns that this address is ours now.
        this.wire.answer("ack", from, peer, packet.seq);
        break;
      case "ack":
        this.probes.onAck(packet.seq, peer, now);
        break;
      case "nack":
        this.probes.onNack(packet.seq, peer);
        break;
      case "ping-req":
        this.probes.relay(from, packet, now);
        break;
      case "gossip":
        break;
    }
  }

  #meet(packet: Packet, now: number): Peer | null {
    const { from: member, rebuttal } = packet;
    return this.standings.meet({ member, rebuttal, standing: "alive", accuser: member.id }, now);
  }

  #stranger(sender: Member, what: string): void {
    if (this.#strangers.has(sender.instance) || this.#strangers.size >= STRANGERS_MAX) return;
    this.#strangers.add(sender.instance);
    const { id, address, port } = sender;
    this.#outbox.log("warn", `${id} at ${address} port ${port} ${what}; its packets are dropped`);
  }

  /** Who wants in is told of again and again, so that the proposer hears of it though packets are lost. */
  #remind(peer: Peer, now: number): void {
    if (peer.standing !== "alive" || now - peer.gossipedMs < this.#timing.retryMs) return;
    peer.gossipedMs = now;
    this.standings.spread(claimAbout(peer, "alive", peer.member.id));
  }

  /** A message over a link came from it. */
  contact(instance: string, now: number): void {
    const peer = this.peers.get(instance);
    if (peer !== undefined) peer.contactMs = now;
  }

  linkOpened(id: NodeId, now: number): void {
    const peer = this.peers.byId(id);
    if (peer !== undefined && peer.standing !== "alive") this.probes.hint(peer, now);
  }

  linkClosed(id: NodeId, now: number): void {
    const peer = this.peers.byId(id);
    if (peer === undefined || peer.standing === "left") return;
    this.probes.hint(peer, now);
  }

  linkRefused(id: NodeId, now: number): void {
    const peer = this.peers.byId(id);
    if (peer === undefined || peer.standing === "left") return;
    if (now - peer.aliveSinceMs < NEW_RUN_MS) this.probes.hint(peer, now);
    else this.probeRefused(peer, "its port refuses connections", now);
  }

  probeAnswered(peer: Peer, path: AnswerPath, now: number): void {
    peer.answeredMs = now;
    peer.answered();
    if (path === "indirect") {
      if (peer.cutSinceMs === NEVER) peer.cutSinceMs = now;
      peer.cutProbes++;
      return;
    }
    peer.directMs = now;
    if (path === "direct") this.awareness.lower();
    else peer.contactMs = now;
    peer.cutSinceMs = NEVER;
    peer.cutProbes = 0;
    // One who wants in is let in only after it answered us: that moment is worth a look.
    if (!peer.inView) this.standings.changed = true;
  }

  probeFailed(peer: Peer, now: number): void {
    this.standings.failed(peer, now);
  }

  probeRefused(peer: Peer, detail: string, now: number): void {
    peer.refused = true;
    peer.failedMs = now;
    if (peer.silentSinceMs === NEVER) peer.silentSinceMs = now;
    this.standings.giveUp(peer, detail);
  }

  probeStalled(peer: Peer, now: number): void {
    peer.stalledMs = now;
  }

  /** It answers others but not us, for so long and so often that it is no accident. */
  isCut(peer: Peer, now: number): boolean {
    return (
      peer.cutSinceMs !== NEVER &&
      peer.cutProbes >= CUT_PROBES &&
      now - peer.cutSinceMs >= this.#timing.cutMs &&
      peer.member.role === "worker" &&
      this.wire.self.role === "worker"
    );
  }

  /** Our own observation, for one who wants to expel it. Where it is not clear, we look again at once. */
  opinion(instance: string, now: number): Opinion {
    const peer = this.peers.get(instance);
    if (instance === this.wire.self.instance) return "heard";
    if (peer === undefined || peer.standing === "left") return "silent";
    if (this.standings.isQuiet(now)) return "unsure";
    if (this.standings.isSilent(peer, now) || this.isCut(peer, now)) return "silent";
    this.probes.hint(peer, now);
    return this.#isFresh(peer.answeredMs, now) ? "heard" : "unsure";
  }

  /** Whether we have a direct path to one who is to be let in. */
  opinionOnEntry(instance: string, now: number): Opinion {
    if (instance === this.wire.self.instance) return "heard";
    const peer = this.peers.get(instance);
    if (peer === undefined) return "unsure";
    if (this.#isFresh(peer.directMs, now)) return "heard";
    const hasFailed = peer.failedMs > peer.directMs || peer.cutSinceMs !== NEVER;
    if (peer.probe === null) this.probes.begin(peer, now);
    // Only workers need a path to each other.
    const isBetweenWorkers = peer.member.role === "worker" && this.wire.self.role === "worker";
    return hasFailed && isBetweenWorkers ? "silent" : "unsure";
  }

  #isFresh(sinceMs: number, now: number): boolean {
    return now - sinceMs <= 2 * PROBE_SPAN_ROUNDS * this.#timing.probeIntervalMs;
  }

  /**
   * Looks at those members that have not been heard for a moment. True while it is not clear whether another one is failing
   * too; those who are well answer within a round trip.
   */
  isMoreToCome(now: number): boolean {
    let isOpen = this.standings.suspects().length > 0;
    for (const peer of this.peers.all()) {
      if (!peer.inView || peer.standing !== "alive") continue;
      if (now - peer.contactMs <= 1.5 * this.#timing.probeIntervalMs) continue;
      isOpen = true;
      this.probes.hint(peer, now);
    }
    return isOpen;
  }

  /** Held up for long: all under way is void. */
  heldUp(now: number): void {
    this.awareness.raise(1);
    this.probes.discard();
    this.standings.heldUp(now);
  }

  /** Held up a little: answers may lie unread in the socket. */
  late(byMs: number, now: number): void {
    this.probes.postpone(now + Math.min(byMs, this.#timing.directTimeoutMs));
    for (const peer of this.standings.suspects()) {
      peer.suspicion?.postpone(now + Math.min(byMs, this.#timing.directTimeoutMs));
    }
  }

  leave(): void {
    this.wire.leaving = true;
    this.standings.spread(this.wire.ownClaim());
  }

  /** `assumed`: the view was just agreed, so a majority was there. From disk it says nothing of the present. */
  setView(view: View, cluster: number, assumed: boolean, now: number): void {
    this.wire.epoch = view.epoch as Epoch;
    this.wire.cluster = cluster;
    const before = [...this.peers.all()].filter((peer) => peer.inView);
    for (const peer of before) peer.inView = false;
    for (const member of view.members) {
      if (member.instance !== this.wire.self.instance) this.#admit(member, assumed, now);
    }
    for (const peer of before) if (!peer.inView) this.#dismiss(peer, view.reason, now);
    for (const peer of [...this.peers.all()]) {
      if (peer.inView || peer.standing === "alive") continue;
      // Another instance has taken its name for good.
      const isReplaced = view.members.some((member) => member.id === peer.member.id);
      if (isReplaced) this.peers.remove(peer);
    }
    this.standings.changed = true;
  }

  /** Out of the view. Its way back is the longer the more often it went. */
  #dismiss(peer: Peer, reason: string, now: number): void {
    peer.expelledCount++;
    peer.expelledIncarnation = peer.member.incarnation;
    peer.aliveSinceMs = now;
    const { member, standing } = peer;
    if (standing !== "unreachable") return;
    this.#outbox.push({ kind: "standing", member, standing: "dead", reason });
  }

  #admit(member: Member, assumed: boolean, now: number): void {
    let peer = this.peers.get(member.instance);
    if (peer === undefined) {
      peer = this.peers.add(member, 0, now) ?? undefined;
      if (peer === undefined) return;
      peer.reason = "in the view";
    } else if (peer.member.incarnation < member.incarnation) {
      this.standings.merge({ member, rebuttal: 0, standing: "alive", accuser: member.id }, now);
    }
    peer.inView = true;
    if (assumed && peer.contactMs === NEVER) peer.contactMs = now;
    // After a restart the others hear of this run at once, not when their turn comes.
    if (!assumed) this.probes.begin(peer, now);
  }
}

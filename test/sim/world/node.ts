/**
 * One simulated node: a host that may be stopped or lose power, and on it an agent whose decisions are the real
 * `NodeMachine`. This file is the simulator's counterpart of the agent's shell: it does the effects and tells the events.
 *
 * A stopped agent (SIGSTOP) hears everything late, in order, except datagrams beyond its socket's buffer. A killed agent's
 * links close and its children die with it; a host without power falls silent.
 */

import type { JobMessage, JobRecord } from "../../../agent/job/job.ts";
import type { NodeEffect, NodeEvent } from "../../../agent/job/node-events.ts";
import type { NodeId, Role, View } from "../../../agent/membership/membership.ts";
import type {
  MembershipEffect,
  MembershipEvent,
  SavedMembership,
  TcpOutcome,
} from "../../../agent/membership/membership-events.ts";
import type { Packet } from "../../../agent/membership/packet.ts";
import type { ViewMessage } from "../../../agent/membership/view-message.ts";
import type { Timer } from "../../../agent/runtime/clock.ts";
import type { Datagrams } from "../../../agent/runtime/datagrams.ts";
import type { Prng } from "../../../agent/runtime/prng.ts";
import type { SimClock } from "../../../agent/runtime/sim/sim-clock.ts";
import { SimDisk } from "../../../agent/runtime/sim/sim-disk.ts";
import type { SimLinksEnd } from "../../../agent/runtime/sim/sim-links.ts";
import type { Cluster } from "./cluster.ts";
import { SimHost } from "./host.ts";
import type { DecisionMachine } from "./machine.ts";
import { SimStore } from "./store.ts";
import type { RankState } from "./workload.ts";

export type LinkMessage =
  | { readonly kind: "membership"; readonly message: ViewMessage }
  | { readonly kind: "job"; readonly message: JobMessage };

/** What a UDP socket's buffer holds while nobody reads it. */
const STOPPED_PACKETS_MAX = 200;
const REDIAL_MS_MIN = 50;
const REDIAL_MS_MAX = 1_000;
const LOAD_EVERY_MS = 5_000;

export interface NodePlace {
  readonly id: NodeId;
  readonly address: string;
  readonly port: number;
  readonly role: Role;
}

type Run = () => void;

export class SimNode {
  readonly place: NodePlace;
  readonly cluster: Cluster;
  readonly prng: Prng;
  readonly disk: SimDisk;
  readonly store: SimStore;
  clock: SimClock;
  host: SimHost;
  machine: DecisionMachine | null = null;
  /** Counts starts: what belongs to an older run is ignored. */
  life = 0;
  /** Data folders this node has had. */
  disks = 1;
  stopped = false;
  hasPower = true;
  /** As the effects said last. */
  frozen = false;
  #inbox: Run[] = [];
  #inboxPackets = 0;
  #socket: Datagrams<Packet> | null = null;
  #links: SimLinksEnd<LinkMessage> | null = null;
  #tick: Timer | null = null;
  #tickAtMs = Number.POSITIVE_INFINITY;
  /** Peers of the view, to which a link is kept; how long to wait before the next dial. */
  readonly #redialMs = new Map<NodeId, number>();

  constructor(cluster: Cluster, place: NodePlace, prng: Prng) {
    this.cluster = cluster;
    this.place = place;
    this.prng = prng;
    this.disk = new SimDisk(cluster.time, prng.fork("disk"), {
      latencyMsMin: 0.2,
      latencyMsMax: 6,
    });
    this.clock = cluster.newClock(prng.fork("clock"));
    this.store = new SimStore({
      time: cluster.time,
      prng: prng.fork("store"),
      node: place.id,
      emit: (event) => this.#tell(() => this.tell({ kind: "store", event })),
      memory: (folder) => this.host.memory.get(folder),
      setMemory: (folder, state) => this.host.memory.set(folder, state),
      call: (target, serve, answer) => cluster.callStore(this, target, serve, answer),
      onDurable: (shard) => cluster.referee.onDurable(place.id, shard),
      onSealed: (shard) => cluster.referee.onSealed(place.id, shard),
    });
    this.host = new SimHost(this, prng.fork("host"));
  }

  get id(): NodeId {
    return this.place.id;
  }

  get isUp(): boolean {
    return this.machine !== null;
  }

  say(text: string): void {
    this.cluster.log.say(this.place.id, text);
  }

  // ── life ──────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** `found`: may begin a new cluster. */
  start(found: boolean): void {
    const { cluster, place } = this;
    this.life++;
    this.hasPower = true;
    this.stopped = false;
    this.frozen = false;
    this.#inbox = [];
    this.#inboxPackets = 0;
    cluster.links.setDark(place.address, false);
    this.clock = cluster.newClock(this.prng.fork(`clock ${this.life}`));
    this.host = new SimHost(this, this.prng.fork(`host ${this.life}`));
    const life = this.life;
    this.#socket = cluster.network.datagrams<Packet>(place, (packet, from) => {
      if (life === this.life) this.#onPacket({ kind: "packet", from, packet });
    });
    this.#links = cluster.links.listen<LinkMessage>(place.id, place, {
      onOpen: (peer) => this.#tell(() => this.#onLinkOpen(peer as NodeId)),
      onMessage: (peer, message) => this.#tell(() => this.#onLinkMessage(peer as NodeId, message)),
      onClose: (peer, detail) => this.#tell(() => this.#onLinkClose(peer as NodeId, detail)),
    });
    this.machine = cluster.makeMachine(this, {
      saved: this.#savedMembership(),
      records: this.#savedRecords(),
      found,
    });
    this.say(`agent starts (run ${this.life}, data folder ${this.disks})`);
    const seeds = cluster.nodes.map((node) => node.place);
    this.tell({ kind: "membership", event: { kind: "start", seeds } });
    this.#sayLoad(life);
  }

  /** SIGKILL to the agent; its children follow when their control sockets close. */
  kill(): void {
    if (this.machine === null) return;
    this.say("agent is killed");
    this.#end();
    this.#links?.closeAll();
    this.disk.processDied();
    this.host.agentDied();
  }

  /** The whole host goes at once, without a word. */
  losePower(): void {
    if (!this.hasPower) return;
    this.say("host loses power");
    this.hasPower = false;
    this.#end();
    this.#links?.vanish();
    this.cluster.links.setDark(this.place.address, true);
    this.disk.powerLost();
    this.host.powerLost();
  }

  wipe(): void {
    this.say("gets an empty disk");
    this.disks++;
    this.disk.wipe();
    this.store.wipe();
    this.cluster.referee.onWiped(this.id);
  }

  /** SIGSTOP to the agent; `wholeHost`: to its children too. */
  stop(wholeHost: boolean): void {
    if (this.machine === null || this.stopped) return;
    this.say(wholeHost ? "whole host is stopped" : "agent is stopped");
    this.stopped = true;
    if (wholeHost) this.host.stop();
  }

  cont(): void {
    if (!this.stopped) return;
    this.say("goes on");
    this.cluster.referee.jobs.onContinued(this.id);
    this.stopped = false;
    this.host.cont();
    const inbox = this.#inbox;
    this.#inbox = [];
    this.#inboxPackets = 0;
    const life = this.life;
    for (const run of inbox) if (life === this.life && this.machine !== null) run();
    this.#arm();
  }

  /** One peer's link breaks although both agents live. */
  breakLink(peer: NodeId): void {
    if (this.#links?.isOpen(peer) !== true) return;
    this.say(`link to ${peer} breaks`);
    this.#links.close(peer);
    this.#tell(() => this.#onLinkClose(peer, "reset"));
  }

  #end(): void {
    this.machine = null;
    this.life++;
    this.stopped = false;
    this.#inbox = [];
    this.#tick?.end();
    this.#tick = null;
    this.#tickAtMs = Number.POSITIVE_INFINITY;
    this.#socket?.close();
    this.#redialMs.clear();
    this.store.crash();
    this.cluster.referee.onEnded(this);
  }

  #savedMembership(): SavedMembership | null {
    const read = this.disk.read("membership");
    return read.kind === "document" ? (read.document as SavedMembership) : null;
  }

  #savedRecords(): readonly JobRecord[] {
    const records: JobRecord[] = [];
    for (const name of this.disk.list("job-")) {
      const read = this.disk.read(name);
      if (read.kind === "document") records.push(read.document as JobRecord);
    }
    return records;
  }

  // ── events ────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Runs now, or when the agent is let go on; never for another run of the agent. */
  #tell(run: Run): void {
    if (this.machine === null) return;
    if (this.stopped) this.#inbox.push(run);
    else run();
  }

  /** For the host's processes: the control socket, or the kernel, has something for the agent. */
  deliver(event: NodeEvent): void {
    this.#tell(() => this.tell(event));
  }

  #onPacket(event: Extract<MembershipEvent, { kind: "packet" }>): void {
    if (this.stopped) {
      if (this.#inboxPackets >= STOPPED_PACKETS_MAX) return;
      this.#inboxPackets++;
    }
    this.#tell(() => this.tell({ kind: "membership", event }));
  }

  tell(event: NodeEvent): void {
    const machine = this.machine;
    if (machine === null) return;
    const { referee } = this.cluster;
    const effects = machine.step(event, this.clock.nowMs());
    referee.beforeEffects(this, event, effects);
    for (const effect of effects) this.#perform(effect);
    referee.afterStep(this, machine);
    this.#arm();
  }

  #arm(): void {
    const machine = this.machine;
    if (machine === null || this.stopped) return;
    const dueMs = machine.dueMs();
    if (dueMs >= this.#tickAtMs && this.#tick !== null) return;
    if (dueMs === Number.POSITIVE_INFINITY) return;
    this.#tick?.end();
    this.#tickAtMs = dueMs;
    // A timer of a real machine is late, never early.
    const atMs = Math.max(this.clock.trueMs(dueMs), this.cluster.time.nowMs()) + 0.01;
    this.#tick = this.cluster.time.at(atMs, () => {
      this.#tick = null;
      this.#tickAtMs = Number.POSITIVE_INFINITY;
      if (this.stopped) return;
      if (machine.dueMs() <= this.clock.nowMs()) this.tell({ kind: "tick" });
      else this.#arm();
    });
  }

  #sayLoad(life: number): void {
    if (life !== this.life) return;
    const load = { cores: 8, freeMemoryBytes: 2 ** 33, loadAverage: this.prng.unit() };
    this.#tell(() => this.tell({ kind: "load", load }));
    this.cluster.time.after(LOAD_EVERY_MS, () => this.#sayLoad(life));
  }

  #onLinkOpen(peer: NodeId): void {
    this.#redialMs.set(peer, REDIAL_MS_MIN);
    this.tell({ kind: "membership", event: { kind: "link-opened", peer } });
  }

  #onLinkMessage(peer: NodeId, message: LinkMessage): void {
    if (message.kind === "job") {
      this.tell({ kind: "job-message", from: peer, message: message.message });
    } else {
      const event = { kind: "message", from: peer, message: message.message } as const;
      this.tell({ kind: "membership", event });
    }
  }

  #onLinkClose(peer: NodeId, detail: string): void {
    const kind = detail === "refused" ? "link-refused" : "link-closed";
    if (detail !== "no answer" || this.#redialMs.get(peer) === REDIAL_MS_MIN) {
      this.tell({ kind: "membership", event: { kind, peer } });
    }
    this.#redial(peer);
  }

  /** A link to each member of the view is kept: the first redial comes at once, later ones less and less often. */
  #redial(peer: NodeId): void {
    const waitMs = this.#redialMs.get(peer);
    const target = this.cluster.nodes.find((node) => node.id === peer);
    if (waitMs === undefined || target === undefined) return;
    this.#redialMs.set(peer, Math.min(waitMs * 2, REDIAL_MS_MAX));
    const life = this.life;
    this.cluster.time.after(waitMs === REDIAL_MS_MIN ? 1 : waitMs, () => {
      if (life === this.life && this.#redialMs.has(peer)) this.#links?.open(peer, target.place);
    });
  }

  // ── effects ───────────────────────────────────────────────────────────────────────────────────────────────────────

  #perform(effect: NodeEffect): void {
    switch (effect.kind) {
      case "membership":
        this.#performMembership(effect.effect);
        break;
      case "send-job-message":
        this.#links?.send(effect.to, effect, { kind: "job", message: effect.message });
        break;
      case "persist-record":
        this.#persistRecord(effect.token, effect.record);
        break;
      case "store":
        this.store.execute(effect.command);
        break;
      case "decision":
        this.say(effect.job === null ? effect.text : `${effect.job}: ${effect.text}`);
        this.cluster.options.onDecision?.(effect, this);
        break;
      case "warn":
        this.say(`${effect.job}: rank ${effect.rank}: ${effect.text}`);
        break;
      case "reply":
        this.cluster.onReply(effect.token, effect.job, effect.refused);
        break;
      default:
        this.host.perform(effect);
    }
  }

  #performMembership(effect: MembershipEffect): void {
    const { cluster } = this;
    switch (effect.kind) {
      case "send-packet":
        this.#socket?.send(effect.to, effect.packet);
        break;
      case "send":
        this.#links?.send(effect.to, effect, { kind: "membership", message: effect.message });
        break;
      case "check-tcp":
        this.#checkTcp(effect);
        break;
      case "persist": {
        const life = this.life;
        this.disk.write("membership", effect.state, (failure) => {
          // A voter that cannot write must not go on: it ends, as the agent does.
          if (life !== this.life) return;
          if (failure !== null) return;
          const event = { kind: "persisted", token: effect.token } as const;
          this.#tell(() => this.tell({ kind: "membership", event }));
        });
        break;
      }
      case "view":
        this.#keepLinks(effect.view);
        if (cluster.membershipOnly) {
          const ids = effect.view.members.map((member) => member.id).join(", ");
          this.say(`epoch ${effect.view.epoch}: ${ids} (${effect.view.reason})`);
        }
        break;
      case "frozen":
        this.frozen = true;
        if (cluster.membershipOnly) this.say(`frozen: ${effect.reason}`);
        break;
      case "thawed":
        this.frozen = false;
        if (cluster.membershipOnly) this.say("thawed");
        break;
      case "standing":
        if (cluster.membershipOnly) {
          this.say(`${effect.member.id} is ${effect.standing}: ${effect.reason}`);
        }
        break;
      case "left":
        break;
      case "log":
        this.say(effect.text);
        break;
    }
  }

  #keepLinks(view: View): void {
    const members = new Set(view.members.map((member) => member.id));
    for (const peer of [...this.#redialMs.keys()]) {
      if (!members.has(peer)) this.#redialMs.delete(peer);
    }
    for (const { id } of view.members) {
      if (id === this.id || this.#redialMs.has(id)) continue;
      this.#redialMs.set(id, REDIAL_MS_MIN);
      const target = this.cluster.nodes.find((node) => node.id === id);
      if (target !== undefined) this.#links?.open(id, target.place);
    }
  }

  #persistRecord(token: number, record: JobRecord): void {
    const life = this.life;
    this.disk.write(`job-${record.spec.id}`, record, (failure) => {
      if (life !== this.life || failure !== null) return;
      this.#tell(() => this.tell({ kind: "record-persisted", token }));
    });
  }

  #checkTcp(effect: Extract<MembershipEffect, { kind: "check-tcp" }>): void {
    const { cluster } = this;
    const { time, network } = cluster;
    const startMs = time.nowMs();
    const life = this.life;
    const answer = (outcome: TcpOutcome, atMs: number) => {
      time.at(atMs, () => {
        if (life !== this.life) return;
        const event = { kind: "tcp-checked", token: effect.token, outcome } as const;
        this.#tell(() => this.tell({ kind: "membership", event }));
      });
    };
    const limitMs = startMs + effect.timeoutMs;
    const { address, port } = effect.to;
    const target = cluster.nodes.find((n) => n.place.address === address && n.place.port === port);
    time.after(network.linkDelayMs() + network.linkDelayMs(), () => {
      const nowMs = time.nowMs();
      const source = this.place.address;
      const isCut = network.isCut(source, address) || network.isCut(address, source);
      if (isCut || target?.hasPower === false || nowMs > limitMs) answer("silent", limitMs);
      else if (target?.machine == null) answer("refused", nowMs);
      else if (target.stopped) answer("accepted", limitMs);
      else if (target.instance() !== effect.instance) answer("refused", nowMs);
      else answer("answered", nowMs);
    });
  }

  instance(): string {
    return this.#savedMembership()?.instance ?? this.newInstance();
  }

  /** For a fresh data folder. */
  newInstance(): string {
    return `${this.id}-disk${this.disks}`;
  }

  /** As it lies on the disk. */
  savedView(): View | null {
    return this.#savedMembership()?.view ?? null;
  }

  memoryOf(job: string, rank: number): RankState | undefined {
    return this.host.memory.get(`${this.sharedMemoryFolder}/${job}/rank-${rank}/regions`);
  }

  get sharedMemoryFolder(): string {
    return `/dev/shm/holdfast-${this.id}`;
  }
}

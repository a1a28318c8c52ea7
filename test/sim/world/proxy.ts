/**
 * A proxy process as the simulator sees it: the contract of `agent/proxy/proxy.ts`, with the real selection code inside.
 *
 *   listening → assign → joined (every peer of the assignment said hello with this epoch) and idle (each living local program
 *   waits) → selected (the real `selectCommonState`, compared by the real `SelectionAgreement`) → resume → programs run
 *
 * Between proxies go hello, opinion, parts of an all-reduce and markers of a checkpoint, over links that a partition delays
 * and a death closes. A message of another epoch is dropped, as the real proxy refuses it.
 */
import type { Version } from "../../../agent/checkpoint/checkpoint.ts";
import type { Epoch, NodeId } from "../../../agent/membership/membership.ts";
import type { AgentToProxy, ProxyEndpoint, ProxyToAgent } from "../../../agent/proxy/proxy.ts";
import { type SelectionCore, selectCommonState } from "../../../agent/proxy/selection.ts";
import { type Opinion, SelectionAgreement } from "../../../agent/proxy/selection-agreement.ts";
import type { Prng } from "../../../agent/runtime/prng.ts";
import type { SimTime } from "../../../agent/runtime/sim/sim-clock.ts";
import type { SimLinks, SimLinksEnd } from "../../../agent/runtime/sim/sim-links.ts";
import { endpointName } from "../../../agent/runtime/sim/sim-network.ts";
import type { Behaviour, SimProcess } from "../../../agent/runtime/sim/sim-processes.ts";
import type { ProgramProxy, SimProgram } from "./program.ts";
import { holds } from "./violation.ts";
import { allReduce, type RankState } from "./workload.ts";

const REDIAL_MS = 100;

export type Assignment = Extract<AgentToProxy, { kind: "assign" }>;

type Wire = { readonly epoch: Epoch } & (
  | { readonly kind: "hello"; readonly job: string; readonly node: NodeId }
  | { readonly kind: "opinion"; readonly node: NodeId; readonly opinion: Opinion }
  | { readonly kind: "part"; readonly rank: number; readonly step: number; readonly hash: number }
  | {
      readonly kind: "marker";
      readonly rank: number;
      readonly step: number;
      readonly version: Version;
    }
);

export interface ProxyWorld {
  readonly time: SimTime;
  readonly prng: Prng;
  readonly links: SimLinks;
  readonly core: SelectionCore;
  readonly address: string;
  readonly node: NodeId;
  tell(message: ProxyToAgent): void;
  program(job: string, rank: number): SimProgram | undefined;
  onEnded(proxy: SimProxy): void;
  whenHostRuns(run: () => void): void;
  onSelected(assignment: Assignment, version: Version | null): void;
  onResumed(assignment: Assignment, version: Version): void;
}

export class SimProxy implements Behaviour, ProgramProxy {
  readonly port: number;
  readonly #world: ProxyWorld;
  readonly #name: string;
  #end: SimLinksEnd<Wire> | null = null;
  #assignment: Assignment | null = null;
  /** Peers of the assignment by endpoint; true once they said hello with this epoch. */
  readonly #peers = new Map<string, boolean>();
  readonly #hellos = new Map<string, Wire>();
  readonly #idle = new Set<number>();
  readonly #early: Wire[] = [];
  readonly #opinions: { readonly node: NodeId; readonly opinion: Opinion }[] = [];
  #agreement: SelectionAgreement | null = null;
  #toldJoined = false;
  #toldIdle = false;
  #resumed: Version | null = null;
  readonly #parts = new Map<number, { count: number; readonly hashes: number[] }>();
  readonly #markers = new Map<number, Set<number>>();
  readonly #reducing = new Map<number, number>();
  readonly #saving = new Map<number, { readonly version: Version; readonly step: number }>();
  #alive = true;

  constructor(port: number, world: ProxyWorld) {
    this.port = port;
    this.#world = world;
    this.#name = endpointName({ address: world.address, port });
  }

  get job(): string | null {
    return this.#assignment?.job ?? null;
  }

  get assignment(): Assignment | null {
    return this.#assignment;
  }

  get isResumed(): boolean {
    return this.#resumed !== null;
  }

  begin(process: SimProcess): void {
    const at = { address: this.#world.address, port: this.port };
    this.#end = this.#world.links.listen<Wire>(this.#name, at, {
      onOpen: (peer) => this.#later(() => this.#onOpen(peer)),
      onMessage: (peer, message) => this.#later(() => this.#onWire(peer, message)),
      onClose: (peer) => this.#later(() => this.#onClose(peer)),
    });
    this.#world.tell({ kind: "listening", pid: process.pid, port: this.port });
  }

  ended(): void {
    this.#alive = false;
    this.#end?.closeAll();
    this.#world.onEnded(this);
  }

  /** The host lost power: nobody hears of it. */
  vanish(): void {
    this.#alive = false;
    this.#end?.vanish();
  }

  hear(message: AgentToProxy): void {
    if (!this.#alive) return;
    if (message.kind === "assign") this.#assign(message);
    else if (message.kind === "captured") this.#onCaptured(message.rank, message.version);
    else if (message.kind === "resume") this.#resume(message.version);
  }

  /** A fault: one connection breaks although both processes live. */
  breakOneLink(prng: Prng): boolean {
    const peers = [...this.#peers.keys()].filter((peer) => this.#end?.isOpen(peer) === true);
    const peer = peers[prng.below(Math.max(1, peers.length))];
    if (peer === undefined) return false;
    this.#end?.close(peer);
    this.#onClose(peer);
    return true;
  }

  // ── the program's side ────────────────────────────────────────────────────────────────────────────────────────────

  attach(program: SimProgram): void {
    const assignment = this.#assignment;
    if (assignment === null) return;
    this.#world.tell({ kind: "attached", epoch: assignment.epoch, rank: program.rank, pid: 0 });
    if (this.isResumed) program.resume(this);
  }

  onIdle(rank: number): void {
    this.#idle.add(rank);
    this.#sayIdle();
  }

  reduce(rank: number, state: RankState): void {
    if (!this.#alive) return;
    this.#reducing.set(rank, state.step);
    const epoch = this.#epoch();
    this.#toAll({ kind: "part", epoch, rank, step: state.step, hash: state.hash });
    this.#addPart(rank, state.step, state.hash);
  }

  checkpoint(rank: number, state: RankState): void {
    const assignment = this.#assignment;
    if (!this.#alive || assignment === null) return;
    const version = this.#versionAt(rank);
    this.#saving.set(rank, { version, step: state.step });
    this.#toAll({ kind: "marker", epoch: assignment.epoch, rank, step: state.step, version });
    this.#addMarker(rank, state.step, version);
  }

  /** Checkpoints that each local rank has taken under this epoch. */
  readonly #taken = new Map<number, number>();

  #versionAt(rank: number): Version {
    const taken = this.#taken.get(rank) ?? 0;
    this.#taken.set(rank, taken + 1);
    return ((this.#assignment?.nextVersion ?? 1) + taken) as Version;
  }

  // ── joining and selecting ─────────────────────────────────────────────────────────────────────────────────────────

  #assign(assignment: Assignment): void {
    this.#assignment = assignment;
    for (const peer of assignment.proxies) {
      if (peer.node === assignment.node || !assignment.placement.includes(peer.node)) continue;
      const name = endpointName({ address: peer.host, port: peer.port });
      this.#peers.set(name, false);
      // One of the two dials, or every pair would meet twice.
      if (name > this.#name) this.#dial(name, peer);
      else this.#greet(name);
    }
    for (const [peer, hello] of this.#hellos) this.#onWire(peer, hello);
    for (const wire of this.#early.splice(0)) this.#onWire("", wire);
    for (const { rank, fresh } of assignment.local) {
      if (fresh) this.#idle.add(rank);
      else this.#world.program(assignment.job, rank)?.takeOver(this);
    }
    this.#world.time.after(assignment.idleWithinMs, () => this.#later(() => this.#findStuck()));
    this.#sayJoined();
    this.#sayIdle();
  }

  #dial(name: string, peer: ProxyEndpoint): void {
    if (!this.#alive || this.#end === null) return;
    if (this.#end.isOpen(name)) this.#greet(name);
    else this.#end.open(name, { address: peer.host, port: peer.port });
  }

  #greet(peer: string): void {
    const assignment = this.#assignment;
    if (assignment === null || this.#end?.isOpen(peer) !== true) return;
    const { epoch, job, node } = assignment;
    this.#say(peer, { kind: "hello", epoch, job, node });
  }

  #onOpen(peer: string): void {
    if (this.#peers.has(peer)) this.#greet(peer);
  }

  #onClose(peer: string): void {
    this.#hellos.delete(peer);
    const known = this.#peers.get(peer);
    const assignment = this.#assignment;
    if (known === undefined || assignment === null) return;
    const endpoint = assignment.proxies.find(
      (p) => endpointName({ address: p.host, port: p.port }) === peer,
    );
    if (endpoint === undefined) return;
    if (known || this.#toldJoined) {
      this.#world.tell({ kind: "peer-lost", epoch: assignment.epoch, node: endpoint.node });
      return;
    }
    if (peer > this.#name) {
      this.#world.time.after(REDIAL_MS, () => this.#later(() => this.#dial(peer, endpoint)));
    }
  }

  #sayJoined(): void {
    const assignment = this.#assignment;
    if (assignment === null || this.#toldJoined || [...this.#peers.values()].includes(false))
      return;
    this.#toldJoined = true;
    this.#world.tell({ kind: "joined", epoch: assignment.epoch });
    this.#select(assignment);
  }

  #sayIdle(): void {
    const assignment = this.#assignment;
    if (assignment === null || this.#toldIdle) return;
    if (!assignment.local.every(({ rank }) => this.#idle.has(rank))) return;
    this.#toldIdle = true;
    this.#world.tell({ kind: "idle", epoch: assignment.epoch });
  }

  #findStuck(): void {
    const assignment = this.#assignment;
    if (assignment === null || this.#toldIdle) return;
    for (const { rank } of assignment.local) {
      if (this.#idle.has(rank)) continue;
      this.#world.tell({ kind: "stuck", epoch: assignment.epoch, rank });
      this.#idle.add(rank);
    }
    this.#sayIdle();
  }

  #select(assignment: Assignment): void {
    const { size, holdings, lineage, poisoned, everSealed, epoch, node } = assignment;
    const selection = selectCommonState(
      { size, holdings, lineage, poisoned, everSealed },
      this.#world.core,
    );
    this.#world.onSelected(assignment, selection.version);
    const others = [...new Set(assignment.placement)].filter((other) => other !== node);
    const agreement = new SelectionAgreement(selection, others);
    this.#agreement = agreement;
    const { inputDigest, version } = selection;
    this.#toAll({ kind: "opinion", epoch, node, opinion: { inputDigest, version } });
    const conclude = (outcome: ReturnType<SelectionAgreement["outcome"]>) => {
      if (outcome.kind === "agreed") this.#world.tell({ kind: "selected", epoch, selection });
      else if (outcome.kind === "failed") {
        this.#world.tell({ kind: "failed", epoch, reason: outcome.reason });
      }
    };
    this.#conclude = conclude;
    conclude(agreement.outcome());
    for (const { node: from, opinion } of this.#opinions.splice(0)) {
      conclude(agreement.onOpinion(from, opinion));
    }
  }

  #conclude: (outcome: ReturnType<SelectionAgreement["outcome"]>) => void = () => {};

  #resume(version: Version): void {
    const assignment = this.#assignment;
    if (assignment === null || this.#resumed !== null) return;
    this.#resumed = version;
    this.#world.onResumed(assignment, version);
    for (const { rank } of assignment.local) {
      this.#world.program(assignment.job, rank)?.resume(this);
    }
  }

  // ── traffic ───────────────────────────────────────────────────────────────────────────────────────────────────────

  #onWire(peer: string, wire: Wire): void {
    const assignment = this.#assignment;
    if (assignment === null) {
      // Said by one that was assigned earlier than this one.
      if (wire.kind === "hello") this.#hellos.set(peer, wire);
      else this.#early.push(wire);
      return;
    }
    if (wire.epoch !== assignment.epoch) return;
    if (wire.kind === "hello") {
      if (wire.job !== assignment.job || !this.#peers.has(peer)) return;
      this.#peers.set(peer, true);
      this.#sayJoined();
    } else if (wire.kind === "opinion") {
      if (this.#agreement === null) this.#opinions.push(wire);
      else this.#conclude(this.#agreement.onOpinion(wire.node, wire.opinion));
    } else if (wire.kind === "part") this.#addPart(wire.rank, wire.step, wire.hash);
    else this.#addMarker(wire.rank, wire.step, wire.version);
  }

  #addPart(rank: number, step: number, hash: number): void {
    const size = this.#assignment?.size ?? 0;
    let parts = this.#parts.get(step);
    if (parts === undefined) {
      parts = { count: 0, hashes: new Array<number>(size).fill(0) };
      this.#parts.set(step, parts);
      this.#checkSteps(step, rank);
    }
    parts.count++;
    parts.hashes[rank] = hash;
    if (parts.count < size) return;
    this.#parts.delete(step);
    const sum = allReduce(parts.hashes);
    for (const [local, at] of [...this.#reducing]) {
      if (at !== step) continue;
      this.#reducing.delete(local);
      this.#world.program(this.#assignment?.job ?? "", local)?.onReduced(sum);
    }
  }

  /** Ranks of one epoch are never further apart than one step: an all-reduce lets nobody run ahead. */
  #checkSteps(step: number, rank: number): void {
    for (const other of this.#parts.keys()) {
      holds(
        Math.abs(other - step) <= 1,
        "ranks out of step",
        () =>
          `${this.#world.node}: under epoch ${this.#epoch()} of ${this.job} rank ${rank} computes step ${step} while another computes step ${other}`,
      );
    }
  }

  #addMarker(rank: number, step: number, version: Version): void {
    const assignment = this.#assignment;
    if (assignment === null) return;
    const key = version * 1_000_003 + step;
    const markers = this.#markers.get(key) ?? new Set<number>();
    this.#markers.set(key, markers);
    markers.add(rank);
    if (markers.size < assignment.size) return;
    this.#markers.delete(key);
    for (const [local, saving] of this.#saving) {
      if (saving.version !== version || saving.step !== step) continue;
      const folder = assignment.local.find((l) => l.rank === local)?.regionsFolder ?? "";
      this.#world.tell({
        kind: "capture",
        epoch: assignment.epoch,
        rank: local,
        version,
        regions: [{ name: "state", path: `${folder}/state`, bytes: 4096 }],
        mailbox: null,
      });
    }
  }

  #onCaptured(rank: number, version: Version): void {
    if (this.#saving.get(rank)?.version !== version) return;
    this.#saving.delete(rank);
    this.#world.program(this.#assignment?.job ?? "", rank)?.onCheckpointed();
  }

  #epoch(): Epoch {
    return this.#assignment?.epoch ?? (0 as Epoch);
  }

  #toAll(wire: Wire): void {
    for (const peer of this.#peers.keys()) this.#say(peer, wire);
  }

  #say(peer: string, wire: Wire): void {
    if (this.#end?.isOpen(peer) !== true) return;
    const colon = peer.lastIndexOf(":");
    const at = { address: peer.slice(0, colon), port: Number(peer.slice(colon + 1)) };
    this.#end.send(peer, at, wire);
  }

  #later(run: () => void): void {
    this.#world.whenHostRuns(() => {
      if (this.#alive) run();
    });
  }
}

/**
 * One assignment of a proxy, from `assign` to the end of the process: joins, idles, selects, resumes, serves.
 *
 * Composes: rank servers (rings), doors (attach), the communication library, selection and its agreement, checkpoint cuts.
 * Invariant: no program runs before `resume`; `selected` is said once, after joined, idle and agreed.
 */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { ffiBuffer } from "../../../core/io/native.ts";
import type { Selection, Version } from "../../checkpoint/checkpoint.ts";
import type { NodeId } from "../../membership/membership.ts";
import { libc } from "../../runtime/io/ffi.ts";
import type { Log } from "../../runtime/log.ts";
import { CheckpointCuts, type CutEffect } from "../checkpoint-cut.ts";
import type { Call, Done } from "../communication-library.ts";
import { decodeMailbox, encodeMailbox } from "../mailbox.ts";
import { mailboxPathOf } from "../program.ts";
import type { AgentToProxy, JobSecret, ProxyToAgent } from "../proxy.ts";
import { OP } from "../segment-layout.ts";
import { type SelectionCore, selectCommonState } from "../selection.ts";
import { type AgreementOutcome, SelectionAgreement } from "../selection-agreement.ts";
import { keyOf, type MeshSecret } from "./peer-secret.ts";
import { type Poller, READABLE } from "./poller.ts";
import { ProgramDoor } from "./program-door.ts";
import { RankServer } from "./rank-server.ts";
import { openBell, regionPath } from "./segment-file.ts";
import { TcpLibrary } from "./tcp-library.ts";
import type { TcpMesh } from "./tcp-mesh.ts";

export type Assign = Extract<AgentToProxy, { kind: "assign" }>;
type Resume = Extract<AgentToProxy, { kind: "resume" }>;
type Captured = Extract<AgentToProxy, { kind: "captured" }>;

export interface AssignmentWorld {
  readonly mesh: TcpMesh;
  readonly poller: Poller;
  readonly log: Log;
  readonly core: SelectionCore;
  readonly agentPid: number;
  say(message: ProxyToAgent): void;
  nowMs(): number;
}

/** Records of one ring served before other work gets its turn. */
const SERVE_BUDGET = 64;
/** How often programs that should idle are looked at, besides when they ring. */
const IDLE_CHECK_MS = 20;
const BELL_BYTES = 4096;

function secretOf(secret: JobSecret | null): MeshSecret | null {
  const key = secret === null ? null : keyOf(secret.key);
  return secret === null || key === null ? null : { key, isEncrypted: secret.isEncrypted };
}

export class Assignment {
  readonly #assign: Assign;
  readonly #world: AssignmentWorld;
  readonly #servers = new Map<number, RankServer>();
  /** The same as a list: the loop looks at it millions of times a second. */
  readonly #serverList: RankServer[] = [];
  readonly #library: TcpLibrary;
  readonly #cuts: CheckpointCuts;
  readonly #selection: Selection;
  readonly #agreement: SelectionAgreement;
  readonly #stuckAtMs: number;
  readonly #stuck = new Set<number>();
  /** Request of the open checkpoint() and finalize of each rank. */
  readonly #checkpoints = new Map<number, number>();
  readonly #finalizes = new Map<number, number>();
  readonly #bellMemory = ffiBuffer(BELL_BYTES);
  #isJoined = false;
  #isIdle = false;
  #isAgreed = false;
  #isOver = false;
  #isResumed = false;

  constructor(assign: Assign, world: AssignmentWorld) {
    this.#assign = assign;
    this.#world = world;
    const { job, epoch, node, size, placement, proxies, local } = assign;
    this.#stuckAtMs = world.nowMs() + assign.idleWithinMs;
    const serverPlan = { epoch, size, agentPid: world.agentPid };
    for (const place of local) {
      const server = new RankServer(place, serverPlan);
      this.#servers.set(place.rank, server);
      this.#serverList.push(server);
      this.#openBell(place.segment);
      new ProgramDoor({ job, epoch, rank: place.rank, segment: place.segment }, world.poller, {
        onAttach: (rank, pid) => world.say({ kind: "attached", epoch, rank, pid }),
        onRefused: (rank, reason) =>
          world.log.say("event", `rank ${rank}: refused a program: it ${reason}`),
      });
      server.requestIdle();
    }
    const localRanks = local.map(({ rank }) => rank);
    const { checkpointEveryMs: everyMs, nextVersion } = assign;
    this.#cuts = new CheckpointCuts({ size, localRanks, everyMs, nextVersion }, world.nowMs());
    this.#selection = selectCommonState(assign, world.core);
    const others = proxies.map((proxy) => proxy.node).filter((other) => other !== node);
    this.#agreement = new SelectionAgreement(this.#selection, others);
    const library = new TcpLibrary({ node, epoch, size, placement, localRanks }, world.mesh, {
      onDone: (done) => this.#onDone(done),
      onCutNote: (note) => this.#apply(this.#cuts.onNote(note)),
      onJoined: () => this.#onJoined(),
      onOpinion: (from, text) => this.#onOpinion(from, text),
      onPeerLost: (lost) => world.say({ kind: "peer-lost", epoch, node: lost }),
    });
    this.#library = library;
    world.mesh.join(
      { job, epoch, node, proxies, secret: secretOf(assign.secret) },
      {
        onFrame: (from, header, payload) => library.onPeerFrame(from, header, payload),
        spanFor: (_, header) => library.spanFor(header),
        judge: (from, header) => library.judge(from, header),
        onJoined: () => this.#onJoined(),
        onLost: (lost, reason) => {
          world.log.say("detail", `connection to ${lost}: ${reason}`);
          world.say({ kind: "peer-lost", epoch, node: lost as NodeId });
        },
      },
    );
  }

  onMessage(message: Resume | Captured): void {
    if (message.epoch !== this.#assign.epoch) return;
    if (message.kind === "resume") this.#onResume(message);
    else this.#onCaptured(message);
  }

  /** Serves whatever is there, once around; says whether there was anything. */
  turn(): boolean {
    let isBusy = false;
    const servers = this.#serverList;
    for (let i = 0; i < servers.length; i++) {
      if ((servers[i] as RankServer).serve(SERVE_BUDGET, this.#onCall)) isBusy = true;
    }
    return isBusy;
  }

  /** What does not come by a ring or a socket. */
  tick(): boolean {
    if (!this.#isIdle) this.#checkIdle();
    if (this.#isResumed) this.#apply(this.#cuts.tick(this.#world.nowMs()));
    return this.#library.progress();
  }

  /** When `tick` must be called at the latest. */
  get dueAtMs(): number | null {
    const idle = this.#isIdle ? null : this.#world.nowMs() + IDLE_CHECK_MS;
    const cut = this.#isResumed ? this.#cuts.dueAtMs : null;
    const dial = this.#world.mesh.dueAtMs;
    const due = [idle, cut, dial].filter((at) => at !== null);
    return due.length === 0 ? null : Math.min(...due);
  }

  /** False: there is work. */
  prepareSleep(): boolean {
    let canSleep = true;
    for (const server of this.#servers.values()) {
      if (!server.prepareSleep()) canSleep = false;
    }
    if (!canSleep) this.endSleep();
    return canSleep;
  }

  endSleep(): void {
    for (const server of this.#servers.values()) server.endSleep();
  }

  #openBell(segment: string): void {
    const bell = openBell(segment);
    this.#world.poller.add(bell, READABLE, () => {
      libc.read(bell, this.#bellMemory.pointer, BELL_BYTES);
    });
  }

  // --- joining, idling, selecting

  #onJoined(): void {
    this.#isJoined = true;
    this.#world.say({ kind: "joined", epoch: this.#assign.epoch });
    const { inputDigest, version } = this.#selection;
    this.#library.publishOpinion(JSON.stringify({ inputDigest, version }));
    this.#onAgreement(this.#agreement.outcome());
  }

  #onOpinion(from: NodeId, text: string): void {
    try {
      const { inputDigest, version } = JSON.parse(text) as Partial<Record<string, unknown>>;
      const isVersion = version === null || Number.isSafeInteger(version);
      if (typeof inputDigest === "string" && isVersion) {
        const opinion = { inputDigest, version: version as Version | null };
        this.#onAgreement(this.#agreement.onOpinion(from, opinion));
        return;
      }
    } catch {
      // Said below.
    }
    this.#fail(`${from} says what it selects in words that cannot be read`);
  }

  #onAgreement(outcome: AgreementOutcome): void {
    if (outcome.kind === "failed") this.#fail(outcome.reason);
    if (outcome.kind !== "agreed") return;
    this.#isAgreed = true;
    this.#checkSelected();
  }

  #checkIdle(): void {
    const { epoch } = this.#assign;
    const busy = [...this.#servers.values()].filter((server) => !server.isIdle);
    if (busy.length === 0) {
      this.#isIdle = true;
      this.#world.say({ kind: "idle", epoch });
      this.#checkSelected();
      return;
    }
    if (this.#world.nowMs() < this.#stuckAtMs) return;
    for (const { rank } of busy) {
      if (this.#stuck.has(rank)) continue;
      this.#stuck.add(rank);
      this.#world.say({ kind: "stuck", epoch, rank });
    }
  }

  #checkSelected(): void {
    if (this.#isOver || !this.#isJoined || !this.#isIdle || !this.#isAgreed) return;
    this.#isOver = true;
    const { epoch } = this.#assign;
    this.#world.say({ kind: "selected", epoch, selection: this.#selection });
  }

  #fail(reason: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#world.say({ kind: "failed", epoch: this.#assign.epoch, reason });
  }

  #onResume(message: Resume): void {
    if (this.#isResumed) return;
    for (const { rank, path } of message.mailboxes) {
      if (!this.#servers.has(rank)) continue;
      const decoded = decodeMailbox(readFileSync(path));
      if (!decoded.ok) {
        this.#isOver = false;
        this.#fail(`mailbox of rank ${rank}, ${path}: it ${decoded.error}`);
        return;
      }
      this.#library.preload(rank, decoded.value);
    }
    this.#isResumed = true;
    for (const server of this.#servers.values()) server.resume(message.version);
  }

  // --- calls

  readonly #onCall = (server: RankServer, call: Call): void => {
    const { rank } = server;
    if (call.op === OP.checkpoint) {
      if (this.#library.hasOpenRequests(rank)) {
        server.refuse(call.request, "finish every request before checkpoint()");
        return;
      }
      this.#checkpoints.set(rank, call.request);
      this.#apply(this.#cuts.onCall(rank));
      return;
    }
    if (call.op === OP.finalize) {
      this.#finalizes.set(rank, call.request);
      this.#apply(this.#cuts.onEnd(rank));
    }
    this.#library.start(call);
  };

  #onDone(done: Done): void {
    const server = this.#servers.get(done.rank);
    if (server === undefined) return;
    if (this.#finalizes.get(done.rank) === done.request) {
      this.#finalizes.delete(done.rank);
      server.mapped.segment.store("finalized", 1);
    }
    server.complete(done);
  }

  // --- checkpoints

  #apply(effects: readonly CutEffect[]): void {
    for (const effect of effects) {
      if (effect.kind === "note") this.#library.note(effect.note);
      else if (effect.kind === "drained") this.#capture(effect);
      else this.#returnCheckpoint(effect.rank, 0, effect.failure);
    }
  }

  #returnCheckpoint(rank: number, version: number, failure: string | null): void {
    const request = this.#checkpoints.get(rank);
    if (request === undefined) return;
    this.#checkpoints.delete(rank);
    this.#servers.get(rank)?.completeCheckpoint(request, version, failure);
  }

  #capture(effect: Extract<CutEffect, { kind: "drained" }>): void {
    const { rank, cut, version } = effect;
    const place = this.#assign.local.find((local) => local.rank === rank);
    const server = this.#servers.get(rank);
    if (place === undefined || server === undefined) return;
    const messages = this.#library.unexpectedBefore(rank, cut);
    let mailbox: string | null = null;
    if (messages.length > 0) {
      mailbox = mailboxPathOf(place.segment, version);
      writeFileSync(mailbox, encodeMailbox(messages));
    }
    const regions = server.mapped.segment
      .regions()
      .filter((region) => region.isProtected)
      .map(({ name, bytes }) => ({ name, bytes, path: regionPath(place.regionsFolder, name) }));
    this.#world.say({
      kind: "capture",
      epoch: this.#assign.epoch,
      rank,
      version: version as Version,
      regions,
      mailbox,
    });
  }

  #onCaptured({ rank, version, failure }: Captured): void {
    const place = this.#assign.local.find((local) => local.rank === rank);
    if (place === undefined || !this.#checkpoints.has(rank)) return;
    rmSync(mailboxPathOf(place.segment, version), { force: true });
    this.#cuts.onCaptured(rank);
    this.#returnCheckpoint(rank, failure === null ? version : 0, failure);
  }
}

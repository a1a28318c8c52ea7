/**
 * One agent: the decision code of a node, the world it acts on, and the questions it is asked.
 *
 * The loop is `event → NodeMachine.step → effects`, one event at a time, effects in their order; an effect that fails at once
 * puts its event behind those already waiting. Nothing here decides.
 */
import { rmSync } from "node:fs";
import { availableParallelism, freemem, loadavg } from "node:os";
import { assert } from "../../../core/assert.ts";
import { err, ok, type Result } from "../../../core/result.ts";
import type { Holding, Version } from "../../checkpoint/checkpoint.ts";
import type { Identity } from "../../identity/identity.ts";
import type { Member, View } from "../../membership/membership.ts";
import type { Packet } from "../../membership/packet.ts";
import type { PeerLinks } from "../../net/io/peer-links.ts";
import type { Problem } from "../../net/problem.ts";
import type { Timer } from "../../runtime/clock.ts";
import type { Datagrams, Endpoint } from "../../runtime/datagrams.ts";
import { randomHex } from "../../runtime/io/clock.ts";
import type { JobRecord, JobRequest, NodeLoad } from "../job.ts";
import type { NodeEffect, NodeEvent } from "../node-events.ts";
import type { NodeMachine } from "../node-machine.ts";
import type { CandidateOrder } from "../placement.ts";
import type { ApiSource, Decision } from "./api.ts";
import type { ClusterChange, ClusterWatch } from "./cluster-watch.ts";
import type { OutputLog } from "./output-log.ts";
import type { Ring } from "./ring.ts";
import { type NodeStatus, nodeStatus } from "./status.ts";
import type { LinkMessage } from "./wire.ts";
import { World, type WorldParts } from "./world.ts";

const LOAD_EVERY_MS = 1_000;
/** `NodeMachine` gives a request up after 15 s and says why; this is only against its being wrong. */
const REPLY_WITHIN_MS = 20_000;
/** When versions were sealed is remembered for so many: what-if tells the work at stake from it. */
const SEALS_MAX = 4096;

export interface AgentParts extends WorldParts {
  readonly machine: NodeMachine;
  readonly order: CandidateOrder;
}

export class AgentProcess implements ApiSource, ClusterWatch {
  readonly own: string;
  readonly identity: Identity | null;
  readonly machine: NodeMachine;
  readonly order: CandidateOrder;
  readonly output: OutputLog;
  readonly decisions: Ring<Decision>;
  readonly changes: Ring<string>;
  readonly links: PeerLinks<LinkMessage>;
  readonly #parts: AgentParts;
  readonly #world: World;
  readonly #inbox: NodeEvent[] = [];
  readonly #replies = new Map<string, (reply: Result<string, Problem>) => void>();
  readonly #sealedAtMs = new Map<string, number>();
  readonly #watchers = new Set<(change: ClusterChange) => void>();
  #isStepping = false;
  #isStopped = false;
  #tick: Timer | null = null;
  #tickAtMs = Number.POSITIVE_INFINITY;
  #loadTimer: Timer | null = null;
  #load: NodeLoad = readLoad();
  #onLeft: () => void = () => undefined;

  constructor(parts: AgentParts) {
    this.#parts = parts;
    this.own = parts.own;
    this.identity = parts.identity;
    this.machine = parts.machine;
    this.order = parts.order;
    this.#world = new World(parts, {
      tell: (event) => this.tell(event),
      self: () => this.self(),
      onReply: (reply) => this.#answer(reply.token, replyOf(reply, this.frozen() !== null)),
      onLeft: () => this.#onLeft(),
      onChange: (change) => {
        for (const watcher of this.#watchers) watcher(change);
      },
    });
    this.output = this.#world.output;
    this.decisions = this.#world.decisions;
    this.changes = this.#world.changes;
    this.links = this.#world.links;
    parts.store.onEvent((event) => {
      if (event.kind === "holdings") this.#noteSeals(event.holdings);
      this.tell({ kind: "store", event });
    });
  }

  /** The world is ready: datagrams are heard, the server answers. */
  begin(datagrams: Datagrams<Packet>, seeds: readonly Endpoint[]): void {
    this.#world.datagrams = datagrams;
    this.tell({ kind: "load", load: this.#load });
    this.tell({ kind: "membership", event: { kind: "start", seeds } });
    this.#loadTimer = this.#parts.clock.after(LOAD_EVERY_MS, () => this.#measure());
  }

  hear(packet: Packet, from: Endpoint): void {
    this.tell({ kind: "membership", event: { kind: "packet", from, packet } });
  }

  tell(event: NodeEvent): void {
    if (this.#isStopped) return;
    this.#inbox.push(event);
    if (this.#isStepping) return;
    this.#isStepping = true;
    try {
      for (let next = this.#inbox.shift(); next !== undefined; next = this.#inbox.shift()) {
        const effects = this.machine.step(next, this.#parts.clock.nowMs());
        for (const effect of effects) this.#world.perform(effect);
      }
    } finally {
      this.#isStepping = false;
    }
    this.#arm();
  }

  ask(request: JobRequest): Promise<Result<string, Problem>> {
    const token = randomHex(8);
    return new Promise((resolve) => {
      const timer = this.#parts.clock.after(REPLY_WITHIN_MS, () =>
        this.#answer(token, err({ kind: "timeout", detail: "the cluster did not decide in time" })),
      );
      this.#replies.set(token, (reply) => {
        timer.end();
        resolve(reply);
      });
      this.tell({ kind: "request", token, request });
    });
  }

  readonly onDefect = (detail: string): void => {
    this.#parts.log.say("fault", `a defect while answering: ${detail}`);
  };

  status(): NodeStatus {
    return nodeStatus(this.machine, this.own, this.#load);
  }

  records(): readonly JobRecord[] {
    return this.machine.records();
  }

  onChange(callback: (change: ClusterChange) => void): () => void {
    this.#watchers.add(callback);
    return () => this.#watchers.delete(callback);
  }

  record(job: string): JobRecord | undefined {
    return this.machine.records().find((record) => record.spec.id === job);
  }

  frozen(): string | null {
    return this.machine.frozen();
  }

  view(): View | null {
    return this.machine.view();
  }

  sealedAtMs(job: string, version: Version): number | null {
    return this.#sealedAtMs.get(`${job}/${version}`) ?? null;
  }

  /** In good order: the others agree to go on without this node, or `withinMs` has passed. */
  leave(withinMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#parts.clock.after(withinMs, resolve);
      this.#onLeft = () => {
        timer.end();
        resolve();
      };
      this.tell({ kind: "membership", event: { kind: "leave" } });
    });
  }

  /** Ends every child and lets go of everything; no event is heard any more. */
  stop(): void {
    this.#isStopped = true;
    this.#tick?.end();
    this.#loadTimer?.end();
    this.#world.close();
    rmSync(this.#parts.sharedMemoryFolder, { recursive: true, force: true });
  }

  self(): Member {
    const { own } = this;
    const self = this.machine
      .membership()
      .members()
      .find(({ member }) => member.id === own);
    assert(self !== undefined, "membership knows its own node");
    return self.member;
  }

  #arm(): void {
    const dueMs = this.machine.dueMs();
    if (dueMs === this.#tickAtMs && this.#tick !== null) return;
    this.#tick?.end();
    this.#tick = null;
    this.#tickAtMs = dueMs;
    if (dueMs === Number.POSITIVE_INFINITY || this.#isStopped) return;
    const delayMs = Math.max(0, dueMs - this.#parts.clock.nowMs());
    this.#tick = this.#parts.clock.after(delayMs, () => {
      this.#tick = null;
      // A timer may fire a fraction early: then it is set again.
      if (this.#parts.clock.nowMs() >= this.machine.dueMs()) this.tell({ kind: "tick" });
      else this.#arm();
    });
  }

  #measure(): void {
    this.#load = readLoad();
    this.tell({ kind: "load", load: this.#load });
    if (this.#isStopped) return;
    this.#loadTimer = this.#parts.clock.after(LOAD_EVERY_MS, () => this.#measure());
  }

  #answer(token: string, reply: Result<string, Problem>): void {
    const resolve = this.#replies.get(token);
    this.#replies.delete(token);
    resolve?.(reply);
  }

  #noteSeals(holdings: readonly Holding[]): void {
    for (const { job, version, sealed } of holdings) {
      const key = `${job}/${version}`;
      if (sealed && !this.#sealedAtMs.has(key)) {
        this.#sealedAtMs.set(key, this.#parts.clock.wallMs());
      }
    }
    for (const key of this.#sealedAtMs.keys()) {
      if (this.#sealedAtMs.size <= SEALS_MAX) break;
      this.#sealedAtMs.delete(key);
    }
  }
}

function replyOf(
  { job, refused }: Extract<NodeEffect, { kind: "reply" }>,
  isFrozen: boolean,
): Result<string, Problem> {
  if (refused === null && job !== null) return ok(job);
  const kind = isFrozen ? "frozen" : "refused";
  return err({ kind, detail: refused ?? "refused without a reason" });
}

function readLoad(): NodeLoad {
  return {
    cores: availableParallelism(),
    freeMemoryBytes: freemem(),
    loadAverage: loadavg()[0] ?? 0,
  };
}

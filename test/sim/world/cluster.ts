/**
 * A simulated cluster: virtual time, network, nodes, the referee who watches, and the verbs that faults and scenarios use.
 */

import type { JobRecord, JobRequest } from "../../../agent/job/job.ts";
import type { NodeEffect } from "../../../agent/job/node-events.ts";
import { NodeMachine } from "../../../agent/job/node-machine.ts";
import { type CandidateOrder, orderByCore } from "../../../agent/job/placement.ts";
import type { NodeId } from "../../../agent/membership/membership.ts";
import type { SavedMembership } from "../../../agent/membership/membership-events.ts";
import { Membership } from "../../../agent/membership/membership-machine.ts";
import { type Prng, prng } from "../../../agent/runtime/prng.ts";
import { SimClock, SimTime } from "../../../agent/runtime/sim/sim-clock.ts";
import { SimLinks } from "../../../agent/runtime/sim/sim-links.ts";
import { SimLog } from "../../../agent/runtime/sim/sim-log.ts";
import { SimNetwork } from "../../../agent/runtime/sim/sim-network.ts";
import { type Core, createCore } from "../../../core/core.ts";
import { type DecisionMachine, MembershipOnly } from "./machine.ts";
import { SimNode } from "./node.ts";
import { Referee } from "./referee.ts";
import type { SimStore } from "./store.ts";
import { Violation } from "./violation.ts";

export interface ClusterOptions {
  readonly seed: number;
  readonly workers: number;
  /** The last node votes and runs nothing. */
  readonly witness?: boolean;
  readonly membershipOnly?: boolean;
  readonly keepLines?: boolean;
  /** Clocks differ by up to this share of a second a second. */
  readonly driftMax?: number;
  /** A seeded defect: wraps the machine of each run of an agent. */
  readonly wrap?: (machine: DecisionMachine, node: SimNode) => DecisionMachine;
  /** The same for membership inside the machine. */
  readonly wrapMembership?: (membership: MembershipLike, node: SimNode) => MembershipLike;
  /** Told of every line of the decision log. */
  readonly onDecision?: (decision: Decision, node: SimNode) => void;
}

export type Decision = Extract<NodeEffect, { kind: "decision" }>;

/** What `NodeMachine` uses of it. */
export type MembershipLike = Pick<Membership, keyof Membership>;

/** What the real store's client waits for a peer. */
const STORE_ANSWER_MS = 2_000;
const PORT = 7_400;
const WALL_START_MS = 1_700_000_000_000;

/** More events than this at one instant: something answers itself without end. */
const EVENTS_AT_ONE_INSTANT_MAX = 20_000;

let sharedCore: Core | null = null;
let sharedOrder: CandidateOrder | null = null;

/** One a process: it is pure, and making one costs more than a history. */
function core(): Core {
  sharedCore ??= createCore();
  return sharedCore;
}

export class Cluster {
  readonly options: ClusterOptions;
  readonly time: SimTime = new SimTime();
  readonly prng: Prng;
  readonly log: SimLog;
  readonly network: SimNetwork;
  readonly links: SimLinks;
  readonly nodes: readonly SimNode[];
  readonly referee: Referee;
  readonly replies: {
    readonly token: string;
    readonly job: string | null;
    readonly refused: string | null;
  }[] = [];
  /** Faults of stores that were injected: they excuse a recovery that fails. */
  storeFaults = 0;
  #steps = 0;
  #instantMs = -1;
  #atInstant = 0;
  #tokens = 0;

  constructor(options: ClusterOptions) {
    this.options = options;
    this.prng = prng(options.seed);
    this.log = new SimLog(() => this.time.nowMs(), options.keepLines ?? false);
    this.network = new SimNetwork(this.time, this.prng.fork("network"));
    this.links = new SimLinks(this.network);
    this.referee = new Referee(this);
    const count = options.workers + (options.witness === true ? 1 : 0);
    this.nodes = Array.from({ length: count }, (_, index) => {
      const id = `n${index + 1}` as NodeId;
      const role = index < options.workers ? "worker" : "witness";
      const place = { id, address: `10.0.0.${index + 1}`, port: PORT, role } as const;
      return new SimNode(this, place, this.prng.fork(`node ${index + 1}`));
    });
  }

  get core(): Core {
    return core();
  }

  get membershipOnly(): boolean {
    return this.options.membershipOnly === true;
  }

  node(id: string): SimNode {
    const found = this.nodes.find((node) => node.id === id);
    if (found === undefined) throw new Error(`no node ${id}`);
    return found;
  }

  living(): readonly SimNode[] {
    return this.nodes.filter((node) => node.isUp);
  }

  /** Events run so far. */
  steps(): number {
    return this.#steps;
  }

  startAll(): void {
    for (const [index, node] of this.nodes.entries()) node.start(index === 0);
  }

  runUntil(limitMs: number): void {
    while (this.time.step(limitMs)) {
      this.#steps++;
      const nowMs = this.time.nowMs();
      if (nowMs !== this.#instantMs) {
        this.#instantMs = nowMs;
        this.#atInstant = 0;
      } else if (++this.#atInstant > EVENTS_AT_ONE_INSTANT_MAX) {
        throw new Violation("liveness", "endless instant", "events follow each other without end");
      }
    }
  }

  runFor(ms: number): void {
    this.runUntil(this.time.nowMs() + ms);
  }

  /** Runs until it is true; false when the time is up. */
  runWhile(isWaiting: () => boolean, limitMs: number): boolean {
    const endMs = this.time.nowMs() + limitMs;
    while (isWaiting()) {
      if (this.time.nowMs() >= endMs) return false;
      this.runUntil(Math.min(endMs, this.time.nowMs() + 20));
    }
    return true;
  }

  newClock(random: Prng): SimClock {
    const drift = this.options.driftMax ?? 0;
    return new SimClock(this.time, {
      startMs: random.below(1_000_000),
      rate: 1 + (random.unit() * 2 - 1) * drift,
      wallStartMs: WALL_START_MS + random.below(10_000),
    });
  }

  makeMachine(
    node: SimNode,
    from: {
      readonly saved: SavedMembership | null;
      readonly records: readonly JobRecord[];
      readonly found: boolean;
    },
  ): DecisionMachine {
    const { id, address, port, role } = node.place;
    const real = new Membership(
      { id, instance: node.newInstance(), address, port, role, found: from.found },
      from.saved,
      node.prng.fork(`machine ${node.life}`),
    );
    const membership = (this.options.wrapMembership?.(real, node) ?? real) as Membership;
    const machine = this.membershipOnly
      ? new MembershipOnly(membership)
      : this.#nodeMachine(node, membership, from.records);
    return this.options.wrap?.(machine, node) ?? machine;
  }

  #nodeMachine(
    node: SimNode,
    membership: Membership,
    savedRecords: readonly JobRecord[],
  ): NodeMachine {
    const { id, address, role } = node.place;
    sharedOrder ??= orderByCore(core());
    return new NodeMachine({
      config: {
        id,
        address,
        role,
        sharedMemoryFolder: node.sharedMemoryFolder,
        idleWithinMs: 2_000,
        phaseWithinMs: 5_000,
        wallOffsetMs: node.clock.wallMs() - node.clock.nowMs(),
      },
      membership,
      savedRecords,
      holdings: node.store.holdings(),
      order: sharedOrder,
    });
  }

  /** A user asks the agent of a node. Returns the token of the answer. */
  request(node: SimNode, request: JobRequest): string {
    const token = `t${++this.#tokens}`;
    const job = request.kind === "run" ? request.spec.id : request.job;
    this.log.say("user", `asks ${node.id}: ${request.kind} ${job}`);
    node.deliver({ kind: "request", token, request });
    return token;
  }

  onReply(token: string, job: string | null, refused: string | null): void {
    this.log.say("user", refused === null ? `is told: ${job} is taken` : `is refused: ${refused}`);
    this.replies.push({ token, job, refused });
  }

  /** A store talks to another node's store over HTTP: one request, one answer, or none in time. */
  callStore<T>(
    source: SimNode,
    targetId: NodeId,
    serve: (store: SimStore, reply: (answer: T) => void) => void,
    answer: (value: T | null) => void,
  ): void {
    const target = this.nodes.find((node) => node.id === targetId);
    const { time, network } = this;
    let isOpen = true;
    const finish = (value: T | null) => {
      if (!isOpen) return;
      isOpen = false;
      answer(value);
    };
    time.after(STORE_ANSWER_MS, () => finish(null));
    if (target === undefined) return;
    const from = source.place.address;
    const to = target.place.address;
    time.after(network.linkDelayMs(), () => {
      if (network.isCut(from, to) || !target.hasPower || target.stopped) return;
      if (!target.isUp) {
        finish(null);
        return;
      }
      const { life } = target;
      serve(target.store, (value) => {
        time.after(network.linkDelayMs(), () => {
          if (life === target.life && !network.isCut(to, from)) finish(value);
        });
      });
    });
  }

  // ── the network's faults ──────────────────────────────────────────────────────────────────────────────────────────

  /** Nothing goes from these to those; with `oneWay` the other direction lives. */
  cut(sources: readonly SimNode[], targets: readonly SimNode[], oneWay: boolean): void {
    const names = (nodes: readonly SimNode[]) => nodes.map((node) => node.id).join(", ");
    this.log.say("network", `cuts ${names(sources)} ${oneWay ? "→" : "↔"} ${names(targets)}`);
    for (const source of sources) {
      for (const target of targets) {
        if (source === target) continue;
        this.network.cut(source.place.address, target.place.address);
        if (!oneWay) this.network.cut(target.place.address, source.place.address);
      }
    }
  }

  heal(): void {
    if (this.network.cutCount() > 0) this.log.say("network", "heals");
    this.network.mendAll();
  }
}

/**
 * What the referee knows of jobs: which state a version really is, who holds it, which one was selected and resumed.
 *
 *   two common states      every proxy of (job, epoch) selects, and every node resumes, one and the same version
 *   wrong selection        that version is what a plain search over the assignment's holdings gives
 *   unrestorable           at the first resume each rank's memory holds the state of that version, of one step, on the lineage
 *   wrong state            each step of each program gives what the oracle of `workload.ts` says
 *   seal before durable    a version is sealed only when each rank's shard is durable at its owner and its partner
 *   stale progress         no step and no seal under an epoch long after a newer one went on
 *   untrue verdict         a job is lost only when there is truly no node or no state for it
 */
import {
  type Holding,
  isOnLineage,
  type NodeHoldings,
  type Rollback,
  type Version,
} from "../../../agent/checkpoint/checkpoint.ts";
import type { JobRecord } from "../../../agent/job/job.ts";
import type { NodeEffect } from "../../../agent/job/node-events.ts";
import type { NodeId } from "../../../agent/membership/membership.ts";
import type { Cluster } from "./cluster.ts";
import type { SimNode } from "./node.ts";
import type { SimProgram } from "./program.ts";
import type { Assignment, SimProxy } from "./proxy.ts";
import type { Shard } from "./store.ts";
import { holds } from "./violation.ts";
import { expectedHash, initialState, type RankState } from "./workload.ts";

/**
 * A side that lost touch goes on for so long before it knows: its freeze comes 2 to 3 s after the last packet, the others
 * need at least 1 s to go on without it. A node that was stopped counts from when it went on.
 */
const STALE_MS = 4_000;

/** A copy that came after its node had reported could not be known to the lead. */
const REPORTED_MS = 1_000;

/** Recoveries without a newer state after which a job may be called hopeless; some may have ended before they selected. */
const SAME_BASE_MIN = 5;

/** Versions of one rank on one node: unsealed ones up to their bound, sealed ones, a chain of deltas below. */
const VERSIONS_OF_RANK_MAX = 30;

export interface ProgramStep {
  readonly program: SimProgram;
  readonly proxy: SimProxy | undefined;
  readonly state: RankState;
  readonly size: number;
}

export interface JobFacts {
  size: number;
  steps: number;
  newestStep: number;
  lastStepMs: number;
  rollbacks: number;
  /** The version that was selected last, and how often in a row. */
  base: Version | null;
  sameBase: number;
  /** Newest epoch under which a step was made, and when its first one was. */
  epoch: number;
  epochSinceMs: number;
  finished: Set<number>;
}

export class JobReferee {
  readonly #cluster: Cluster;
  readonly #jobs = new Map<string, JobFacts>();
  readonly #selected = new Map<
    string,
    { readonly version: Version | null; readonly node: NodeId }
  >();
  readonly #resumed = new Map<string, Version>();
  /** Step of the state that (job, version, epoch) is. */
  readonly #states = new Map<string, number>();
  readonly #sealed = new Set<string>();
  readonly #captures = new Map<
    string,
    { readonly node: NodeId; readonly partner: NodeId | null }
  >();
  readonly #durable = new Map<string, Set<NodeId>>();
  readonly #lost = new Set<string>();
  readonly #stoppedUntilMs = new Map<NodeId, number>();
  seals = 0;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  get(job: string): JobFacts | undefined {
    return this.#jobs.get(job);
  }

  all(): ReadonlyMap<string, JobFacts> {
    return this.#jobs;
  }

  /** A node that was stopped could not know. */
  onContinued(node: NodeId): void {
    this.#stoppedUntilMs.set(node, this.#cluster.time.nowMs());
  }

  onAct(node: SimNode, effect: NodeEffect): void {
    if (effect.kind !== "store") return;
    const { command } = effect;
    if (command.kind === "capture") {
      const key = `${command.job}/${command.version}/${command.epoch}/${command.rank}`;
      this.#captures.set(key, { node: node.id, partner: command.partner?.node ?? null });
    } else if (command.kind === "seal") {
      const facts = this.#jobs.get(command.job);
      if (facts !== undefined) this.#checkStale(node.id, facts, command, "seals a version");
    }
  }

  /** Records that a node writes, for what they say about the end of a job. */
  onRecord(node: SimNode, record: JobRecord): void {
    if (record.state !== "lost") return;
    const key = `${record.spec.id}/${record.epoch}/${record.revision}`;
    if (this.#lost.has(key)) return;
    this.#lost.add(key);
    this.#checkVerdict(node, record);
  }

  onDurable(node: NodeId, shard: Shard): void {
    const name = `${shard.job}/${shard.version}/${shard.epoch}`;
    const known = this.#states.get(name);
    if (known === undefined) this.#states.set(name, shard.state.step);
    else {
      holds(
        known === shard.state.step,
        "checkpoint of two moments",
        () =>
          `version ${shard.version} of ${shard.job} (epoch ${shard.epoch}) is step ${known} for one rank and step ${shard.state.step} for rank ${shard.rank}`,
      );
    }
    const key = `${name}/${shard.rank}`;
    const holders = this.#durable.get(key) ?? new Set<NodeId>();
    this.#durable.set(key, holders.add(node));
  }

  onSealed(node: NodeId, shard: Shard): void {
    const key = `${shard.job}/${shard.version}/${shard.epoch}`;
    if (!this.#sealed.has(key)) {
      this.seals++;
      this.#checkSeal(node, shard);
    }
    this.#sealed.add(key);
  }

  onSelected(node: SimNode, assignment: Assignment, version: Version | null): void {
    const { job, epoch, size } = assignment;
    const key = `${job}/${epoch}`;
    const facts = this.#factsOf(job, size);
    const known = this.#selected.get(key);
    if (known === undefined) {
      facts.sameBase = facts.base === version ? facts.sameBase + 1 : 1;
      facts.base = version;
      this.#selected.set(key, { version, node: node.id });
      const expected = searchCommonState(assignment);
      holds(
        expected === version,
        "wrong selection",
        () => `${key}: ${node.id} selects ${version}, a plain search finds ${expected}`,
      );
      return;
    }
    holds(
      known.version === version,
      "two common states",
      () => `${key}: ${known.node} selects ${known.version}, ${node.id} selects ${version}`,
    );
  }

  onResumed(node: SimNode, assignment: Assignment, version: Version): void {
    const { job, epoch } = assignment;
    const key = `${job}/${epoch}`;
    const known = this.#resumed.get(key);
    if (known !== undefined) {
      holds(
        known === version,
        "two common states",
        () => `${key}: somebody goes on from ${known}, ${node.id} from ${version}`,
      );
      return;
    }
    this.#resumed.set(key, version);
    const facts = this.#factsOf(job, assignment.size);
    facts.rollbacks++;
    facts.finished.clear();
    const step = this.#stepOf(assignment, version);
    for (const [rank, place] of assignment.placement.entries()) {
      this.#checkMemory({ assignment, version, step, rank, place });
    }
  }

  onStep(node: SimNode, { program, proxy, state, size }: ProgramStep): void {
    const { job, rank } = program;
    const nowMs = this.#cluster.time.nowMs();
    holds(
      state.hash === expectedHash(size, rank, state.step),
      "wrong state",
      () => `rank ${rank} of ${job} on ${node.id} has a wrong state after step ${state.step}`,
    );
    const facts = this.#factsOf(job, size);
    facts.steps++;
    facts.newestStep = Math.max(facts.newestStep, state.step);
    if (state.step >= program.plan.steps) facts.finished.add(rank);
    const epoch = proxy?.assignment?.epoch ?? 0;
    if (epoch > facts.epoch) {
      facts.epoch = epoch;
      facts.epochSinceMs = nowMs;
    }
    if (epoch === facts.epoch) facts.lastStepMs = nowMs;
    // Without a proxy it only takes the answer that lay in its memory when the proxy was ended; then it waits.
    else if (epoch > 0)
      this.#checkStale(node.id, facts, { job, epoch }, `computes step ${state.step}`);
  }

  checkHoldings(node: SimNode): void {
    const counts = new Map<string, number>();
    for (const shard of node.store.shards()) {
      const key = `${shard.job}/${shard.rank}`;
      const count = (counts.get(key) ?? 0) + 1;
      counts.set(key, count);
      holds(
        count <= VERSIONS_OF_RANK_MAX,
        "versions are not collected",
        () => `${node.id} holds ${count} versions of rank ${shard.rank} of ${shard.job}`,
      );
    }
  }

  #factsOf(job: string, size: number): JobFacts {
    let facts = this.#jobs.get(job);
    if (facts === undefined) {
      facts = {
        size,
        steps: 0,
        newestStep: 0,
        lastStepMs: 0,
        rollbacks: 0,
        base: null,
        sameBase: 0,
        epoch: 0,
        epochSinceMs: 0,
        finished: new Set(),
      };
      this.#jobs.set(job, facts);
    }
    return facts;
  }

  #checkStale(
    node: NodeId,
    facts: JobFacts,
    what: { readonly job: string; readonly epoch: number },
    act: string,
  ): void {
    if (what.epoch >= facts.epoch) return;
    const nowMs = this.#cluster.time.nowMs();
    const sinceMs = Math.max(facts.epochSinceMs, this.#stoppedUntilMs.get(node) ?? 0);
    const isStopped = this.#cluster.node(node).stopped;
    holds(
      isStopped || nowMs - sinceMs <= STALE_MS,
      "stale progress",
      () =>
        `${node} ${act} of ${what.job} under epoch ${what.epoch}, ${Math.round(nowMs - sinceMs)} ms after epoch ${facts.epoch} went on`,
    );
  }

  #checkSeal(node: NodeId, { job, version, epoch }: Shard): void {
    const size = this.#jobs.get(job)?.size ?? 0;
    for (let rank = 0; rank < size; rank++) {
      const key = `${job}/${version}/${epoch}/${rank}`;
      const capture = this.#captures.get(key);
      const holders = this.#durable.get(key);
      const wanted = capture === undefined ? [] : [capture.node, capture.partner];
      holds(
        capture !== undefined && wanted.every((n) => n === null || holders?.has(n) === true),
        "seal before durable",
        () =>
          `${node} seals version ${version} of ${job} (epoch ${epoch}), but rank ${rank} is durable on ${[...(holders ?? [])].join(", ") || "no node"} only`,
      );
    }
  }

  /** The step that a version stands for on this lineage. */
  #stepOf(assignment: Assignment, version: Version): number {
    if (version === 0) return 0;
    const { job, lineage } = assignment;
    const steps = new Set<number>();
    for (const [key, step] of this.#states) {
      const [ofJob, ofVersion, ofEpoch] = key.split("/");
      if (ofJob !== job || Number(ofVersion) !== version || !this.#sealed.has(key)) continue;
      const shard = { version, epoch: Number(ofEpoch) as Holding["epoch"] };
      if (isOnLineage(shard, lineage)) steps.add(step);
    }
    holds(
      steps.size === 1,
      "ambiguous version",
      () =>
        `version ${version} of ${job} stands for ${steps.size} sealed states on the lineage (steps ${[...steps].join(", ")})`,
    );
    return [...steps][0] as number;
  }

  #checkMemory(at: {
    readonly assignment: Assignment;
    readonly version: Version;
    readonly step: number;
    readonly rank: number;
    readonly place: NodeId;
  }): void {
    const { assignment, version, step, rank, place } = at;
    const { job, epoch, size } = assignment;
    const node = this.#cluster.node(place);
    // One that failed or moved on since it was ready is a new fault, not a wrong decision.
    if (node.machine === null || node.machine.view()?.epoch !== epoch) return;
    // Its program may have ended already, and the job with it.
    const record = node.machine.records().find((r) => r.spec.id === job);
    if (record === undefined || record.state === "ended" || record.state === "lost") return;
    const state = node.memoryOf(job, rank);
    const expected = step === 0 ? initialState(rank).hash : expectedHash(size, rank, step);
    holds(
      state !== undefined && state.step === step && state.hash === expected,
      "unrestorable",
      () =>
        `${job} goes on from version ${version} (step ${step}) under epoch ${epoch}, but rank ${rank} on ${place} has ${state === undefined ? "no memory" : `the state of step ${state.step}`}`,
    );
  }

  #wasSealed({ spec, lineage }: JobRecord): boolean {
    for (const key of this.#sealed) {
      const [job, version, epoch] = key.split("/");
      const shard = {
        version: Number(version) as Version,
        epoch: Number(epoch) as Holding["epoch"],
      };
      if (job === spec.id && isOnLineage(shard, lineage)) return true;
    }
    return false;
  }

  #checkVerdict(node: SimNode, record: JobRecord): void {
    const view = node.machine?.view();
    if (view == null) return;
    const { id: job, ranks } = record.spec;
    const workers = view.members.filter((member) => member.role === "worker");
    const nowMs = this.#cluster.time.nowMs();
    const busy = new Set<NodeId>();
    for (const other of node.machine?.records() ?? []) {
      if (other.spec.id === job || other.state === "ended" || other.state === "lost") continue;
      for (const place of other.placement) busy.add(place);
    }
    const free = workers.filter((member) => !busy.has(member.id)).length;
    if (free < ranks) return;
    const held = workers.map((member): NodeHoldings => {
      const { store } = this.#cluster.node(member.id);
      const intact = store.shards().filter((s) => !s.damaged && nowMs - s.keptMs > REPORTED_MS);
      return {
        node: member.id,
        holdings: intact.map((s) => ({
          job: s.job,
          rank: s.rank,
          version: s.version,
          epoch: s.epoch,
          parent: s.parent?.version ?? null,
          sealed: s.sealed,
          bytes: 0,
        })),
      };
    });
    const found = searchCommonState({
      job,
      size: ranks,
      holdings: held,
      lineage: record.lineage,
      poisoned: record.poisoned,
      everSealed: this.#wasSealed(record),
    });
    // Recoveries that failed again and again for a reason of the world (disk, damage) may end in "lost" too.
    const hadReason = this.#cluster.storeFaults > 0 || record.verdict?.includes("failed") === true;
    // Or the job itself is to blame: it went back to the same state again and again.
    const saysHopeless = record.verdict?.includes("without a newer state") === true;
    const isHopeless = saysHopeless && (this.#jobs.get(job)?.sameBase ?? 0) >= SAME_BASE_MIN;
    holds(
      found === null || isHopeless || (hadReason && this.#cluster.storeFaults > 0),
      "untrue verdict",
      () =>
        `${job} is given up by ${node.id} (${record.verdict}), but ${free} workers are free for ${ranks} ranks and version ${found} can be restored`,
    );
  }
}

interface SearchInput {
  readonly job: string;
  readonly size: number;
  readonly holdings: readonly NodeHoldings[];
  readonly lineage: readonly Rollback[];
  readonly poisoned: readonly Version[];
  readonly everSealed: boolean;
}

/** The common state by plain search: slow, short, and written without a look at the real selection. */
export function searchCommonState(input: SearchInput): Version | null {
  const shards = input.holdings
    .flatMap(({ holdings }) => holdings)
    .filter((h) => h.job === input.job && isOnLineage(h, input.lineage));
  const canRestore = (rank: number, version: number): boolean =>
    shards.some(
      (h) =>
        h.rank === rank &&
        h.version === version &&
        (h.parent === null || canRestore(rank, h.parent)),
    );
  const sealed = shards.filter((h) => h.sealed).map((h) => h.version);
  const versions = [...new Set(sealed)].sort((a, b) => b - a);
  for (const version of versions) {
    if (input.poisoned.includes(version)) continue;
    const ranks = Array.from({ length: input.size }, (_, rank) => rank);
    if (ranks.every((rank) => canRestore(rank, version))) return version;
  }
  return input.everSealed ? null : (0 as Version);
}

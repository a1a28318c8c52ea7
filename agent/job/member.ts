/**
 * The member's side of jobs: what this node reports, runs and restores.
 *
 * Decides when to report and what to repeat, which local processes a newer record makes void, and which local ends are
 * faults. Where ranks go and when they run again is the lead's to say (`lead.ts`).
 */
import type { StoreEvent } from "../checkpoint/checkpoint.ts";
import type { NodeId } from "../membership/membership.ts";
import type { ProxyToAgent } from "../proxy/proxy.ts";
import { ActiveJob } from "./active-job.ts";
import { BrokenLinks } from "./broken-links.ts";
import type { EffectSink } from "./effects.ts";
import type { AssignMessage, JobMessage, JobRecord, NodeLoad, RunningRank } from "./job.ts";
import { LocalEnds } from "./local-ends.ts";
import type { NodeEvent } from "./node-events.ts";
import { collectAbandoned, type NodeParts } from "./parts.ts";
import { Pausing } from "./pausing.ts";
import { RecordKeeper } from "./record-keeper.ts";
import { isOver, ranksOf } from "./records.ts";
import { Recovery } from "./recovery.ts";
import { SealKeeper } from "./seal-keeper.ts";

/** Whoever waits for the lead says so again after this. */
export const REPEAT_MS = 300;

/** A warm proxy that fails to start this often is reported as none, so that the others need not wait for this node. */
const FAILED_STARTS_MAX = 3;

type ProgramExited = Extract<NodeEvent, { kind: "program-exited" }>;
type ResumeMessage = Extract<JobMessage, { kind: "resume" }>;

export class JobMember {
  readonly #parts: NodeParts;
  readonly #recoveries = new Map<string, Recovery>();
  readonly #active = new Map<string, ActiveJob>();
  /** Resumes whose record is being written: token → what to do then. */
  readonly #resuming = new Map<
    number,
    { readonly message: ResumeMessage; readonly recovery: Recovery }
  >();
  readonly #ends = new LocalEnds();
  readonly #keeper: RecordKeeper;
  readonly #seals: SealKeeper;
  readonly #broken = new BrokenLinks();
  readonly #pausing: Pausing;
  #load: NodeLoad = { cores: 1, freeMemoryBytes: 0, loadAverage: 0 };
  #settled = true;
  #reported = false;
  #repeatAtMs = Number.POSITIVE_INFINITY;

  constructor(parts: NodeParts) {
    this.#parts = parts;
    this.#keeper = new RecordKeeper(parts.book);
    this.#pausing = new Pausing(parts.programs);
    this.#seals = new SealKeeper(parts, (job, version) => this.#active.get(job)?.onSealed(version));
  }

  get dueMs(): number {
    return Math.min(this.#repeatAtMs, this.#parts.pool.dueMs, this.#broken.dueMs);
  }

  setLoad(load: NodeLoad): void {
    this.#load = load;
  }

  lead(sink: EffectSink): NodeId | null {
    return sink.view?.members[0]?.id ?? null;
  }

  onView(sink: EffectSink): void {
    for (const recovery of this.#recoveries.values()) this.#drop(recovery, sink);
    this.#recoveries.clear();
    this.#resuming.clear();
    this.#settled = false;
    this.#reported = false;
    this.#ensureWarm(sink);
    this.#report(sink);
  }

  onTick(sink: EffectSink): void {
    if (sink.nowMs >= this.#parts.pool.dueMs) this.#ensureWarm(sink);
    for (const { proxy, peer } of this.#broken.take(sink.nowMs)) {
      this.#proxyFault(proxy, `lost its connection to ${peer}`, sink);
    }
    if (sink.nowMs >= this.#repeatAtMs) this.#repeat(sink);
  }

  onMessage(from: NodeId, message: JobMessage, sink: EffectSink): void {
    if (message.kind === "settled") {
      if (message.epoch === sink.epoch) {
        this.#settled = true;
        this.#pausing.onSettled(sink);
        this.#ensureWarm(sink);
      }
    } else if (message.kind === "assign") this.#onAssign(message, sink);
    else if (message.kind === "resume") this.#onResume(message, sink);
    else if (message.kind === "record") {
      this.keep(message.record, from, sink);
    } else if (message.kind === "seal") {
      this.#seals.onSeal(message, from, sink);
    }
    this.#schedule(sink);
  }

  onProxySays(proxy: number, message: ProxyToAgent, sink: EffectSink): void {
    if (message.kind === "listening") {
      this.#parts.pool.onListening(proxy, message.pid, message.port);
      if (!this.#reported) this.#report(sink);
      return;
    }
    const recovery = [...this.#recoveries.values()].find((r) => r.proxy === proxy);
    const active = [...this.#active.values()].find((a) => a.proxy === proxy);
    const epoch = recovery?.epoch ?? active?.epoch;
    // A proxy of an older epoch that is still dying has no say.
    if (epoch === undefined || message.epoch !== epoch) return;
    if (message.kind === "failed") this.#proxyFault(proxy, message.reason, sink);
    else if (message.kind === "peer-lost") this.#broken.add(proxy, message.node, sink.nowMs);
    else if (recovery !== undefined) {
      recovery.onProxySays(message, sink);
      this.#afterRecoveryStep(recovery, sink);
    } else if (active !== undefined && message.kind === "capture") {
      active.onCapture(message, sink);
    }
    this.#schedule(sink);
  }

  onProxyExited(proxy: number, detail: string, sink: EffectSink): void {
    if (this.#parts.pool.onExited(proxy, sink)) this.#proxyFault(proxy, `ended (${detail})`, sink);
    if (this.#settled || this.#parts.pool.endpoint() === null) this.#ensureWarm(sink);
    if (!this.#reported) this.#report(sink);
  }

  /** The proxy of a job is of no use any more; a new epoch replaces it under the living programs. */
  #proxyFault(proxy: number, what: string, sink: EffectSink): void {
    const active = [...this.#active.values()].find((a) => a.proxy === proxy);
    const recovery = [...this.#recoveries.values()].find((r) => r.proxy === proxy);
    const current = active ?? recovery;
    if (current === undefined) return;
    const { job, epoch } = current;
    // Neither may go on without it, least of all a recovery that would be resumed with a dead proxy.
    this.#active.delete(job);
    if (recovery !== undefined) this.#drop(recovery, sink);
    this.#recoveries.delete(job);
    this.#parts.pool.end(proxy, sink);
    const detail = `proxy of ${job} on ${this.#parts.config.id}: ${what}`;
    this.#ends.addFault({ kind: "proxy", job, epoch, detail }, sink);
  }

  onProgramStarted(job: string, rank: number, pid: number): void {
    this.#parts.programs.onStarted(job, rank, pid);
  }

  onProgramExited(event: ProgramExited, sink: EffectSink): void {
    const { job, rank, code, detail } = event;
    const program = this.#parts.programs.onExited(job, rank, sink);
    if (program === null) return;
    const recovery = this.#recoveries.get(job);
    if (recovery !== undefined) {
      recovery.onProgramEnded(rank);
      // The proxy may be waiting for a program that is gone: it is told by a new assignment.
      if (recovery.stage === "assigned" || recovery.stage === "joined") {
        sink.wantEpoch(
          `rank ${rank} of ${job} on ${this.#parts.config.id} ended while it was to idle`,
        );
      }
      return;
    }
    const active = this.#active.get(job);
    if (active === undefined || active.epoch !== program.epoch) return;
    if (code === null) {
      const text = `rank ${rank} of ${job} on ${this.#parts.config.id} was killed (${detail})`;
      this.#ends.addFault({ kind: "program", job, epoch: active.epoch, rank, detail: text }, sink);
      return;
    }
    this.#ends.addExit({ job, epoch: active.epoch, exit: { rank, code, detail } });
    const lead = this.lead(sink);
    if (lead !== null) this.#ends.send(lead, sink);
    this.#schedule(sink);
  }

  onStore(event: StoreEvent, sink: EffectSink): void {
    if (event.kind === "holdings") {
      this.#parts.shards.set(event.job, event.holdings);
      this.#seals.onHoldings(event.job, sink);
      return;
    }
    for (const recovery of this.#recoveries.values()) {
      if (!recovery.onStore(event, sink)) continue;
      this.#afterRecoveryStep(recovery, sink);
      return;
    }
    if (this.#seals.onStore(event, sink)) return;
    const lead = this.lead(sink);
    if (lead === null) return;
    for (const active of this.#active.values()) {
      if (active.onStore(event, lead, sink)) break;
    }
    this.#schedule(sink);
  }

  /** Keeps a record; what an older plan runs here ends. */
  keep(record: JobRecord, acknowledgeTo: NodeId | null, sink: EffectSink): void {
    if (this.#keeper.keep(record, acknowledgeTo, sink)) this.#reconcile(record, sink);
  }

  onRecordPersisted(token: number, sink: EffectSink): void {
    this.#keeper.onPersisted(token, sink);
    const resuming = this.#resuming.get(token);
    if (resuming === undefined) return;
    this.#resuming.delete(token);
    this.#start(resuming.recovery, resuming.message, sink);
  }

  /** A node without a quorum: nothing computes or is written until it is back. */
  onFrozen(sink: EffectSink): void {
    this.#pausing.onFrozen(sink);
  }

  /** The others have gone on without this node: what runs here belongs to an abandoned history. */
  onExpelled(sink: EffectSink): void {
    this.#settled = true;
    this.#resuming.clear();
    this.#ends.clear();
    for (const recovery of this.#recoveries.values()) this.#drop(recovery, sink);
    for (const active of this.#active.values()) this.#parts.pool.end(active.proxy, sink);
    this.#recoveries.clear();
    this.#active.clear();
    for (const { job, rank } of this.#parts.programs.places()) {
      this.#parts.programs.remove(job, rank, sink);
    }
    this.#repeatAtMs = Number.POSITIVE_INFINITY;
  }

  onThawed(sink: EffectSink): void {
    this.#pausing.onThawed(sink);
  }

  running(): readonly RunningRank[] {
    return [...this.#active.values()].flatMap((active) => active.running());
  }

  #ensureWarm(sink: EffectSink): void {
    if (this.#parts.config.role === "worker") this.#parts.pool.ensureWarm(sink);
  }

  #report(sink: EffectSink): void {
    const lead = this.lead(sink);
    const { config, pool, book, shards } = this.#parts;
    if (lead === null) return;
    this.#repeatAtMs = sink.nowMs + REPEAT_MS;
    const proxy = pool.endpoint();
    const mayWait = config.role === "worker" && pool.failedStarts < FAILED_STARTS_MAX;
    if (proxy === null && mayWait) return;
    this.#reported = true;
    sink.send(lead, {
      kind: "report",
      epoch: sink.epoch,
      records: book.all(),
      holdings: shards.all(),
      running: this.running(),
      faults: this.#ends.faults,
      exits: this.#ends.exits,
      proxy,
      load: this.#load,
    });
  }

  #repeat(sink: EffectSink): void {
    const lead = this.lead(sink);
    this.#repeatAtMs = Number.POSITIVE_INFINITY;
    if (lead === null) return;
    for (const recovery of this.#recoveries.values()) this.#tellLead(recovery.stageMessage(), sink);
    if (!this.#settled && this.#recoveries.size === 0) this.#report(sink);
    for (const active of this.#active.values()) active.repeat(lead, sink);
    this.#ends.send(lead, sink);
    this.#schedule(sink);
  }

  #schedule(sink: EffectSink): void {
    const waiting =
      !this.#settled ||
      this.#recoveries.size > 0 ||
      this.#ends.exits.length > 0 ||
      [...this.#active.values()].some((active) => active.hasUnsealed);
    if (!waiting) this.#repeatAtMs = Number.POSITIVE_INFINITY;
    else if (this.#repeatAtMs === Number.POSITIVE_INFINITY) {
      this.#repeatAtMs = sink.nowMs + REPEAT_MS;
    }
  }

  #onAssign(message: AssignMessage, sink: EffectSink): void {
    if (message.epoch !== sink.epoch) return;
    const job = message.record.spec.id;
    const known = this.#recoveries.get(job);
    if (known?.epoch === message.epoch) {
      this.#tellLead(known.stageMessage(), sink);
      return;
    }
    const active = this.#active.get(job);
    if (active?.epoch === message.epoch) {
      this.#tellLead({ kind: "resumed", epoch: message.epoch, job }, sink);
      return;
    }
    this.keep(message.record, null, sink);
    this.#pausing.onAssigned(job, sink);
    if (ranksOf(message.record, this.#parts.config.id).length === 0) return;
    collectAbandoned(this.#parts.shards, message.record, sink);
    const recovery = new Recovery(this.#parts, message);
    this.#recoveries.set(job, recovery);
    recovery.begin(sink);
  }

  #afterRecoveryStep(recovery: Recovery, sink: EffectSink): void {
    if (recovery.isReady) this.#tellLead(recovery.stageMessage(), sink);
    this.#schedule(sink);
  }

  #tellLead(message: JobMessage, sink: EffectSink): void {
    const lead = this.lead(sink);
    if (lead !== null) sink.send(lead, message);
  }

  #onResume(message: ResumeMessage, sink: EffectSink): void {
    if (message.epoch !== sink.epoch) return;
    const job = message.record.spec.id;
    const recovery = this.#recoveries.get(job);
    if (recovery === undefined) {
      if (this.#active.get(job)?.epoch === message.epoch) {
        this.#tellLead({ kind: "resumed", epoch: message.epoch, job }, sink);
      }
      return;
    }
    if (!recovery.isReady || [...this.#resuming.values()].some((r) => r.recovery === recovery))
      return;
    this.#parts.book.adopt(message.record);
    const token = this.#keeper.write(message.record, null, sink);
    this.#resuming.set(token, { message, recovery });
  }

  #start(recovery: Recovery, message: ResumeMessage, sink: EffectSink): void {
    const { record, version } = message;
    const { config } = this.#parts;
    const { job } = recovery;
    if (recovery.proxy === null || this.#recoveries.get(job) !== recovery) return;
    this.#recoveries.delete(job);
    this.#ends.forget(job);
    const active = new ActiveJob(this.#parts, recovery.assign, record, recovery.proxy);
    this.#active.set(job, active);
    active.begin(recovery, version, sink);
    sink.decide("resume", job, `${config.id}: ranks ${recovery.localRanks.join(", ")} go on`);
    collectAbandoned(this.#parts.shards, record, sink);
    this.#tellLead({ kind: "resumed", epoch: record.epoch, job }, sink);
    this.#schedule(sink);
  }

  /** Ends what runs here under an older plan than the record's. */
  #reconcile(record: JobRecord, sink: EffectSink): void {
    const job = record.spec.id;
    const { config, programs, pool } = this.#parts;
    const active = this.#active.get(job);
    const over = isOver(record);
    if (active !== undefined && (over || active.epoch < record.epoch)) {
      this.#active.delete(job);
      pool.end(active.proxy, sink);
    }
    const recovery = this.#recoveries.get(job);
    if (recovery !== undefined && (over || recovery.epoch < record.epoch)) {
      this.#drop(recovery, sink);
      this.#recoveries.delete(job);
    }
    for (const place of programs.places()) {
      if (place.job !== job) continue;
      if (over || record.placement[place.rank] !== config.id)
        programs.remove(job, place.rank, sink);
    }
    this.#ends.onRecord(record, over);
    collectAbandoned(this.#parts.shards, record, sink);
    if (over && record.exitCode === 0) {
      sink.push({
        kind: "store",
        command: { kind: "collect", token: sink.token(), job, keepFrom: null, lineage: [] },
      });
    }
  }

  #drop(recovery: Recovery, sink: EffectSink): void {
    if (recovery.proxy !== null) this.#parts.pool.end(recovery.proxy, sink);
    // What must start anew must not be taken for a survivor by the next recovery.
    for (const rank of recovery.fresh) {
      if (this.#parts.programs.isAlive(recovery.job, rank)) {
        this.#parts.programs.end(recovery.job, rank, sink);
      }
    }
  }
}

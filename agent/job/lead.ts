/**
 * The lead's side of jobs: the first member of the view collects reports, plans each job, carries recoveries through,
 * seals versions and records ends.
 *
 * It keeps nothing that cannot be rebuilt from the reports of the next view, so killing it is an ordinary fault. It never
 * waits without a bound: what takes too long asks for a new epoch, and everything starts again under it.
 */
import type { Selection, Version } from "../checkpoint/checkpoint.ts";
import type { Epoch, NodeId, View } from "../membership/membership.ts";
import { assignMessage, type RecoverPlan, recoveringRecord } from "./assignment.ts";
import { Broadcasts } from "./broadcasts.ts";
import type { EffectSink } from "./effects.ts";
import type { JobMessage, JobRecord, PendingExit, ReadyMessage, ReportMessage } from "./job.ts";
import type { JobMember } from "./member.ts";
import type { NodeParts } from "./parts.ts";
import type { CandidateOrder } from "./placement.ts";
import { busyNodes, mendedPartners, newestSealed, planJob } from "./planning.ts";
import { isOver, revise, withRollback } from "./records.ts";
import { Round } from "./round.ts";
import { Sealing } from "./sealing.ts";
import { Submissions } from "./submissions.ts";
import { givenUp, withExit, withoutNodes } from "./verdicts.ts";

const REPEAT_MS = 300;

/** Recoveries in a row that end in a failure of a node; then the job is given up rather than tried for ever. */
const FAILED_RECOVERIES_MAX = 10;

/** After a power loss a majority is back before the last node: so long is waited for the shards that are missing. */
const HOLDERS_BACK_WITHIN_MS = 5_000;

type Submit = Extract<JobMessage, { kind: "submit" }>;

export class JobLead {
  readonly #parts: NodeParts;
  readonly #member: JobMember;
  readonly #order: CandidateOrder;
  #epoch = 0 as Epoch;
  #isLead = false;
  #planned = false;
  readonly #reports = new Map<NodeId, ReportMessage>();
  readonly #rounds = new Map<string, Round>();
  readonly #sealings = new Map<string, Sealing>();
  readonly #broadcasts: Broadcasts;
  readonly #submissions: Submissions;
  readonly #failures = new Map<string, number>();
  /** Since when no state is found for a job; kept over views, until one is. */
  readonly #statelessSinceMs = new Map<string, number>();
  #viewAtMs = 0;
  #repeatAtMs = Number.POSITIVE_INFINITY;

  constructor(parts: NodeParts, member: JobMember, order: CandidateOrder) {
    this.#parts = parts;
    this.#member = member;
    this.#order = order;
    this.#broadcasts = new Broadcasts(parts.config.id);
    this.#submissions = new Submissions(parts.book);
  }

  get dueMs(): number {
    return this.#isLead ? this.#repeatAtMs : Number.POSITIVE_INFINITY;
  }

  onView(view: View, sink: EffectSink): void {
    this.#epoch = view.epoch;
    this.#isLead = view.members[0]?.id === this.#parts.config.id;
    this.#planned = false;
    this.#viewAtMs = sink.nowMs;
    this.#reports.clear();
    this.#rounds.clear();
    this.#sealings.clear();
    this.#broadcasts.clear();
    this.#submissions.clear();
    this.#repeatAtMs = sink.nowMs + REPEAT_MS;
  }

  onMessage(from: NodeId, message: JobMessage, sink: EffectSink): void {
    if (message.kind === "submit") this.#onSubmit(from, message, sink);
    if (!this.#isLead) return;
    switch (message.kind) {
      case "report":
        if (message.epoch === this.#epoch) this.#onReport(from, message, sink);
        break;
      case "progress":
        if (message.epoch === this.#epoch) {
          this.#rounds.get(message.job)?.onStage(from, message.stage, sink.nowMs);
          this.#answer(from, sink);
        }
        break;
      case "ready":
        if (message.epoch === this.#epoch) this.#onReady(from, message, sink);
        break;
      case "resumed":
        if (message.epoch === this.#epoch) this.#onResumed(from, message.job, sink);
        break;
      case "recorded": {
        const acknowledged = this.#broadcasts.onRecorded(from, message);
        if (acknowledged !== null) this.#submissions.onRecorded(message.job, acknowledged, sink);
        break;
      }
      case "durable": {
        const sealing = this.#sealings.get(message.job);
        if (sealing?.epoch === message.epoch)
          sealing.onDurable(message.rank, message.version, sink);
        break;
      }
      case "sealed":
        this.#onSealed(from, message, sink);
        break;
      case "exited":
        this.#onExited(from, message, sink);
        break;
      default:
        break;
    }
  }

  onTick(sink: EffectSink): void {
    if (!this.#isLead || sink.nowMs < this.#repeatAtMs) return;
    this.#repeatAtMs = sink.nowMs + REPEAT_MS;
    for (const sealing of this.#sealings.values()) sealing.repeat(sink);
    this.#broadcasts.repeat(sink);
    this.#checkDeadlines(sink);
  }

  #checkDeadlines(sink: EffectSink): void {
    const { phaseWithinMs } = this.#parts.config;
    if (!this.#planned && sink.nowMs > this.#viewAtMs + phaseWithinMs) {
      this.#viewAtMs = sink.nowMs;
      const silent = (sink.view?.members ?? [])
        .filter((member) => !this.#reports.has(member.id))
        .map((member) => member.id);
      sink.wantEpoch(`no report from ${silent.join(", ")} within ${phaseWithinMs} ms`);
    }
    for (const [job, round] of this.#rounds) {
      if (round.isDone || sink.nowMs <= round.deadlineMs(phaseWithinMs)) continue;
      this.#rounds.delete(job);
      sink.wantEpoch(`recovery of ${job} stands still: ${round.laggards()}`);
    }
  }

  #onReport(from: NodeId, report: ReportMessage, sink: EffectSink): void {
    if (this.#planned) {
      this.#answer(from, sink);
      return;
    }
    this.#reports.set(from, report);
    const members = sink.view?.members ?? [];
    if (!members.every((member) => this.#reports.has(member.id))) return;
    this.#planned = true;
    this.#plan(sink);
    this.#settleIfDone(sink);
  }

  /** A member repeats itself: it has missed something, and gets what it lacks. */
  #answer(node: NodeId, sink: EffectSink): void {
    // The own node hears everything in the step in which it is said; answering it again would never end.
    if (node === this.#parts.config.id) return;
    for (const round of this.#rounds.values()) {
      if (!round.nodes.includes(node) || round.resumed.has(node)) continue;
      if (round.record !== null) this.#sendResume(node, round, sink);
      else if (!round.isReady(node)) sink.send(node, round.assign);
    }
    if (this.#isSettled) sink.send(node, { kind: "settled", epoch: this.#epoch });
  }

  #plan(sink: EffectSink): void {
    for (const [, report] of this.#reports) {
      for (const record of report.records) {
        this.#member.keep(record, this.#parts.config.id, sink);
      }
    }
    for (const [, report] of this.#reports) {
      for (const exit of report.exits) this.#recordExit(exit, sink);
    }
    sink.decide("report", null, `${this.#reports.size} members have reported`);
    const short = this.#parts.book.all().filter((record) => !this.#planOne(record, false, sink));
    // One that is lost frees nodes, which may be what the next one lacks: the largest first.
    for (const record of short.sort((a, b) => b.spec.ranks - a.spec.ranks)) {
      this.#planOne(record, true, sink);
    }
  }

  /** False: there are too few nodes, and it is not `final` yet. */
  #planOne(record: JobRecord, final: boolean, sink: EffectSink): boolean {
    const { book } = this.#parts;
    const job = record.spec.id;
    const busy = busyNodes(book.all(), job);
    const plan = planJob(record, {
      view: sink.view as View,
      reports: this.#reports,
      busy,
      order: this.#order,
    });
    if (plan.kind === "recover") {
      this.#recover(record, plan, sink);
      return true;
    }
    if (plan.kind === "lost") {
      if (!final) return false;
      this.#write(withoutNodes(record, this.#epoch, plan.verdict, sink.atMs), sink);
      sink.decide("end", job, plan.verdict);
      this.#startWaiting(sink);
      return true;
    }
    if (plan.kind === "wait") sink.decide("assign", job, plan.why);
    if (!isOver(record) && record.state === "running") {
      const mended = this.#mendPartners(record, sink);
      this.#sealings.set(job, new Sealing(mended, newestSealed(mended, this.#reports)));
      if (mended !== record) return true;
    }
    this.#broadcasts.spread(record, this.#reports, sink);
    return true;
  }

  #recover(record: JobRecord, plan: RecoverPlan, sink: EffectSink): void {
    const next = recoveringRecord(record, plan, this.#epoch, sink.atMs);
    const assign = assignMessage(next, sink.view as View, this.#reports);
    const round = new Round(assign, sink.nowMs);
    this.#rounds.set(record.spec.id, round);
    sink.decide("assign", record.spec.id, next.history.at(-1)?.what ?? plan.why);
    for (const node of round.nodes) sink.send(node, assign);
    this.#write(next, sink);
  }

  #onReady(from: NodeId, message: ReadyMessage, sink: EffectSink): void {
    const round = this.#rounds.get(message.job);
    if (round === undefined) return;
    if (round.record !== null) {
      this.#answer(from, sink);
      return;
    }
    const outcome = round.onReady(from, message, sink.nowMs);
    if (outcome.kind === "failed") this.#onFailedRound(round, outcome.why, sink);
    else if (outcome.kind === "agreed") this.#resume(round, outcome.selection, sink);
  }

  #onFailedRound(round: Round, why: string, sink: EffectSink): void {
    const { record } = round.assign;
    const job = record.spec.id;
    const failures = (this.#failures.get(job) ?? 0) + 1;
    this.#failures.set(job, failures);
    this.#rounds.delete(job);
    if (failures < FAILED_RECOVERIES_MAX) {
      sink.wantEpoch(why);
      return;
    }
    this.#giveUp(record, `recovery failed ${failures} times, last: ${why}`, null, sink);
  }

  #giveUp(record: JobRecord, why: string, selection: Selection | null, sink: EffectSink): void {
    const next = givenUp(record, why, selection, sink.atMs);
    this.#failures.delete(record.spec.id);
    sink.decide("end", record.spec.id, next.verdict ?? why);
    this.#write(next, sink);
    this.#startWaiting(sink);
    this.#settleIfDone(sink);
  }

  #resume(round: Round, selection: Selection, sink: EffectSink): void {
    const { record } = round.assign;
    const job = record.spec.id;
    if (selection.version === null) {
      const sinceMs = this.#statelessSinceMs.get(job) ?? sink.nowMs;
      this.#statelessSinceMs.set(job, sinceMs);
      // Members repeat that they are ready, so this is asked again; a holder that is back asks for a view, and a new plan.
      if (sink.nowMs < sinceMs + HOLDERS_BACK_WITHIN_MS) return;
      this.#rounds.delete(job);
      this.#giveUp(record, "no state is left that every rank can be restored to", selection, sink);
      return;
    }
    this.#failures.delete(job);
    this.#statelessSinceMs.delete(job);
    const from = selection.version === 0 ? "the start" : `version ${selection.version}`;
    const what = `runs from ${from} on ${record.placement.join(", ")}`;
    const next = revise(
      record,
      {
        state: "running",
        lineage: withRollback(record.lineage, this.#epoch, selection.version),
        // What was sealed above it is void now, and its number may be given again.
        sealed: selection.version,
        exits: [],
      },
      { atMs: sink.atMs, what, selection },
    );
    round.record = next;
    this.#sealings.set(job, new Sealing(next, selection.version));
    // First the word that lets programs run, then the record for everybody else.
    for (const node of round.nodes) this.#sendResume(node, round, sink);
    this.#write(next, sink);
  }

  #sendResume(node: NodeId, round: Round, sink: EffectSink): void {
    const record = round.record as JobRecord;
    const version = record.lineage.at(-1)?.base as Version;
    sink.send(node, { kind: "resume", epoch: this.#epoch, record, version });
  }

  #onResumed(from: NodeId, job: string, sink: EffectSink): void {
    const round = this.#rounds.get(job);
    if (round === undefined || round.resumed.has(from)) return;
    round.resumed.add(from);
    round.onStage(from, "restored", sink.nowMs);
    if (round.isDone) sink.decide("resume", job, "every node of the job goes on");
    this.#settleIfDone(sink);
  }

  get #isSettled(): boolean {
    return this.#planned && [...this.#rounds.values()].every((round) => round.isDone);
  }

  #settleIfDone(sink: EffectSink): void {
    if (!this.#isSettled) return;
    for (const member of sink.view?.members ?? []) {
      sink.send(member.id, { kind: "settled", epoch: this.#epoch });
    }
  }

  #onSealed(
    from: NodeId,
    message: Extract<JobMessage, { kind: "sealed" }>,
    sink: EffectSink,
  ): void {
    const sealing = this.#sealings.get(message.job);
    if (sealing?.epoch !== message.epoch) return;
    const version = sealing.onSealed(from, message.version, sink);
    if (version === null) return;
    this.#parts.book.noteSealed(message.job, version);
    sink.decide("seal", message.job, `version ${version} is sealed on every node`);
  }

  #onExited(
    from: NodeId,
    message: Extract<JobMessage, { kind: "exited" }>,
    sink: EffectSink,
  ): void {
    const known = this.#parts.book.get(message.job);
    if (this.#recordExit(message, sink)) return;
    // It repeats itself, so it has not heard how this went on.
    if (known !== undefined) sink.send(from, { kind: "record", epoch: known.epoch, record: known });
  }

  /** Says whether the exit was news. */
  #recordExit({ job, epoch, exit }: PendingExit, sink: EffectSink): boolean {
    const next = withExit(this.#parts.book.get(job), { epoch, exit }, sink.atMs);
    if (next === null) return false;
    this.#write(next, sink);
    if (isOver(next)) {
      this.#sealings.delete(job);
      sink.decide("end", job, next.verdict ?? "ended");
      this.#startWaiting(sink);
    }
    return true;
  }

  /** A job is over, so its nodes are free: one that waits for nodes is planned anew. */
  #startWaiting(sink: EffectSink): void {
    const waiting = this.#parts.book.all().find((record) => record.state === "starting");
    if (waiting !== undefined) sink.wantEpoch(`${waiting.spec.id} waits for nodes`);
  }

  #onSubmit(from: NodeId, message: Submit, sink: EffectSink): void {
    if (!this.#isLead) {
      const refused = "this node is not the lead of the view any more: ask again";
      sink.send(from, { kind: "submitted", epoch: sink.epoch, token: message.token, refused });
      return;
    }
    // The asker repeats itself; by then the reports are in.
    if (!this.#planned) return;
    const record = this.#submissions.onSubmit(from, message, this.#reports, sink);
    if (record === null) return;
    if (isOver(record)) {
      this.#rounds.delete(record.spec.id);
      this.#sealings.delete(record.spec.id);
      sink.decide("end", record.spec.id, record.verdict ?? "ended");
      this.#startWaiting(sink);
    }
    this.#write(record, sink);
    this.#settleIfDone(sink);
  }

  /** A partner that left is replaced by the ring of who is there, without a rollback. */
  #mendPartners(record: JobRecord, sink: EffectSink): JobRecord {
    const wanted = mendedPartners(record, sink.view as View);
    if (wanted === null) return record;
    const what = `copies go to ${wanted.join(", ")}`;
    const mended = revise(record, { partners: wanted }, { atMs: sink.atMs, what });
    this.#write(mended, sink);
    return mended;
  }

  /** A record of the job's next revision or of an older lead: kept here, and repeated to all until each has it on disk. */
  #write(record: JobRecord, sink: EffectSink): void {
    this.#member.keep(record, this.#parts.config.id, sink);
    this.#broadcasts.spread(record, this.#reports, sink);
  }
}

/** The detail of a process that ended by itself says no more than its code. */

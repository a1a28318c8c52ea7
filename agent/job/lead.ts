/**
 * The lead's side of jobs: the first member of the view collects reports, plans each job, carries recoveries through,
 * seals versions and records ends.
 *
 * It keeps nothing that cannot be rebuilt from the reports of the next view, so killing it is an ordinary fault. It never
 * waits without a bound: what takes too long asks for a new epoch, and everything starts again under it.
 */
import type { Selection, Version } from "../checkpoint/checkpoint.ts";
import type { Epoch, NodeId, View } from "../membership/membership.ts";
import { majorityOf } from "../membership/membership.ts";
import type { EffectSink } from "./effects.ts";
import type {
  AssignMessage,
  JobMessage,
  JobRecord,
  JobRequest,
  ReadyMessage,
  ReportMessage,
} from "./job.ts";
import type { JobMember } from "./member.ts";
import { type NodeParts, shardUrlOf } from "./parts.ts";
import { type CandidateOrder, partnersOf } from "./placement.ts";
import {
  busyNodes,
  type JobPlan,
  nextVersion,
  planJob,
  refusal,
  wasEverSealed,
} from "./planning.ts";
import { isOver, newRecord, revise, withRollback } from "./records.ts";
import { Round } from "./round.ts";
import { Sealing } from "./sealing.ts";

const REPEAT_MS = 300;

/** Recoveries in a row that end in a failure of a node; then the job is given up rather than tried for ever. */
const FAILED_RECOVERIES_MAX = 10;

interface Submission {
  readonly token: string;
  readonly from: NodeId;
  readonly job: string;
}

interface Broadcast {
  readonly record: JobRecord;
  readonly missing: Set<NodeId>;
  readonly acknowledged: Set<NodeId>;
}

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
  readonly #broadcasts = new Map<string, Broadcast>();
  readonly #submissions = new Map<string, Submission>();
  readonly #failures = new Map<string, number>();
  #viewAtMs = 0;
  #repeatAtMs = Number.POSITIVE_INFINITY;

  constructor(parts: NodeParts, member: JobMember, order: CandidateOrder) {
    this.#parts = parts;
    this.#member = member;
    this.#order = order;
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
    if (message.kind === "submit") this.#onSubmit(from, message.token, message.request, sink);
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
      case "recorded":
        this.#onRecorded(from, message, sink);
        break;
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
    for (const { record, missing } of this.#broadcasts.values()) {
      for (const node of missing) sink.send(node, { kind: "record", epoch: record.epoch, record });
    }
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
      for (const { job, epoch, exit } of report.exits) this.#recordExit(job, epoch, exit, sink);
    }
    sink.decide("report", null, `${this.#reports.size} members have reported`);
    for (const record of this.#parts.book.all()) this.#planOne(record, sink);
  }

  #planOne(record: JobRecord, sink: EffectSink): void {
    const { book } = this.#parts;
    const job = record.spec.id;
    const busy = busyNodes(book.all(), job);
    const plan = planJob(record, sink.view as View, this.#reports, busy, this.#order);
    if (plan.kind === "recover") {
      this.#recover(record, plan, sink);
      return;
    }
    if (plan.kind === "lost") {
      this.#write(
        revise(
          record,
          { epoch: this.#epoch, state: "lost", verdict: plan.verdict },
          { atMs: sink.atMs, what: `lost: ${plan.verdict}` },
        ),
        sink,
      );
      sink.decide("end", job, plan.verdict);
      return;
    }
    if (plan.kind === "wait") sink.decide("assign", job, plan.why);
    if (!isOver(record) && record.state === "running") {
      this.#sealings.set(job, new Sealing(record, this.#newestSealed(job)));
      if (this.#mendPartners(record, sink)) return;
    }
    this.#spread(record, sink);
  }

  #recover(record: JobRecord, plan: Extract<JobPlan, { kind: "recover" }>, sink: EffectSink): void {
    const job = record.spec.id;
    const { placement, partners, why } = plan;
    const moved = placement
      .map((node, rank) => (record.placement[rank] === node ? null : `rank ${rank} → ${node}`))
      .filter((line) => line !== null);
    const what = `${why}${moved.length > 0 ? `: ${moved.join(", ")}` : ""}`;
    const next = revise(
      record,
      { epoch: this.#epoch, state: "recovering", placement, partners, exits: [] },
      { atMs: sink.atMs, what },
    );
    const reports = [...this.#reports];
    const assign: AssignMessage = {
      kind: "assign",
      epoch: this.#epoch,
      record: next,
      proxies: reports.flatMap(([node, { proxy }]) =>
        proxy !== null && placement.includes(node) ? [proxy] : [],
      ),
      holdings: reports.map(([node, { holdings }]) => ({
        node,
        holdings: holdings.filter((h) => h.job === job),
      })),
      shardUrls: (sink.view?.members ?? []).map((m) => ({ node: m.id, url: shardUrlOf(m) })),
      nextVersion: nextVersion(record, this.#reports),
      everSealed: wasEverSealed(record, this.#reports),
    };
    const round = new Round(assign, sink.nowMs);
    this.#rounds.set(job, round);
    sink.decide("assign", job, what);
    for (const member of sink.view?.members ?? []) {
      if (round.nodes.includes(member.id)) sink.send(member.id, assign);
    }
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
    const job = record.spec.id;
    const verdict = `${why}. What is left is kept: \`holdfast job explain ${job}\` tells what is missing, \`holdfast run --resume ${job}\` tries again`;
    this.#failures.delete(job);
    sink.decide("end", job, verdict);
    this.#write(
      revise(
        record,
        { state: "lost", verdict },
        { atMs: sink.atMs, what: verdict, ...(selection === null ? {} : { selection }) },
      ),
      sink,
    );
    this.#settleIfDone(sink);
  }

  #resume(round: Round, selection: Selection, sink: EffectSink): void {
    const { record } = round.assign;
    const job = record.spec.id;
    if (selection.version === null) {
      this.#rounds.delete(job);
      this.#giveUp(record, "no state is left that every rank can be restored to", selection, sink);
      return;
    }
    this.#failures.delete(job);
    const from = selection.version === 0 ? "the start" : `version ${selection.version}`;
    const what = `runs from ${from} on ${record.placement.join(", ")}`;
    const next = revise(
      record,
      {
        state: "running",
        lineage: withRollback(record.lineage, this.#epoch, selection.version),
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
    if (this.#recordExit(message.job, message.epoch, message.exit, sink)) return;
    // It repeats itself, so it has not heard how this went on.
    if (known !== undefined) sink.send(from, { kind: "record", epoch: known.epoch, record: known });
  }

  /** Says whether the exit was news. */
  #recordExit(
    job: string,
    epoch: Epoch,
    exit: JobRecord["exits"][number],
    sink: EffectSink,
  ): boolean {
    const record = this.#parts.book.get(job);
    if (record === undefined || record.epoch !== epoch || record.state !== "running") return false;
    if (record.exits.some((known) => known.rank === exit.rank)) return false;
    const exits = [...record.exits, exit];
    const failed = exit.code !== 0;
    const isEnd = failed || exits.length === record.spec.ranks;
    const what = failed
      ? `rank ${exit.rank} ended with code ${exit.code}${exit.detail === "" ? "" : `: ${exit.detail}`}`
      : isEnd
        ? "every rank has ended"
        : null;
    this.#write(
      revise(
        record,
        isEnd ? { exits, state: "ended", exitCode: exit.code, verdict: what } : { exits },
        what === null ? null : { atMs: sink.atMs, what },
      ),
      sink,
    );
    if (isEnd && what !== null) {
      this.#sealings.delete(job);
      sink.decide("end", job, what);
    }
    return true;
  }

  #onSubmit(from: NodeId, token: string, request: JobRequest, sink: EffectSink): void {
    const refuse = (refused: string | null) =>
      sink.send(from, { kind: "submitted", epoch: sink.epoch, token, refused });
    if (!this.#isLead) {
      refuse("this node is not the lead of the view any more: ask again");
      return;
    }
    if (!this.#planned) return; // The asker repeats itself; by then the reports are in.
    const { book } = this.#parts;
    const job = request.kind === "run" ? request.spec.id : request.job;
    const known = book.get(job);
    if (request.kind === "run") {
      if (known !== undefined) {
        if (!this.#submissions.has(job)) refuse(null);
        return;
      }
      const why = this.#whyNot(request.spec.ranks, request.spec.spares, job, sink);
      if (why !== null) refuse(why);
      else {
        this.#submissions.set(job, { token, from, job });
        this.#write(newRecord(request.spec, this.#epoch, sink.atMs), sink);
      }
      return;
    }
    if (known === undefined) refuse(`no job ${job} is known here; \`holdfast job list\` shows all`);
    else if (request.kind === "cancel") this.#cancel(known, refuse, sink);
    else this.#restart(known, { token, from, job }, refuse, sink);
  }

  #cancel(record: JobRecord, refuse: (why: string | null) => void, sink: EffectSink): void {
    if (!isOver(record)) {
      const verdict = "cancelled by its user";
      const change = { epoch: this.#epoch, state: "ended", exitCode: 130, verdict } as const;
      this.#rounds.delete(record.spec.id);
      this.#sealings.delete(record.spec.id);
      this.#write(revise(record, change, { atMs: sink.atMs, what: verdict }), sink);
      sink.decide("end", record.spec.id, verdict);
      this.#settleIfDone(sink);
    }
    refuse(null);
  }

  #restart(
    record: JobRecord,
    submission: Submission,
    refuse: (why: string | null) => void,
    sink: EffectSink,
  ): void {
    const job = record.spec.id;
    if (!isOver(record)) {
      if (!this.#submissions.has(job)) refuse(null);
      return;
    }
    if (record.exitCode === 0) {
      refuse(`${job} has ended well: there is nothing to resume`);
      return;
    }
    const why = this.#whyNot(record.spec.ranks, 0, job, sink);
    if (why !== null) {
      refuse(why);
      return;
    }
    this.#submissions.set(job, submission);
    this.#write(
      revise(
        record,
        {
          epoch: this.#epoch,
          state: "starting",
          placement: [],
          partners: [],
          exits: [],
          exitCode: null,
          verdict: null,
        },
        { atMs: sink.atMs, what: "resumed by its user from its sealed states" },
      ),
      sink,
    );
  }

  #whyNot(ranks: number, spares: number, job: string, sink: EffectSink): string | null {
    const workers = (sink.view?.members ?? []).filter(
      (member) => (this.#reports.get(member.id)?.proxy ?? null) !== null,
    );
    const busy = busyNodes(this.#parts.book.all(), job);
    const free = workers.filter((member) => !busy.has(member.id)).length;
    return refusal(ranks, spares, free, workers.length);
  }

  /** A job is taken once a majority has it on disk; it starts by a new epoch, like everything. */
  #onRecorded(
    from: NodeId,
    message: Extract<JobMessage, { kind: "recorded" }>,
    sink: EffectSink,
  ): void {
    const broadcast = this.#broadcasts.get(message.job);
    if (broadcast === undefined) return;
    const { record, missing, acknowledged } = broadcast;
    if (record.epoch !== message.epoch || record.revision > message.revision) return;
    missing.delete(from);
    acknowledged.add(from);
    const submission = this.#submissions.get(message.job);
    if (
      submission !== undefined &&
      acknowledged.size >= majorityOf(sink.view?.members.length ?? 1)
    ) {
      this.#accept(submission, sink);
    }
    if (missing.size === 0) this.#broadcasts.delete(message.job);
  }

  #accept({ token, from, job }: Submission, sink: EffectSink): void {
    this.#submissions.delete(job);
    sink.send(from, { kind: "submitted", epoch: sink.epoch, token, refused: null });
    sink.wantEpoch(`${job} starts`);
  }

  /** A partner that left is replaced by the ring of who is there, without a rollback. */
  #mendPartners(record: JobRecord, sink: EffectSink): boolean {
    const members = sink.view?.members ?? [];
    const isThere = (node: NodeId | null) => members.some((member) => member.id === node);
    const spare = members.find((m) => m.role === "worker" && !record.placement.includes(m.id));
    const wanted = partnersOf(record.placement, spare?.id ?? null);
    const isMissing = record.partners.some((partner, rank) =>
      partner === null ? (wanted[rank] ?? null) !== null : !isThere(partner),
    );
    if (!isMissing) return false;
    const what = `copies go to ${wanted.join(", ")}`;
    this.#write(revise(record, { partners: wanted }, { atMs: sink.atMs, what }), sink);
    return true;
  }

  #newestSealed(job: string): Version {
    let newest = this.#parts.book.get(job)?.sealed ?? (0 as Version);
    for (const report of this.#reports.values()) {
      for (const h of report.holdings) {
        if (h.job === job && h.sealed && h.version > newest) newest = h.version;
      }
    }
    return newest;
  }

  /** A record of the job's next revision or of an older lead: kept here, and repeated to all until each has it on disk. */
  #write(record: JobRecord, sink: EffectSink): void {
    this.#member.keep(record, this.#parts.config.id, sink);
    this.#spread(record, sink);
  }

  #spread(record: JobRecord, sink: EffectSink): void {
    const job = record.spec.id;
    const missing = new Set<NodeId>();
    const acknowledged = new Set<NodeId>();
    for (const { id } of sink.view?.members ?? []) {
      const theirs = this.#reports.get(id)?.records.find((r) => r.spec.id === job);
      const has = theirs?.epoch === record.epoch && theirs.revision === record.revision;
      if (has) acknowledged.add(id);
      else missing.add(id);
    }
    if (missing.size === 0) return;
    this.#broadcasts.set(job, { record, missing, acknowledged });
    for (const node of missing) {
      // The own node keeps it already and acknowledges once it is on disk.
      if (node !== this.#parts.config.id) {
        sink.send(node, { kind: "record", epoch: record.epoch, record });
      }
    }
  }
}

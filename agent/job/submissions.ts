/**
 * What users ask of the lead: run, resume, cancel.
 *
 * Decides whether a request can be taken. A job is taken once a majority of the view has its record on disk; then it starts by a
 * new epoch, like everything. Whoever asks repeats itself, so an answer may be given more than once.
 */
import type { Epoch, NodeId } from "../membership/membership.ts";
import { majorityOf } from "../membership/membership.ts";
import type { EffectSink } from "./effects.ts";
import type { JobMessage, JobRecord, JobSpec } from "./job.ts";
import { busyNodes, type Reports, refusal } from "./planning.ts";
import { isOver, newRecord, type RecordBook, revise } from "./records.ts";
import { jobOf } from "./requests.ts";

type Submit = Extract<JobMessage, { kind: "submit" }>;

interface Submission {
  readonly token: string;
  readonly from: NodeId;
}

export class Submissions {
  readonly #book: RecordBook;
  readonly #waiting = new Map<string, Submission>();

  constructor(book: RecordBook) {
    this.#book = book;
  }

  clear(): void {
    this.#waiting.clear();
  }

  /** Answers, or returns the record that has to be written for it. */
  onSubmit(from: NodeId, message: Submit, reports: Reports, sink: EffectSink): JobRecord | null {
    const { request, token } = message;
    const job = jobOf(request);
    const known = this.#book.get(job);
    if (request.kind === "run") {
      // Known already: the asker has not heard the answer.
      if (known !== undefined) return this.#answerUnlessWaiting(from, token, job, sink);
      const why = this.#whyNot(request.spec, request.spec.spares, reports, sink);
      if (why !== null) return answer(from, token, why, sink);
      this.#waiting.set(job, { token, from });
      return newRecord(request.spec, sink.epoch, sink.atMs);
    }
    if (known === undefined) {
      return answer(from, token, `no job ${job} is known; \`holdfast job list\` shows all`, sink);
    }
    if (request.kind === "cancel") {
      answer(from, token, null, sink);
      return isOver(known) ? null : cancelled(known, sink.epoch, sink.atMs);
    }
    if (!isOver(known)) return this.#answerUnlessWaiting(from, token, job, sink);
    const why =
      known.exitCode === 0
        ? `${job} has ended well: there is nothing to resume`
        : this.#whyNot(known.spec, 0, reports, sink);
    if (why !== null) return answer(from, token, why, sink);
    this.#waiting.set(job, { token, from });
    return restarted(known, sink.epoch, sink.atMs);
  }

  /** `acknowledged` members have the record of this job on disk. */
  onRecorded(job: string, acknowledged: number, sink: EffectSink): void {
    const submission = this.#waiting.get(job);
    if (submission === undefined) return;
    if (acknowledged < majorityOf(sink.view?.members.length ?? 1)) return;
    this.#waiting.delete(job);
    answer(submission.from, submission.token, null, sink);
    sink.wantEpoch(`${job} starts`);
  }

  #answerUnlessWaiting(from: NodeId, token: string, job: string, sink: EffectSink): null {
    return this.#waiting.has(job) ? null : answer(from, token, null, sink);
  }

  #whyNot(spec: JobSpec, spares: number, reports: Reports, sink: EffectSink): string | null {
    const { ranks, id: job } = spec;
    const withoutProxy = (sink.view?.members ?? [])
      .filter(({ id, role }) => role === "worker" && reports.get(id)?.proxy === null)
      .map(({ id }) => id);
    const workers = [...reports].filter(([, report]) => report.proxy !== null);
    const busy = busyNodes(this.#book.all(), job);
    const free = workers.filter(([node]) => !busy.has(node)).length;
    const workerNodes = workers.length + withoutProxy.length;
    return refusal({ ranks, spares, freeNodes: free, workerNodes, withoutProxy });
  }
}

function answer(from: NodeId, token: string, refused: string | null, sink: EffectSink): null {
  sink.send(from, { kind: "submitted", epoch: sink.epoch, token, refused });
  return null;
}

function cancelled(record: JobRecord, epoch: Epoch, atMs: number): JobRecord {
  const verdict = "cancelled by its user";
  const change = { epoch, state: "ended", exitCode: 130, verdict } as const;
  return revise(record, change, { atMs, what: verdict });
}

function restarted(record: JobRecord, epoch: Epoch, atMs: number): JobRecord {
  const change = {
    epoch,
    state: "starting",
    placement: [],
    partners: [],
    exits: [],
    setbacks: 0,
    exitCode: null,
    verdict: null,
  } as const;
  return revise(record, change, { atMs, what: "resumed by its user from its sealed states" });
}

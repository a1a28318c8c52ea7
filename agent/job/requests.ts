/**
 * What users asked this agent: passed to the lead of the view, repeated until it answers, given up after a bound.
 */
import type { EffectSink } from "./effects.ts";
import type { JobRequest } from "./job.ts";

const REPEAT_MS = 300;

/** A view change and its reports fit several times. */
const ANSWER_WITHIN_MS = 15_000;

const REQUESTS_MAX = 256;

interface Request {
  readonly request: JobRequest;
  readonly deadlineMs: number;
  repeatAtMs: number;
}

export function jobOf(request: JobRequest): string {
  return request.kind === "run" ? request.spec.id : request.job;
}

export class Requests {
  readonly #open = new Map<string, Request>();

  get dueMs(): number {
    let due = Number.POSITIVE_INFINITY;
    for (const { repeatAtMs } of this.#open.values()) due = Math.min(due, repeatAtMs);
    return due;
  }

  ask(token: string, request: JobRequest, frozen: string | null, sink: EffectSink): void {
    if (frozen !== null) {
      this.#reply(
        token,
        request,
        `nothing is started without a quorum: ${frozen}; \`holdfast status\` shows who is missing`,
        sink,
      );
      return;
    }
    if (this.#open.size >= REQUESTS_MAX) {
      this.#reply(token, request, `${REQUESTS_MAX} requests wait already: try again later`, sink);
      return;
    }
    const deadlineMs = sink.nowMs + ANSWER_WITHIN_MS;
    this.#open.set(token, { request, deadlineMs, repeatAtMs: sink.nowMs });
    this.onTick(frozen, sink);
  }

  onTick(frozen: string | null, sink: EffectSink): void {
    for (const [token, open] of this.#open) {
      if (sink.nowMs < open.repeatAtMs) continue;
      if (sink.nowMs >= open.deadlineMs) {
        this.#open.delete(token);
        const why =
          frozen ?? "the lead of the cluster did not answer; `holdfast status` shows who is there";
        this.#reply(token, open.request, why, sink);
        continue;
      }
      open.repeatAtMs = sink.nowMs + REPEAT_MS;
      const lead = sink.view?.members[0]?.id;
      if (lead === undefined) continue;
      sink.send(lead, { kind: "submit", epoch: sink.epoch, token, request: open.request });
    }
  }

  onSubmitted(token: string, refused: string | null, sink: EffectSink): void {
    const open = this.#open.get(token);
    if (open === undefined) return;
    this.#open.delete(token);
    this.#reply(token, open.request, refused, sink);
  }

  #reply(token: string, request: JobRequest, refused: string | null, sink: EffectSink): void {
    const job = refused === null ? jobOf(request) : null;
    sink.push({ kind: "reply", token, job, refused });
  }
}

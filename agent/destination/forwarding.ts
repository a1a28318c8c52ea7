/**
 * What adapters are told and when: gathering of changes that wait, and how long to wait after a failure.
 *
 * Decides on data only; `io/forwarder.ts` does it. A change that was tried is never altered, since the far end may have it under
 * its key. Those that were not tried are gathered, so however long an adapter is down, at most three changes of a ticket wait.
 */
import type { AdapterFailure, TicketChange, TicketChangeKind } from "./adapter.ts";

/** Further events of an open ticket are told at most so often: a storm is one message with a count. */
export const GATHER_MS = 5_000;
export const BACKOFF_MS_MIN = 1_000;
export const BACKOFF_MS_MAX: number = 5 * 60_000;
/** A far end that asks for more than this is asked again all the same. */
export const RETRY_AFTER_MS_MAX: number = 60 * 60_000;

function together(kind: TicketChangeKind, a: TicketChange, b: TicketChange): TicketChange {
  return { ...b, kind, newEventCount: a.newEventCount + b.newEventCount };
}

/**
 * `waiting`: the newest change of the ticket that was not tried yet. Gives what stands in its place with `next` told too; null: `next`
 * goes behind it.
 */
export function gathered(waiting: TicketChange, next: TicketChange): TicketChange | null {
  switch (next.kind) {
    case "appended":
      return waiting.kind === "closed"
        ? together("closed", waiting, { ...next, text: waiting.text })
        : together(waiting.kind, waiting, next);
    case "raised":
      if (waiting.kind === "closed") return null;
      return together(waiting.kind === "appended" ? "raised" : waiting.kind, waiting, next);
    case "reopened":
      // The far end never heard that it was closed.
      return waiting.kind === "closed" ? together("raised", waiting, next) : null;
    case "closed":
      return waiting.kind === "appended" || waiting.kind === "raised"
        ? together("closed", waiting, next)
        : null;
    case "opened":
      return null;
  }
}

/** Not before; what is more than a count goes at once. */
export function dueMs(change: TicketChange, nowMs: number): number {
  return change.kind === "appended" ? nowMs + GATHER_MS : nowMs;
}

/** Exponential with full jitter, or what the far end asked for. `unit`: random in [0, 1). */
export function retryMs(failure: AdapterFailure, attempts: number, unit: number): number {
  if (failure.retryAfterMs !== null) {
    return Math.min(Math.max(failure.retryAfterMs, BACKOFF_MS_MIN), RETRY_AFTER_MS_MAX);
  }
  const limit = Math.min(BACKOFF_MS_MAX, BACKOFF_MS_MIN * 2 ** Math.min(attempts, 16));
  return BACKOFF_MS_MIN / 2 + unit * (limit - BACKOFF_MS_MIN / 2);
}

/** Whether it is of the far end rather than of this change: then no other ticket is tried meanwhile either. */
export function concernsAll(failure: AdapterFailure): boolean {
  return failure.kind !== "refused";
}

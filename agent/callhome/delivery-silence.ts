/**
 * When silence itself is told: nothing was delivered for minutes while something waits, and once a day that all is well.
 *
 * Raised once for each silence, and once more when it ends; the event that tells of it is queued like any other, and goes by
 * every path. The heartbeat needs no error: whoever misses it knows that this node cannot call home at all.
 */
import type { DeliveryTiming } from "./delivery-events.ts";
import { nameOf } from "./delivery-sending.ts";
import type { DeliveryState } from "./delivery-state.ts";

export class Silence {
  readonly #timing: DeliveryTiming;
  #raisedMs: number | null = null;
  /** null before the first step. */
  #heartbeatMs: number | null = null;

  constructor(timing: DeliveryTiming) {
    this.#timing = timing;
  }

  get isRaised(): boolean {
    return this.#raisedMs !== null;
  }

  step(state: DeliveryState): void {
    this.#tellSilence(state);
    this.#beat(state);
  }

  dueMs(state: DeliveryState): number {
    const since = this.#raisedMs === null ? sinceMs(state) : null;
    const silence = since === null ? Number.POSITIVE_INFINITY : since + this.#timing.silenceMs;
    return Math.min(silence, this.#heartbeatMs ?? Number.POSITIVE_INFINITY);
  }

  #tellSilence(state: DeliveryState): void {
    const waitingCount = state.events.size;
    if (this.#raisedMs !== null) {
      const { deliveredMs } = state;
      if (deliveredMs === null || deliveredMs < this.#raisedMs) return;
      const silentMs = deliveredMs - this.#raisedMs + this.#timing.silenceMs;
      this.#raisedMs = null;
      state.emit({ kind: "raise", raised: { what: "calls-home-again", silentMs, waitingCount } });
      return;
    }
    const since = sinceMs(state);
    if (since === null || state.nowMs - since < this.#timing.silenceMs) return;
    this.#raisedMs = state.nowMs;
    const paths = state.paths.all().map((path) => {
      const { why } = path.report(state.nowMs);
      return `${nameOf(path.path)}: ${why}`;
    });
    const silentMs = state.nowMs - since;
    const raised = { what: "cannot-call-home", silentMs, waitingCount, paths } as const;
    state.emit({ kind: "raise", raised });
  }

  #beat(state: DeliveryState): void {
    const { heartbeatMs, heartbeatAgoMs } = this.#timing;
    if (heartbeatMs === null) return;
    this.#heartbeatMs ??= state.nowMs + Math.max(0, heartbeatMs - heartbeatAgoMs);
    if (state.nowMs < this.#heartbeatMs) return;
    this.#heartbeatMs = state.nowMs + heartbeatMs;
    const waitingCount = state.events.size;
    const deliveredCount = state.counts.delivered;
    state.emit({ kind: "raise", raised: { what: "heartbeat", waitingCount, deliveredCount } });
  }
}

/** Since when nothing is delivered though something is open; null: nothing is open. */
function sinceMs({ openSinceMs, deliveredMs }: DeliveryState): number | null {
  if (openSinceMs === null) return null;
  return Math.max(openSinceMs, deliveredMs ?? openSinceMs);
}

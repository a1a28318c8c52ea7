/**
 * How many requests are outstanding at once, and how long an answer is waited for.
 *
 * The window starts at 1: nothing is known of the BMC. It grows by one with each clean reply while the BMC keeps up, that is
 * while round trips do not show that requests merely wait in a queue over there. The first trouble (an answer that does
 * not come, or "node busy") with more than one outstanding sets it back to 1. Whose fault it was is told from what came
 * before: a BMC that cannot do it fails as soon as it is tried, a network loses one packet among many. So trouble within
 * `PROOF_REPLIES` concurrent replies halves the ceiling, and a BMC that fails so with two outstanding, twice, is asked one by
 * one for good.
 *
 * Timeouts are those of RFC 6298: smoothed round trip and four times its deviation, doubled with each resend; a round trip of
 * a request that was sent twice is not measured, since it is unknown which of them was answered.
 */

/** Concurrent replies after which a loss is the network's, not the BMC's. */
const PROOF_REPLIES = 64;
/** Clean replies one by one after which a BMC that failed with two is given another try. */
const RETRIAL_REPLIES = 256;
/** Failures with two or three outstanding after which there is no further trial. */
const STRIKES_MAX = 2;
/** No answer that was passed by is given up sooner. */
const PASSED_MS_MIN = 20;
/** Requests that may wait in the BMC's queue before the window stops to grow. */
const QUEUED_MAX = 16;

export interface WindowOptions {
  /** At most half of the 64 sequence numbers, so that one is not used again while a late reply may come. */
  readonly windowMax: number;
  /** Until a round trip was measured. */
  readonly firstTimeoutMs: number;
  readonly timeoutMsMin: number;
  readonly timeoutMsMax: number;
}

export class AdaptiveWindow {
  readonly #options: WindowOptions;
  #size = 1;
  #ceiling: number;
  #threshold: number;
  #strikes = 0;
  /** Clean replies since the last trouble: of those with more than one outstanding, and of all. */
  #cleanConcurrent = 0;
  #clean = 0;
  #troubleMs = Number.NEGATIVE_INFINITY;
  #smoothedMs: number | null = null;
  #deviationMs = 0;
  #fastestMs = Number.POSITIVE_INFINITY;

  constructor(options: WindowOptions) {
    this.#options = options;
    this.#ceiling = options.windowMax;
    this.#threshold = options.windowMax;
  }

  /** Whole, at least 1. */
  get size(): number {
    return Math.floor(this.#size);
  }

  get smoothedMs(): number | null {
    return this.#smoothedMs;
  }

  /** How long the answer to a send is waited for; `sends` counts it, from 1. */
  timeoutMs(sends: number): number {
    const { firstTimeoutMs, timeoutMsMin, timeoutMsMax } = this.#options;
    const base =
      this.#smoothedMs === null
        ? firstTimeoutMs
        : Math.max(timeoutMsMin, this.#smoothedMs + 4 * this.#deviationMs);
    return Math.min(timeoutMsMax, base * 2 ** (sends - 1));
  }

  /** The same for a first send that later ones were answered before: those show how fast the BMC is, so no floor is needed. */
  passedTimeoutMs(): number {
    if (this.#smoothedMs === null) return this.timeoutMs(1);
    const tripMs = Math.max(PASSED_MS_MIN, 2 * this.#smoothedMs + 4 * this.#deviationMs);
    return Math.min(this.timeoutMs(1), tripMs);
  }

  /**
   * A reply came. `tripMs` is null where it cannot be measured; `outstanding` counts the one that was answered. `isPassing`: an
   * earlier one is still missing, which may turn out to be the first trouble, so the window does not grow on it.
   */
  onReply(tripMs: number | null, outstanding: number, isPassing: boolean): void {
    if (tripMs !== null) this.#measure(tripMs);
    this.#clean++;
    if (outstanding > 1) this.#cleanConcurrent++;
    if (this.#ceiling === 1) {
      if (this.#strikes >= STRIKES_MAX || this.#clean < RETRIAL_REPLIES) return;
      this.#ceiling = 2;
      this.#clean = 0;
    }
    // A window that is not filled says nothing about what the BMC bears.
    if (outstanding < this.size || isPassing || this.#isQueueing()) return;
    const growth = this.#size < this.#threshold ? 1 : 1 / this.#size;
    this.#size = Math.min(this.#ceiling, this.#size + growth);
  }

  /**
   * The answer to a request sent at `sentMs` did not come in time, or was "node busy". What was sent before the last trouble
   * was known belongs to that one: it is counted once.
   */
  onTrouble(sentMs: number, nowMs: number): void {
    const { size } = this;
    if (size === 1 || sentMs <= this.#troubleMs) return;
    this.#troubleMs = nowMs;
    if (this.#cleanConcurrent < PROOF_REPLIES) {
      this.#ceiling = Math.max(1, size >> 1);
      if (this.#ceiling === 1) this.#strikes++;
    }
    this.#threshold = Math.max(2, size >> 1);
    this.#size = 1;
    this.#clean = 0;
    this.#cleanConcurrent = 0;
  }

  #measure(tripMs: number): void {
    this.#fastestMs = Math.min(this.#fastestMs, tripMs);
    if (this.#smoothedMs === null) {
      this.#smoothedMs = tripMs;
      this.#deviationMs = tripMs / 2;
      return;
    }
    this.#deviationMs += (Math.abs(this.#smoothedMs - tripMs) - this.#deviationMs) / 4;
    this.#smoothedMs += (tripMs - this.#smoothedMs) / 8;
  }

  /** Little's law: of the requests outstanding, those that the shortest round trip does not explain stand in a queue. */
  #isQueueing(): boolean {
    if (this.#smoothedMs === null || this.#smoothedMs <= 0) return false;
    return this.#size * (1 - this.#fastestMs / this.#smoothedMs) > QUEUED_MAX;
  }
}

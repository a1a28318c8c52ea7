/**
 * The 64 sequence numbers of messages: which may be used next.
 *
 * A number in use is given to nobody else. One that was released may have to rest, as long as a late answer to its request can
 * still come; of those that may be used, the one released longest ago is taken, so that a number comes back as late as it can.
 */
import { SEQUENCE_COUNT } from "../message.ts";

export class SequenceNumbers {
  readonly #inUse: boolean[] = new Array<boolean>(SEQUENCE_COUNT).fill(false);
  readonly #restsUntilMs: number[] = new Array<number>(SEQUENCE_COUNT).fill(0);
  /** When each was released last, counted in releases. */
  readonly #releases: number[] = new Array<number>(SEQUENCE_COUNT).fill(0);
  #releaseCount = 0;

  /** When one that rests now may be used; infinite where all are in use. O(64). */
  get restedMs(): number {
    return this.#restsUntilMs.reduce(
      (min, untilMs, sequence) => (this.#inUse[sequence] === true ? min : Math.min(min, untilMs)),
      Number.POSITIVE_INFINITY,
    );
  }

  /** null: all are in use or rest. O(64). */
  take(nowMs: number): number | null {
    let oldest: number | null = null;
    let oldestRelease = Number.POSITIVE_INFINITY;
    for (let sequence = 0; sequence < SEQUENCE_COUNT; sequence++) {
      const isFree =
        this.#inUse[sequence] === false && (this.#restsUntilMs[sequence] as number) <= nowMs;
      const release = this.#releases[sequence] as number;
      if (!isFree || release >= oldestRelease) continue;
      oldest = sequence;
      oldestRelease = release;
    }
    if (oldest !== null) this.#inUse[oldest] = true;
    return oldest;
  }

  /** `restsUntilMs` in the past: it need not rest. */
  release(sequence: number, restsUntilMs: number): void {
    this.#inUse[sequence] = false;
    this.#restsUntilMs[sequence] = Math.max(this.#restsUntilMs[sequence] as number, restsUntilMs);
    this.#releases[sequence] = ++this.#releaseCount;
  }
}

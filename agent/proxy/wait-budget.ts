/**
 * How long is it worth to spin before sleeping? Learned, on each side for itself.
 *
 * With a processor to spare an answer comes within a microsecond and sleeping would cost ten times as much. With more
 * processes than processors spinning takes time from the very process that is waited for. So spinning is tried, kept up while it
 * finds something, and cut to a quarter when it does not; now and then a short try finds out whether that has changed.
 */

/** About what sleeping and waking cost, 20 µs: then a wait costs at most twice what the better choice would have. */
export const SPINS_MAX = 2048;
const SPINS_TRY = 256;
const WAITS_BETWEEN_TRIES = 32;

export class WaitBudget {
  #spins: number;
  readonly #isAllowed: boolean;
  #sleepCount = 0;

  /** Of the machine, whatever this process may use of it. With a single one spinning can never help. */
  constructor(processorCount: number) {
    this.#isAllowed = processorCount > 1;
    this.#spins = this.#isAllowed ? SPINS_MAX : 0;
  }

  /** How many times to look before sleeping. */
  get spins(): number {
    return this.#spins;
  }

  onFound(): void {
    if (this.#isAllowed && this.#spins < SPINS_MAX) {
      this.#spins = Math.min(SPINS_MAX, Math.max(SPINS_TRY, this.#spins * 2));
    }
  }

  onSleep(): void {
    if (!this.#isAllowed) return;
    this.#sleepCount++;
    this.#spins >>= 2;
    if (this.#spins < SPINS_TRY) {
      this.#spins = this.#sleepCount % WAITS_BETWEEN_TRIES === 0 ? SPINS_TRY : 0;
    }
  }
}

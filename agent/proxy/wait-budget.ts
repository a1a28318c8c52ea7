/**
 * How long is it worth to spin before sleeping? Learned, on each side for itself.
 *
 * With a processor to spare an answer comes within a microsecond and sleeping would cost ten times as much. With more
 * processes than processors spinning takes time from the very process that is waited for. So spinning is tried, kept up while it
 * finds something, and halved when it does not; now and then a short try finds out whether that has changed.
 */
export const SPINS_MAX = 4096;
const SPINS_TRY = 256;
const WAITS_BETWEEN_TRIES = 32;

export class WaitBudget {
  #spins: number;
  readonly #isAllowed: boolean;
  #sleepCount = 0;

  /** With one processor spinning can never help. */
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
    this.#spins >>= 1;
    if (this.#spins < SPINS_TRY) {
      this.#spins = this.#sleepCount % WAITS_BETWEEN_TRIES === 0 ? SPINS_TRY : 0;
    }
  }
}

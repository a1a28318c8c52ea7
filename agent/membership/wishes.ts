/**
 * Wishes for a next epoch: kept until any newer view comes, told to whoever is first in line until then.
 *
 * Invariant: at most WISHES_MAX, no two alike. The resending has no end but a pace: it slows down to eight times its first gap.
 */
import type { MembershipTiming } from "./timing.ts";

const WISHES_MAX = 16;
const WISH_CHARS_MAX = 200;
const SLOWEST = 8;

export class Wishes {
  readonly #timing: MembershipTiming;
  #reasons: string[] = [];
  #sendMs: number = Number.POSITIVE_INFINITY;
  #gapMs = 0;

  constructor(timing: MembershipTiming) {
    this.#timing = timing;
  }

  reasons(): readonly string[] {
    return this.#reasons;
  }

  /** Another's, told to us. */
  add(reason: string): void {
    const text = reason.slice(0, WISH_CHARS_MAX);
    if (this.#reasons.includes(text) || this.#reasons.length >= WISHES_MAX) return;
    this.#reasons.push(text);
  }

  addOwn(reason: string, now: number): void {
    this.add(reason);
    this.#gapMs = this.#timing.resendMs;
    this.#sendMs = now;
  }

  /** Any newer view fulfils them all. */
  clear(): void {
    this.#reasons = [];
    this.#sendMs = Number.POSITIVE_INFINITY;
  }

  dueMs(): number {
    return this.#sendMs;
  }

  /** True when it is time to tell them (again). */
  isTime(now: number): boolean {
    if (now < this.#sendMs) return false;
    this.#gapMs = Math.min(this.#gapMs * 2, this.#timing.resendMs * SLOWEST);
    this.#sendMs = now + this.#gapMs;
    return true;
  }
}

/**
 * How often somebody may ask: a token bucket for each of them, in bounded memory.
 *
 * A bucket holds at most `burst` tokens, gains `perSecond` of them each second, and a request takes one. Buckets are kept for
 * `CALLERS_MAX` callers, the one that asked longest ago goes first. Whoever is forgotten starts with a full bucket, so a crowd
 * of that many may be let through too often, and nobody is ever held up by the crowd.
 */
export interface RateLimits {
  readonly perSecond: number;
  /** So many at once after a pause. At least 1. */
  readonly burst: number;
}

export const CALLERS_MAX = 4096;

interface Bucket {
  tokens: number;
  atMs: number;
}

export class TokenBuckets {
  readonly #limits: RateLimits;
  readonly #callersMax: number;
  /** Invariant: in the order of their last request. */
  readonly #buckets = new Map<string, Bucket>();

  constructor(limits: RateLimits, callersMax: number = CALLERS_MAX) {
    this.#limits = limits;
    this.#callersMax = callersMax;
  }

  /** 0: it may go on. Else how long until it may ask again. O(1). */
  take(caller: string, nowMs: number): number {
    const { perSecond, burst } = this.#limits;
    const known = this.#buckets.get(caller);
    const bucket = known ?? { tokens: burst, atMs: nowMs };
    // A clock that goes back gives nothing and takes nothing.
    const gained = (Math.max(0, nowMs - bucket.atMs) * perSecond) / 1000;
    bucket.tokens = Math.min(burst, bucket.tokens + gained);
    bucket.atMs = nowMs;
    this.#buckets.delete(caller);
    this.#buckets.set(caller, bucket);
    if (known === undefined) this.#forgetOldest();
    if (bucket.tokens >= 1) {
      bucket.tokens -= 1;
      return 0;
    }
    return Math.ceil(((1 - bucket.tokens) * 1000) / perSecond);
  }

  get callerCount(): number {
    return this.#buckets.size;
  }

  #forgetOldest(): void {
    if (this.#buckets.size <= this.#callersMax) return;
    const oldest = this.#buckets.keys().next();
    if (oldest.done !== true) this.#buckets.delete(oldest.value);
  }
}

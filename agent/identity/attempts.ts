/**
 * How often one address may knock: a bucket of tokens each, filled at a steady rate. What one address does costs no other one
 * its turn.
 *
 * Bounded: addresses whose bucket is full again are forgotten first, then the ones not seen longest, so that an attacker with
 * many addresses empties nobody's bucket but, at worst, fills somebody's.
 */
export interface AttemptLimits {
  /** At once. */
  readonly burst: number;
  readonly perSecond: number;
  readonly addressesMax: number;
}

interface Bucket {
  tokens: number;
  atMs: number;
}

export class Attempts {
  readonly #limits: AttemptLimits;
  /** In order of last use. */
  readonly #buckets = new Map<string, Bucket>();

  constructor(limits: AttemptLimits) {
    this.#limits = limits;
  }

  get addressCount(): number {
    return this.#buckets.size;
  }

  /** 0: it may; otherwise in how many milliseconds it may ask again. */
  waitMs(address: string, nowMs: number): number {
    const { burst, perSecond } = this.#limits;
    const known = this.#buckets.get(address);
    const tokens = known === undefined ? burst : this.#filled(known, nowMs);
    this.#buckets.delete(address);
    this.#makeRoom(nowMs);
    const isAllowed = tokens >= 1;
    this.#buckets.set(address, { tokens: isAllowed ? tokens - 1 : tokens, atMs: nowMs });
    return isAllowed ? 0 : Math.ceil(((1 - tokens) / perSecond) * 1_000);
  }

  #filled({ tokens, atMs }: Bucket, nowMs: number): number {
    const { burst, perSecond } = this.#limits;
    return Math.min(burst, tokens + (Math.max(0, nowMs - atMs) / 1_000) * perSecond);
  }

  /** Buckets that are full lie in front, since they were not used for long: amortised O(1). */
  #makeRoom(nowMs: number): void {
    for (const [address, bucket] of this.#buckets) {
      const isFull = this.#filled(bucket, nowMs) >= this.#limits.burst;
      if (!isFull && this.#buckets.size < this.#limits.addressesMax) return;
      this.#buckets.delete(address);
    }
  }
}

/**
 * Seeded random numbers for code that decides: xoshiro128** (Blackman and Vigna 2018), state from SplitMix32.
 *
 * Decision code never reads a random source of the machine; it is given one of these. The agent seeds it from the
 * machine once at start, the simulator from the history's seed. Not for secrets.
 */
export interface Prng {
  /** Uniform in 0 … 2^32 − 1. */
  u32(): number;
  /** Uniform in 0 … bound − 1; `bound` is 1 … 2^32. */
  below(bound: number): number;
  /** Uniform in [0, 1). */
  unit(): number;
  /** A generator of its own, so that one more call here does not reshuffle what comes from there. */
  fork(label: string): Prng;
}

function splitMix32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
    z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
    return (z ^ (z >>> 16)) >>> 0;
  };
}

function rotateLeft(x: number, k: number): number {
  return ((x << k) | (x >>> (32 - k))) >>> 0;
}

export function prng(seed: number): Prng {
  const mix = splitMix32(seed);
  let s0 = mix();
  let s1 = mix();
  let s2 = mix();
  let s3 = mix();
  const u32 = (): number => {
    const result = Math.imul(rotateLeft(Math.imul(s1, 5) >>> 0, 7), 9) >>> 0;
    const t = (s1 << 9) >>> 0;
    s2 = (s2 ^ s0) >>> 0;
    s3 = (s3 ^ s1) >>> 0;
    s1 = (s1 ^ s2) >>> 0;
    s0 = (s0 ^ s3) >>> 0;
    s2 = (s2 ^ t) >>> 0;
    s3 = rotateLeft(s3, 11);
    return result;
  };
  return {
    u32,
    // The bias of a multiply without rejection is below bound / 2^32: nothing here could notice it.
    below: (bound) => Math.floor((u32() / 4_294_967_296) * bound),
    unit: () => u32() / 4_294_967_296,
    fork: (label) => {
      let hash = seed >>> 0;
      for (let i = 0; i < label.length; i++) {
        hash = Math.imul(hash ^ label.charCodeAt(i), 0x01000193) >>> 0;
      }
      return prng(hash);
    },
  };
}

/**
 * The machine's clock and its random source.
 *
 * `nowMs` does not jump when an administrator sets the time. `after` is an ordinary timer: a stalled process fires late, so
 * whoever decides looks at `nowMs` and never assumes that a timer was on time.
 */
import type { Clock } from "../clock.ts";

export function realClock(): Clock {
  return {
    nowMs: () => performance.now(),
    wallMs: () => Date.now(),
    after: (delayMs, run) => {
      const timer = setTimeout(run, delayMs);
      return { end: () => clearTimeout(timer) };
    },
  };
}

/** A seed for the generator that decision code is given. */
export function randomSeed(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;
}

/** `bytes` random bytes as hexadecimal digits: instances, tokens, job ids. */
export function randomHex(bytes: number): string {
  return Buffer.from(crypto.getRandomValues(new Uint8Array(bytes))).toString("hex");
}

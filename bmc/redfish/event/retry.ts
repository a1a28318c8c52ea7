/**
 * When a service that failed is tried again: soon and then less often; slowly where trying does harm.
 *
 * A wrong password locks accounts, and a certificate does not become trusted by asking: those are tried once a minute.
 */
import type { BmcError, BmcErrorKind } from "../../bmc-error.ts";

const FIRST_MS = 500;
const MAX_MS = 30_000;
const SLOW_MS = 60_000;
const SLOW_KINDS: readonly BmcErrorKind[] = [
  "wrong-password",
  "privilege-too-low",
  "untrusted",
  "no-password",
  "unsupported",
];

export class Retry {
  #failures = 0;
  #atMs = 0;

  /** Not before this time. */
  get atMs(): number {
    return this.#atMs;
  }

  /** Whether it is the first failure in a row. */
  fail(error: BmcError, nowMs: number): boolean {
    const waitMs = SLOW_KINDS.includes(error.kind)
      ? SLOW_MS
      : Math.min(MAX_MS, FIRST_MS * 2 ** Math.min(10, this.#failures));
    this.#atMs = nowMs + waitMs;
    return this.#failures++ === 0;
  }

  /** Whether it had failed before. */
  succeed(): boolean {
    const hadFailed = this.#failures > 0;
    this.#failures = 0;
    this.#atMs = 0;
    return hadFailed;
  }
}

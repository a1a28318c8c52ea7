/**
 * How long a member stays suspected before the verdict (Lifeguard's dynamic suspicion).
 *
 *   timeout = max − (max − min) · ln(c + 1) / ln(k + 1), not below min
 *
 * c counts independent confirmations beyond the first accuser, k is how many are expected. One accuser alone waits long,
 * several that agree need not. In a cluster too small to give k confirmations, k is what it can give.
 */
import type { NodeId } from "./membership.ts";
import type { MembershipTiming } from "./timing.ts";

export class Suspicion {
  #startedMs: number;
  readonly #minMs: number;
  readonly #maxMs: number;
  readonly #confirmationsWanted: number;
  readonly #accusers: NodeId[];
  #postponedMs = 0;

  /** `aliveCount` counts the suspect and this node. */
  constructor(timing: MembershipTiming, aliveCount: number, accuser: NodeId, now: number) {
    const scale = Math.max(1, Math.log10(Math.max(1, aliveCount)));
    this.#minMs = timing.suspicionMultiplier * scale * timing.probeIntervalMs;
    this.#maxMs = timing.suspicionMaxMultiplier * this.#minMs;
    this.#confirmationsWanted = Math.max(
      0,
      Math.min(timing.suspicionConfirmations, aliveCount - 2),
    );
    this.#accusers = [accuser];
    this.#startedMs = now;
  }

  /** True when this is news: an accuser not heard before, and still wanted. */
  confirm(accuser: NodeId): boolean {
    if (this.#accusers.length > this.#confirmationsWanted) return false;
    if (this.#accusers.includes(accuser)) return false;
    this.#accusers.push(accuser);
    return true;
  }

  /** After the observer itself was held up: what it counted until now is worth nothing. */
  restart(now: number): void {
    this.#startedMs = now;
    this.#postponedMs = 0;
    this.#accusers.length = 1;
  }

  accusers(): readonly NodeId[] {
    return this.#accusers;
  }

  startedMs(): number {
    return this.#startedMs;
  }

  /** No verdict before `untilMs`: the evidence at hand does not bear one. */
  postpone(untilMs: number): void {
    this.#postponedMs = Math.max(this.#postponedMs, untilMs);
  }

  verdictMs(): number {
    return Math.max(this.#postponedMs, this.#timeoutMs());
  }

  #timeoutMs(): number {
    const confirmations = this.#accusers.length - 1;
    const wanted = this.#confirmationsWanted;
    if (confirmations >= wanted) return this.#startedMs + this.#minMs;
    const share = Math.log(confirmations + 1) / Math.log(wanted + 1);
    return (
      this.#startedMs + Math.max(this.#minMs, this.#maxMs - (this.#maxMs - this.#minMs) * share)
    );
  }

  endMs(): number {
    return this.#startedMs + this.#maxMs;
  }
}

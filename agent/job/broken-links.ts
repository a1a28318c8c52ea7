/**
 * Connections between proxies that closed: when such a hint has to be taken for a fault.
 *
 * Mostly the peer's node is gone, and membership says so within a second; its new epoch makes the hint void. When nothing
 * came of it for longer than that, both nodes live and only the connection is broken: what was under way on it is lost,
 * and no call of the programs that waits for it would ever return.
 */
import type { NodeId } from "../membership/membership.ts";

/** Longer than membership takes for a verdict about a silent host, shorter than a user's patience. */
const FAULT_AFTER_MS = 2_000;

export interface BrokenLink {
  readonly proxy: number;
  readonly peer: NodeId;
  readonly faultAtMs: number;
}

export class BrokenLinks {
  #links: readonly BrokenLink[] = [];

  get dueMs(): number {
    return this.#links[0]?.faultAtMs ?? Number.POSITIVE_INFINITY;
  }

  /** The first one of a proxy counts. */
  add(proxy: number, peer: NodeId, nowMs: number): void {
    if (this.#links.some((link) => link.proxy === proxy)) return;
    this.#links = [...this.#links, { proxy, peer, faultAtMs: nowMs + FAULT_AFTER_MS }];
  }

  /** Those that are faults by now; they are forgotten here. */
  take(nowMs: number): readonly BrokenLink[] {
    const due = this.#links.filter((link) => link.faultAtMs <= nowMs);
    if (due.length > 0) this.#links = this.#links.filter((link) => link.faultAtMs > nowMs);
    return due;
  }
}

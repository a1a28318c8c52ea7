/**
 * What one manager holds for relay, and in which order it goes: the gravest first, of equally grave ones the oldest.
 *
 * An item is waiting, being asked about, or under way. Invariant: it is in exactly one of these, and known by its id once.
 */
import type { RelayItem } from "./relay-events.ts";

export interface HeldItem extends RelayItem {
  /** How often it was turned away. */
  failures: number;
  /** It may have been taken by a request that failed. */
  wasSent: boolean;
  /** When the destination was last known not to have it; -Infinity: never asked. */
  checkedMs: number;
  /** Not before; of one that was turned away. */
  dueMs: number;
  isNoted: boolean;
}

const RANKS = 5;

export class RelayQueue {
  readonly #held = new Map<string, HeldItem>();
  /** Waiting ones by rank, sorted by number but for `#unsorted`. */
  readonly #waiting: HeldItem[][] = Array.from({ length: RANKS }, () => []);
  readonly #unsorted = new Set<number>();
  #waitingCount = 0;

  get held(): number {
    return this.#held.size;
  }

  get waiting(): number {
    return this.#waitingCount;
  }

  /** False: it is held already. */
  add(item: RelayItem, checkedMs: number, dueMs: number): boolean {
    if (this.#held.has(item.id)) return false;
    const held = { ...item, failures: 0, wasSent: false, checkedMs, dueMs, isNoted: false };
    this.#held.set(item.id, held);
    this.wait(held);
    return true;
  }

  get(id: string): HeldItem | null {
    return this.#held.get(id) ?? null;
  }

  /** Back to the others, after it was taken. */
  wait(item: HeldItem): void {
    const rank = Math.min(RANKS - 1, Math.max(0, item.rank));
    const list = this.#waiting[rank];
    if (list === undefined) return;
    const last = list.at(-1);
    if (last !== undefined && last.seq > item.seq) this.#unsorted.add(rank);
    list.push(item);
    this.#waitingCount++;
  }

  /** At most `countMax` that are due and pass; they are no longer waiting. O(waiting). */
  take(
    countMax: number,
    nowMs: number,
    isWanted: (item: HeldItem) => boolean,
  ): readonly HeldItem[] {
    const taken: HeldItem[] = [];
    for (let rank = RANKS - 1; rank >= 0 && taken.length < countMax; rank--) {
      const list = this.#waiting[rank];
      if (list === undefined || list.length === 0) continue;
      if (this.#unsorted.delete(rank)) list.sort((a, b) => a.seq - b.seq);
      const rest: HeldItem[] = [];
      for (const item of list) {
        const isTaken = taken.length < countMax && item.dueMs <= nowMs && isWanted(item);
        (isTaken ? taken : rest).push(item);
      }
      this.#waiting[rank] = rest;
    }
    this.#waitingCount -= taken.length;
    return taken;
  }

  /** That one, if it waits; it is no longer waiting. */
  takeThis(item: HeldItem | undefined): readonly HeldItem[] {
    if (item === undefined) return [];
    const list = this.#waiting[Math.min(RANKS - 1, Math.max(0, item.rank))];
    const index = list?.indexOf(item) ?? -1;
    if (index === -1) return [];
    list?.splice(index, 1);
    this.#waitingCount--;
    return [item];
  }

  /** Forgets it, wherever it is. */
  forget(id: string): void {
    this.takeThis(this.#held.get(id));
    this.#held.delete(id);
  }

  /** Every waiting one is forgotten. */
  dropWaiting(): readonly HeldItem[] {
    const dropped = this.#waiting.flat();
    for (const { id } of dropped) this.#held.delete(id);
    for (const list of this.#waiting) list.length = 0;
    this.#unsorted.clear();
    this.#waitingCount = 0;
    return dropped;
  }

  /** When the next that was turned away is due, after `nowMs`; Infinity: none. O(waiting). */
  nextDueMs(nowMs: number): number {
    let due = Number.POSITIVE_INFINITY;
    for (const list of this.#waiting) {
      for (const item of list) if (item.dueMs > nowMs && item.dueMs < due) due = item.dueMs;
    }
    return due;
  }
}

/**
 * Things that are due at some time, the earliest first; each at most once, and taken out in O(log n) when it is settled.
 *
 * A binary heap whose members know their place in it, so that an event whose receipt came does not lie about until its time.
 */
import { assert } from "../../core/assert.ts";

export interface Due {
  dueMs: number;
  /** Place in the heap; −1: not in it. Only the heap writes it. */
  dueIndex: number;
}

export class DueHeap<T extends Due> {
  readonly #heap: T[] = [];

  get size(): number {
    return this.#heap.length;
  }

  /** Infinity: nothing is. */
  dueMs(): number {
    return this.#heap[0]?.dueMs ?? Number.POSITIVE_INFINITY;
  }

  /** Replaces an earlier time of the same thing. */
  set(item: T, dueMs: number): void {
    this.remove(item);
    item.dueMs = dueMs;
    item.dueIndex = this.#heap.length;
    this.#heap.push(item);
    this.#rise(item.dueIndex);
  }

  remove(item: T): void {
    const at = item.dueIndex;
    if (at < 0) return;
    assert(this.#heap[at] === item, "a thing is where it says");
    item.dueIndex = -1;
    const last = this.#heap.pop();
    if (last === undefined || last === item) return;
    this.#put(last, at);
    this.#rise(at);
    this.#sink(last.dueIndex);
  }

  /** The earliest, taken out, when its time has come. */
  take(nowMs: number): T | null {
    const top = this.#heap[0];
    if (top === undefined || top.dueMs > nowMs) return null;
    this.remove(top);
    return top;
  }

  #put(item: T, at: number): void {
    this.#heap[at] = item;
    item.dueIndex = at;
  }

  #rise(from: number): void {
    const item = this.#heap[from];
    let at = from;
    while (item !== undefined && at > 0) {
      const above = (at - 1) >> 1;
      const parent = this.#heap[above];
      if (parent === undefined || parent.dueMs <= item.dueMs) break;
      this.#put(parent, at);
      this.#put(item, above);
      at = above;
    }
  }

  #sink(from: number): void {
    const item = this.#heap[from];
    let at = from;
    while (item !== undefined) {
      const left = at * 2 + 1;
      const right = left + 1;
      const isRight = (this.#heap[right]?.dueMs ?? Number.POSITIVE_INFINITY) < this.#dueAt(left);
      const child = this.#heap[isRight ? right : left];
      if (child === undefined || child.dueMs >= item.dueMs) break;
      const childAt = child.dueIndex;
      this.#put(child, at);
      this.#put(item, childAt);
      at = childAt;
    }
  }

  #dueAt(index: number): number {
    return this.#heap[index]?.dueMs ?? Number.POSITIVE_INFINITY;
  }
}

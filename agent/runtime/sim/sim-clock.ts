/**
 * Virtual time: one heap of (dueMs, sequence) for a whole simulated cluster, and clocks of nodes that are wrong in their own way.
 *
 * Events at the same instant run in the order they were scheduled, so the order is total and a history replays exactly.
 * Nothing here reads a real clock.
 */
import { assert } from "../../../core/assert.ts";
import type { Clock, Timer } from "../clock.ts";

interface Entry extends Timer {
  readonly dueMs: number;
  readonly sequence: number;
  run: (() => void) | null;
}

function isBefore(a: Entry, b: Entry): boolean {
  return a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.sequence < b.sequence);
}

class Scheduled implements Entry {
  readonly dueMs: number;
  readonly sequence: number;
  run: (() => void) | null;

  constructor(dueMs: number, sequence: number, run: () => void) {
    this.dueMs = dueMs;
    this.sequence = sequence;
    this.run = run;
  }

  /** An ended entry stays in the heap until it comes up; that is cheaper than taking it out of the middle. */
  end(): void {
    this.run = null;
  }
}

export class SimTime {
  #nowMs = 0;
  #sequence = 0;
  readonly #heap: Entry[] = [];

  nowMs(): number {
    return this.#nowMs;
  }

  /** Events that were scheduled so far; a measure of work. */
  scheduledCount(): number {
    return this.#sequence;
  }

  waitingCount(): number {
    return this.#heap.length;
  }

  /** A time that has passed means: as soon as possible, after what is already due. */
  at(dueMs: number, run: () => void): Timer {
    assert(!Number.isNaN(dueMs), "a due time is a number");
    const entry = new Scheduled(Math.max(dueMs, this.#nowMs), this.#sequence++, run);
    this.#push(entry);
    return entry;
  }

  after(delayMs: number, run: () => void): Timer {
    return this.at(this.#nowMs + delayMs, run);
  }

  /** Runs the next event, unless it lies after `limitMs`: then time moves to the limit and false is returned. */
  step(limitMs: number): boolean {
    for (;;) {
      const top = this.#heap[0];
      if (top === undefined || top.dueMs > limitMs) {
        if (limitMs > this.#nowMs) this.#nowMs = limitMs;
        return false;
      }
      this.#pop();
      if (top.run === null) continue;
      this.#nowMs = top.dueMs;
      top.run();
      return true;
    }
  }

  #push(entry: Entry): void {
    const heap = this.#heap;
    let index = heap.length;
    while (index > 0) {
      const above = (index - 1) >> 1;
      const parent = heap[above] as Entry;
      if (!isBefore(entry, parent)) break;
      heap[index] = parent;
      index = above;
    }
    heap[index] = entry;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop() as Entry;
    const count = heap.length;
    if (count === 0) return;
    let index = 0;
    for (;;) {
      let child = index * 2 + 1;
      if (child >= count) break;
      const right = child + 1;
      if (right < count && isBefore(heap[right] as Entry, heap[child] as Entry)) child = right;
      const candidate = heap[child] as Entry;
      if (!isBefore(candidate, last)) break;
      heap[index] = candidate;
      index = child;
    }
    heap[index] = last;
  }
}

export interface SimClockOptions {
  /** What the node's monotonic clock shows at time 0 of the simulation. */
  readonly startMs: number;
  /** 1 runs true; 1.001 gains a millisecond a second. */
  readonly rate: number;
  /** What the node believes the wall clock shows at time 0. */
  readonly wallStartMs: number;
}

/** One node's clock over the common virtual time. */
export class SimClock implements Clock {
  readonly #time: SimTime;
  readonly #options: SimClockOptions;

  constructor(time: SimTime, options: SimClockOptions) {
    assert(options.rate > 0, "a clock runs forward");
    this.#time = time;
    this.#options = options;
  }

  nowMs(): number {
    return this.#options.startMs + this.#time.nowMs() * this.#options.rate;
  }

  wallMs(): number {
    return this.#options.wallStartMs + this.#time.nowMs() * this.#options.rate;
  }

  after(delayMs: number, run: () => void): Timer {
    return this.#time.after(delayMs / this.#options.rate, run);
  }

  /** When, in virtual time, this clock will show `localMs`. */
  trueMs(localMs: number): number {
    return (localMs - this.#options.startMs) / this.#options.rate;
  }
}

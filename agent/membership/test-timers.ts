/**
 * Virtual time for the tests of this room: a heap of things to do, in the order of their time, then of their making. The order
 * is total, so a history depends on its seed alone.
 */
interface Timer {
  readonly atMs: number;
  readonly order: number;
  readonly act: () => void;
}

function isBefore(a: Timer, b: Timer): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}

export class Timers {
  readonly #heap: Timer[] = [];
  #order = 0;

  dueMs(): number {
    return this.#heap[0]?.atMs ?? Number.POSITIVE_INFINITY;
  }

  at(atMs: number, act: () => void): void {
    const timer = { atMs, order: this.#order++, act };
    const heap = this.#heap;
    let i = heap.push(timer) - 1;
    while (i > 0) {
      const up = (i - 1) >> 1;
      if (!isBefore(timer, heap[up] as Timer)) break;
      heap[i] = heap[up] as Timer;
      i = up;
    }
    heap[i] = timer;
  }

  runNext(): void {
    const heap = this.#heap;
    const top = heap[0];
    const last = heap.pop();
    if (top === undefined || last === undefined) return;
    if (heap.length > 0) this.#sink(last);
    top.act();
  }

  #sink(timer: Timer): void {
    const heap = this.#heap;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      const right = heap[child + 1];
      if (right !== undefined && isBefore(right, heap[child] as Timer)) child++;
      if (!isBefore(heap[child] as Timer, timer)) break;
      heap[i] = heap[child] as Timer;
      i = child;
    }
    heap[i] = timer;
  }
}

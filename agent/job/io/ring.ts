/**
 * The newest of a stream of things, each with a number that only rises, for any number of readers at their own pace.
 *
 * A reader names the last number it has seen and gets what is newer; what was pushed out of the ring meanwhile is counted, not
 * hidden. Numbers begin at `run` · 2^32, so they also rise over restarts of the agent, whose incarnation `run` is.
 */
import { assert } from "../../../core/assert.ts";
import { Waiters } from "../../runtime/waiters.ts";

export interface Numbered<Item> {
  readonly seq: number;
  readonly item: Item;
}

export interface Reading<Item> {
  readonly entries: readonly Numbered<Item>[];
  /** How many were pushed out before this reader came. */
  readonly lost: number;
}

const RUN = 2 ** 32;

interface Slot<Item> extends Numbered<Item> {
  readonly bytes: number;
}

export class Ring<Item> {
  readonly #bytesMax: number;
  #slots: Slot<Item>[] = [];
  /** Slots before it are gone; they are cut off in bulk, so that pushing stays cheap. */
  #head = 0;
  #bytes = 0;
  #nextSeq: number;
  readonly #firstSeq: number;
  readonly #waiters = new Waiters();

  constructor(bytesMax: number, run: number) {
    assert(run >= 0 && run < 2 ** 20, "run numbers fit above 32 bits of an exact number");
    this.#bytesMax = bytesMax;
    this.#nextSeq = run * RUN + 1;
    this.#firstSeq = this.#nextSeq;
  }

  push(item: Item, bytes: number): number {
    const seq = this.#nextSeq++;
    this.#slots.push({ seq, item, bytes });
    this.#bytes += bytes;
    while (this.#bytes > this.#bytesMax && this.#slots.length - this.#head > 1) {
      this.#bytes -= this.#slots[this.#head]?.bytes ?? 0;
      this.#head++;
    }
    if (this.#head > 1024 && this.#head * 2 > this.#slots.length) {
      this.#slots = this.#slots.slice(this.#head);
      this.#head = 0;
    }
    this.#waiters.wake();
    return seq;
  }

  /** O(log n + what is read), at most `countMax` entries. */
  after(seq: number, countMax: number): Reading<Item> {
    const oldest = this.#slots[this.#head]?.seq ?? this.#nextSeq;
    const from = Math.max(seq + 1, this.#firstSeq);
    const lost = Math.max(0, oldest - from);
    const start = this.#head + Math.max(0, from - oldest);
    return { entries: this.#slots.slice(start, start + countMax), lost };
  }

  /** Resolves at the next push, or when `signal` is raised. */
  changed(signal: AbortSignal): Promise<void> {
    return this.#waiters.changed(signal);
  }

  /** Wakes readers without a new entry: something they look at besides has changed. */
  touch(): void {
    this.#waiters.wake();
  }
}

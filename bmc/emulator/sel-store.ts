/**
 * The log of an emulated BMC: records in the order of their coming, the handles by which they are asked for, reservation,
 * overflow, and an erase that may take time (IPMI 2.0 §31).
 *
 * Decides what a SEL command answers, but reads no clock: seconds are given. A record is kept as its 16 bytes; a handle is
 * what a chain of Get SEL Entry uses, and equals the id inside the record unless a fault says otherwise. Invariant:
 * `#indexOf` names each handle once.
 */
import type { FaultTable } from "./faults.ts";
import type { Prng } from "./prng.ts";

export const SEL_RECORD_BYTES = 16;

/** Standing for first and last in requests, so never an id (§31.5). */
const ID_FIRST = 0x0000;
const ID_LAST = 0xffff;
/** Largest id that a record may have. */
const ID_MAX = 0xfffe;

interface Entry {
  readonly handle: number;
  readonly record: Uint8Array;
}

export interface SelInfo {
  readonly count: number;
  readonly freeBytes: number;
  readonly addSeconds: number;
  readonly eraseSeconds: number;
  readonly isOverflowed: boolean;
}

/** Before the first addition or erasure: "invalid", §37.1. */
const NEVER_SECONDS = 0xffff_ffff;

export class SelStore {
  readonly #entriesMax: number;
  readonly #faults: FaultTable;
  readonly #prng: Prng;
  #entries: Entry[] = [];
  #indexOf = new Map<number, number>();
  #lastId = 0;
  #reservation = 0;
  #isReserved = false;
  #addSeconds = NEVER_SECONDS;
  #eraseSeconds = NEVER_SECONDS;
  #isOverflowed = false;
  /** When an erase that is under way will be done; null: none is. */
  #eraseDueMs: number | null = null;

  constructor(entriesMax: number, faults: FaultTable, prng: Prng) {
    this.#entriesMax = Math.min(entriesMax, ID_MAX);
    this.#faults = faults;
    this.#prng = prng;
  }

  get isErasing(): boolean {
    return this.#eraseDueMs !== null;
  }

  get eraseDueMs(): number | null {
    return this.#eraseDueMs;
  }

  get count(): number {
    return this.#entries.length;
  }

  /** Copies, oldest first, each with its id inside. O(n) */
  records(): readonly Uint8Array[] {
    return this.#entries.map(({ record }) => record.slice());
  }

  info(): SelInfo {
    const freeBytes = this.#isFull()
      ? 0
      : (this.#entriesMax - this.#entries.length) * SEL_RECORD_BYTES;
    const wraps = this.#faults.isOn("sel-free-wraps");
    return {
      count: this.#entries.length,
      freeBytes: wraps ? freeBytes & 0xffff : Math.min(freeBytes, 0xffff),
      addSeconds: this.#addSeconds,
      eraseSeconds: this.#eraseSeconds,
      isOverflowed: this.#isOverflowed,
    };
  }

  reserve(): number {
    this.#reservation = (this.#reservation % 0xffff) + 1;
    this.#isReserved = true;
    return this.#reservation;
  }

  isReservedBy(reservation: number): boolean {
    return this.#isReserved && reservation === this.#reservation;
  }

  cancelReservation(): void {
    this.#isReserved = false;
  }

  #isFull(): boolean {
    return this.#entries.length >= this.#entriesMax || this.#faults.isOn("sel-full");
  }

  /** The id it was given; null: full, the record is dropped and the overflow flag says so. */
  add(record: Uint8Array, seconds: number): number | null {
    if (this.#isFull()) {
      this.#isOverflowed = true;
      return null;
    }
    this.#isReserved = false;
    const handle = this.#freshId();
    const kept = record.slice(0, SEL_RECORD_BYTES);
    this.#indexOf.set(handle, this.#entries.length);
    this.#entries.push({ handle, record: kept });
    setId(kept, this.#shownId(handle));
    this.#addSeconds = seconds >>> 0;
    return handle;
  }

  /** Amortised O(1) unless ids are taken again; then O(n). */
  #freshId(): number {
    let id = this.#faults.isOn("sel-ids-reused") ? 0 : this.#lastId;
    if (this.#faults.isOn("sel-ids-sparse")) id += this.#prng.below(7);
    do {
      id = id >= ID_MAX ? 1 : id + 1;
    } while (this.#indexOf.has(id));
    this.#lastId = id;
    return id;
  }

  /** What stands in the record: with the duplicate fault the newest one's id is the oldest one's. */
  #shownId(handle: number): number {
    const first = this.#entries[0];
    const isDoubled = this.#faults.isOn("sel-ids-duplicate") && this.#entries.length > 1;
    return isDoubled && first !== undefined ? first.handle : handle;
  }

  #indexFor(id: number): number | null {
    if (this.#entries.length === 0) return null;
    if (id === ID_FIRST) return 0;
    if (id === ID_LAST) return this.#entries.length - 1;
    return this.#indexOf.get(id) ?? null;
  }

  /** The record and the next one's handle, FFFFh after the last. Not a copy. */
  get(id: number): { readonly nextId: number; readonly record: Uint8Array } | null {
    const index = this.#indexFor(id);
    const entry = index === null ? undefined : this.#entries[index];
    if (index === null || entry === undefined) return null;
    const next = this.#entries[index + 1];
    if (next !== undefined) return { nextId: next.handle, record: entry.record };
    const first = this.#entries[0];
    const isCyclic = this.#faults.isOn("sel-ids-cyclic") && first !== undefined;
    return { nextId: isCyclic ? first.handle : ID_LAST, record: entry.record };
  }

  /** The handle it had; null: there is none. O(n) */
  remove(id: number, seconds: number): number | null {
    const index = this.#indexFor(id);
    const entry = index === null ? undefined : this.#entries[index];
    if (index === null || entry === undefined) return null;
    this.#entries.splice(index, 1);
    this.#isReserved = false;
    this.#isOverflowed = false;
    if (this.#faults.isOn("sel-delete-moves-erase-time")) this.#eraseSeconds = seconds >>> 0;
    if (this.#faults.isOn("sel-renumbers")) this.relabel();
    else this.#index();
    return entry.handle;
  }

  /** Begins to erase; at once where `ms` is 0. */
  clear(nowMs: number, ms: number, seconds: number): void {
    this.#isReserved = false;
    if (ms > 0) this.#eraseDueMs = nowMs + ms;
    else this.#empty(seconds);
  }

  tick(nowMs: number, seconds: number): void {
    if (this.#eraseDueMs !== null && nowMs >= this.#eraseDueMs) this.#empty(seconds);
  }

  #empty(seconds: number): void {
    this.#eraseDueMs = null;
    this.#entries = [];
    this.#indexOf.clear();
    this.#lastId = 0;
    this.#isOverflowed = false;
    this.#eraseSeconds = seconds >>> 0;
  }

  /** Gives all records their ids anew, as the faults that are on say. O(n) */
  relabel(): void {
    const ids: number[] = [];
    let id = 0;
    for (let index = 0; index < this.#entries.length; index++) {
      id += 1;
      if (this.#faults.isOn("sel-ids-sparse") && this.#entries.length < ID_MAX / 8) {
        id += this.#prng.below(7);
      }
      ids.push(id);
    }
    this.#lastId = id;
    if (this.#faults.isOn("sel-ids-reordered")) this.#prng.shuffle(ids);
    this.#entries = this.#entries.map(({ record }, index) => ({
      handle: ids[index] as number,
      record,
    }));
    this.#index();
    for (const { handle, record } of this.#entries) setId(record, handle);
    const last = this.#entries.at(-1);
    if (last !== undefined) setId(last.record, this.#shownId(last.handle));
  }

  #index(): void {
    this.#indexOf = new Map(this.#entries.map(({ handle }, index) => [handle, index]));
  }
}

function setId(record: Uint8Array, id: number): void {
  record[0] = id & 0xff;
  record[1] = id >> 8;
}

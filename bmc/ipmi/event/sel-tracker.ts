/**
 * Which records of an event log are new, from one look at it to the next, over clears, wraps, deletes, renumberings, resets of
 * the BMC and restarts of holdfast.
 *
 * Decides what is new and under which (epoch, nth) it is told, and how much has to be read to know. Does not read. A record
 * id is a handle: it may be renumbered and reused. So records are known by their 16 bytes, and the id only helps to tell
 * byte-identical ones apart:
 *
 *   same id and same content          the same record
 *   same content, other id            a new record, when it stands behind records that kept their ids, under an id beyond
 *                                     those in use; else the same record, renumbered
 *   content that was not there        a new record
 *
 * Epoch: the erase time of the log as it stood when this generation of it was first seen. The erase time also moves when one
 * record is deleted, so a new generation begins only when none of the known records is left. A record that was told keeps
 * what it was told under: nothing is re-keyed.
 *
 * Invariant: (epoch, content, nth) is never given twice, as long as the BMC's clock does not go back. Bounds: KNOWN_MAX
 * records are remembered with their bytes, the oldest are forgotten first, and GONE_MAX contents that could come again; one
 * look costs O(log's size).
 */

import { SEL_LAST, SEL_RECORD_BYTES } from "../sel/get-sel-entry.ts";
import type { SelInfo } from "../sel/get-sel-info.ts";
import { SEL_TIME_RELATIVE_MAX, SEL_TIME_UNKNOWN } from "../sel/sel-time.ts";

/** 8,192 records are 128 KiB, 175 KB as text. Larger logs are known by their newest part. */
export const KNOWN_MAX = 8192;
export const GONE_MAX = 512;
/** Every so many looks the newest record is checked even if the log says that nothing has changed: some BMCs do not say. */
export const UNCHANGED_LOOKS_MAX = 10;
/** A record that is gone can come again byte for byte only within its own second, by any clock that goes. */
const REPEAT_SECONDS = 2;

/** Plain JSON. */
export interface TrackerMemory {
  readonly version: 1;
  readonly system: string;
  readonly epoch: number;
  /** The known records, oldest first, 16 bytes each, base64. */
  readonly known: string;
  /** Of those whose nth is not 0: its position among the known, and its nth. */
  readonly nths: readonly (readonly [index: number, nth: number])[];
  /** Next nth of contents that are not in the log any more. */
  readonly gone: readonly (readonly [content: string, nextNth: number])[];
  /** Older records than the known ones are in the log, and are old. */
  readonly hasOlder: boolean;
  readonly count: number;
  readonly lastAdd: number;
  readonly lastErase: number;
  readonly isOverflowed: boolean;
}

interface Known {
  readonly id: number;
  /** Bytes 2-15 in hex: all but the id. */
  readonly content: string;
  readonly bytes: Uint8Array;
  readonly nth: number;
}

export interface FreshRecord {
  readonly bytes: Uint8Array;
  readonly epoch: number;
  readonly nth: number;
}

export interface Look {
  /** In the order of the log. */
  readonly fresh: readonly FreshRecord[];
  /** None of the known records was left. */
  readonly isCleared: boolean;
  /** The overflow flag has risen. */
  readonly hasOverflowed: boolean;
}

export type ReadPlan =
  | { readonly kind: "nothing" }
  /** From this record on, whose bytes must be these. */
  | { readonly kind: "tail"; readonly recordId: number; readonly bytes: Uint8Array }
  | { readonly kind: "whole" };

export function idOfRecord(bytes: Uint8Array): number {
  return (bytes[0] ?? 0) | ((bytes[1] ?? 0) << 8);
}

export function contentOf(bytes: Uint8Array): string {
  return bytes.subarray(2, SEL_RECORD_BYTES).toHex();
}

export class SelTracker {
  readonly #system: string;
  #known: Known[] = [];
  #gone: Map<string, number> = new Map();
  #hasOlder = false;
  #epoch = 0;
  #info: SelInfo | null = null;
  #unchangedLooks = 0;
  /** Nothing was looked at yet, by this tracker or by the one whose memory it has. */
  #isNew = true;

  /** A memory that is of another system, or that cannot be read, is as none. */
  constructor(system: string, memory: unknown = null) {
    this.#system = system;
    const read = readMemory(memory);
    if (read !== null && read.system === system) this.#remember(read);
  }

  get isNew(): boolean {
    return this.#isNew;
  }

  get epoch(): number {
    return this.#epoch;
  }

  /** What has to be read to know what is new, by what Get SEL Info says now. */
  plan(info: SelInfo): ReadPlan {
    const before = this.#info;
    if (this.#isNew || before === null || info.lastErase !== before.lastErase) {
      return { kind: "whole" };
    }
    if (info.entryCount < before.entryCount) return { kind: "whole" };
    const newest = this.#known.at(-1);
    if (newest === undefined)
      return info.entryCount === 0 ? { kind: "nothing" } : { kind: "whole" };
    const isSame =
      info.entryCount === before.entryCount &&
      info.lastAdd === before.lastAdd &&
      info.isOverflowed === before.isOverflowed;
    // A full log that drops its oldest record keeps its count, and two events of one second keep the time of the last.
    const canHide = info.freeBytes !== null && info.freeBytes < SEL_RECORD_BYTES;
    if (isSame && !canHide && this.#unchangedLooks < UNCHANGED_LOOKS_MAX) {
      this.#unchangedLooks++;
      return { kind: "nothing" };
    }
    this.#unchangedLooks = 0;
    return { kind: "tail", recordId: newest.id, bytes: newest.bytes };
  }

  /**
   * `records` are those after the newest known one, which was found as it was; `info` is of after the reading. null: they
   * do not add up with what the log says, and the whole has to be read.
   */
  tail(info: SelInfo, records: readonly Uint8Array[]): Look | null {
    const before = this.#info;
    if (before === null || info.lastErase !== before.lastErase) return null;
    if (records.length < info.entryCount - before.entryCount) return null;
    const hasOverflowed = info.isOverflowed && !before.isOverflowed;
    const next = this.#nthCounter();
    const fresh = records.map((bytes) => this.#know(bytes, next));
    this.#known.push(...fresh.map(({ known }) => known));
    this.#trim();
    this.#info = info;
    return { fresh: fresh.map(({ told }) => told), isCleared: false, hasOverflowed };
  }

  /** Every record of the log, in its order, each once. */
  whole(info: SelInfo, records: readonly Uint8Array[]): Look {
    const before = this.#info;
    const matched = this.#match(records);
    const isCleared = this.#known.length > 0 && matched.keptCount === 0;
    // Counted with what is gone since the last look: a twin of it may be among the new ones.
    let next = this.#nthCounter();
    this.#forgetMissing(matched.isKept, info.lastAdd);
    if (matched.keptCount === 0) this.#epoch = info.lastErase;
    if (matched.keptCount === 0 && before?.lastErase !== info.lastErase) {
      // In another epoch a content may come again under the same nth: the ids differ.
      this.#gone.clear();
      next = this.#nthCounter();
    }
    const fresh: FreshRecord[] = [];
    const known: Known[] = [];
    for (const [index, bytes] of records.entries()) {
      const old = matched.olds[index] ?? null;
      if (old === "older") continue;
      if (old !== null) {
        known.push({ ...old, id: idOfRecord(bytes), bytes: bytes.slice(0, SEL_RECORD_BYTES) });
        continue;
      }
      const one = this.#know(bytes, next);
      known.push(one.known);
      fresh.push(one.told);
    }
    this.#hasOlder = matched.olds.includes("older");
    this.#known = known;
    this.#trim();
    this.#info = info;
    this.#isNew = false;
    this.#unchangedLooks = 0;
    const hasOverflowed = info.isOverflowed && before?.isOverflowed !== true;
    return { fresh, isCleared, hasOverflowed };
  }

  /** The nth that a record of this content would be told under if it were in the log now. */
  nextNth(bytes: Uint8Array): number {
    return this.#nthCounter()(contentOf(bytes));
  }

  memory(): TrackerMemory {
    const bytes = new Uint8Array(this.#known.length * SEL_RECORD_BYTES);
    const nths: [number, number][] = [];
    for (const [index, known] of this.#known.entries()) {
      bytes.set(known.bytes, index * SEL_RECORD_BYTES);
      if (known.nth !== 0) nths.push([index, known.nth]);
    }
    return {
      version: 1,
      system: this.#system,
      epoch: this.#epoch,
      known: bytes.toBase64(),
      nths,
      gone: [...this.#gone],
      hasOlder: this.#hasOlder,
      count: this.#info?.entryCount ?? 0,
      lastAdd: this.#info?.lastAdd ?? 0,
      lastErase: this.#info?.lastErase ?? 0,
      isOverflowed: this.#info?.isOverflowed ?? false,
    };
  }

  #remember(memory: TrackerMemory): void {
    const bytes = Uint8Array.fromBase64(memory.known);
    const nths = new Map(memory.nths);
    for (let at = 0; at + SEL_RECORD_BYTES <= bytes.length; at += SEL_RECORD_BYTES) {
      const record = bytes.slice(at, at + SEL_RECORD_BYTES);
      const nth = nths.get(at / SEL_RECORD_BYTES) ?? 0;
      this.#known.push({ id: idOfRecord(record), content: contentOf(record), bytes: record, nth });
    }
    this.#gone = new Map(memory.gone);
    this.#hasOlder = memory.hasOlder;
    this.#epoch = memory.epoch;
    this.#isNew = false;
    this.#info = {
      version: 0x51,
      entryCount: memory.count,
      freeBytes: null,
      lastAdd: memory.lastAdd,
      lastErase: memory.lastErase,
      isOverflowed: memory.isOverflowed,
      canDelete: false,
      canAddPartially: false,
      canReserve: false,
      canTellAllocation: false,
    };
  }

  #know(bytes: Uint8Array, next: (content: string) => number): { known: Known; told: FreshRecord } {
    const copy = bytes.slice(0, SEL_RECORD_BYTES);
    const content = contentOf(copy);
    const nth = next(content);
    return {
      known: { id: idOfRecord(copy), content, bytes: copy, nth },
      told: { bytes: copy, epoch: this.#epoch, nth },
    };
  }

  /** Gives each content the nth after those that were given, counting on with each call. */
  #nthCounter(): (content: string) => number {
    const next = new Map(this.#gone);
    for (const { content, nth } of this.#known) {
      next.set(content, Math.max(next.get(content) ?? 0, nth + 1));
    }
    return (content) => {
      const nth = next.get(content) ?? 0;
      next.set(content, nth + 1);
      return nth;
    };
  }

  /** For each record of the log the known one that it is, `older` for one from before the known ones, or null. */
  #match(records: readonly Uint8Array[]): Matched {
    const known = this.#known;
    const isKept = new Array<boolean>(known.length).fill(false);
    const olds = new Array<Known | "older" | null>(records.length).fill(null);
    const contents = records.map(contentOf);
    const byBoth = queues(known, ({ id, content }) => `${id} ${content}`);
    const keep = (index: number, position: number | undefined): void => {
      if (position === undefined) return;
      isKept[position] = true;
      olds[index] = known[position] ?? null;
    };
    for (const [index, bytes] of records.entries()) {
      keep(index, byBoth.get(`${idOfRecord(bytes)} ${contents[index]}`)?.shift());
    }
    const lastKept = olds.findLastIndex((old) => old !== null);
    let lowest = SEL_LAST;
    let highest = 0;
    for (const { id } of known) {
      lowest = Math.min(lowest, id);
      highest = Math.max(highest, id);
    }
    const left = queues(known, ({ content }, position) => (isKept[position] ? null : content));
    for (const [index, bytes] of records.entries()) {
      const id = idOfRecord(bytes);
      const isAppended = lastKept >= 0 && index > lastKept && (id > highest || id < lowest);
      if (olds[index] === null && !isAppended)
        keep(index, left.get(contents[index] ?? "")?.shift());
    }
    const first = olds.findIndex((old) => old !== null);
    if (this.#hasOlder && first > 0) olds.fill("older", 0, first);
    return { olds, isKept, keptCount: isKept.filter(Boolean).length };
  }

  /** Contents that are gone but could come again keep their count. */
  #forgetMissing(isKept: readonly boolean[], lastAdd: number): void {
    for (const [index, { content, bytes, nth }] of this.#known.entries()) {
      if (isKept[index] || !canRepeat(bytes, lastAdd)) continue;
      const next = Math.max(nth + 1, this.#gone.get(content) ?? 0);
      this.#gone.delete(content);
      this.#gone.set(content, next);
    }
    this.#known = this.#known.filter((_, index) => isKept[index]);
    for (const content of this.#gone.keys()) {
      if (this.#gone.size <= GONE_MAX) break;
      this.#gone.delete(content);
    }
  }

  #trim(): void {
    if (this.#known.length <= KNOWN_MAX) return;
    this.#known = this.#known.slice(-KNOWN_MAX);
    this.#hasOlder = true;
  }
}

interface Matched {
  readonly olds: readonly (Known | "older" | null)[];
  readonly isKept: readonly boolean[];
  readonly keptCount: number;
}

/** Positions of the known records by a key, oldest first; a key of null leaves one out. */
function queues(
  known: readonly Known[],
  keyOf: (known: Known, position: number) => string | null,
): Map<string, number[]> {
  const positions = new Map<string, number[]>();
  for (const [position, one] of known.entries()) {
    const key = keyOf(one, position);
    if (key === null) continue;
    const queue = positions.get(key);
    if (queue === undefined) positions.set(key, [position]);
    else queue.push(position);
  }
  return positions;
}

/** Records without a real time can always come again; others only within their second. */
function canRepeat(bytes: Uint8Array, lastAdd: number): boolean {
  const type = bytes[2] ?? 0;
  const isTimed = type === 0x02 || (type >= 0xc0 && type <= 0xdf);
  if (!isTimed) return true;
  const time = new DataView(bytes.buffer, bytes.byteOffset).getUint32(3, true);
  if (time <= SEL_TIME_RELATIVE_MAX || time === SEL_TIME_UNKNOWN) return true;
  return time + REPEAT_SECONDS >= lastAdd;
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0;
}

function isPairs(value: unknown, isKey: (key: unknown) => boolean): boolean {
  return (
    Array.isArray(value) &&
    value.every((pair) => Array.isArray(pair) && isKey(pair[0]) && isCount(pair[1]))
  );
}

/** null: it is none of ours. */
function readMemory(memory: unknown): TrackerMemory | null {
  if (typeof memory !== "object" || memory === null) return null;
  const read = memory as Partial<Record<keyof TrackerMemory, unknown>>;
  const isOurs =
    read.version === 1 &&
    typeof read.system === "string" &&
    typeof read.known === "string" &&
    /^[A-Za-z0-9+/]*={0,2}$/.test(read.known) &&
    read.known.length % 4 === 0 &&
    typeof read.hasOlder === "boolean" &&
    typeof read.isOverflowed === "boolean" &&
    [read.epoch, read.count, read.lastAdd, read.lastErase].every(isCount) &&
    isPairs(read.nths, isCount) &&
    isPairs(read.gone, (key) => typeof key === "string");
  return isOurs ? (memory as TrackerMemory) : null;
}

/**
 * A segment as both sides use it: header words, the two rings, the region table. Layout: `segment-layout.ts`.
 *
 * Pure: works on memory it is given. Does not map files, sleep or wake.
 * Memory order: the producer writes a record's words, then its stamp (sequentially consistent); the consumer reads the
 * stamp first. Stamp of the n-th record (n from 0) is n + 1, so a slot's stale stamp never equals the expected one.
 */
import { assert } from "../../core/assert.ts";
import { err, ok, type Result } from "../../core/result.ts";
import {
  COMPLETION_OFFSET,
  FAILURE_TEXT_BYTES,
  HEADER,
  type HeaderField,
  LAYOUT_VERSION,
  PIECE_BYTES,
  RECORD_BYTES,
  REGION,
  REGION_ENTRIES,
  REGION_ENTRY_BYTES,
  REGION_NAME_BYTES_MAX,
  REGION_STATE,
  REGION_TABLE_OFFSET,
  RING_SLOTS,
  SEGMENT_BYTES,
  SEGMENT_MAGIC,
  SLAB_BYTES,
  SLAB_OFFSET,
  SUBMISSION_OFFSET,
} from "./segment-layout.ts";

export interface RegionEntry {
  readonly index: number;
  readonly name: string;
  readonly bytes: number;
  readonly isProtected: boolean;
}

const RECORD_WORDS = RECORD_BYTES / 4;
const TWO_32 = 4_294_967_296;

/** One direction. A side is either the producer or the consumer of it. */
export class Ring {
  readonly #words: Int32Array;
  readonly #base: number;
  #count = 0;

  constructor(words: Int32Array, offsetBytes: number) {
    this.#words = words;
    this.#base = offsetBytes / 4;
  }

  /** Word index of the record to be filled, or being read. */
  get cursor(): number {
    return this.#base + (this.#count & (RING_SLOTS - 1)) * RECORD_WORDS;
  }

  /** Producer: the record at `cursor` is complete. */
  publish(): void {
    Atomics.store(this.#words, this.cursor, (this.#count + 1) | 0);
    this.#count = (this.#count + 1) | 0;
  }

  /** Consumer: is there a record at `cursor`? */
  hasNext(): boolean {
    return Atomics.load(this.#words, this.cursor) === ((this.#count + 1) | 0);
  }

  /** Consumer: the record at `cursor` has been read. */
  advance(): void {
    this.#count = (this.#count + 1) | 0;
  }

  /** Both sides start again at 0; whoever holds the other side idle also clears the memory. */
  restart(): void {
    this.#count = 0;
  }
}

export class Segment {
  readonly words: Int32Array;
  readonly bytes: Uint8Array;
  readonly submissions: Ring;
  readonly completions: Ring;

  /** `memory` is the whole file. */
  constructor(memory: Uint8Array) {
    assert(memory.byteLength >= SEGMENT_BYTES, "a segment is mapped whole");
    assert(memory.byteOffset % 8 === 0, "a mapping is aligned");
    this.bytes = memory;
    this.words = new Int32Array(memory.buffer, memory.byteOffset, SLAB_OFFSET / 4);
    this.submissions = new Ring(this.words, SUBMISSION_OFFSET);
    this.completions = new Ring(this.words, COMPLETION_OFFSET);
  }

  load(field: HeaderField): number {
    return Atomics.load(this.words, HEADER[field] / 4);
  }

  store(field: HeaderField, value: number): void {
    Atomics.store(this.words, HEADER[field] / 4, value);
  }

  /** Takes a flag down; says whether it was up. */
  takeFlag(field: HeaderField): boolean {
    const index = HEADER[field] / 4;
    // Reading first keeps the line shared while nobody sleeps, which is the fast case.
    return Atomics.load(this.words, index) === 1 && Atomics.exchange(this.words, index, 0) === 1;
  }

  format(rank: number, size: number): void {
    const values: readonly (readonly [HeaderField, number])[] = [
      ["layoutVersion", LAYOUT_VERSION],
      ["rank", rank],
      ["size", size],
      ["ringSlots", RING_SLOTS],
      ["submissionOffset", SUBMISSION_OFFSET],
      ["completionOffset", COMPLETION_OFFSET],
      ["regionTableOffset", REGION_TABLE_OFFSET],
      ["regionEntries", REGION_ENTRIES],
      ["slabOffset", SLAB_OFFSET],
      ["slabBytes", SLAB_BYTES],
      ["pieceBytes", PIECE_BYTES],
    ];
    for (const [field, value] of values) this.store(field, value);
    // The magic comes last: a file without it is not a segment yet.
    this.bytes.set(new TextEncoder().encode(SEGMENT_MAGIC), 0);
  }

  /** Whether the file is a segment of this layout; else why not. */
  check(): Result<null, string> {
    const magic = new TextDecoder().decode(this.bytes.slice(0, SEGMENT_MAGIC.length));
    if (magic !== SEGMENT_MAGIC) return err("is not a holdfast segment (magic missing)");
    const version = this.load("layoutVersion");
    if (version !== LAYOUT_VERSION) {
      return err(`has layout version ${version}, this holdfast speaks ${LAYOUT_VERSION}`);
    }
    return ok(null);
  }

  /** Only while the program is idle or absent: nothing submitted before is served any more. */
  clearRings(): void {
    this.words.fill(0, SUBMISSION_OFFSET / 4, REGION_TABLE_OFFSET / 4);
    this.submissions.restart();
    this.completions.restart();
  }

  get restoredVersion(): number {
    return (this.load("restoredLow") >>> 0) + (this.load("restoredHigh") >>> 0) * TWO_32;
  }

  set restoredVersion(version: number) {
    this.store("restoredLow", version | 0);
    this.store("restoredHigh", Math.floor(version / TWO_32));
  }

  get failureText(): string {
    const bytes = Math.min(this.load("failureText") >>> 0, FAILURE_TEXT_BYTES);
    const from = HEADER.failureText + 4;
    return new TextDecoder().decode(this.bytes.slice(from, from + bytes));
  }

  set failureText(text: string) {
    const encoded = new TextEncoder().encode(text).subarray(0, FAILURE_TEXT_BYTES);
    this.bytes.set(encoded, HEADER.failureText + 4);
    this.store("failureText", encoded.byteLength);
  }

  region(index: number): RegionEntry | null {
    if (index < 0 || index >= REGION_ENTRIES) return null;
    const at = REGION_TABLE_OFFSET + index * REGION_ENTRY_BYTES;
    const state = Atomics.load(this.words, (at + REGION.state) / 4);
    if (state !== REGION_STATE.protected && state !== REGION_STATE.shared) return null;
    const nameBytes = Math.min(this.words[(at + REGION.nameBytes) / 4] ?? 0, REGION_NAME_BYTES_MAX);
    const low = (this.words[(at + REGION.bytesLow) / 4] ?? 0) >>> 0;
    const high = (this.words[(at + REGION.bytesHigh) / 4] ?? 0) >>> 0;
    const nameAt = at + REGION.name;
    return {
      index,
      name: new TextDecoder().decode(this.bytes.slice(nameAt, nameAt + nameBytes)),
      bytes: low + high * TWO_32,
      isProtected: state === REGION_STATE.protected,
    };
  }

  regions(): readonly RegionEntry[] {
    const found: RegionEntry[] = [];
    for (let index = 0; index < REGION_ENTRIES; index++) {
      const entry = this.region(index);
      if (entry !== null) found.push(entry);
    }
    return found;
  }

  /** Program: enters a region, or finds the one of that name. -1: the table is full. */
  enterRegion(name: string, bytes: number, isProtected: boolean): number {
    const encoded = new TextEncoder().encode(name);
    assert(encoded.byteLength <= REGION_NAME_BYTES_MAX, "the name was checked before");
    let free = -1;
    for (let index = REGION_ENTRIES - 1; index >= 0; index--) {
      const entry = this.region(index);
      if (entry === null) free = index;
      else if (entry.name === name && entry.isProtected === isProtected) {
        this.#writeRegion(index, encoded, bytes, isProtected);
        return index;
      }
    }
    if (free >= 0) this.#writeRegion(free, encoded, bytes, isProtected);
    return free;
  }

  #writeRegion(index: number, name: Uint8Array, bytes: number, isProtected: boolean): void {
    const at = REGION_TABLE_OFFSET + index * REGION_ENTRY_BYTES;
    Atomics.store(this.words, (at + REGION.state) / 4, REGION_STATE.free);
    this.words[(at + REGION.nameBytes) / 4] = name.byteLength;
    this.words[(at + REGION.bytesLow) / 4] = bytes | 0;
    this.words[(at + REGION.bytesHigh) / 4] = Math.floor(bytes / TWO_32);
    this.bytes.set(name, at + REGION.name);
    const state = isProtected ? REGION_STATE.protected : REGION_STATE.shared;
    Atomics.store(this.words, (at + REGION.state) / 4, state);
  }

  /** Forgets every region: the program starts its body anew and will enter them again. */
  clearRegions(): void {
    const end = (REGION_TABLE_OFFSET + REGION_ENTRIES * REGION_ENTRY_BYTES) / 4;
    this.words.fill(0, REGION_TABLE_OFFSET / 4, end);
  }
}

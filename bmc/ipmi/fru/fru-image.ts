/**
 * The bytes of one FRU device, read only where they are needed (IPMI 2.0 §34.2).
 *
 * Decides sizes of reads: as the wire bears, half as large after each refusal. What was read stays, so that areas can be asked
 * for step by step: a device of 64 KB on a slow line costs what its areas cost. Invariant: a byte is taken for read only
 * when it came. Bound: each round adds at least one byte, halves the size, or moves the end down.
 */
import { assert } from "../../../core/assert.ts";
import { type BmcError, bmcError } from "../../bmc-error.ts";
import { askAll, type Part, replyValue } from "../ask.ts";
import { type IpmiRequest, requestOf } from "../ipmi.ts";
import { readFruData } from "./fru-data.ts";
import type { FruAreaInfo } from "./get-fru-inventory-area-info.ts";

export interface FruRange {
  readonly start: number;
  readonly end: number;
}

/** A count of bytes comes in front of the data of each reply. */
const COUNT_BYTES = 1;
const READ_BYTES_MAX = 64;
const READ_BYTES_MIN = 4;
/** How BMCs say "too much at once": CAh by the standard, the others were seen. */
const TOO_MUCH: ReadonlySet<number> = new Set([0xc7, 0xc8, 0xc9, 0xca, 0xff]);

/** A link that gave no answer, or a user who may not: nothing more can be learnt, of no device. */
export function isFatal(error: BmcError): boolean {
  const isOfLink = error.completionCode === undefined && error.kind !== "truncated-record";
  return isOfLink || error.kind === "privilege-too-low";
}

/** Where a device stops giving, and how it says so. */
interface Stop {
  readonly offset: number;
  readonly error: BmcError;
}

export class FruImage {
  readonly #fruId: number;
  readonly #lun: number;
  readonly #unitBytes: number;
  readonly #sizeBytes: number;
  readonly #bytes: Uint8Array;
  readonly #isRead: Uint8Array;
  #end: number;
  #readBytes: number;
  #problem: BmcError | null = null;

  constructor(fruId: number, lun: number, info: FruAreaInfo, replyBytesMax: number) {
    this.#fruId = fruId;
    this.#lun = lun;
    this.#unitBytes = info.unitBytes;
    this.#sizeBytes = info.sizeBytes;
    this.#end = info.sizeBytes;
    this.#bytes = new Uint8Array(info.sizeBytes);
    this.#isRead = new Uint8Array(info.sizeBytes);
    const bytes = Math.min(replyBytesMax - COUNT_BYTES, READ_BYTES_MAX);
    // Even, so that words are whole.
    this.#readBytes = Math.max(READ_BYTES_MIN, bytes & ~1);
  }

  /** To where the device gives them; what was not asked for is zero. */
  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#end);
  }

  /** How much one question brings. */
  get readBytes(): number {
    return this.#readBytes;
  }

  /** Why bytes at the end are missing that the device says it has. */
  get problem(): BmcError | null {
    return this.#problem;
  }

  /** All ranges at once, as far as the device goes; an error where not even its first byte can be had, or the link broke. */
  *fill(ranges: readonly FruRange[]): Part<BmcError | null> {
    for (;;) {
      const pieces = this.#missing(ranges);
      if (pieces.length === 0) return null;
      const stop = yield* this.#readPieces(pieces);
      if (stop === null) continue;
      if (stop.offset === 0 || isFatal(stop.error)) return stop.error;
      this.#end = stop.offset;
      this.#problem = stop.error;
    }
  }

  /** Pieces of at most one read each, in whole units, none of them read before. */
  #missing(ranges: readonly FruRange[]): FruRange[] {
    const pieces: FruRange[] = [];
    const isPlanned = this.#isRead.slice();
    for (const range of ranges) {
      const end = Math.min(this.#end, range.end + (range.end % this.#unitBytes));
      let offset = range.start - (range.start % this.#unitBytes);
      while (offset < end) {
        const stop = Math.min(offset + this.#readBytes, end);
        if (isPlanned[offset] === 1) offset++;
        else {
          const start = offset - (offset % this.#unitBytes);
          pieces.push({ start, end: stop });
          isPlanned.fill(1, start, stop);
          offset = stop;
        }
      }
    }
    return pieces;
  }

  /** null: go on, there is more or reads are shorter now. */
  *#readPieces(pieces: readonly FruRange[]): Part<Stop | null> {
    const answers = yield* askAll(pieces.map((piece) => this.#request(piece)));
    for (const [index, answer] of answers.entries()) {
      const piece = pieces[index];
      assert(piece !== undefined, "each request has one answer");
      const data = replyValue(readFruData, answer);
      if (!data.ok) return this.#refused(piece, data.error);
      if (data.value.byteLength === 0) return this.#ended(piece.start);
      const kept = data.value.subarray(0, piece.end - piece.start);
      this.#bytes.set(kept, piece.start);
      this.#isRead.fill(1, piece.start, piece.start + kept.byteLength);
    }
    return null;
  }

  #request({ start, end }: FruRange): IpmiRequest {
    const offset = start / this.#unitBytes;
    const count = Math.ceil((end - start) / this.#unitBytes);
    return requestOf(readFruData, { fruId: this.#fruId, offset, count }, this.#lun);
  }

  #refused(piece: FruRange, error: BmcError): Stop | null {
    const code = error.completionCode;
    const isTooMuch = code !== undefined && TOO_MUCH.has(code);
    if (!isTooMuch || this.#readBytes <= READ_BYTES_MIN) return { offset: piece.start, error };
    this.#readBytes = Math.max(READ_BYTES_MIN, (this.#readBytes >> 1) & ~1);
    return null;
  }

  #ended(offset: number): Stop {
    const text = `the BMC gives ${offset} of its ${this.#sizeBytes} bytes`;
    return { offset, error: bmcError("truncated-record", text) };
  }
}

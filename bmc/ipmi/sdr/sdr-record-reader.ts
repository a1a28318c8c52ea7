/**
 * Reads records by their ids, whole or in pieces, as large as this BMC gives them (IPMI 2.0 §33.12).
 *
 * Decides about sizes and reservations: whole records where the wire holds them, pieces after the first refusal, half as
 * large after each further one. It does not know the chain of ids: that is `read-sdrs.ts`. What a BMC stops giving before
 * the length of the record's header is reached is `short`, never a record. Bound: a record has at most 260 bytes, each
 * piece adds at least one, and sizes only shrink.
 */
import type { Result } from "../../../core/result.ts";
import type { BmcError } from "../../bmc-error.ts";
import { ask, askAll, type Part, replyValue } from "../ask.ts";
import { type Answers, type IpmiCommand, type IpmiReply, requestOf } from "../ipmi.ts";
import { decodeSdrHeader, SDR_HEADER_BYTES } from "./decode-sdr.ts";
import { SDR_WHOLE, type SdrPiece, type SdrRead } from "./get-sdr.ts";

/** What a wire bears, of `IpmiConnection`. */
export interface WireLimits {
  /** After the completion code. */
  readonly replyBytesMax: number;
  readonly windowMax: number;
}

/** Which commands read the records, and at which LUN. */
export interface SdrStore {
  readonly reserve: IpmiCommand<void, number>;
  readonly get: IpmiCommand<SdrRead, SdrPiece>;
  readonly lun: number;
}

export type Fetched =
  | { readonly kind: "record"; readonly bytes: Uint8Array; readonly nextRecordId: number }
  /** The BMC gives no more of it than this. */
  | {
      readonly kind: "short";
      readonly bytes: Uint8Array;
      readonly wantBytes: number;
      readonly nextRecordId: number;
    }
  | { readonly kind: "lost" }
  | { readonly kind: "absent" }
  | { readonly kind: "failed"; readonly error: BmcError };

/** Next record id, in front of the data of each reply. */
const NEXT_ID_BYTES = 2;
/** The longest record of the standard with a name of 16 bytes; OEM records may be longer, and come in pieces then. */
const WHOLE_BYTES_MIN = 64;
const PIECE_BYTES_MAX = 64;
const PIECE_BYTES_MIN = 4;

const RESERVATION_LOST = 0xc5;
const ABSENT = 0xcb;
/** How BMCs say "too much at once": CAh by the standard, the others were seen. */
const TOO_MUCH: ReadonlySet<number> = new Set([0xc7, 0xc8, 0xc9, 0xca, 0xcc, 0xff]);
/** Device SDR: the record has changed. Same remedy as a lost reservation. */
const RECORD_CHANGED = 0x80;

function isTooMuch(answer: Result<IpmiReply, BmcError> | undefined): boolean {
  return answer?.ok === true && TOO_MUCH.has(answer.value.completionCode);
}

function failureOf(error: BmcError): Fetched {
  if (error.completionCode === RESERVATION_LOST) return { kind: "lost" };
  if (error.completionCode === RECORD_CHANGED) return { kind: "lost" };
  if (error.completionCode === ABSENT) return { kind: "absent" };
  return { kind: "failed", error };
}

function joined(head: Uint8Array, tail: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(head.byteLength + tail.byteLength);
  bytes.set(head);
  bytes.set(tail, head.byteLength);
  return bytes;
}

export class SdrRecordReader {
  readonly #store: SdrStore;
  #reservation = 0;
  #pieceBytes: number;
  #isWhole: boolean;

  constructor(store: SdrStore, limits: WireLimits) {
    this.#store = store;
    const dataBytes = limits.replyBytesMax - NEXT_ID_BYTES;
    this.#isWhole = dataBytes >= WHOLE_BYTES_MIN;
    this.#pieceBytes = Math.max(PIECE_BYTES_MIN, Math.min(dataBytes, PIECE_BYTES_MAX));
  }

  /** A BMC without reservations is read without: then a change is seen by the times of the repository only. */
  *reserve(): Part<BmcError | null> {
    const reply = yield* ask(this.#store.reserve, undefined, this.#store.lun);
    if (!reply.ok && reply.error.kind !== "unsupported") return reply.error;
    this.#reservation = reply.ok ? reply.value : 0;
    return null;
  }

  /** In the order of the ids; ends with the first that is no record, since what was asked after it rests on a guess. */
  *readRecords(recordIds: readonly number[]): Part<readonly Fetched[]> {
    const answers = yield* this.#askHeads(recordIds);
    const fetched: Fetched[] = [];
    for (const [index, recordId] of recordIds.entries()) {
      const answer = answers[index];
      if (answer === undefined) break;
      const piece = replyValue(this.#store.get, answer);
      const one: Fetched = piece.ok
        ? yield* this.#complete(recordId, piece.value)
        : failureOf(piece.error);
      fetched.push(one);
      if (one.kind !== "record" && one.kind !== "short") break;
    }
    return fetched;
  }

  *#askHeads(recordIds: readonly number[]): Part<Answers> {
    if (this.#isWhole) {
      const answers = yield* askAll(recordIds.map((id) => this.#request(id, 0, SDR_WHOLE)));
      if (!isTooMuch(answers[0])) return answers;
      this.#isWhole = false;
    }
    return yield* askAll(recordIds.map((id) => this.#request(id, 0, SDR_HEADER_BYTES)));
  }

  #request(recordId: number, offset: number, count: number): ReturnType<typeof requestOf> {
    const read = { reservation: this.#reservation, recordId, offset, count };
    return requestOf(this.#store.get, read, this.#store.lun);
  }

  /** The rest of a record of which the first piece is here. */
  *#complete(recordId: number, first: SdrPiece): Part<Fetched> {
    const { nextRecordId } = first;
    const header = decodeSdrHeader(first.bytes);
    if (!header.ok) {
      return { kind: "short", bytes: first.bytes, wantBytes: SDR_HEADER_BYTES, nextRecordId };
    }
    const wantBytes = header.value.totalBytes;
    let bytes = first.bytes;
    while (bytes.byteLength < wantBytes) {
      const more = yield* this.#pieces(recordId, bytes.byteLength, wantBytes);
      if (more.kind === "failed" || more.kind === "lost" || more.kind === "absent") return more;
      if (more.kind === "short") return { kind: "short", bytes, wantBytes, nextRecordId };
      bytes = joined(bytes, more.bytes);
    }
    return { kind: "record", bytes: bytes.subarray(0, wantBytes), nextRecordId };
  }

  /** All pieces from `start` asked at once; gives those that came without a gap. `short`: there is nothing more. */
  *#pieces(recordId: number, start: number, end: number): Part<Fetched> {
    for (;;) {
      const size = this.#pieceBytes;
      const offsets: number[] = [];
      for (let offset = start; offset < end; offset += size) offsets.push(offset);
      const answers = yield* askAll(
        offsets.map((offset) => this.#request(recordId, offset, Math.min(size, end - offset))),
      );
      if (!isTooMuch(answers[0])) return this.#gather(answers, offsets, end);
      if (size <= PIECE_BYTES_MIN) return this.#gather(answers.slice(0, 1), offsets, end);
      this.#pieceBytes = Math.max(PIECE_BYTES_MIN, size >> 1);
    }
  }

  #gather(answers: Answers, offsets: readonly number[], end: number): Fetched {
    let bytes = new Uint8Array(0);
    let nextRecordId = 0;
    for (const [index, answer] of answers.entries()) {
      const piece = replyValue(this.#store.get, answer);
      // What came before an error is good: the error is met again, by itself, when the rest is asked.
      if (!piece.ok) {
        if (bytes.byteLength > 0) break;
        return failureOf(piece.error);
      }
      const want = Math.min(this.#pieceBytes, end - (offsets[index] ?? end));
      bytes = joined(bytes, piece.value.bytes.subarray(0, want)) as Uint8Array<ArrayBuffer>;
      nextRecordId = piece.value.nextRecordId;
      if (piece.value.bytes.byteLength < want) break;
    }
    return bytes.byteLength === 0
      ? { kind: "short", bytes, wantBytes: end, nextRecordId }
      : { kind: "record", bytes, nextRecordId };
  }
}

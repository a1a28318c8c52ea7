/**
 * The delta file: what changes one file (the base) into another (the target). Format: `docs/delta-format.md`, frozen.
 *
 * Here are the header and the reader of the records; the core writes records (`core.encodeWindow`), `io/delta-file.ts`
 * moves bytes. Invariant: whatever the bytes, the reader neither throws nor writes outside the window it is given.
 *
 *   offset  bytes  field
 *        0      8  magic          89 48 46 44 0d 0a 1a 0a: a transfer as text damages it visibly
 *        8      4  version        1
 *       12      4  headerBytes    96
 *       16      8  baseBytes
 *       24      8  targetBytes
 *       32      8  bodyBytes      of the records after the header
 *       40     16  baseDigest     XXH3-128 over the list of XXH3-64 of the file's pieces of 256 KiB
 *       56     16  targetDigest   likewise
 *       72     16  bodyDigest     XXH3-128 of the records
 *       88      8  headerDigest   first 8 bytes of XXH3-128 of bytes 0 … 87
 *
 * Numbers are little-endian. A record is varint(gap) varint(count) and `count` bytes: go on by `gap` bytes of the base, then
 * replace `count`. After the last record the base goes on. Where the target is longer, the base counts as zeros.
 */
import { DIGEST_BYTES } from "../../core/abi.ts";
import { unreachable } from "../../core/assert.ts";
import type { Core } from "../../core/core.ts";
import { err, ok, type Result } from "../../core/result.ts";

export const DELTA_HEADER_BYTES = 96;

const MAGIC: readonly number[] = [0x89, 0x48, 0x46, 0x44, 0x0d, 0x0a, 0x1a, 0x0a];
const VERSION = 1;
const HEADER_DIGEST_OFFSET = 88;

export interface DeltaHeader {
  readonly baseBytes: number;
  readonly targetBytes: number;
  readonly bodyBytes: number;
  readonly baseDigest: Uint8Array;
  readonly targetDigest: Uint8Array;
  readonly bodyDigest: Uint8Array;
}

export type DeltaHeaderError =
  | { readonly kind: "not-a-delta" }
  | { readonly kind: "too-short"; readonly gotBytes: number }
  | { readonly kind: "unknown-version"; readonly version: number }
  | { readonly kind: "damaged-header" };

export function describeHeaderError(error: DeltaHeaderError): string {
  switch (error.kind) {
    case "not-a-delta":
      return "is not a holdfast delta";
    case "too-short":
      return `is torn: it ends within its header, after ${error.gotBytes} bytes`;
    case "unknown-version":
      return `has format version ${error.version}; this holdfast knows version ${VERSION}`;
    case "damaged-header":
      return "is damaged: its header does not match the header's digest";
    default: {
      const unreachable: never = error;
      return unreachable;
    }
  }
}

export type DigestCore = Pick<Core, "digest">;

export function encodeDeltaHeader(core: DigestCore, header: DeltaHeader): Uint8Array {
  const bytes = new Uint8Array(DELTA_HEADER_BYTES);
  const view = new DataView(bytes.buffer);
  bytes.set(MAGIC);
  view.setUint32(8, VERSION, true);
  view.setUint32(12, DELTA_HEADER_BYTES, true);
  view.setBigUint64(16, BigInt(header.baseBytes), true);
  view.setBigUint64(24, BigInt(header.targetBytes), true);
  view.setBigUint64(32, BigInt(header.bodyBytes), true);
  bytes.set(header.baseDigest, 40);
  bytes.set(header.targetDigest, 56);
  bytes.set(header.bodyDigest, 72);
  bytes.set(headerDigest(core, bytes), HEADER_DIGEST_OFFSET);
  return bytes;
}

function headerDigest(core: DigestCore, bytes: Uint8Array): Uint8Array {
  return core.digest(bytes.subarray(0, HEADER_DIGEST_OFFSET)).subarray(0, 8);
}

/** `bytes` begins with the file's first DELTA_HEADER_BYTES, or all of it when it is shorter. */
export function decodeDeltaHeader(
  core: DigestCore,
  bytes: Uint8Array,
): Result<DeltaHeader, DeltaHeaderError> {
  const isDelta = bytes.byteLength > 0 && MAGIC.every((byte, i) => (bytes[i] ?? byte) === byte);
  if (!isDelta) return err({ kind: "not-a-delta" });
  if (bytes.byteLength < DELTA_HEADER_BYTES) {
    return err({ kind: "too-short", gotBytes: bytes.byteLength });
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, DELTA_HEADER_BYTES);
  const version = view.getUint32(8, true);
  if (version !== VERSION) return err({ kind: "unknown-version", version });
  const isIntact = headerDigest(core, bytes).every(
    (byte, i) => byte === bytes[HEADER_DIGEST_OFFSET + i],
  );
  if (!isIntact) return err({ kind: "damaged-header" });
  const size = (offset: number): number => Number(view.getBigUint64(offset, true));
  const digest = (offset: number): Uint8Array => bytes.slice(offset, offset + DIGEST_BYTES);
  const header: DeltaHeader = {
    baseBytes: size(16),
    targetBytes: size(24),
    bodyBytes: size(32),
    baseDigest: digest(40),
    targetDigest: digest(56),
    bodyDigest: digest(72),
  };
  const areSizesExact = [header.baseBytes, header.targetBytes, header.bodyBytes].every(
    Number.isSafeInteger,
  );
  return areSizesExact ? ok(header) : err({ kind: "damaged-header" });
}

/** Equal bytes, then the records of the strips of a file, encoded each for itself, as one body. */
export class RecordJoiner {
  #gap = 0;

  /**
   * The next strip's records and the equal bytes behind them. Gives the pieces to append: only the first gap changes, by what
   * is equal at the end of the strips before.
   */
  join(records: Uint8Array, gapBytes: number): readonly Uint8Array[] {
    if (records.byteLength === 0) {
      this.#gap += gapBytes;
      return [];
    }
    let first = 0;
    let at = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = records[at++] ?? 0;
      first += (byte & 0x7f) * scale;
      if (byte < 0x80) break;
    }
    const pieces = [varint(this.#gap + first), records.subarray(at)];
    this.#gap = gapBytes;
    return pieces;
  }
}

function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80);
  return Uint8Array.from([...bytes, rest]);
}

/** Eight bytes hold 56 bits: more than a file's length ever needs. */
const VARINT_BYTES_MAX = 8;

/** A record's two numbers come before its bytes are passed over and replaced. */
type Step = "read-gap" | "read-count" | "skip" | "literal";

/**
 * Applies records, window by window and piece by piece of the body, whichever ends first. Feed a piece, then fill
 * windows until `fill` says that it needs more; when the body has ended, say so and go on.
 */
export class DeltaReader {
  #body: Uint8Array = new Uint8Array(0);
  #bodyAt = 0;
  #hasEnded = false;
  #step: Step = "read-gap";
  /** The number that is being read. */
  #varint = 0;
  #varintBytes = 0;
  #gap = 0;
  #count = 0;
  #windowAt = 0;
  #isDamaged = false;

  /** The next piece of the body; the one before must be used up. It is read in place. */
  feed(body: Uint8Array): void {
    this.#body = body;
    this.#bodyAt = 0;
  }

  /** No more pieces will come. */
  end(): void {
    this.#hasEnded = true;
  }

  /** A number too long, a record of nothing, or an end within a record. */
  get isDamaged(): boolean {
    return this.#isDamaged;
  }

  /** Whether every record fed lies within the windows filled. Ask behind the last window. */
  get isComplete(): boolean {
    const isAtRecord = this.#step === "read-gap" && this.#varintBytes === 0;
    return isAtRecord && this.#bodyAt === this.#body.byteLength;
  }

  /**
   * `window` holds the base's bytes and gets the target's. True: it is done, the next call is for the next window.
   * False: the piece is used up (feed another, or `end`, and call again with the same window), or the body is damaged.
   */
  fill(window: Uint8Array): boolean {
    while (this.#windowAt < window.byteLength) {
      const isHungry = this.#step !== "skip" && this.#bodyAt === this.#body.byteLength;
      if (isHungry) {
        if (!this.#hasEnded) return false;
        this.#isDamaged ||= !this.isComplete;
        // Behind the last record the base goes on.
        this.#windowAt = window.byteLength;
      } else this.#advance(window);
      if (this.#isDamaged) return false;
    }
    this.#windowAt = 0;
    return true;
  }

  #advance(window: Uint8Array): void {
    switch (this.#step) {
      case "read-gap":
      case "read-count":
        this.#readNumber();
        return;
      case "skip": {
        const bytes = Math.min(this.#gap, window.byteLength - this.#windowAt);
        this.#gap -= bytes;
        this.#windowAt += bytes;
        if (this.#gap === 0) this.#step = "literal";
        return;
      }
      case "literal": {
        const room = Math.min(this.#count, window.byteLength - this.#windowAt);
        const bytes = Math.min(room, this.#body.byteLength - this.#bodyAt);
        window.set(this.#body.subarray(this.#bodyAt, this.#bodyAt + bytes), this.#windowAt);
        this.#bodyAt += bytes;
        this.#windowAt += bytes;
        this.#count -= bytes;
        if (this.#count === 0) this.#step = "read-gap";
        return;
      }
      default:
        unreachable(this.#step, "step of a record");
    }
  }

  /** Takes in one byte of a number; bit operations would cut it to 32 bits. */
  #readNumber(): void {
    const byte = this.#body[this.#bodyAt++] ?? 0;
    this.#varint += (byte & 0x7f) * 2 ** (7 * this.#varintBytes);
    this.#varintBytes++;
    if (byte >= 0x80) {
      this.#isDamaged = this.#varintBytes === VARINT_BYTES_MAX;
      return;
    }
    const value = this.#varint;
    this.#varint = 0;
    this.#varintBytes = 0;
    if (this.#step === "read-gap") {
      this.#gap = value;
      this.#step = "read-count";
    } else {
      this.#count = value;
      this.#isDamaged = value === 0;
      this.#step = this.#gap === 0 ? "literal" : "skip";
    }
  }
}

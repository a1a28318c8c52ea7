/**
 * Makes the delta of one strip of two files: what one thread does at a time.
 *
 * A strip is 16 windows. Strips are encoded each for itself, so any thread may take any of them; `RecordJoiner` puts the
 * records together, in order.
 */
import { WINDOW_BYTES } from "../../../core/abi.ts";
import type { Core } from "../../../core/core.ts";
import { type OpenFile, readAt } from "./delta-file.ts";

export const STRIP_BYTES: number = 16 * WINDOW_BYTES;

const NOTHING: Uint8Array = new Uint8Array(0);

export interface Strip {
  readonly index: number;
  readonly records: Uint8Array;
  /** Equal bytes behind the last record. */
  readonly gapBytes: number;
  /** XXH3-64 of each window, 8 bytes each. */
  readonly baseDigests: Uint8Array;
  readonly targetDigests: Uint8Array;
}

/** Takes in XXH3-64 of windows; Bun's native one does this at the speed of a cache. */
export class WindowDigests {
  readonly #words: BigUint64Array<ArrayBuffer> = new BigUint64Array(STRIP_BYTES / WINDOW_BYTES);
  #count = 0;

  /** An empty window does not count. */
  add(window: Uint8Array): bigint | null {
    const digest = window.byteLength === 0 ? null : Bun.hash.xxHash3(window);
    this.put(digest);
    return digest;
  }

  put(digest: bigint | null): void {
    if (digest !== null) this.#words[this.#count++] = digest;
  }

  /** What was taken in since the last call. */
  take(): Uint8Array {
    const bytes = new Uint8Array(this.#words.buffer.slice(0, this.#count * 8));
    this.#count = 0;
    return bytes;
  }
}

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.byteLength, 0));
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.byteLength;
  }
  return bytes;
}

/** Encodes strips of one pair of files. */
export class StripEncoder {
  readonly #core: Core;
  readonly #base: OpenFile;
  readonly #target: OpenFile;
  readonly #baseDigests: WindowDigests = new WindowDigests();
  readonly #targetDigests: WindowDigests = new WindowDigests();

  constructor(core: Core, base: OpenFile, target: OpenFile) {
    this.#core = core;
    this.#base = base;
    this.#target = target;
  }

  encode(index: number): Strip {
    const pieces: Uint8Array[] = [];
    this.#core.encodeBegin();
    const end = Math.min((index + 1) * STRIP_BYTES, Math.max(this.#base.bytes, this.#target.bytes));
    for (let at = index * STRIP_BYTES; at < end; at += WINDOW_BYTES) {
      const records = this.#encodeWindow(at);
      if (records.byteLength > 0) pieces.push(records.slice());
    }
    return {
      index,
      records: joined(pieces),
      gapBytes: this.#core.encodeGap(),
      baseDigests: this.#baseDigests.take(),
      targetDigests: this.#targetDigests.take(),
    };
  }

  #encodeWindow(at: number): Uint8Array {
    const [before, input] = [this.#core.beforeWindow(), this.#core.inputWindow()];
    const base = before.subarray(0, readAt(this.#base, before, at));
    const target = input.subarray(0, readAt(this.#target, input, at));
    const baseDigest = this.#baseDigests.add(base);
    if (Buffer.compare(base, target) === 0) {
      this.#targetDigests.put(baseDigest);
      this.#core.encodeSkip(target.byteLength);
      return NOTHING;
    }
    this.#targetDigests.add(target);
    before.fill(0, base.byteLength, Math.max(base.byteLength, target.byteLength));
    return this.#core.encodeWindow(target.byteLength);
  }
}

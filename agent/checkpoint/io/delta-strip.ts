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
  add(window: Uint8Array): void {
    if (window.byteLength > 0) this.#words[this.#count++] = Bun.hash.xxHash3(window);
  }

  /** What was taken in since the last call; a view until the next `add`. */
  take(): Uint8Array {
    const bytes = new Uint8Array(this.#words.buffer, 0, this.#count * 8);
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

export function encodeStrip(core: Core, base: OpenFile, target: OpenFile, index: number): Strip {
  const before = core.beforeWindow();
  const input = core.inputWindow();
  const baseDigests = new WindowDigests();
  const targetDigests = new WindowDigests();
  const pieces: Uint8Array[] = [];
  core.encodeBegin();
  const end = Math.min((index + 1) * STRIP_BYTES, Math.max(base.bytes, target.bytes));
  for (let at = index * STRIP_BYTES; at < end; at += WINDOW_BYTES) {
    const baseBytes = readAt(base, before, at);
    const targetBytes = readAt(target, input, at);
    baseDigests.add(before.subarray(0, baseBytes));
    targetDigests.add(input.subarray(0, targetBytes));
    before.fill(0, baseBytes, Math.max(baseBytes, targetBytes));
    const records = core.encodeWindow(targetBytes);
    if (records.byteLength > 0) pieces.push(records.slice());
  }
  return {
    index,
    records: joined(pieces),
    gapBytes: core.encodeGap(),
    baseDigests: baseDigests.take(),
    targetDigests: targetDigests.take(),
  };
}

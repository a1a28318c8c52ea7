/**
 * The delta kernel's host: changed pages by digest, changed ranges and encoded windows by bytes.
 */
import { DIGEST_BYTES, WINDOW_BYTES } from "./abi.ts";
import { assert } from "./assert.ts";
import type { CoreMemory, Kernels } from "./kernels.ts";

/** Bytes [offset, offset + bytes) of a buffer. */
export interface ChangedRange {
  readonly offset: number;
  readonly bytes: number;
}

export interface Comparer {
  changedPages(before: Uint8Array, after: Uint8Array): Uint32Array;
  changedRanges(before: Uint8Array, after: Uint8Array): readonly ChangedRange[];
  changedWindowRanges(byteCount: number): Uint32Array;
  encodeBegin(): void;
  encodeGap(): number;
  encodeSkip(byteCount: number): void;
  encodeWindow(byteCount: number): Uint8Array;
}

/** Copies a piece of a buffer into a window; zeros where the buffer has ended. */
function fill(window: Uint8Array, source: Uint8Array, offset: number, byteCount: number): void {
  const piece = source.subarray(offset, offset + byteCount);
  window.set(piece);
  if (piece.byteLength < byteCount) window.fill(0, piece.byteLength, byteCount);
}

/** Digests are compared as 32-bit words; a list that is not aligned to them is copied first. */
function words(digests: Uint8Array): Uint32Array {
  assert(digests.byteLength % DIGEST_BYTES === 0, "whole digests");
  const aligned = digests.byteOffset % 4 === 0 ? digests : digests.slice();
  return new Uint32Array(aligned.buffer, aligned.byteOffset, aligned.byteLength / 4);
}

/** O(pages). No kernel: two passes over 16 bytes a page cost less than the copy into the module would. */
function changedPages(before: Uint8Array, after: Uint8Array): Uint32Array {
  const a = words(before);
  const b = words(after);
  const changed: number[] = [];
  for (let i = 0; i < b.length; i += 4) {
    const isSame =
      a[i] === b[i] && a[i + 1] === b[i + 1] && a[i + 2] === b[i + 2] && a[i + 3] === b[i + 3];
    if (!isSame) changed.push(i / 4);
  }
  return Uint32Array.from(changed);
}

export function comparer(kernels: Kernels, memory: CoreMemory): Comparer {
  const changedWindowRanges = (byteCount: number): Uint32Array => {
    assert(byteCount <= WINDOW_BYTES, "within the window");
    const runCount = kernels.changedBlockRuns(byteCount);
    return new Uint32Array(memory.output.buffer, memory.output.byteOffset, runCount * 2);
  };
  return {
    changedPages,
    changedWindowRanges,
    changedRanges: (before, after) => {
      const ranges: { offset: number; bytes: number }[] = [];
      for (let start = 0; start < after.byteLength; start += WINDOW_BYTES) {
        const byteCount = Math.min(WINDOW_BYTES, after.byteLength - start);
        fill(memory.before, before, start, byteCount);
        fill(memory.input, after, start, byteCount);
        const runs = changedWindowRanges(byteCount);
        for (let i = 0; i < runs.length; i += 2) {
          const offset = start + (runs[i] ?? 0);
          const bytes = runs[i + 1] ?? 0;
          const last = ranges.at(-1);
          // A run does not end at a window's border.
          if (last !== undefined && last.offset + last.bytes === offset) last.bytes += bytes;
          else ranges.push({ offset, bytes });
        }
      }
      return ranges;
    },
    encodeBegin: () => kernels.encodeBegin(),
    encodeGap: () => kernels.encodeGap(),
    encodeSkip: (byteCount) => kernels.encodeSkip(byteCount),
    encodeWindow: (byteCount) => {
      assert(byteCount <= WINDOW_BYTES, "within the window");
      return memory.output.subarray(0, kernels.encodeWindow(byteCount));
    },
  };
}

/**
 * What the thread that reads a terminal and its owner say to each other: messages, and words in shared memory.
 *
 * A file of its own, since importing the thread's own file would make a Worker of whoever imports it.
 */
export interface ToTtyWorker {
  readonly fd: number;
  /** Read end of the pipe, non-blocking. */
  readonly waker: number;
  readonly words: Int32Array;
}

/** Places in `words`. */
export const WORD = {
  /** 1: end. */
  stop: 0,
  /** Counted up by who wants a flush. */
  flushWanted: 1,
  /** Bytes taken by the reader, modulo 2^32. */
  taken: 2,
  /** 1 while the thread does not read for want of `taken`. */
  isBehind: 3,
} as const;
export const WORD_COUNT = 4;

export type FromTtyWorker =
  | { readonly kind: "ready" }
  | { readonly kind: "bytes"; readonly bytes: Uint8Array<ArrayBuffer> }
  /** Everything posted before it was there before the flush. */
  | { readonly kind: "flushed"; readonly count: number }
  /** The last one. `errno` is null after a hang-up, or when it was told to end. */
  | { readonly kind: "ended"; readonly errno: number | null };

export const BEHIND_BYTES_MAX = 262_144;

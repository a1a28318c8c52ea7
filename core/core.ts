/**
 * The host of the WASM core, and the only owner of its memory.
 */
import type { CommonState, CommonStateInput } from "./common-state.ts";
import type { RankQuery, RankTable } from "./rank.ts";

/** Bytes [offset, offset + bytes) of the window pair. */
export interface ChangedRange {
  readonly offset: number;
  readonly bytes: number;
}

/**
 * One instance a thread (they share nothing). Everything is synchronous. Views (`Uint8Array`, `Uint32Array`) that are
 * marked *view* lie in the core's memory and hold until the next call that writes there; never keep them.
 */
export interface Core {
  /** View, WINDOW_BYTES: read a file straight into it. The newer side of a comparison and what `digestWindow` reads. */
  inputWindow(): Uint8Array;
  /** View, WINDOW_BYTES: the older side of a comparison. */
  beforeWindow(): Uint8Array;

  /** XXH3-128 (seed 0, canonical form) of a whole buffer of any length. */
  digest(bytes: Uint8Array): Uint8Array;
  /** One digest a page of 4096 bytes into `digests` (16 bytes each); the last page may be short. No page for 0 bytes. */
  digestPages(bytes: Uint8Array, digests: Uint8Array): void;
  /** View: the page digests of the first `byteCount` bytes of the input window. */
  digestWindow(byteCount: number): Uint8Array;
  /**
   * Digest of a dataset too large for a buffer: XXH3-128 over the list of its page digests. Feed page digests (any
   * multiple of 16 bytes at a time); `finish` gives 16 bytes. As many at a time as you like.
   */
  datasetDigest(): DatasetDigest;

  /** Indexes of the pages whose digests differ; pages that only `after` has count as changed. */
  changedPages(before: Uint8Array, after: Uint8Array): Uint32Array;
  /**
   * Where two buffers differ, in blocks of 64 bytes from offset 0, neighbours joined, the last clipped to `after`'s
   * length. What only `after` has is compared with zeros; what only `before` has is not looked at.
   */
  changedRanges(before: Uint8Array, after: Uint8Array): readonly ChangedRange[];
  /** The same on the first `byteCount` bytes of the two windows. View: pairs (offset, bytes). */
  changedWindowRanges(byteCount: number): Uint32Array;

  commonState(input: CommonStateInput): CommonState;

  rankTable(): RankTable;
  /** View: indexes of the chosen candidates, best first (or in the order drawn). */
  rank(query: RankQuery): Uint32Array;
}

export interface DatasetDigest {
  update(pageDigests: Uint8Array): void;
  finish(): Uint8Array;
}

export declare function createCore(): Core;

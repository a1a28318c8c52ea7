/**
 * The host of the WASM core, and the only owner of its memory: no other file knows an address.
 *
 * Copies what a caller has in a buffer of its own into the core's windows, a piece at a time, and runs the kernels over
 * it; gives callers the windows themselves where they can read a file straight into them. Decides nothing.
 * A kernel's failed assert is a trap: it throws, and the process ends (a programmer error).
 *
 *   address   region            bytes        written by    read by
 *   1024      before            256 KiB      caller        delta
 *             input             256 KiB      caller        digest, delta (the newer side)
 *             output            256 KiB+64   delta         caller: runs, or an encoded window
 *             digests           1 KiB        digest        caller
 *             stream state      128          digest        digest: 8 accumulators, 64 bytes before the buffer
 *             stream            16 KiB       host          digest: buffers of callers, lists of digests
 *             shards            1 MiB        caller, host  commonState: 131,072 words
 *             deltas            128 KiB      host          commonState: a word a group, 16,384 groups
 *             elsewhere         128 KiB      host          commonState
 *             parents           1 MiB        host          commonState: 64 bytes a group
 *             shared parents    64           host          commonState
 *             recovered         128 KiB      commonState   host
 *             common            8            commonState   host
 *             metrics           128 KiB      caller        rank: 8 rows of 4096
 *             ages, scores      16 KiB each  caller, rank  rank
 *             weights, priors   32 each      host          rank
 *             choices           256          rank          caller
 *   3.4 MiB   constants, scratch of kernels
 *   3.44 MiB  end: the memory neither grows nor moves, so views of it hold as long as the core
 */

// The one file of the core that reads a file: its own module.
// biome-ignore lint/style/noRestrictedImports: see above; works from sources and inside the executable alike.
import { readFileSync } from "node:fs";
import wasmPath from "../dist/core.wasm" with { type: "file" };
import {
  DELTA_SLACK_BYTES,
  DIGEST_BYTES,
  MEMORY_PAGES,
  REGION_BEFORE,
  REGION_DIGESTS,
  REGION_INPUT,
  REGION_OUTPUT,
  REGION_STREAM,
  REGION_STREAM_STATE,
  STREAM_BYTES,
  STREAM_STATE_BYTES,
  WINDOW_BYTES,
  WINDOW_PAGES,
} from "./abi.ts";
import { assert } from "./assert.ts";
import type { CommonState, CommonStateInput, VersionWords } from "./common-state.ts";
import { type ChangedRange, comparer } from "./comparer.ts";
import { type DigestStream, digester } from "./digester.ts";
import type { CoreMemory, Kernels } from "./kernels.ts";
import type { RankQuery, RankTable } from "./rank.ts";
import { ranker } from "./ranker.ts";
import { selector } from "./selector.ts";

/**
 * One instance a thread (they share nothing). Everything is synchronous. Arrays marked *view* lie in the core's memory
 * and hold until the next call that writes there; do not keep them.
 */
export interface Core {
  /** View, WINDOW_BYTES: read a file straight into it. The newer side of a comparison, and what `digestWindow` reads. */
  inputWindow(): Uint8Array;
  /** View, WINDOW_BYTES: the older side of a comparison. */
  beforeWindow(): Uint8Array;

  /** XXH3-128 (seed 0, canonical form) of a whole buffer of any length. */
  digest(bytes: Uint8Array): Uint8Array;
  /** One digest a page of 4096 bytes into `digests` (16 bytes each); the last page may be short. None for 0 bytes. */
  digestPages(bytes: Uint8Array, digests: Uint8Array): void;
  /** View: the page digests of the first `byteCount` bytes of the input window. */
  digestWindow(byteCount: number): Uint8Array;
  /**
   * `digest` of what comes piece by piece. As many at a time as you like; the windows are not touched.
   */
  digestStream(): DigestStream;

  /** Indexes of the pages whose digests differ; pages that only `after` has count as changed. */
  changedPages(before: Uint8Array, after: Uint8Array): Uint32Array;
  /**
   * Where two buffers differ, in blocks of 64 bytes from offset 0, neighbours joined, the last clipped to `after`'s
   * length. What only `after` has is compared with zeros; what only `before` has is not looked at.
   */
  changedRanges(before: Uint8Array, after: Uint8Array): readonly ChangedRange[];
  /** The same on the first `byteCount` bytes of the two windows. View: pairs (offset, bytes). */
  changedWindowRanges(byteCount: number): Uint32Array;
  /** Starts the records of `docs/delta-format.md`; one encoding at a time. */
  encodeBegin(): void;
  /** Equal bytes since the last record. */
  encodeGap(): number;
  /** Passes over bytes that are known to be equal, instead of encoding them. At most 2^32 - 1 at a time. */
  encodeSkip(byteCount: number): void;
  /** View: the records of the first `byteCount` bytes of the two windows, the next in order. Often empty. */
  encodeWindow(byteCount: number): Uint8Array;

  /** View, 2 × SHARD_WORDS_MAX: `groups[0].shards` may be a piece from its start; it is then read in place. */
  shardWindow(): VersionWords;
  commonState(input: CommonStateInput): CommonState;

  rankTable(): RankTable;
  /** View: indexes of the chosen candidates, best first (or in the order drawn). */
  rank(query: RankQuery): Uint32Array;
}

/** Where the built module is; inside the executable a path within it. */
export const CORE_WASM_PATH: string = wasmPath;

/** Compiling takes a few milliseconds; instances of one thread share it. */
let compiled: WebAssembly.Module | null = null;

function coreMemory(kernels: Kernels): CoreMemory {
  const buffer = kernels.memory.buffer;
  assert(buffer.byteLength === MEMORY_PAGES * 65_536, "the core's memory is fixed");
  const bytes = (region: number, byteCount: number): Uint8Array =>
    new Uint8Array(buffer, kernels.region(region), byteCount);
  return {
    before: bytes(REGION_BEFORE, WINDOW_BYTES),
    input: bytes(REGION_INPUT, WINDOW_BYTES),
    output: bytes(REGION_OUTPUT, WINDOW_BYTES + DELTA_SLACK_BYTES),
    digests: bytes(REGION_DIGESTS, WINDOW_PAGES * DIGEST_BYTES),
    streamState: bytes(REGION_STREAM_STATE, STREAM_STATE_BYTES),
    stream: bytes(REGION_STREAM, STREAM_BYTES),
    bytes,
    words: (region, count) => new Uint32Array(buffer, kernels.region(region), count),
    floats: (region, count) => new Float32Array(buffer, kernels.region(region), count),
  };
}

/** Starts in about a millisecond; 3.5 MiB each. */
export function createCore(): Core {
  compiled ??= new WebAssembly.Module(readFileSync(CORE_WASM_PATH));
  const kernels = new WebAssembly.Instance(compiled).exports as unknown as Kernels;
  const memory = coreMemory(kernels);
  return {
    inputWindow: () => memory.input,
    beforeWindow: () => memory.before,
    ...digester(kernels, memory),
    ...comparer(kernels, memory),
    ...selector(kernels, memory),
    ...ranker(kernels, memory),
  };
}

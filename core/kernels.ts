/**
 * What the WASM module exports, as types, and the views of its memory that the core's host files share. `core.ts` alone
 * makes them.
 */

/** What the module exports. A test compares the names with the module's. */
export interface Kernels {
  readonly memory: WebAssembly.Memory;
  readonly region: (id: number) => number;
  readonly digestInputPages: (byteCount: number) => void;
  readonly digestStreamPages: (byteCount: number) => void;
  readonly streamBegin: () => void;
  readonly streamNext: () => void;
  readonly streamEnd: (byteCount: number, totalBytes: number) => void;
  readonly changedBlockRuns: (byteCount: number) => number;
  readonly encodeBegin: () => void;
  readonly encodeGap: () => number;
  readonly encodeSkip: (byteCount: number) => void;
  readonly encodeWindow: (byteCount: number) => number;
  readonly commonBegin: () => void;
  readonly commonBatch: (
    groupCount: number,
    shardsPerGroup: number,
    need: number,
    deltasKind: number,
    withElsewhere: number,
  ) => void;
  readonly rank: (
    candidateCount: number,
    metricCount: number,
    agingPerMs: number,
    choiceCount: number,
    isSample: number,
    seed: number,
  ) => number;
}

export const KERNEL_NAMES: readonly (keyof Kernels)[] = [
  "changedBlockRuns",
  "commonBatch",
  "commonBegin",
  "digestInputPages",
  "digestStreamPages",
  "encodeBegin",
  "encodeGap",
  "encodeSkip",
  "encodeWindow",
  "memory",
  "rank",
  "region",
  "streamBegin",
  "streamEnd",
  "streamNext",
];

/** Views of the fixed regions. `bytes`, `words` and `floats` make the ones that only one file needs. */
export interface CoreMemory {
  readonly before: Uint8Array;
  readonly input: Uint8Array;
  readonly output: Uint8Array;
  readonly digests: Uint8Array;
  readonly streamState: Uint8Array;
  readonly stream: Uint8Array;
  readonly bytes: (region: number, count: number) => Uint8Array;
  readonly words: (region: number, count: number) => Uint32Array;
  readonly floats: (region: number, count: number) => Float32Array;
}

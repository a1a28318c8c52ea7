/**
 * Numbers that the host and the WASM module share. Integer literals only: this file compiles as TypeScript and as
 * AssemblyScript, where `memory.data(...)` accepts them, so every limit is written once.
 *
 * Frozen: PAGE_BYTES and DIGEST_BYTES are part of stored digests; DELTA_* are part of `docs/delta-format.md`.
 */

/** Fixed: initial = maximum, 64 KiB each. All regions together need 3.5 MiB; `core.test.ts` knows how many are used. */
export const MEMORY_PAGES = 55;

/** What a digest covers; the page of a checkpointed region. */
export const PAGE_BYTES = 4096;

/** XXH3-128, canonical (big-endian) form. */
export const DIGEST_BYTES = 16;

/**
 * What a whole buffer or a list of digests is streamed through: a caller's buffer is copied to here and digested while
 * it is still in the first-level cache (measured: 16 KiB 7.7 GB/s, 128 KiB 7.0, from main memory).
 */
export const STREAM_BYTES = 16_384;
/** State of a stream: eight accumulators, then the 64 bytes before the stream buffer. */
export const STREAM_STATE_BYTES = 128;

/** Granularity at which changes are first looked for: a cache line. */
export const BLOCK_BYTES = 64;

/**
 * A window on larger data. Two of them and the output they cause stay in a second-level cache of 1 MiB; half as much
 * would show the cost of the read call.
 */
export const WINDOW_BYTES = 262_144;
export const WINDOW_PAGES = 64;

/**
 * Two changed stretches are one run when fewer equal bytes than this lie between them: a record's two varints cost
 * 2 to 6 bytes, so an encoded window is never longer than the window plus DELTA_SLACK_BYTES.
 */
export const DELTA_GAP_BYTES = 8;
export const DELTA_SLACK_BYTES = 64;

/** Most runs of changed blocks of one window: every other block. */
export const RUNS_MAX = 2048;

/** Words of one batch of `commonState`: 1 MiB. */
export const SHARD_WORDS_MAX = 131_072;
export const GROUPS_MAX = 16_384;
export const GROUP_SHARDS_MAX = 255;
export const VERSIONS_MAX = 64;

/** In a parent table: this version is complete in itself. */
export const NO_PARENT = 255;

export const CANDIDATES_MAX = 4096;
export const METRICS_MAX = 8;
/** Most candidates chosen by one call of `rank`. */
export const CHOICES_MAX = 64;

/** What `region` knows: order of the module's regions. */
export const REGION_BEFORE = 0;
export const REGION_INPUT = 1;
export const REGION_OUTPUT = 2;
export const REGION_DIGESTS = 3;
export const REGION_STREAM = 4;
export const REGION_STREAM_STATE = 5;
export const REGION_SHARDS = 6;
export const REGION_DELTAS = 7;
export const REGION_ELSEWHERE = 8;
export const REGION_PARENTS = 9;
export const REGION_SHARED_PARENTS = 10;
export const REGION_RECOVERED = 11;
export const REGION_COMMON = 12;
export const REGION_METRICS = 13;
export const REGION_AGES = 14;
export const REGION_WEIGHTS = 15;
export const REGION_PRIORS = 16;
export const REGION_CHOICES = 17;

/** How the versions of a batch of groups hang together. */
export const DELTAS_NONE = 0;
/** The parent of v is v − 1. */
export const DELTAS_CHAIN = 1;
/** One table for all groups. */
export const DELTAS_SHARED = 2;
/** A table a group. */
export const DELTAS_OWN = 3;

/**
 * Numbers that the host and the WASM module share. Integer literals only: this file compiles as TypeScript and as
 * AssemblyScript, where `memory.data(...)` accepts them, so every limit is written once.
 *
 * Frozen: PAGE_BYTES and DIGEST_BYTES are part of stored digests; DELTA_* are part of `docs/delta-format.md`.
 */

/** What a digest covers; the page of a checkpointed region. */
export const PAGE_BYTES = 4096;

/** XXH3-128, canonical (big-endian) form. */
export const DIGEST_BYTES = 16;

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

/** Most runs of one window: a changed byte, DELTA_GAP_BYTES equal ones, and so on. */
export const RUNS_MAX = 29_128;

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

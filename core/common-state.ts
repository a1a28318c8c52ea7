/**
 * Which version can every rank be restored to? Decided from metadata alone, before any byte moves.
 *
 * These are the question's and the answer's types; `core.commonState` answers. The caller maps its versions to bits
 * 0 … 63 of a word (older versions on lower bits) and says, for every redundancy group, which versions each of its
 * shards exists in, sealed and of the right lineage, OR-ed over all living holders.
 *
 *   redundancy          one group is                            shardsPerGroup   need
 *   none                one rank                                1                1
 *   n copies            one rank; each copy is a shard          n                1
 *   k + m Reed-Solomon  k ranks and their m parity shards       k + m            k
 *   set of n, p lost    n ranks, any n − p shards are enough    n                n − p
 *
 * A group recovers version v when at least `need` of its shards exist in v, and, when the group holds v as a delta, it
 * also recovers v's parent. The common states are the versions that every group recovers, without the poisoned ones.
 */

/** 64 versions as two 32-bit halves: word i of an array is at 2i (versions 0 … 31) and 2i + 1 (32 … 63). */
export type VersionWords = Uint32Array;

/** Groups of one shape. A job with several shapes of group passes several. Streams in batches when large. */
export interface ShardGroups {
  readonly groupCount: number;
  /** 1 … 255. */
  readonly shardsPerGroup: number;
  /** 1 … shardsPerGroup. */
  readonly need: number;
  /** groupCount × shardsPerGroup words, the shards of a group side by side. */
  readonly shards: VersionWords;
  /** Per group one word: the versions that the group holds as deltas. Absent: every version is complete in itself. */
  readonly deltas?: VersionWords;
  /**
   * Per group 64 bytes: the parent of version v is bit parents[64 g + v], less than v, read only where `deltas` says
   * so. Absent: `CommonStateInput.parents` serves every group. A parent that has no bit any more: NO_PARENT in the
   * table; then the delta has lost its base and is not recoverable.
   */
  readonly parents?: Uint8Array;
  /** Per group one word: the versions that another level (a remote store) can restore without any shard. */
  readonly elsewhere?: VersionWords;
}

export interface CommonStateInput {
  readonly groups: readonly ShardGroups[];
  /** 64 bytes, for groups without their own table. Absent: the parent of v is v − 1. */
  readonly parents?: Uint8Array;
  /** Versions that failed on use; never selected, though they may serve as parents. */
  readonly poison?: bigint;
  /** Ask for `recoverable`. */
  readonly explain?: boolean;
}

export interface CommonState {
  /** The highest bit of `restorable`, or -1. */
  readonly newest: number;
  /** Every version that all groups recover and that is not poisoned. All 64 bits when there is no group. */
  readonly restorable: bigint;
  /** For each entry of `groups` one word a group: what it recovers. Empty unless asked for. */
  readonly recoverable: readonly VersionWords[];
}

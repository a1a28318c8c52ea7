/**
 * Every bound of the checkpoint store, in one place, with its reason. What decodes and what serves asserts or refuses by
 * these; nothing grows past them.
 */
import { DIGEST_BYTES, PAGE_BYTES } from "../../core/abi.ts";
import { assert } from "../../core/assert.ts";

/** Regions of one rank. A program that protects more should protect one larger area. */
export const REGIONS_MAX: number = 4096;

/** UTF-8 bytes of a region's name: what remains of a file name (255) should every byte need three to be escaped. */
export const REGION_NAME_BYTES_MAX: number = 80;

/** Bytes of all regions of one rank: its page digests are then 256 MiB, still decoded in one piece. */
export const STATE_BYTES_MAX: number = 64 * 2 ** 30;

export const STATE_PAGES_MAX: number = STATE_BYTES_MAX / PAGE_BYTES + REGIONS_MAX;

/** Messages under way at a checkpoint: channels are drained first, so this is never the bulk. */
export const MAILBOX_BYTES_MAX: number = 256 * 2 ** 20;

/** Prologue, job and region table. */
export const HEAD_BYTES_MAX: number = 1024 + REGIONS_MAX * (REGION_NAME_BYTES_MAX + 10);

/** Runs of changed pages: at worst every second page. */
export const RUN_BYTES: number = 8;
export const TAIL_BYTES_MAX: number =
  STATE_PAGES_MAX * DIGEST_BYTES + Math.ceil(STATE_PAGES_MAX / 2) * RUN_BYTES;

/** A shard that a peer announces to be larger is refused before its first byte is read. */
export const SHARD_BYTES_MAX: number =
  HEAD_BYTES_MAX + MAILBOX_BYTES_MAX + STATE_BYTES_MAX + TAIL_BYTES_MAX + 64;

/** Deltas between a version and the full shard below it: bounds what a restore has to read and a fetch has to ask for. */
export const CHAIN_DELTAS_MAX: number = 8;

/** Sealed versions that are always kept restorable: the newest may turn out damaged on use. */
export const SEALED_KEPT_MIN: number = 2;

/** What a node's store may be told to do otherwise. */
export interface StoreLimits {
  /** Bytes copied out of the programs' memory and not yet on disk; beyond it `captured` is delayed. */
  readonly copyBytesMax: number;
  /** Shards of others kept in memory as well, so that a fetch need not touch the disk. */
  readonly partnerCacheBytes: number;
  /** A shard larger than this is refused, whoever it is from. */
  readonly shardBytesMax: number;
  /** A peer that has not begun to answer a read within this time is taken for unreachable. */
  readonly answerWithinMs: number;
  /** A transfer that moves no byte for this long has failed. */
  readonly stallMs: number;
}

export const DEFAULT_LIMITS: StoreLimits = {
  copyBytesMax: 512 * 2 ** 20,
  partnerCacheBytes: 256 * 2 ** 20,
  shardBytesMax: SHARD_BYTES_MAX,
  answerWithinMs: 2_000,
  stallMs: 3_000,
};

assert(STATE_PAGES_MAX < 2 ** 32, "a page index is stored in 32 bits");
assert(SHARD_BYTES_MAX < Number.MAX_SAFE_INTEGER, "sizes are exact numbers");
assert(SEALED_KEPT_MIN >= 2, "one sealed version alone may be the damaged one");

/**
 * Chains of deltas: which shards a version is read from, and when the next one is better written in full.
 *
 * Invariant: a delta's parent was sealed here when the delta began. A version that some rank never finished can then never
 * lie below one that is selected, and chains stay readable from sealed shards alone.
 */

import { err, ok, type Result } from "../../core/result.ts";
import type { Epoch } from "../membership/membership.ts";
import type { Version } from "./checkpoint.ts";
import { CHAIN_DELTAS_MAX } from "./limits.ts";

export interface ShardId {
  readonly version: Version;
  readonly epoch: Epoch;
}

export interface ChainLink extends ShardId {
  readonly parent: ShardId | null;
}

/** Newest first; the last is complete in itself. The error is the shard that is missing. O(length of the chain). */
export function chainOf<T extends ChainLink>(
  shard: T,
  find: (id: ShardId) => T | null,
): Result<readonly T[], ShardId> {
  const chain = [shard];
  // Versions fall along a chain (the decoder refuses anything else), so this ends.
  for (let { parent } = shard; parent !== null; ) {
    const next = find(parent);
    if (next === null || next.version >= (chain.at(-1) as T).version) return err(parent);
    chain.push(next);
    parent = next.parent;
  }
  return ok(chain);
}

export interface ChainCost {
  /** Deltas above the last full shard. */
  readonly deltaCount: number;
  /** Their bytes. */
  readonly deltaBytes: number;
  /** Bytes of the newest of them: what the next is expected to take. */
  readonly lastDeltaBytes: number;
}

export const FULL_SHARD: ChainCost = { deltaCount: 0, deltaBytes: 0, lastDeltaBytes: 0 };

/**
 * A restore reads the whole chain, so its deltas may not add up to more than the state itself: then disk and restore cost
 * at most twice a full shard, and a full shard is written only once the deltas have saved as much as it costs. Judged
 * before the state is read, by the size of the delta before: the payload is on its way to disk while pages are compared.
 */
export function isFullDue(cost: ChainCost, stateBytes: number): boolean {
  return cost.deltaCount >= CHAIN_DELTAS_MAX || cost.deltaBytes + cost.lastDeltaBytes > stateBytes;
}

export function withDelta(cost: ChainCost, bytes: number): ChainCost {
  return {
    deltaCount: cost.deltaCount + 1,
    deltaBytes: cost.deltaBytes + bytes,
    lastDeltaBytes: bytes,
  };
}

/**
 * Which shards of one job a node may delete. Decides; deletes nothing.
 *
 * Kept, for each rank: everything on the lineage from `keepFrom` up; the newest SEALED_KEPT_MIN sealed versions that can be
 * restored from here, wherever `keepFrom` lies, since the newest may prove damaged; what is pinned because a capture builds
 * on it. And whatever those need to be read, on the lineage or not.
 * Invariant: a kept shard that could be restored before can be restored after. The answer lists children before parents, so
 * deleting in its order never leaves a delta without what it builds on, wherever a crash cuts it short.
 */
import { type ChainLink, chainOf, type ShardId } from "./chain.ts";
import { isOnLineage, type Rollback, type Version } from "./checkpoint.ts";
import { SEALED_KEPT_MIN } from "./limits.ts";

export interface RetainedShard extends ChainLink {
  readonly rank: number;
  readonly sealed: boolean;
}

export interface RetentionRule {
  /** null: the job is over, nothing is kept. */
  readonly keepFrom: Version | null;
  readonly lineage: readonly Rollback[];
  readonly isPinned: (shard: RetainedShard) => boolean;
}

function keyOf(id: ShardId): string {
  return `${id.version}-${id.epoch}`;
}

/** O(n log n + n × length of a chain). */
export function shardsToDelete<T extends RetainedShard>(
  shards: readonly T[],
  rule: RetentionRule,
): readonly T[] {
  const { keepFrom } = rule;
  if (keepFrom === null) return shards.toSorted((a, b) => b.version - a.version);
  return [...Map.groupBy(shards, (shard) => shard.rank).values()].flatMap((ofRank) =>
    ofRankToDelete(ofRank, { ...rule, keepFrom }),
  );
}

function ofRankToDelete<T extends RetainedShard>(
  shards: readonly T[],
  rule: RetentionRule & { readonly keepFrom: Version },
): readonly T[] {
  const byKey = new Map(shards.map((shard) => [keyOf(shard), shard]));
  const find = (id: ShardId): T | null => byKey.get(keyOf(id)) ?? null;
  const live = shards.filter((shard) => isOnLineage(shard, rule.lineage));
  const roots = new Set(live.filter((shard) => shard.version >= rule.keepFrom));
  for (const shard of shards) if (rule.isPinned(shard)) roots.add(shard);
  const sealed = live
    .filter((shard) => shard.sealed && chainOf(shard, find).ok)
    .sort((a, b) => b.version - a.version || b.epoch - a.epoch);
  for (const shard of sealed.slice(0, SEALED_KEPT_MIN)) roots.add(shard);
  const kept = new Set<T>();
  for (const root of roots) {
    // A chain with a hole is followed down to the hole: the missing parent may still arrive.
    for (let at: T | null = root; at !== null && !kept.has(at); ) {
      kept.add(at);
      at = at.parent === null ? null : find(at.parent);
    }
  }
  return shards.filter((shard) => !kept.has(shard)).toSorted((a, b) => b.version - a.version);
}

/**
 * Questions about who holds what, answered from holdings alone. Used to plan fetches; which version is chosen is decided
 * elsewhere (`agent/proxy/selection.ts`).
 *
 * Only sealed shards on the lineage count. A holding names its parent by version: on one lineage that is one shard, the
 * newest epoch's that is not newer than its child's.
 */
import type { NodeId } from "../membership/membership.ts";
import {
  type Holding,
  isOnLineage,
  type NodeHoldings,
  type Rollback,
  type Version,
} from "./checkpoint.ts";

export interface RankOfJob {
  readonly job: string;
  readonly rank: number;
  readonly lineage: readonly Rollback[];
}

/** What may be restored from, of one rank, ordered by version, then epoch. */
export function eligibleHoldings(
  holdings: readonly Holding[],
  { job, rank, lineage }: RankOfJob,
): readonly Holding[] {
  return holdings
    .filter((held) => held.job === job && held.rank === rank && held.sealed)
    .filter((held) => isOnLineage(held, lineage))
    .sort((a, b) => a.version - b.version || a.epoch - b.epoch);
}

/** The eligible shard of a version, not newer than `epochMax`; null when there is none. */
function shardOf(eligible: readonly Holding[], version: Version, epochMax: number): Holding | null {
  return eligible.findLast((held) => held.version === version && held.epoch <= epochMax) ?? null;
}

/** Newest first, down to a complete one; null when a link is missing. */
export function heldChain(
  eligible: readonly Holding[],
  version: Version,
): readonly Holding[] | null {
  const chain: Holding[] = [];
  let epochMax = Number.POSITIVE_INFINITY;
  for (let next: Version | null = version; next !== null; ) {
    const held = shardOf(eligible, next, epochMax);
    if (held === null || (held.parent !== null && held.parent >= held.version)) return null;
    chain.push(held);
    epochMax = held.epoch;
    next = held.parent;
  }
  return chain;
}

/** Versions that one node alone can restore, oldest first. */
export function restorableVersions(
  holdings: readonly Holding[],
  of: RankOfJob,
): readonly Version[] {
  const eligible = eligibleHoldings(holdings, of);
  const versions = [...new Set(eligible.map((held) => held.version))];
  return versions.filter((version) => heldChain(eligible, version) !== null);
}

/** Nodes that hold a version with all it needs, those first that need the fewest bytes. */
export function restorableSources(
  nodes: readonly NodeHoldings[],
  of: RankOfJob,
  version: Version,
): readonly NodeId[] {
  const sources: { readonly node: NodeId; readonly bytes: number }[] = [];
  for (const { node, holdings } of nodes) {
    const chain = heldChain(eligibleHoldings(holdings, of), version);
    if (chain === null) continue;
    sources.push({ node, bytes: chain.reduce((sum, held) => sum + held.bytes, 0) });
  }
  return sources.sort((a, b) => a.bytes - b.bytes).map((source) => source.node);
}

/** Version → nodes that hold a shard of it, own and partner copies alike. */
export function holdersByVersion(
  nodes: readonly NodeHoldings[],
  of: RankOfJob,
): ReadonlyMap<Version, readonly NodeId[]> {
  const holders = new Map<Version, NodeId[]>();
  for (const { node, holdings } of nodes) {
    for (const { version } of eligibleHoldings(holdings, of)) {
      const here = holders.get(version) ?? [];
      if (here.at(-1) !== node) here.push(node);
      holders.set(version, here);
    }
  }
  return holders;
}

/**
 * Goal: retention never takes away what can still be needed, and takes away the rest. Method: random sets of shards with
 * parents, seals and rollbacks, checked against the rules one by one; a few named histories.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Epoch } from "../membership/membership.ts";
import { chainOf, type ShardId } from "./chain.ts";
import { isOnLineage, type Rollback, type Version } from "./checkpoint.ts";
import { type RetainedShard, type RetentionRule, shardsToDelete } from "./retention.ts";

function shard(
  version: number,
  parent: number | null,
  options: { sealed?: boolean; epoch?: number; rank?: number } = {},
): RetainedShard {
  const epoch = (options.epoch ?? 1) as Epoch;
  return {
    rank: options.rank ?? 0,
    version: version as Version,
    epoch,
    parent: parent === null ? null : { version: parent as Version, epoch },
    sealed: options.sealed ?? true,
  };
}

function rule(keepFrom: number | null, lineage: readonly Rollback[] = []): RetentionRule {
  return { keepFrom: keepFrom as Version | null, lineage, isPinned: () => false };
}

function back(epoch: number, base: number): Rollback {
  return { epoch: epoch as Epoch, base: base as Version };
}

function versions(shards: readonly RetainedShard[]): readonly number[] {
  return shards.map((one) => one.version);
}

const anyShards: fc.Arbitrary<readonly RetainedShard[]> = fc
  .uniqueArray(
    fc.record({
      version: fc.integer({ min: 1, max: 9 }),
      epoch: fc.integer({ min: 1, max: 3 }),
      rank: fc.nat(1),
      below: fc.option(fc.integer({ min: 1, max: 3 })),
      sealed: fc.boolean(),
    }),
    { selector: (s) => `${s.rank}/${s.version}-${s.epoch}`, maxLength: 20 },
  )
  .map((list) =>
    list.map(({ version, epoch, rank, below, sealed }) =>
      shard(version, below === null || below >= version ? null : version - below, {
        epoch,
        rank,
        sealed,
      }),
    ),
  );

function findIn(
  set: readonly RetainedShard[],
  rank: number,
): (id: ShardId) => RetainedShard | null {
  return ({ version, epoch }) =>
    set.find((s) => s.rank === rank && s.version === version && s.epoch === epoch) ?? null;
}

function expectChainsKept(before: readonly RetainedShard[], after: readonly RetainedShard[]): void {
  for (const one of after) {
    const was = chainOf(one, findIn(before, one.rank)).ok;
    expect(chainOf(one, findIn(after, one.rank)).ok).toBe(was);
  }
}

function newestSealed(
  shards: readonly RetainedShard[],
  rank: number,
  lineage: readonly Rollback[],
): readonly RetainedShard[] {
  return shards
    .filter((s) => s.rank === rank && s.sealed && isOnLineage(s, lineage))
    .filter((s) => chainOf(s, findIn(shards, rank)).ok)
    .sort((a, b) => b.version - a.version || b.epoch - a.epoch)
    .slice(0, 2);
}

describe("retention", () => {
  test("keeps a chain down to its full shard, though it lies below the line", () => {
    const shards = [shard(1, null), shard(2, 1), shard(3, 2), shard(4, null), shard(5, 4)];
    expect(versions(shardsToDelete(shards, rule(5)))).toEqual([3, 2, 1]);
    expect(versions(shardsToDelete(shards, rule(3)))).toEqual([]);
  });

  test("keeps two sealed versions, though the line lies above them", () => {
    const shards = [shard(1, null), shard(2, null), shard(3, null), shard(4, 3, { sealed: false })];
    expect(versions(shardsToDelete(shards, rule(9)))).toEqual([4, 1]);
  });

  test("deletes an abandoned future, and counts none of it among the two", () => {
    const shards = [shard(4, null), shard(5, null), shard(6, null), shard(7, null, { epoch: 2 })];
    expect(versions(shardsToDelete(shards, rule(7, [back(2, 5)])))).toEqual([6, 4]);
  });

  test("deletes everything of a job that is over", () => {
    const shards = [shard(1, null), shard(2, 1), shard(3, null, { rank: 1, sealed: false })];
    expect(versions(shardsToDelete(shards, rule(null)))).toEqual([3, 2, 1]);
  });

  test("keeps what is pinned with all it needs, on the lineage or not", () => {
    const shards = [shard(1, null), shard(2, 1), shard(3, null), shard(4, null)];
    const pinned = { ...rule(3), isPinned: (one: ShardId) => one.version === 2 };
    expect(shardsToDelete(shards, pinned)).toEqual([]);
  });

  test("never breaks a chain that it keeps, and keeps what the rules say", () => {
    const lineages = fc.array(
      fc.record({ epoch: fc.integer({ min: 2, max: 3 }), base: fc.integer({ min: 0, max: 9 }) }),
      { maxLength: 2 },
    );
    fc.assert(
      fc.property(anyShards, fc.nat(10), lineages, (shards, keepFrom, backs) => {
        const lineage = backs.map(({ epoch, base }) => back(epoch, base));
        const gone = shardsToDelete(shards, rule(keepFrom, lineage));
        // A crash may cut the deleting short after any of them.
        for (let count = 0; count <= gone.length; count++) {
          const deleted = new Set(gone.slice(0, count));
          expectChainsKept(
            shards,
            shards.filter((one) => !deleted.has(one)),
          );
        }
        const newest = [0, 1].flatMap((rank) => newestSealed(shards, rank, lineage));
        expect(newest.filter((one) => gone.includes(one))).toEqual([]);
        const needed = gone.filter((s) => s.version >= keepFrom && isOnLineage(s, lineage));
        expect(needed).toEqual([]);
      }),
    );
  });
});

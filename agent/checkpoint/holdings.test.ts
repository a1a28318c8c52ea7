/**
 * Goal: what may be restored from, and from whom, is read from holdings rightly; chains and full shards follow their rules.
 * Method: small named clusters, and the rule of the chain's cost over long random histories.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Epoch, NodeId } from "../membership/membership.ts";
import { type ChainCost, chainOf, FULL_SHARD, isFullDue, withDelta } from "./chain.ts";
import type { Holding, NodeHoldings, Rollback, Version } from "./checkpoint.ts";
import { holdersByVersion, restorableSources, restorableVersions } from "./holdings.ts";
import { CHAIN_DELTAS_MAX } from "./limits.ts";

const OF = { job: "j", rank: 0, lineage: [] as readonly Rollback[] };

/** `3<2@2!`: version 3, parent 2, written under epoch 2, not sealed. */
function holding(text: string, bytes = 100): Holding {
  const match = /^(\d+)(?:<(\d+))?(?:@(\d+))?(!?)$/.exec(text);
  if (match === null) throw new Error(text);
  const [, version, parent, epoch, mark] = match;
  return {
    job: "j",
    rank: 0,
    version: Number(version) as Version,
    epoch: Number(epoch ?? 1) as Epoch,
    parent: parent === undefined ? null : (Number(parent) as Version),
    sealed: mark === "",
    bytes,
  };
}

function node(id: string, ...texts: readonly string[]): NodeHoldings {
  return { node: id as NodeId, holdings: texts.map((text) => holding(text)) };
}

function sources(nodes: readonly NodeHoldings[], version: number): readonly string[] {
  return restorableSources(nodes, OF, version as Version);
}

describe("sources of a version", () => {
  test("are the nodes that hold it down to a full shard, all sealed", () => {
    const nodes = [
      node("n1", "1", "2<1", "3<2"),
      node("n2", "2<1", "3<2"),
      node("n3", "1", "2<1!", "3<2"),
      node("n4", "3"),
    ];
    expect(sources(nodes, 3)).toEqual(["n4", "n1"]);
    expect(sources(nodes, 2)).toEqual(["n1"]);
    expect(sources(nodes, 9)).toEqual([]);
  });

  test("are not those of another rank or job", () => {
    const other: NodeHoldings = { node: "n1" as NodeId, holdings: [{ ...holding("1"), rank: 1 }] };
    const strange: NodeHoldings = {
      node: "n2" as NodeId,
      holdings: [{ ...holding("1"), job: "k" }],
    };
    expect(sources([other, strange], 1)).toEqual([]);
  });

  test("do not count what a rollback made void", () => {
    const lineage: readonly Rollback[] = [{ epoch: 2 as Epoch, base: 1 as Version }];
    const { holdings } = node("n1", "1", "2<1", "3<1@2");
    expect(restorableVersions(holdings, { ...OF, lineage })).toEqual([1, 3] as Version[]);
  });

  test("take the parent of the child's own history when a number was given twice", () => {
    const { holdings } = node("n1", "1", "2@1", "2<1@3", "3<2@2");
    expect(restorableVersions(holdings, OF)).toEqual([1, 2, 3] as Version[]);
  });

  test("own and partner copies are told together", () => {
    const held = holdersByVersion([node("n1", "1", "2"), node("n2", "2", "2@2")], OF);
    expect([...held]).toEqual([
      [1, ["n1"]],
      [2, ["n1", "n2"]],
    ] as [Version, NodeId[]][]);
  });
});

describe("a chain", () => {
  test("goes from the newest to the full shard, or names what is missing", () => {
    const link = (version: number, parent: number | null) => ({
      version: version as Version,
      epoch: 1 as Epoch,
      parent: parent === null ? null : { version: parent as Version, epoch: 1 as Epoch },
    });
    const all = [link(1, null), link(2, 1), link(4, 2)];
    const find = (id: { version: number }) => all.find((one) => one.version === id.version) ?? null;
    const whole = chainOf(link(5, 4), find);
    expect(whole.ok && whole.value.map((one) => Number(one.version))).toEqual([5, 4, 2, 1]);
    expect(chainOf(link(5, 3), find)).toMatchObject({ ok: false, error: { version: 3 } });
    // A parent that is no older would make a chain without end.
    expect(chainOf(link(2, 4), find)).toMatchObject({ ok: false, error: { version: 4 } });
  });

  test("never grows longer than its bound, nor much larger than the state", () => {
    const stateBytes = 1000;
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 1000 }), { maxLength: 60 }), (deltas) => {
        let cost: ChainCost = FULL_SHARD;
        for (const bytes of deltas) {
          cost = isFullDue(cost, stateBytes) ? FULL_SHARD : withDelta(cost, bytes);
          expect(cost.deltaCount).toBeLessThanOrEqual(CHAIN_DELTAS_MAX);
          expect(cost.deltaBytes).toBeLessThanOrEqual(2 * stateBytes);
        }
      }),
    );
  });
});

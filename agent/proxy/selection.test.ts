/**
 * Goal: the newest state that every rank can be restored to is selected, whatever the order of the facts, and the reasons name who
 * lacks what. Method: named cases; random holdings against a brute-force answer written straight from the rule, on the real core.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { createCore } from "../../core/core.ts";
import {
  type Holding,
  isOnLineage,
  type NodeHoldings,
  type Rollback,
  type Version,
} from "../checkpoint/checkpoint.ts";
import type { Epoch, NodeId } from "../membership/membership.ts";
import { type SelectionInput, selectCommonState } from "./selection.ts";
import { SelectionAgreement } from "./selection-agreement.ts";

const core = createCore();

function shard(rank: number, version: number, changes: Partial<Holding> = {}): Holding {
  return {
    job: "j",
    rank,
    version: version as Version,
    epoch: 1 as Epoch,
    parent: null,
    sealed: true,
    bytes: 10,
    ...changes,
  };
}

function on(node: string, ...holdings: Holding[]): NodeHoldings {
  return { node: node as NodeId, holdings };
}

function input(changes: Partial<SelectionInput>): SelectionInput {
  return { size: 2, holdings: [], lineage: [], poisoned: [], everSealed: true, ...changes };
}

function version(n: number): Version {
  return n as Version;
}

describe("selecting a common state", () => {
  test("takes the newest version every rank has somewhere", () => {
    const holdings = [
      on("n1", shard(0, 5), shard(1, 5), shard(0, 6)),
      on("n2", shard(1, 6), shard(0, 7)),
    ];
    const selection = selectCommonState(input({ holdings }), core);
    expect(selection.version as number).toBe(6);
    expect(selection.explanation).toEqual([
      "v7: rank 1 cannot be restored: no shard on any living node",
      "v6: chosen, newest version every rank can be restored to",
    ]);
  });

  test("says which lost node held what is missing", () => {
    const holdings = [on("n1", shard(0, 5), shard(1, 5), shard(0, 6))];
    const lost = [on("n3", shard(1, 6))];
    const { explanation } = selectCommonState(input({ holdings, lost }), core);
    expect(explanation[0]).toBe(
      "v6: rank 1 cannot be restored: no shard on any living node (n3 held it)",
    );
  });

  test("never takes what nobody sealed, is off the lineage, or failed before", () => {
    const unsealed = { sealed: false };
    const holdings = [
      on("n1", shard(0, 1), shard(1, 1), shard(0, 2, unsealed), shard(1, 2, unsealed)),
      on("n2", shard(0, 3), shard(1, 3), shard(0, 4), shard(1, 4)),
    ];
    const lineage: Rollback[] = [{ epoch: 2 as Epoch, base: version(3) }];
    const poisoned = [version(3)];
    const selection = selectCommonState(input({ holdings, lineage, poisoned }), core);
    expect(selection.version as number).toBe(1);
    expect(selection.explanation).toEqual([
      "v4: rank 0 cannot be restored: n2 holds one of a future that was given up",
      "v3: failed on use before",
      "v2: was never sealed",
      "v1: chosen, newest version every rank can be restored to",
    ]);
  });

  test("takes what one node knows to be sealed, though another missed the mark", () => {
    const holdings = [on("n1", shard(0, 2)), on("n2", shard(1, 2, { sealed: false }))];
    expect(selectCommonState(input({ holdings }), core).version as number).toBe(2);
  });

  test("a delta needs its parent, wherever it lies", () => {
    const delta = shard(0, 3, { parent: version(2) });
    const chosen = (parentOn: NodeHoldings): number | null =>
      selectCommonState(
        input({ size: 1, holdings: [on("n1", shard(0, 1), delta), parentOn] }),
        core,
      ).version;
    expect(chosen(on("n2", shard(0, 2)))).toBe(3);
    expect(chosen(on("n2", shard(0, 2, { sealed: false })))).toBe(3);
    expect(chosen(on("n2", shard(0, 1)))).toBe(1);
    const { explanation } = selectCommonState(
      input({ size: 1, holdings: [on("n1", shard(0, 1), delta)] }),
      core,
    );
    expect(explanation[0]).toContain("is a delta and its parent v2 cannot be restored");
  });

  test("starts from nothing only when nothing was ever sealed", () => {
    expect(selectCommonState(input({ everSealed: false }), core).version as number).toBe(0);
    const lost = selectCommonState(input({}), core);
    expect(lost.version).toBeNull();
    expect(lost.explanation.at(-1)).toContain("no version can be restored");
  });

  test("groups of k shards out of n are restorable while k are left", () => {
    const groups = [{ members: [0, 1, 2], need: 2 }];
    const holdings = [on("n1", shard(0, 4)), on("n2", shard(2, 4), shard(1, 5))];
    const selection = selectCommonState(input({ size: 2, groups, holdings }), core);
    expect(selection.version as number).toBe(4);
    expect(selection.explanation[0]).toBe(
      "v5: the group of ranks 0, 1, 2 cannot be restored: 1 of 2 needed shards are left",
    );
  });

  test("looks at the newest 64 versions", () => {
    const many = Array.from({ length: 100 }, (_, i) => shard(0, i + 1));
    const holdings = [on("n1", ...many, shard(1, 36), shard(1, 37))];
    expect(selectCommonState(input({ holdings }), core).version as number).toBe(37);
    const tooOld = [on("n1", ...many, shard(1, 36))];
    expect(selectCommonState(input({ holdings: tooOld }), core).version).toBeNull();
  });
});

const holding = fc
  .record({
    rank: fc.nat(2),
    version: fc.integer({ min: 1, max: 6 }),
    epoch: fc.integer({ min: 1, max: 3 }),
    parent: fc.option(fc.integer({ min: 1, max: 5 })),
    sealed: fc.boolean(),
  })
  // One parent a version: what copies of one shard agree on.
  .map(({ rank, version: v, epoch, parent, sealed }) =>
    shard(rank, v, {
      epoch: epoch as Epoch,
      parent: parent !== null && v % 2 === 0 ? version(v - 1) : null,
      sealed,
    }),
  );

const anyInput = fc.record({
  nodes: fc.array(fc.array(holding, { maxLength: 12 }), { minLength: 1, maxLength: 4 }),
  base: fc.option(fc.nat(6)),
  poisoned: fc.uniqueArray(fc.integer({ min: 1, max: 6 }), { maxLength: 2 }),
  everSealed: fc.boolean(),
});

function bruteForce(facts: SelectionInput): number | null {
  const shards = facts.holdings
    .flatMap(({ holdings }) => holdings)
    .filter((s) => isOnLineage(s, facts.lineage));
  const isSealed = (v: number): boolean => shards.some((s) => s.version === v && s.sealed);
  const canRestore = (rank: number, v: number): boolean => {
    const copies = shards.filter((s) => s.rank === rank && s.version === v);
    const isWhole = copies.some(({ parent }) => parent === null);
    return isWhole || copies.some(({ parent }) => parent !== null && canRestore(rank, parent));
  };
  for (let v = 6; v >= 1; v--) {
    const isGood = [0, 1, 2].slice(0, facts.size).every((rank) => canRestore(rank, v));
    if (isGood && isSealed(v) && !facts.poisoned.includes(version(v))) return v;
  }
  return facts.everSealed ? null : 0;
}

function inputOf({
  nodes,
  base,
  poisoned,
  everSealed,
}: {
  readonly nodes: readonly Holding[][];
  readonly base: number | null;
  readonly poisoned: readonly number[];
  readonly everSealed: boolean;
}): SelectionInput {
  return input({
    size: 3,
    holdings: nodes.map((holdings, i) => on(`n${i + 1}`, ...holdings)),
    lineage: base === null ? [] : [{ epoch: 2 as Epoch, base: version(base) }],
    poisoned: poisoned.map(version),
    everSealed,
  });
}

describe("selection of random facts", () => {
  test("is what the rule says", () => {
    fc.assert(
      fc.property(anyInput, (drawn) => {
        const facts = inputOf(drawn);
        expect(selectCommonState(facts, core).version).toBe(bruteForce(facts) as Version | null);
      }),
      { numRuns: 500 },
    );
  });

  test("and its digest do not depend on the order of the facts", () => {
    fc.assert(
      fc.property(anyInput, (drawn) => {
        const facts = inputOf(drawn);
        const turned: SelectionInput = {
          ...facts,
          holdings: facts.holdings
            .map(({ node, holdings }) => ({ node, holdings: [...holdings].reverse() }))
            .reverse(),
          poisoned: [...facts.poisoned].reverse(),
        };
        expect(selectCommonState(turned, core)).toEqual(selectCommonState(facts, core));
      }),
    );
  });

  test("has another digest for other facts", () => {
    const one = selectCommonState(input({ holdings: [on("n1", shard(0, 1))] }), core);
    const two = selectCommonState(input({ holdings: [on("n2", shard(0, 1))] }), core);
    expect(one.inputDigest).not.toBe(two.inputDigest);
    expect(one.inputDigest).toMatch(/^[0-9a-f]{32}$/);
  });
});

describe("agreeing on a selection", () => {
  const own = { version: version(3), inputDigest: "aa", explanation: [] };
  const [n2, n3] = ["n2" as NodeId, "n3" as NodeId];

  test("needs every other proxy, and is said once", () => {
    const agreement = new SelectionAgreement(own, [n2, n3]);
    expect(agreement.outcome().kind).toBe("open");
    expect(agreement.onOpinion(n2, own).kind).toBe("open");
    expect(agreement.onOpinion(n2, own).kind).toBe("open");
    expect(agreement.onOpinion(n3, own).kind).toBe("agreed");
    expect(agreement.outcome().kind).toBe("open");
  });

  test("a proxy alone agrees with itself", () => {
    expect(new SelectionAgreement(own, []).outcome().kind).toBe("agreed");
  });

  test("other facts or another choice fail with one line, once", () => {
    const agreement = new SelectionAgreement(own, [n2, n3]);
    expect(agreement.onOpinion(n2, { version: version(2), inputDigest: "bb" })).toEqual({
      kind: "failed",
      reason: "n2 selects v2, this node v3, from other facts",
    });
    expect(agreement.onOpinion(n3, { version: null, inputDigest: "aa" }).kind).toBe("open");
    const same = new SelectionAgreement(own, [n2]);
    const outcome = same.onOpinion(n2, { version: null, inputDigest: "aa" });
    expect(outcome).toMatchObject({
      kind: "failed",
      reason: expect.stringContaining("same facts"),
    });
  });
});

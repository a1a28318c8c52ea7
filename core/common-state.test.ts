/**
 * Goal: the versions that `commonState` names are exactly those every group can recover.
 * Method: kernel and oracle under one suite of cases that can be checked by hand; then kernel against oracle on random
 * groups, deltas, parents and levels; small groups are enumerated in full.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { GROUPS_MAX, NO_PARENT, SHARD_WORDS_MAX, VERSIONS_MAX } from "./abi.ts";
import type { CommonStateInput, ShardGroups } from "./common-state.ts";
import { createCore } from "./core.ts";
import * as oracle from "./oracle/common-state.ts";

const core = createCore();

/** A word from the versions it has. */
function word(...versions: readonly number[]): readonly [low: number, high: number] {
  let bits = 0n;
  for (const version of versions) bits |= 1n << BigInt(version);
  return [Number(bits & 0xffff_ffffn), Number(bits >> 32n)];
}

function words(...list: readonly (readonly number[])[]): Uint32Array {
  return Uint32Array.from(list.flatMap((versions) => [...word(...versions)]));
}

function versionsOf(mask: bigint): readonly number[] {
  return [...Array(VERSIONS_MAX).keys()].filter((v) => ((mask >> BigInt(v)) & 1n) === 1n);
}

for (const [name, commonState] of [
  ["kernel", (input: CommonStateInput) => core.commonState(input)],
  ["oracle", oracle.commonState],
] as const) {
  describe(`common state, ${name}`, () => {
    const single = { groupCount: 1, shardsPerGroup: 1, need: 1 };

    test("of nobody is anything, of one rank what it holds", () => {
      expect(commonState({ groups: [] }).newest).toBe(63);
      const one = commonState({ groups: [{ ...single, shards: words([0, 31, 32, 63]) }] });
      expect(versionsOf(one.restorable)).toEqual([0, 31, 32, 63]);
      expect(one.newest).toBe(63);
      expect(commonState({ groups: [{ ...single, shards: words([]) }] }).newest).toBe(-1);
    });

    test("is the newest that every rank has, from itself or its partner", () => {
      const groups = {
        groupCount: 3,
        shardsPerGroup: 2,
        need: 1,
        shards: words([3, 4, 5], [3, 4], [], [3, 4, 5], [3, 4, 5, 6], []),
      };
      const found = commonState({ groups: [groups], explain: true });
      expect(found.newest).toBe(5);
      expect(versionsOf(found.restorable)).toEqual([3, 4, 5]);
      expect(found.recoverable).toEqual([words([3, 4, 5], [3, 4, 5], [3, 4, 5, 6])]);
    });

    test("counts the shards of a k-of-n group, whichever they are", () => {
      const shards = words([1, 2, 3], [1, 2], [1, 2, 3], [1, 3], [1, 2], [2, 3], [1, 2], [9]);
      const group = { groupCount: 1, shardsPerGroup: 8, shards };
      const at = (need: number) =>
        versionsOf(commonState({ groups: [{ ...group, need }] }).restorable);
      expect(at(6)).toEqual([1, 2]);
      expect(at(4)).toEqual([1, 2, 3]);
      expect(at(7)).toEqual([]);
      expect(at(1)).toEqual([1, 2, 3, 9]);
    });

    test("drops a delta whose chain is broken", () => {
      const shards = words([1, 2, 3, 5, 6, 8]);
      const groups = [{ ...single, shards, deltas: words([2, 3, 5, 6]) }];
      // 2 needs 1 and 3 needs 2, which are there; 5 needs 4, which is not, so 6 is lost too.
      expect(versionsOf(commonState({ groups }).restorable)).toEqual([1, 2, 3, 8]);
    });

    test("drops a delta on the lowest bit: its parent is below the window", () => {
      const groups = [{ ...single, shards: words([0, 1, 2]), deltas: words([0, 1]) }];
      expect(versionsOf(commonState({ groups }).restorable)).toEqual([2]);
    });

    test("follows parents in a table, shared or a group's own", () => {
      const shards = words([1, 4, 7, 9]);
      const deltas = words([4, 7, 9]);
      const table = new Uint8Array(VERSIONS_MAX).fill(NO_PARENT);
      table.set([1], 4);
      table.set([3], 7);
      table.set([4], 9);
      const shared = commonState({ groups: [{ ...single, shards, deltas }], parents: table });
      expect(versionsOf(shared.restorable)).toEqual([1, 4, 9]);
      const own = table.slice();
      own[9] = NO_PARENT;
      own[7] = 1;
      const found = commonState({
        groups: [{ ...single, shards, deltas, parents: own }],
        parents: table,
      });
      expect(versionsOf(found.restorable)).toEqual([1, 4, 7]);
    });

    test("never selects a poisoned version, but lets it be a parent", () => {
      const groups = [{ ...single, shards: words([5, 6]), deltas: words([6]) }];
      const found = commonState({ groups, poison: 1n << 5n });
      expect(versionsOf(found.restorable)).toEqual([6]);
      expect(commonState({ groups, poison: 3n << 5n }).newest).toBe(-1);
    });

    test("takes what another level has in full, as a version and as a parent", () => {
      const groups = [
        { ...single, shards: words([3, 4]), deltas: words([3, 4]), elsewhere: words([2, 9]) },
      ];
      expect(versionsOf(commonState({ groups }).restorable)).toEqual([2, 3, 4, 9]);
    });
  });
}

const mask = fc.tuple(fc.nat(0xffff_ffff), fc.nat(0xffff_ffff), fc.boolean(), fc.boolean());

/** Words in which most bits are set, so that versions survive the AND over many groups. */
function masks(count: number): fc.Arbitrary<Uint32Array> {
  return fc
    .array(mask, { minLength: count, maxLength: count })
    .map((list) =>
      Uint32Array.from(list.flatMap(([a, b, x, y]) => [x ? a : ~a | b, y ? b : b | a])),
    );
}

/** Parents below their children, sometimes none, sometimes an impossible one above. */
function table(count: number): fc.Arbitrary<Uint8Array> {
  return fc
    .array(fc.nat(NO_PARENT), { minLength: count * VERSIONS_MAX, maxLength: count * VERSIONS_MAX })
    .map((list) =>
      Uint8Array.from(list, (r, i) => (r < 200 ? r % Math.max(1, i % VERSIONS_MAX) : r)),
    );
}

const someGroups: fc.Arbitrary<ShardGroups> = fc
  .record({
    groupCount: fc.integer({ min: 0, max: 5 }),
    shardsPerGroup: fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 100, max: 255 })),
    share: fc.double({ min: 0, max: 1, noNaN: true }),
  })
  .chain(({ groupCount, shardsPerGroup, share }) =>
    fc.record(
      {
        groupCount: fc.constant(groupCount),
        shardsPerGroup: fc.constant(shardsPerGroup),
        need: fc.constant(1 + Math.floor(share * (shardsPerGroup - 1))),
        shards: masks(groupCount * shardsPerGroup),
        deltas: masks(groupCount),
        parents: table(groupCount),
        elsewhere: masks(groupCount),
      },
      { requiredKeys: ["groupCount", "shardsPerGroup", "need", "shards"] },
    ),
  );

describe("common state", () => {
  test("equals the oracle on random groups", () => {
    const input: fc.Arbitrary<CommonStateInput> = fc.record(
      {
        groups: fc.array(someGroups, { maxLength: 3 }),
        parents: table(1),
        poison: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
        explain: fc.constant(true),
      },
      { requiredKeys: ["groups", "explain"] },
    );
    fc.assert(
      fc.property(input, (question) => {
        expect(core.commonState(question)).toEqual(oracle.commonState(question));
      }),
      { numRuns: 200 },
    );
  });

  /** Version v of the group's words is in the shards of subset first + v. */
  function subsets(n: number, first: number): Uint32Array {
    const shards = new Uint32Array(n * 2);
    for (let bit = 0; bit < n * VERSIONS_MAX; bit++) {
      const [shard, v] = [Math.floor(bit / VERSIONS_MAX), bit % VERSIONS_MAX];
      const half = 2 * shard + (v >> 5);
      if ((((first + v) >> shard) & 1) === 1) shards[half] = (shards[half] ?? 0) | (1 << (v & 31));
    }
    return shards;
  }

  test("recovers from any n - p shards and from no fewer, for every group up to 8", () => {
    const countBits = (subset: number) => subset.toString(2).replaceAll("0", "").length;
    const shapes = [...Array(8).keys()].flatMap((i) =>
      [...Array(i + 1).keys()].map((j) => [i + 1, j + 1] as const),
    );
    for (const [n, need] of shapes) {
      for (let first = 0; first < 1 << n; first += VERSIONS_MAX) {
        const groups = [{ groupCount: 1, shardsPerGroup: n, need, shards: subsets(n, first) }];
        const wanted = [...Array(VERSIONS_MAX).keys()].filter(
          (v) => countBits((first + v) & ((1 << n) - 1)) >= need,
        );
        expect(versionsOf(core.commonState({ groups }).restorable)).toEqual(wanted);
      }
    }
  });

  test("takes more groups than fit at once, and every single one counts", () => {
    const groupCount = GROUPS_MAX + 1000;
    const all = new Uint32Array(groupCount * 2).fill(0xffff_ffff);
    for (const weak of [0, GROUPS_MAX - 1, GROUPS_MAX, groupCount - 1]) {
      const shards = all.slice();
      shards[2 * weak + 1] = 0x7fff_ffff;
      const found = core.commonState({
        groups: [{ groupCount, shardsPerGroup: 1, need: 1, shards }],
        explain: true,
      });
      expect(found.newest).toBe(62);
      expect(found.recoverable[0]).toEqual(shards);
    }
  });

  test("reads in place what the caller put into the shard window", () => {
    const shards = core.shardWindow().subarray(0, 4);
    shards.set(words([1, 2], [2, 3]));
    const groups = [{ groupCount: 2, shardsPerGroup: 1, need: 1, shards }];
    expect(core.commonState({ groups }).newest).toBe(2);
    expect(core.shardWindow()).toHaveLength(SHARD_WORDS_MAX * 2);
  });

  test("refuses a question that contradicts itself", () => {
    const shards = new Uint32Array(4);
    const ask = (groups: ShardGroups) => () => core.commonState({ groups: [groups] });
    expect(ask({ groupCount: 1, shardsPerGroup: 2, need: 3, shards })).toThrow("need");
    expect(ask({ groupCount: 1, shardsPerGroup: 2, need: 0, shards })).toThrow("need");
    expect(ask({ groupCount: 3, shardsPerGroup: 2, need: 1, shards })).toThrow("word a shard");
  });
});

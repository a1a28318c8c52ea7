/**
 * The host of `commonState`: feeds groups to the kernel in batches. Question and answer: `common-state.ts`.
 */
import {
  DELTAS_CHAIN,
  DELTAS_NONE,
  DELTAS_OWN,
  DELTAS_SHARED,
  GROUP_SHARDS_MAX,
  GROUPS_MAX,
  REGION_COMMON,
  REGION_DELTAS,
  REGION_ELSEWHERE,
  REGION_PARENTS,
  REGION_RECOVERED,
  REGION_SHARDS,
  REGION_SHARED_PARENTS,
  SHARD_WORDS_MAX,
  VERSIONS_MAX,
} from "./abi.ts";
import { assert } from "./assert.ts";
import type { CommonState, CommonStateInput, ShardGroups, VersionWords } from "./common-state.ts";
import type { CoreMemory, Kernels } from "./kernels.ts";

export interface Selector {
  shardWindow(): VersionWords;
  commonState(input: CommonStateInput): CommonState;
}

function checkGroups(groups: ShardGroups): void {
  const { groupCount, shardsPerGroup, need } = groups;
  assert(shardsPerGroup >= 1 && shardsPerGroup <= GROUP_SHARDS_MAX, "1 to 255 shards a group");
  assert(need >= 1 && need <= shardsPerGroup, "need is 1 to shardsPerGroup");
  assert(groups.shards.length === groupCount * shardsPerGroup * 2, "a word a shard");
  assert(groups.deltas === undefined || groups.deltas.length === groupCount * 2, "deltas: a word");
  assert(groups.elsewhere === undefined || groups.elsewhere.length === groupCount * 2, "elsewhere");
  assert(
    groups.parents === undefined || groups.parents.length === groupCount * VERSIONS_MAX,
    "parents: 64 bytes a group",
  );
}

function deltasKind(groups: ShardGroups, hasSharedParents: boolean): number {
  if (groups.deltas === undefined) return DELTAS_NONE;
  if (groups.parents !== undefined) return DELTAS_OWN;
  return hasSharedParents ? DELTAS_SHARED : DELTAS_CHAIN;
}

function toWord(halves: VersionWords): bigint {
  return (BigInt(halves[1] ?? 0) << 32n) | BigInt(halves[0] ?? 0);
}

/** Index of the highest bit, or -1. */
function highestBit(word: bigint): number {
  const high = Number(word >> 32n);
  if (high !== 0) return 63 - Math.clz32(high);
  return 31 - Math.clz32(Number(word & 0xffff_ffffn));
}

export function selector(kernels: Kernels, memory: CoreMemory): Selector {
  const shards = memory.words(REGION_SHARDS, SHARD_WORDS_MAX * 2);
  const deltas = memory.words(REGION_DELTAS, GROUPS_MAX * 2);
  const elsewhere = memory.words(REGION_ELSEWHERE, GROUPS_MAX * 2);
  const recovered = memory.words(REGION_RECOVERED, GROUPS_MAX * 2);
  const common = memory.words(REGION_COMMON, 2);
  const parents = memory.bytes(REGION_PARENTS, GROUPS_MAX * VERSIONS_MAX);
  const sharedParents = memory.bytes(REGION_SHARED_PARENTS, VERSIONS_MAX);

  /** Brings groups first … end − 1 into the module's memory. */
  const load = (groups: ShardGroups, first: number, end: number, isInPlace: boolean): void => {
    const { shardsPerGroup } = groups;
    const pieces = [
      {
        source: isInPlace ? undefined : groups.shards,
        target: shards,
        perGroup: shardsPerGroup * 2,
      },
      { source: groups.deltas, target: deltas, perGroup: 2 },
      { source: groups.elsewhere, target: elsewhere, perGroup: 2 },
      { source: groups.parents, target: parents, perGroup: VERSIONS_MAX },
    ];
    for (const { source, target, perGroup } of pieces) {
      if (source !== undefined) target.set(source.subarray(first * perGroup, end * perGroup));
    }
  };

  const select = (groups: ShardGroups, kind: number, explained: VersionWords | null): void => {
    const { groupCount, shardsPerGroup, need } = groups;
    const batchMax = Math.min(GROUPS_MAX, Math.floor(SHARD_WORDS_MAX / shardsPerGroup));
    const isInPlace =
      groups.shards.buffer === shards.buffer && groups.shards.byteOffset === shards.byteOffset;
    assert(!isInPlace || groupCount <= batchMax, "in place only what fits the window");
    const withElsewhere = groups.elsewhere === undefined ? 0 : 1;
    for (let first = 0; first < groupCount; first += batchMax) {
      const end = Math.min(first + batchMax, groupCount);
      load(groups, first, end, isInPlace);
      kernels.commonBatch(end - first, shardsPerGroup, need, kind, withElsewhere);
      explained?.set(recovered.subarray(0, (end - first) * 2), first * 2);
    }
  };

  return {
    shardWindow: () => shards,
    commonState: (input) => {
      if (input.parents !== undefined) {
        assert(input.parents.length === VERSIONS_MAX, "64 parents");
        sharedParents.set(input.parents);
      }
      const recoverable: VersionWords[] = [];
      kernels.commonBegin();
      for (const groups of input.groups) {
        checkGroups(groups);
        const explained = input.explain === true ? new Uint32Array(groups.groupCount * 2) : null;
        select(groups, deltasKind(groups, input.parents !== undefined), explained);
        if (explained !== null) recoverable.push(explained);
      }
      const restorable = toWord(common) & ~(input.poison ?? 0n);
      return { newest: highestBit(restorable), restorable, recoverable };
    },
  };
}

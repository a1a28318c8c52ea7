/**
 * The common state by its definition, version by version and shard by shard: what the kernel is compared with.
 */
import { NO_PARENT, VERSIONS_MAX } from "../abi.ts";
import type { CommonState, CommonStateInput, ShardGroups, VersionWords } from "../common-state.ts";

function has(words: VersionWords | undefined, index: number, version: number): boolean {
  if (words === undefined) return false;
  const half = words[2 * index + (version >> 5)] ?? 0;
  return ((half >>> (version & 31)) & 1) === 1;
}

function parentOf(
  groups: ShardGroups,
  shared: Uint8Array | undefined,
  group: number,
  version: number,
): number {
  if (groups.parents !== undefined) {
    return groups.parents[group * VERSIONS_MAX + version] ?? NO_PARENT;
  }
  return shared === undefined ? version - 1 : (shared[version] ?? NO_PARENT);
}

function isRecoverable(
  groups: ShardGroups,
  shared: Uint8Array | undefined,
  group: number,
  version: number,
): boolean {
  if (has(groups.elsewhere, group, version)) return true;
  let found = 0;
  for (let shard = 0; shard < groups.shardsPerGroup; shard++) {
    if (has(groups.shards, group * groups.shardsPerGroup + shard, version)) found++;
  }
  if (found < groups.need) return false;
  if (!has(groups.deltas, group, version)) return true;
  const parent = parentOf(groups, shared, group, version);
  if (parent < 0 || parent >= version) return false;
  return isRecoverable(groups, shared, group, parent);
}

export function commonState(input: CommonStateInput): CommonState {
  let restorable = 0n;
  const recoverable = input.groups.map((groups) => new Uint32Array(groups.groupCount * 2));
  for (let version = 0; version < VERSIONS_MAX; version++) {
    let isCommon = true;
    input.groups.forEach((groups, at) => {
      for (let group = 0; group < groups.groupCount; group++) {
        const words = recoverable[at] as VersionWords;
        const half = 2 * group + (version >> 5);
        if (isRecoverable(groups, input.parents, group, version)) {
          words[half] = (words[half] ?? 0) | (1 << (version & 31));
        } else isCommon = false;
      }
    });
    if (isCommon) restorable |= 1n << BigInt(version);
  }
  restorable &= ~(input.poison ?? 0n);
  const newest = restorable === 0n ? -1 : restorable.toString(2).length - 1;
  return { newest, restorable, recoverable: input.explain === true ? recoverable : [] };
}

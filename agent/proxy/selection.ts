/**
 * Which common state does the job go back to? Selected from the plurality of states that the nodes hold, from metadata
 * alone, before a byte moves; every proxy of the job decides for itself and the answers are compared
 * (`selection-agreement.ts`). `job what-if` and the simulator ask the same function.
 *
 * A version is a candidate when anybody has its commit mark: then every shard of it was durable, whoever has missed the
 * mark since. A shard counts when it is on the lineage; an unsealed one may be the parent that a sealed delta needs. A
 * redundancy group is restorable in a version when enough of its members' shards exist somewhere, parents of deltas
 * included; the default is a group a rank, one copy of which is enough.
 * Invariant: the answer and its digest depend on the set of facts, never on the order in which they are listed.
 */
import { NO_PARENT, VERSIONS_MAX } from "../../core/abi.ts";
import type { CommonState, ShardGroups } from "../../core/common-state.ts";
import type { Core } from "../../core/core.ts";
import type {
  Holding,
  NodeHoldings,
  Rollback,
  Selection,
  Version,
} from "../checkpoint/checkpoint.ts";
import { isOnLineage } from "../checkpoint/checkpoint.ts";
import { compareNodeIds, type NodeId } from "../membership/membership.ts";

/** `need` of the shards of `members` are enough to restore all of them. Parity shards are members numbered from `size` up. */
export interface RedundancyGroup {
  readonly members: readonly number[];
  readonly need: number;
}

export interface SelectionInput {
  /** Number of ranks. */
  readonly size: number;
  readonly holdings: readonly NodeHoldings[];
  readonly lineage: readonly Rollback[];
  /** Versions that failed on use. */
  readonly poisoned: readonly Version[];
  /** Whether any version was ever sealed: if so, to start from nothing would lose work and is never selected. */
  readonly everSealed: boolean;
  /** Absent: every rank by itself, any copy is enough. */
  readonly groups?: readonly RedundancyGroup[];
  /** What nodes that are gone last said they held. Names them in the explanation, and changes nothing else. */
  readonly lost?: readonly NodeHoldings[];
}

export type SelectionCore = Pick<Core, "commonState" | "digest">;

interface Shard extends Holding {
  readonly node: NodeId;
}

function shardsOf(nodes: readonly NodeHoldings[]): readonly Shard[] {
  return nodes
    .flatMap(({ node, holdings }) => holdings.map((holding) => ({ ...holding, node })))
    .sort(
      (a, b) =>
        compareNodeIds(a.node, b.node) ||
        a.rank - b.rank ||
        a.version - b.version ||
        a.epoch - b.epoch ||
        (a.parent ?? 0) - (b.parent ?? 0) ||
        Number(a.sealed) - Number(b.sealed),
    );
}

function defaultGroups(size: number): readonly RedundancyGroup[] {
  return Array.from({ length: size }, (_, rank) => ({ members: [rank], need: 1 }));
}

/** The facts in canonical order, one a line. What the answer does not depend on (bytes, `lost`) stays out. */
function canonicalText(input: SelectionInput, groups: readonly RedundancyGroup[]): string {
  const lines = new Set(
    shardsOf(input.holdings).map(
      (s) =>
        `shard ${s.node} ${s.rank} ${s.version} ${s.epoch} ${s.parent ?? "-"} ${s.sealed ? 1 : 0}`,
    ),
  );
  const lineage = input.lineage.map((back) => `back ${back.epoch} ${back.base}`);
  const poisoned = input.poisoned.map((version) => `poisoned ${version}`);
  return [
    `size ${input.size} everSealed ${input.everSealed ? 1 : 0}`,
    ...groups.map((group) => `group ${group.members.join(",")} need ${group.need}`),
    ...[...new Set(lineage)].sort(),
    ...[...new Set(poisoned)].sort(),
    ...lines,
  ].join("\n");
}

/** Ascending; bit i of a word stands for entry i. */
function windowOf(shards: readonly Shard[]): readonly Version[] {
  const versions = [...new Set(shards.map((shard) => shard.version))].sort((a, b) => a - b);
  return versions.slice(-VERSIONS_MAX);
}

function setBit(words: Uint32Array, wordIndex: number, bit: number): void {
  const half = 2 * wordIndex + (bit >> 5);
  words[half] = ((words[half] ?? 0) | (1 << (bit & 31))) >>> 0;
}

/** Shards by member and version; the copy that stands for all copies is one complete in itself, else the newest parent's. */
type ShardTable = ReadonlyMap<number, ReadonlyMap<Version, Version | null>>;

function shardTable(shards: readonly Shard[]): ShardTable {
  const table = new Map<number, Map<Version, Version | null>>();
  for (const { rank, version, parent } of shards) {
    const row = table.get(rank) ?? new Map<Version, Version | null>();
    const known = row.get(version);
    const isBetter = known === undefined || parent === null || (known !== null && parent > known);
    if (known !== null && isBetter) row.set(version, parent);
    table.set(rank, row);
  }
  return table;
}

function fillGroup(
  target: {
    readonly shards: Uint32Array;
    readonly deltas: Uint32Array;
    readonly parents: Uint8Array;
  },
  group: { readonly index: number; readonly members: readonly number[] },
  table: ShardTable,
  window: readonly Version[],
): void {
  const bitOf = new Map(window.map((version, bit) => [version, bit]));
  for (const [position, member] of group.members.entries()) {
    for (const [version, parent] of table.get(member) ?? []) {
      const bit = bitOf.get(version);
      if (bit === undefined) continue;
      setBit(target.shards, group.index * group.members.length + position, bit);
      if (parent === null) continue;
      setBit(target.deltas, group.index, bit);
      const parentBit = bitOf.get(parent);
      target.parents[group.index * VERSIONS_MAX + bit] =
        parentBit === undefined || parentBit >= bit ? NO_PARENT : parentBit;
    }
  }
}

interface Shape {
  readonly groups: readonly RedundancyGroup[];
  readonly input: ShardGroups;
}

/** Groups of one shape go to the core together. */
function shapesOf(
  groups: readonly RedundancyGroup[],
  table: ShardTable,
  window: readonly Version[],
): readonly Shape[] {
  const buckets = new Map<string, RedundancyGroup[]>();
  for (const group of groups) {
    const key = `${group.members.length}/${group.need}`;
    const bucket = buckets.get(key);
    if (bucket === undefined) buckets.set(key, [group]);
    else bucket.push(group);
  }
  return [...buckets.values()].map((bucket) => {
    const shardsPerGroup = bucket[0]?.members.length ?? 1;
    const target = {
      shards: new Uint32Array(2 * bucket.length * shardsPerGroup),
      deltas: new Uint32Array(2 * bucket.length),
      parents: new Uint8Array(VERSIONS_MAX * bucket.length).fill(NO_PARENT),
    };
    for (const [index, { members }] of bucket.entries()) {
      fillGroup(target, { index, members }, table, window);
    }
    const need = bucket[0]?.need ?? 1;
    return {
      groups: bucket,
      input: { groupCount: bucket.length, shardsPerGroup, need, ...target },
    };
  });
}

function nodeList(shards: readonly Shard[]): string {
  return [...new Set(shards.map((shard) => shard.node))].join(", ");
}

/** Why this group cannot be restored to this version. */
function explainGroup(
  group: RedundancyGroup,
  version: Version,
  facts: {
    readonly living: readonly Shard[];
    readonly lost: readonly Shard[];
    readonly lineage: readonly Rollback[];
  },
): string {
  const isHere = (s: Shard): boolean => s.version === version && group.members.includes(s.rank);
  const who =
    group.members.length === 1
      ? `rank ${group.members[0]}`
      : `the group of ranks ${group.members.join(", ")}`;
  const living = facts.living.filter(isHere);
  const usable = living.filter((shard) => isOnLineage(shard, facts.lineage));
  const head = `v${version}: ${who} cannot be restored: `;
  const parents = usable.flatMap((shard) => (shard.parent === null ? [] : [`v${shard.parent}`]));
  if (new Set(usable.map((shard) => shard.rank)).size >= group.need && parents.length > 0) {
    return `${head}its shard on ${nodeList(usable)} is a delta and its parent ${parents[0]} cannot be restored`;
  }
  const lost = facts.lost.filter(isHere);
  if (lost.length > 0) {
    return `${head}no shard on any living node (${nodeList(lost)} held it)`;
  }
  const abandoned = living.filter((shard) => !isOnLineage(shard, facts.lineage));
  if (abandoned.length > 0) {
    return `${head}${nodeList(abandoned)} holds one of a future that was given up`;
  }
  return group.need > 1
    ? `${head}${new Set(usable.map((s) => s.rank)).size} of ${group.need} needed shards are left`
    : `${head}no shard on any living node`;
}

function isRecoverable(words: Uint32Array, group: number, bit: number): boolean {
  return (((words[2 * group + (bit >> 5)] ?? 0) >>> (bit & 31)) & 1) === 1;
}

interface Explained {
  readonly input: SelectionInput;
  readonly living: readonly Shard[];
  readonly window: readonly Version[];
  readonly shapes: readonly Shape[];
  readonly state: CommonState;
  readonly groups: readonly RedundancyGroup[];
}

function firstMissing(e: Explained, version: Version): RedundancyGroup | null {
  const bit = e.window.indexOf(version);
  if (bit < 0) return e.groups[0] ?? null;
  for (const [index, shape] of e.shapes.entries()) {
    const words = e.state.recoverable[index];
    if (words === undefined) continue;
    const group = shape.groups.find((_, g) => !isRecoverable(words, g, bit));
    if (group !== undefined) return group;
  }
  return null;
}

/** Newest first: every version above the chosen one with a reason, then the chosen one. */
function explain(e: Explained, chosen: Version | null): readonly string[] {
  const lost = shardsOf(e.input.lost ?? []);
  const facts = { living: e.living, lost, lineage: e.input.lineage };
  const seen = [...new Set([...e.living, ...lost].map((shard) => shard.version))]
    .sort((a, b) => b - a)
    .slice(0, VERSIONS_MAX);
  const lines: string[] = [];
  for (const version of seen) {
    if (chosen !== null && version <= chosen) break;
    const missing = firstMissing(e, version);
    if (missing !== null) lines.push(explainGroup(missing, version, facts));
    else if (e.input.poisoned.includes(version)) lines.push(`v${version}: failed on use before`);
    else lines.push(`v${version}: was never sealed`);
  }
  if (chosen === null) lines.push("no version can be restored by every rank, and work was sealed");
  else if (chosen > 0)
    lines.push(`v${chosen}: chosen, newest version every rank can be restored to`);
  else lines.push("v0: chosen, nothing was ever sealed: from the start");
  return lines;
}

function hexOf(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** O(holdings · log holdings). */
export function selectCommonState(input: SelectionInput, core: SelectionCore): Selection {
  const groups = input.groups ?? defaultGroups(input.size);
  const living = shardsOf(input.holdings);
  const eligible = living.filter((s) => isOnLineage(s, input.lineage));
  const sealed = new Set(eligible.filter((s) => s.sealed).map((s) => s.version));
  const window = windowOf(eligible);
  const shapes = shapesOf(groups, shardTable(eligible), window);
  let poison = 0n;
  for (const [bit, version] of window.entries()) {
    if (input.poisoned.includes(version) || !sealed.has(version)) poison |= 1n << BigInt(bit);
  }
  const state = core.commonState({
    groups: shapes.map((shape) => shape.input),
    poison,
    explain: true,
  });
  // Without a group or a shard every bit may be set: only bits that stand for a version count.
  const newest = window.findLastIndex((_, bit) => ((state.restorable >> BigInt(bit)) & 1n) === 1n);
  const found = window[newest];
  const version = found ?? (input.everSealed ? null : (0 as Version));
  const text = new TextEncoder().encode(canonicalText(input, groups));
  return {
    version,
    inputDigest: hexOf(core.digest(text)),
    explanation: explain({ input, living, window, shapes, state, groups }, version),
  };
}

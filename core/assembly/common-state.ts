/**
 * The versions that every group of a batch recovers. Question and meaning: `core/common-state.ts`.
 *
 * A word holds 64 versions, so all are counted at once: the shards' words are added into bit planes (plane i holds bit
 * i of 64 counters), and the planes are compared with `need`. About 8 operations a shard, whatever the number of
 * versions. O(groupCount × shardsPerGroup); with parents in a table up to 64 steps a group more.
 */
import {
  DELTAS_CHAIN,
  DELTAS_NONE,
  DELTAS_OWN,
  DELTAS_SHARED,
  GROUP_SHARDS_MAX,
  GROUPS_MAX,
  SHARD_WORDS_MAX,
  VERSIONS_MAX,
} from "../abi";
import { common, deltas, elsewhere, parents, recovered, shards, sharedParents } from "./layout";

const VERSIONS: u64 = VERSIONS_MAX;

/** Bit v: at least `need` of 1 … 15 words have it. Four planes hold a count up to 15. */
function countSmall(source: usize, shardCount: usize, need: u32): u64 {
  let plane0: u64 = 0;
  let plane1: u64 = 0;
  let plane2: u64 = 0;
  let plane3: u64 = 0;
  const end = source + (shardCount << 3);
  for (let p = source; p < end; p += 8) {
    const word = load<u64>(p);
    const carry0 = plane0 & word;
    plane0 ^= word;
    const carry1 = plane1 & carry0;
    plane1 ^= carry0;
    const carry2 = plane2 & carry1;
    plane2 ^= carry1;
    plane3 ^= carry2;
  }
  let above: u64 = 0;
  let equal: u64 = ~(<u64>0);
  for (let bit: i32 = 3; bit >= 0; bit--) {
    const plane = bit === 3 ? plane3 : bit === 2 ? plane2 : bit === 1 ? plane1 : plane0;
    if ((need & (1 << bit)) === 0) {
      above |= equal & plane;
      equal &= ~plane;
    } else equal &= plane;
  }
  return above | equal;
}

const planes: usize = memory.data(64, 64);

/** The same for up to 255 words: eight planes, in memory. */
function countLarge(source: usize, shardCount: usize, need: u32): u64 {
  memory.fill(planes, 0, 64);
  const end = source + (shardCount << 3);
  for (let p = source; p < end; p += 8) {
    let carry = load<u64>(p);
    for (let plane = planes; carry !== 0; plane += 8) {
      const bits = load<u64>(plane);
      store<u64>(plane, bits ^ carry);
      carry &= bits;
    }
  }
  let above: u64 = 0;
  let equal: u64 = ~(<u64>0);
  for (let bit: i32 = 7; bit >= 0; bit--) {
    const plane = load<u64>(planes + ((bit as usize) << 3));
    if ((need & (1 << bit)) === 0) {
      above |= equal & plane;
      equal &= ~plane;
    } else equal &= plane;
  }
  return above | equal;
}

/**
 * Takes out every delta whose chain of parents v − 1, v − 2, … is broken: a loss at v spreads upwards through
 * neighbouring deltas, like a carry, in six doubling steps.
 */
function withoutOrphansOfChain(words: u64, deltaWords: u64): u64 {
  // A delta on bit 0 has its parent below the window.
  let lost = ~words | (deltaWords & 1);
  let spreads = deltaWords;
  for (let distance: u64 = 1; distance < VERSIONS; distance <<= 1) {
    lost |= spreads & (lost << distance);
    spreads &= spreads << distance;
  }
  return ~lost;
}

/** The same with a parent table; versions in rising order, so a parent is settled before its child. */
function withoutOrphans(words: u64, deltaWords: u64, table: usize): u64 {
  let kept = words;
  let rest = words & deltaWords;
  while (rest !== 0) {
    const version = ctz(rest);
    rest &= rest - 1;
    const parent = load<u8>(table + (version as usize)) as u64;
    if (parent >= version || ((kept >>> parent) & 1) === 0) kept &= ~((<u64>1) << version);
  }
  return kept;
}

export function commonBegin(): void {
  store<u64>(common, ~(<u64>0));
}

/**
 * One batch. `deltasKind` is one of DELTAS_…; `withElsewhere` says that the region `elsewhere` counts. Puts what each
 * group recovers into `recovered` and takes the rest out of `common`.
 */
export function commonBatch(
  groupCount: u32,
  shardsPerGroup: u32,
  need: u32,
  deltasKind: u32,
  withElsewhere: bool,
): void {
  assert(groupCount <= (GROUPS_MAX as u32));
  assert(shardsPerGroup >= 1 && shardsPerGroup <= (GROUP_SHARDS_MAX as u32));
  assert(groupCount * shardsPerGroup <= (SHARD_WORDS_MAX as u32));
  assert(need >= 1 && need <= shardsPerGroup);
  assert(deltasKind <= (DELTAS_OWN as u32));
  const groupBytes = (shardsPerGroup as usize) << 3;
  let all = load<u64>(common);
  let source = shards;
  for (let group: usize = 0; group < (groupCount as usize); group++) {
    let words: u64;
    if (shardsPerGroup < 16) words = countSmall(source, shardsPerGroup as usize, need);
    else words = countLarge(source, shardsPerGroup as usize, need);
    source += groupBytes;
    let whole: u64 = 0;
    if (withElsewhere) whole = load<u64>(elsewhere + (group << 3));
    words |= whole;
    if (deltasKind !== (DELTAS_NONE as u32)) {
      // What another level has in full needs no parent, and may be one.
      const deltaWords = load<u64>(deltas + (group << 3)) & ~whole;
      if (deltasKind === (DELTAS_CHAIN as u32)) {
        words = withoutOrphansOfChain(words, deltaWords);
      } else if (deltasKind === (DELTAS_SHARED as u32)) {
        words = withoutOrphans(words, deltaWords, sharedParents);
      } else words = withoutOrphans(words, deltaWords, parents + (group << 6));
    }
    store<u64>(recovered + (group << 3), words);
    all &= words;
  }
  store<u64>(common, all);
}

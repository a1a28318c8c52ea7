/**
 * `commonState` of 100,000 ranks × 64 versions in groups of 8, of which 2 may be lost, every second version a delta.
 *
 * The words are in a buffer of the caller's, so the copy into the core is part of it. Peer: the same rule in plain
 * TypeScript on the same words, bit-sliced as well, 32 versions at a time; the results are compared.
 */
import { prng } from "../agent/runtime/prng.ts";
import { assert } from "../core/assert.ts";
import { createCore } from "../core/core.ts";
import { type Measurement, median, medianDeviation } from "./bench.ts";

const RANKS = 100_000;
const GROUP = 8;
const NEED = 6;
const RUNS = 101;

/** Bits that at least 6 of 8 words have: count the absent ones, at most 2. */
function recovered(words: Uint32Array, first: number, step: number): number {
  let one = 0;
  let two = 0;
  let more = 0;
  for (let i = 0; i < GROUP; i++) {
    const absent = ~(words[first + i * step] ?? 0);
    const carry = one & absent;
    one ^= absent;
    more |= two & carry;
    two ^= carry;
  }
  return ~(more | (two & one));
}

function plainCommonState(shards: Uint32Array, deltas: Uint32Array): bigint {
  let all = (1n << 64n) - 1n;
  let [low, high] = [-1, -1];
  for (let group = 0; group < RANKS / GROUP; group++) {
    let a = recovered(shards, group * GROUP * 2, 2);
    let b = recovered(shards, group * GROUP * 2 + 1, 2);
    const deltaLow = deltas[2 * group] ?? 0;
    const deltaHigh = deltas[2 * group + 1] ?? 0;
    // Deltas never follow each other here, so one step settles a chain.
    b &= ~(deltaHigh & ~((b << 1) | (a >>> 31)));
    a &= ~(deltaLow & ~(a << 1));
    low &= a;
    high &= b;
  }
  all = (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
  return all;
}

export function run(): readonly Measurement[] {
  const random = prng(3);
  const shards = new Uint32Array(RANKS * 2).fill(0xffff_ffff);
  // A shard in a hundred lacks a version here and there.
  for (let i = 0; i < shards.length; i++) {
    if (random.unit() < 0.01) shards[i] = random.u32() | random.u32();
  }
  const groupCount = RANKS / GROUP;
  const deltas = new Uint32Array(groupCount * 2).fill(0xaaaa_aaaa);
  const core = createCore();
  const input = { groups: [{ groupCount, shardsPerGroup: GROUP, need: NEED, shards, deltas }] };
  const ours: number[] = [];
  const peer: number[] = [];
  for (let turn = -20; turn < RUNS; turn++) {
    const startNs = Bun.nanoseconds();
    const found = core.commonState(input);
    const middleNs = Bun.nanoseconds();
    const plain = plainCommonState(shards, deltas);
    const endNs = Bun.nanoseconds();
    assert(found.restorable === plain, "both name the same versions");
    if (turn < 0) continue;
    ours.push((middleNs - startNs) / 1e6);
    peer.push((endNs - middleNs) / 1e6);
  }
  return [
    {
      bench: "core-common-state",
      what: "common state of 100,000 ranks × 64 versions, groups of 8 with 2 lost allowed, half of the versions deltas",
      ours: median(ours),
      peer: median(peer),
      peerName: "the same rule in plain TypeScript",
      unit: "ms",
      spread: medianDeviation(ours),
      runs: RUNS,
      goal: { of: "ours", better: "lower", must: 10, aim: 2 },
      note: "the copy of the words into the core is included",
    },
  ];
}

/**
 * The best k of n candidates. Meaning: `core/rank.ts`.
 *
 * Three passes over data that stays in the first-level cache, with hardly a branch that depends on it:
 *
 *   1. scores of 16 candidates a turn, and the best score of each of 16 columns (candidates i, i + 16, …)
 *   2. threshold = the k-th best column: at least k candidates reach it, and about 1.3 k do
 *   3. only those are put into the sorted list of choices
 *
 * An insertion for every candidate that beats the list so far would mispredict some 50 branches on random input and
 * cost 20 times as much on rising input. A segment of the table has its own 16 columns, so that there are at least
 * 2 k columns for a k above 8.
 *
 * Floats are 32 bits and every sum has one fixed order; the oracle repeats it bit by bit.
 */
import { CANDIDATES_MAX, CHOICES_MAX, METRICS_MAX } from "../abi";
import { ages, choices, metrics, priors, scores, weights } from "./layout";

const COLUMNS: u32 = 16;
const ROW_BYTES: usize = CANDIDATES_MAX * 4;

/** Best scores of all columns of all segments: 16 for each 8 choices. */
const columns: usize = memory.data(CHOICES_MAX * 2 * 4, 64);
const chosenScores: usize = memory.data(CHOICES_MAX * 4, 64);

function nan(): v128 {
  return f32x4.splat(NaN);
}

/** Raw scores of four candidates, shrunk by age. `offset` is the first candidate's, in bytes. */
function shrunk(raw: v128, offset: usize, priorScore: v128, agingPerMs: v128): v128 {
  const one = f32x4.splat(1);
  const aging = f32x4.mul(v128.load(ages + offset), agingPerMs);
  const share = f32x4.div(one, f32x4.add(one, aging));
  return f32x4.add(priorScore, f32x4.mul(f32x4.sub(raw, priorScore), share));
}

/**
 * For each of four u in (0, 1): -ln u, by the polynomial of Cephes' logf on [√½, √2), in its order.
 */
function negativeLog(u: v128): v128 {
  const one = f32x4.splat(1);
  let exponent = i32x4.sub(i32x4.shr_u(u, 23), i32x4.splat(126));
  const half = v128.or(v128.and(u, i32x4.splat(0x007fffff)), i32x4.splat(0x3f000000));
  const isSmall = f32x4.lt(half, f32x4.splat(Math.SQRT1_2 as f32));
  exponent = i32x4.add(exponent, isSmall);
  const x = f32x4.sub(f32x4.add(half, v128.and(half, isSmall)), one);
  const z = f32x4.mul(x, x);
  let y = f32x4.splat(7.0376836292e-2);
  y = f32x4.add(f32x4.mul(y, x), f32x4.splat(-1.151461031e-1));
  y = f32x4.add(f32x4.mul(y, x), f32x4.splat(1.167699874e-1));
  y = f32x4.add(f32x4.mul(y, x), f32x4.splat(-1.2420140846e-1));
  y = f32x4.add(f32x4.mul(y, x), f32x4.splat(1.4249322787e-1));
  y = f32x4.add(f32x4.mul(y, x), f32x4.splat(-1.6668057665e-1));
  y = f32x4.add(f32x4.mul(y, x), f32x4.splat(2.0000714765e-1));
  y = f32x4.add(f32x4.mul(y, x), f32x4.splat(-2.4999993993e-1));
  y = f32x4.add(f32x4.mul(y, x), f32x4.splat(3.3333331174e-1));
  y = f32x4.mul(f32x4.mul(y, x), z);
  const e = f32x4.convert_i32x4_s(exponent);
  y = f32x4.add(y, f32x4.mul(e, f32x4.splat(-2.1219444e-4)));
  y = f32x4.sub(y, f32x4.mul(f32x4.splat(0.5), z));
  const log = f32x4.add(f32x4.add(x, y), f32x4.mul(e, f32x4.splat(0.693359375)));
  return f32x4.neg(log);
}

/** Uniform in (0, 1), 23 bits, from the seed and each candidate's index: the finalizer of MurmurHash3. */
function uniform(index: v128, seed: u32): v128 {
  let h = v128.xor(i32x4.mul(index, i32x4.splat(0x9e3779b1)), i32x4.splat(seed));
  h = v128.xor(h, i32x4.shr_u(h, 16));
  h = i32x4.mul(h, i32x4.splat(0x85ebca6b));
  h = v128.xor(h, i32x4.shr_u(h, 13));
  h = i32x4.mul(h, i32x4.splat(0xc2b2ae35));
  h = v128.xor(h, i32x4.shr_u(h, 16));
  const integer = f32x4.convert_i32x4_s(i32x4.shr_u(h, 9));
  return f32x4.mul(f32x4.add(integer, f32x4.splat(0.5)), f32x4.splat(1.1920928955078125e-7));
}

/**
 * Efraimidis and Spirakis (2006): the k largest of u^(1/w) are a weighted sample without replacement. The same order
 * has w / -ln u. Scores that are not positive become NaN: never drawn.
 */
function sampleKey(score: v128, index: v128, seed: u32): v128 {
  const key = f32x4.div(score, negativeLog(uniform(index, seed)));
  return v128.bitselect(key, nan(), f32x4.gt(score, f32x4.splat(0)));
}

function clipped(score: v128, index: v128, candidateCount: u32): v128 {
  return v128.bitselect(score, nan(), i32x4.lt_u(index, i32x4.splat(candidateCount)));
}

/** Scores of candidates first … end − 1 (first is a multiple of 16), rounded up to 16 with NaN; their best columns. */
function scoreSegment(
  first: u32,
  end: u32,
  metricCount: u32,
  priorScore: v128,
  agingPerMs: v128,
  isSample: bool,
  seed: u32,
  segmentColumns: usize,
): void {
  const weightsEnd = weights + ((metricCount as usize) << 2);
  let best0 = f32x4.splat(-Infinity);
  let best1 = best0;
  let best2 = best0;
  let best3 = best0;
  for (let i = first; i < end; i += COLUMNS) {
    const offset = (i as usize) << 2;
    // Four vectors a turn share a weight, and their sums do not wait for each other.
    let row = metrics + offset;
    let weight = v128.load32_splat(weights);
    let score0 = f32x4.mul(v128.load(row), weight);
    let score1 = f32x4.mul(v128.load(row, 16), weight);
    let score2 = f32x4.mul(v128.load(row, 32), weight);
    let score3 = f32x4.mul(v128.load(row, 48), weight);
    for (let p = weights + 4; p < weightsEnd; p += 4) {
      row += ROW_BYTES;
      weight = v128.load32_splat(p);
      score0 = f32x4.add(score0, f32x4.mul(v128.load(row), weight));
      score1 = f32x4.add(score1, f32x4.mul(v128.load(row, 16), weight));
      score2 = f32x4.add(score2, f32x4.mul(v128.load(row, 32), weight));
      score3 = f32x4.add(score3, f32x4.mul(v128.load(row, 48), weight));
    }
    score0 = shrunk(score0, offset, priorScore, agingPerMs);
    score1 = shrunk(score1, offset + 16, priorScore, agingPerMs);
    score2 = shrunk(score2, offset + 32, priorScore, agingPerMs);
    score3 = shrunk(score3, offset + 48, priorScore, agingPerMs);
    if (isSample || i + COLUMNS > end) {
      const index = i32x4.add(i32x4.splat(i), i32x4(0, 1, 2, 3));
      const index1 = i32x4.add(index, i32x4.splat(4));
      const index2 = i32x4.add(index, i32x4.splat(8));
      const index3 = i32x4.add(index, i32x4.splat(12));
      if (isSample) {
        score0 = sampleKey(score0, index, seed);
        score1 = sampleKey(score1, index1, seed);
        score2 = sampleKey(score2, index2, seed);
        score3 = sampleKey(score3, index3, seed);
      }
      score0 = clipped(score0, index, end);
      score1 = clipped(score1, index1, end);
      score2 = clipped(score2, index2, end);
      score3 = clipped(score3, index3, end);
    }
    v128.store(scores + offset, score0);
    v128.store(scores + offset, score1, 16);
    v128.store(scores + offset, score2, 32);
    v128.store(scores + offset, score3, 48);
    // pmax(a, b) is a < b ? b : a: a NaN score leaves the best as it is.
    best0 = f32x4.pmax(best0, score0);
    best1 = f32x4.pmax(best1, score1);
    best2 = f32x4.pmax(best2, score2);
    best3 = f32x4.pmax(best3, score3);
  }
  v128.store(segmentColumns, best0);
  v128.store(segmentColumns, best1, 16);
  v128.store(segmentColumns, best2, 32);
  v128.store(segmentColumns, best3, 48);
}

/** The k-th largest column: the least of those that fewer than k exceed. O(columnCount²), 16 to 128 columns. */
function threshold(columnCount: u32, k: u32): f32 {
  const end = columns + ((columnCount as usize) << 2);
  let least: f32 = Infinity;
  for (let p = columns; p < end; p += 4) {
    const value = v128.load32_splat(p);
    let above = i32x4.splat(0);
    for (let q = columns; q < end; q += 16) {
      above = i32x4.sub(above, f32x4.gt(v128.load(q), value));
    }
    const pairs = i32x4.add(above, v128.shuffle<i32>(above, above, 2, 3, 0, 1));
    const count = (i32x4.extract_lane(pairs, 0) + i32x4.extract_lane(pairs, 1)) as u32;
    if (count < k) least = min(least, load<f32>(p));
  }
  return least;
}

/** Into the sorted list, behind its equals. Returns the new count. */
function insert(index: u32, score: f32, count: u32, k: u32): u32 {
  let at = count;
  if (count === k) {
    if (!(score > load<f32>(chosenScores + (((k - 1) as usize) << 2)))) return count;
    at = k - 1;
  }
  while (at > 0 && load<f32>(chosenScores + (((at - 1) as usize) << 2)) < score) {
    const p = (at as usize) << 2;
    store<f32>(chosenScores + p, load<f32>(chosenScores + p - 4));
    store<u32>(choices + p, load<u32>(choices + p - 4));
    at--;
  }
  store<f32>(chosenScores + ((at as usize) << 2), score);
  store<u32>(choices + ((at as usize) << 2), index);
  return count === k ? k : count + 1;
}

function chooseFrom(first: u32, mask: i32, count: u32, k: u32): u32 {
  let bits = mask;
  let chosen = count;
  while (bits !== 0) {
    const index = first + (ctz(bits) as u32);
    bits &= bits - 1;
    chosen = insert(index, load<f32>(scores + ((index as usize) << 2)), chosen, k);
  }
  return chosen;
}

function choose(candidateCount: u32, least: f32, k: u32): u32 {
  const limit = f32x4.splat(least);
  let count: u32 = 0;
  for (let i: u32 = 0; i < candidateCount; i += COLUMNS) {
    const p = scores + ((i as usize) << 2);
    const hit0 = f32x4.ge(v128.load(p), limit);
    const hit1 = f32x4.ge(v128.load(p, 16), limit);
    const hit2 = f32x4.ge(v128.load(p, 32), limit);
    const hit3 = f32x4.ge(v128.load(p, 48), limit);
    if (v128.any_true(v128.or(v128.or(hit0, hit1), v128.or(hit2, hit3)))) {
      const low = i32x4.bitmask(hit0) | (i32x4.bitmask(hit1) << 4);
      const high = (i32x4.bitmask(hit2) << 8) | (i32x4.bitmask(hit3) << 12);
      count = chooseFrom(i, low | high, count, k);
    }
  }
  return count;
}

/**
 * `agingPerMs` is 1 / half-life, so that an infinite one is no special case.
 * Indexes of the chosen go to `choices`, best first. Returns how many; fewer than k when there are not so many.
 */
export function rank(
  candidateCount: u32,
  metricCount: u32,
  agingPerMs: f32,
  k: u32,
  isSample: bool,
  seed: u32,
): u32 {
  assert(candidateCount <= (CANDIDATES_MAX as u32));
  assert(metricCount >= 1 && metricCount <= (METRICS_MAX as u32));
  assert(k >= 1 && k <= (CHOICES_MAX as u32));
  assert(agingPerMs >= 0);
  let priorScore: f32 = load<f32>(priors) * load<f32>(weights);
  for (let metric: usize = 1; metric < (metricCount as usize); metric++) {
    priorScore += load<f32>(priors + (metric << 2)) * load<f32>(weights + (metric << 2));
  }
  const prior = f32x4.splat(priorScore);
  const aging = f32x4.splat(agingPerMs);
  const segmentCount = (k + 7) >> 3;
  const rows = (candidateCount + COLUMNS - 1) / COLUMNS;
  const segmentSpan = ((rows + segmentCount - 1) / segmentCount) * COLUMNS;
  let first: u32 = 0;
  for (let segment: u32 = 0; segment < segmentCount; segment++) {
    const end = min(first + segmentSpan, candidateCount);
    const segmentColumns = columns + ((segment as usize) << 6);
    scoreSegment(first, end, metricCount, prior, aging, isSample, seed, segmentColumns);
    first = end;
  }
  return choose(candidateCount, threshold(segmentCount * COLUMNS, k), k);
}

/**
 * Ranking by sorting everything, in the kernel's order of 32-bit float operations: what the kernel is compared with.
 */
import { CANDIDATES_MAX } from "../abi.ts";
import type { RankQuery, RankTable } from "../rank.ts";

const f = Math.fround;

/** -ln u by the polynomial of Cephes' logf. */
function negativeLog(u: number): number {
  const bits = new DataView(new ArrayBuffer(4));
  bits.setFloat32(0, u);
  let exponent = (bits.getUint32(0) >>> 23) - 126;
  bits.setUint32(0, (bits.getUint32(0) & 0x007fffff) | 0x3f000000);
  const half = bits.getFloat32(0);
  const isSmall = half < f(Math.SQRT1_2);
  if (isSmall) exponent--;
  const x = f(f(half + (isSmall ? half : 0)) - 1);
  const z = f(x * x);
  let y = f(7.0376836292e-2);
  for (const coefficient of [
    -1.151461031e-1, 1.167699874e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1,
    2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
  ]) {
    y = f(f(y * x) + f(coefficient));
  }
  y = f(f(y * x) * z);
  y = f(y + f(exponent * f(-2.1219444e-4)));
  y = f(y - f(0.5 * z));
  return -f(f(x + y) + f(exponent * f(0.693359375)));
}

export function uniform(index: number, seed: number): number {
  let h = (Math.imul(index, 0x9e3779b1) ^ seed) >>> 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  h = (h ^ (h >>> 16)) >>> 0;
  return f(f((h >>> 9) + 0.5) * 2 ** -23);
}

function weighted(values: readonly number[], weights: readonly number[]): number {
  const products = values.map((value, i) => f(f(value) * f(weights[i] ?? 0)));
  return products.reduce((sum, product) => f(sum + product));
}

function score(table: RankTable, query: RankQuery, index: number): number {
  const weights = Array.from(query.weights);
  const values = weights.map((_, metric) => table.metrics[metric * CANDIDATES_MAX + index] ?? 0);
  const raw = weighted(values, weights);
  const prior = weighted(Array.from(query.priors), weights);
  const aging = f((table.agesMs[index] ?? 0) * f(1 / query.halfLifeMs));
  const share = f(1 / f(1 + aging));
  const shrunk = f(prior + f(f(raw - prior) * share));
  if (query.sampleSeed === undefined) return shrunk;
  return shrunk > 0 ? f(shrunk / negativeLog(uniform(index, query.sampleSeed))) : Number.NaN;
}

export function rank(table: RankTable, query: RankQuery): Uint32Array {
  const scores = Array.from({ length: query.candidateCount }, (_, i) => score(table, query, i));
  const order = [...scores.keys()].filter((i) => !Number.isNaN(scores[i]));
  // Array sorting is stable: equals stay in order of index.
  order.sort((a, b) => {
    const x = scores[a] as number;
    const y = scores[b] as number;
    return x === y ? 0 : y > x ? 1 : -1;
  });
  return Uint32Array.from(order.slice(0, query.choiceCount));
}

/**
 * What the simulated programs compute, and the oracle that knows every state of it.
 *
 * Each step is an all-reduce over all ranks, so the state of a rank after step s is a number that depends on every rank's
 * whole past. A rank that was rolled back to a wrong state, or beside ranks of another step, therefore shows at its
 * next step. The oracle is computed forward from nothing and never from what the programs did.
 */

/** A program's protected memory, in small. Never changed: each step makes a new one. */
export interface RankState {
  readonly step: number;
  readonly hash: number;
}

function mix(a: number, b: number): number {
  let h = Math.imul((a ^ b) >>> 0, 0x85ebca6b) >>> 0;
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35) >>> 0;
  return (h ^ (h >>> 16)) >>> 0;
}

export function initialState(rank: number): RankState {
  return { step: 0, hash: mix(0x9e3779b9, rank + 1) };
}

/** The contributions of all ranks, summed in rank order. */
export function allReduce(hashes: readonly number[]): number {
  let sum = 0;
  for (const hash of hashes) sum = mix(sum, hash);
  return sum;
}

export function nextState(state: RankState, sum: number): RankState {
  return { step: state.step + 1, hash: mix(state.hash, sum) };
}

/** By number of ranks: the hash of each rank after each step. Shared by all histories: it is the same for all. */
const TABLES = new Map<number, number[][]>();

export function expectedHash(rankCount: number, rank: number, step: number): number {
  let table = TABLES.get(rankCount);
  if (table === undefined) {
    table = [Array.from({ length: rankCount }, (_, r) => initialState(r).hash)];
    TABLES.set(rankCount, table);
  }
  while (table.length <= step) {
    const last = table[table.length - 1] as number[];
    const sum = allReduce(last);
    table.push(last.map((hash) => nextState({ step: 0, hash }, sum).hash));
  }
  return (table[step] as number[])[rank] as number;
}

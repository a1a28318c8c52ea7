/**
 * `rank`: the best 8 of 1,024 by four weighted metrics, shrunk by age. The metrics are in the core's table, where a server
 * keeps them between questions. Peer: the same scores in plain TypeScript with a list of the best 8; results are compared.
 */
import { prng } from "../agent/runtime/prng.ts";
import { CANDIDATES_MAX } from "../core/abi.ts";
import { assert } from "../core/assert.ts";
import { createCore } from "../core/core.ts";
import type { RankQuery, RankTable } from "../core/rank.ts";
import { type Measurement, median, medianDeviation } from "./bench.ts";

const CANDIDATES = 1024;
const BATCH = 2000;
const RUNS = 51;

const QUERY: RankQuery = {
  candidateCount: CANDIDATES,
  weights: [0.5, 0.25, 0.125, 0.125],
  priors: [0.5, 0.5, 0.5, 0.5],
  halfLifeMs: 5000,
  choiceCount: 8,
};

function plainRank(table: RankTable, best: Float64Array, chosen: Uint32Array): void {
  const { metrics, agesMs } = table;
  const [w0 = 0, w1 = 0, w2 = 0, w3 = 0] = Array.from(QUERY.weights);
  best.fill(Number.NEGATIVE_INFINITY);
  for (let i = 0; i < CANDIDATES; i++) {
    const raw =
      w0 * (metrics[i] ?? 0) +
      w1 * (metrics[CANDIDATES_MAX + i] ?? 0) +
      w2 * (metrics[2 * CANDIDATES_MAX + i] ?? 0) +
      w3 * (metrics[3 * CANDIDATES_MAX + i] ?? 0);
    const score = 0.5 + (raw - 0.5) / (1 + (agesMs[i] ?? 0) / QUERY.halfLifeMs);
    if (score <= (best[7] ?? 0)) continue;
    let at = 7;
    for (; at > 0 && (best[at - 1] ?? 0) < score; at--) {
      best[at] = best[at - 1] ?? 0;
      chosen[at] = chosen[at - 1] ?? 0;
    }
    best[at] = score;
    chosen[at] = i;
  }
}

function perCallUs(body: () => void): number {
  const startNs = Bun.nanoseconds();
  for (let i = 0; i < BATCH; i++) body();
  return (Bun.nanoseconds() - startNs) / BATCH / 1000;
}

export function run(): readonly Measurement[] {
  const core = createCore();
  const table = core.rankTable();
  const random = prng(9);
  for (let i = 0; i < CANDIDATES; i++) {
    for (let metric = 0; metric < 4; metric++) {
      table.metrics[metric * CANDIDATES_MAX + i] = random.unit();
    }
    table.agesMs[i] = random.unit() * 20_000;
  }
  const best = new Float64Array(8);
  const chosen = new Uint32Array(8);
  plainRank(table, best, chosen);
  assert(core.rank(QUERY).join() === chosen.join(), "both choose the same");
  const ours: number[] = [];
  const peer: number[] = [];
  for (let run = -10; run < RUNS; run++) {
    const a = perCallUs(() => core.rank(QUERY));
    const b = perCallUs(() => plainRank(table, best, chosen));
    if (run < 0) continue;
    ours.push(a);
    peer.push(b);
  }
  return [
    {
      bench: "core-rank",
      what: "best 8 of 1,024 by four weighted metrics, shrunk by age",
      ours: median(ours),
      peer: median(peer),
      peerName: "the same in plain TypeScript",
      unit: "µs",
      spread: medianDeviation(ours),
      runs: RUNS,
      goal: { of: "ours", better: "lower", must: 2, aim: 0.6 },
      note: null,
    },
  ];
}

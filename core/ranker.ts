/**
 * The host of `rank`. Meaning of a query: `rank.ts`.
 */
import {
  CANDIDATES_MAX,
  CHOICES_MAX,
  METRICS_MAX,
  REGION_AGES,
  REGION_CHOICES,
  REGION_METRICS,
  REGION_PRIORS,
  REGION_WEIGHTS,
} from "./abi.ts";
import { assert } from "./assert.ts";
import type { CoreMemory, Kernels } from "./kernels.ts";
import type { RankQuery, RankTable } from "./rank.ts";

export interface Ranker {
  rankTable(): RankTable;
  rank(query: RankQuery): Uint32Array;
}

export function ranker(kernels: Kernels, memory: CoreMemory): Ranker {
  const table: RankTable = {
    metrics: memory.floats(REGION_METRICS, METRICS_MAX * CANDIDATES_MAX),
    agesMs: memory.floats(REGION_AGES, CANDIDATES_MAX),
  };
  const weights = memory.floats(REGION_WEIGHTS, METRICS_MAX);
  const priors = memory.floats(REGION_PRIORS, METRICS_MAX);
  const choices = memory.words(REGION_CHOICES, CHOICES_MAX);
  /** One view for each count: making one a call would cost as much as a tenth of the ranking. */
  const chosen = Array.from({ length: CHOICES_MAX + 1 }, (_, count) => choices.subarray(0, count));
  return {
    rankTable: () => table,
    rank: (query) => {
      const metricCount = query.weights.length;
      assert(metricCount === query.priors.length, "a prior for each weight");
      assert(query.halfLifeMs > 0, "a positive half-life");
      for (let metric = 0; metric < metricCount; metric++) {
        weights[metric] = query.weights[metric] ?? 0;
        priors[metric] = query.priors[metric] ?? 0;
      }
      const count = kernels.rank(
        query.candidateCount,
        metricCount,
        1 / query.halfLifeMs,
        query.choiceCount,
        query.sampleSeed === undefined ? 0 : 1,
        query.sampleSeed ?? 0,
      );
      return chosen[count] ?? choices;
    },
  };
}

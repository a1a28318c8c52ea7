/**
 * Goal: `rank` is the full sort's first k, for every n and k, with ties, ages, excluded candidates and draws.
 * Method: kernel and oracle under one suite; random tables; the draws' frequencies against the weights.
 */
import { beforeEach, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { CANDIDATES_MAX, CHOICES_MAX, METRICS_MAX } from "./abi.ts";
import { createCore } from "./core.ts";
import * as oracle from "./oracle/rank.ts";
import type { RankQuery } from "./rank.ts";

const core = createCore();
const table = core.rankTable();

function put(metric: number, values: readonly number[]): void {
  table.metrics.set(values, metric * CANDIDATES_MAX);
}

const QUERY: RankQuery = {
  candidateCount: 5,
  weights: [1],
  priors: [0],
  halfLifeMs: Number.POSITIVE_INFINITY,
  choiceCount: 3,
};

beforeEach(() => {
  table.metrics.fill(0);
  table.agesMs.fill(0);
});

for (const [name, rank] of [
  ["kernel", (query: RankQuery) => [...core.rank(query)]],
  ["oracle", (query: RankQuery) => [...oracle.rank(table, query)]],
] as const) {
  describe(`rank, ${name}`, () => {
    test("puts the highest first and equals in order of index", () => {
      put(0, [5, 9, 5, 9, 1]);
      expect(rank(QUERY)).toEqual([1, 3, 0]);
      expect(rank({ ...QUERY, choiceCount: 8 })).toEqual([1, 3, 0, 2, 4]);
    });

    test("weighs the metrics, also by negative weights", () => {
      put(0, [1, 2, 3, 4, 5]);
      put(1, [9, 1, 1, 1, 8]);
      expect(rank({ ...QUERY, weights: [1, -1], priors: [0, 0] })).toEqual([3, 2, 1]);
    });

    test("shrinks what is old towards the prior", () => {
      put(0, [10, 8, 1]);
      table.agesMs.set([3000, 0, 3000]);
      const query = { ...QUERY, candidateCount: 3, priors: [4], halfLifeMs: 1000 };
      // 4 + 6 / 4 = 5.5 and 4 - 3 / 4 = 3.25: the old good one falls behind, the old bad one is forgiven a little.
      expect(rank(query)).toEqual([1, 0, 2]);
      expect(rank({ ...query, halfLifeMs: Number.POSITIVE_INFINITY })).toEqual([0, 1, 2]);
    });

    test("leaves out who has no number, and has nothing to say about nobody", () => {
      put(0, [1, Number.NaN, 3, Number.NaN, Number.NEGATIVE_INFINITY]);
      expect(rank({ ...QUERY, choiceCount: 5 })).toEqual([2, 0, 4]);
      expect(rank({ ...QUERY, candidateCount: 0 })).toEqual([]);
    });

    test("draws the same for the same seed, each candidate once, none without weight", () => {
      put(0, [1, 2, 0, -3, 4]);
      const query = { ...QUERY, choiceCount: 5, sampleSeed: 7 };
      const drawn = rank(query);
      expect(drawn.toSorted((a, b) => a - b)).toEqual([0, 1, 4]);
      expect(rank(query)).toEqual(drawn);
    });
  });
}

describe("rank", () => {
  const number = fc.oneof(
    fc.float({ min: -1000, max: 1000 }),
    fc.constantFrom(0, -0, 1, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY),
  );

  test("equals the oracle for random tables of every shape", () => {
    fc.assert(
      fc.property(
        fc.record({
          candidateCount: fc.integer({ min: 0, max: 200 }),
          metricCount: fc.integer({ min: 1, max: METRICS_MAX }),
          choiceCount: fc.integer({ min: 1, max: CHOICES_MAX }),
          sampleSeed: fc.option(fc.nat(0xffff_ffff), { nil: undefined }),
          stream: fc.infiniteStream(number),
        }),
        ({ candidateCount, metricCount, choiceCount, sampleSeed, stream }) => {
          const values = (count: number) => [...stream.take(count)];
          for (let metric = 0; metric < metricCount; metric++) put(metric, values(candidateCount));
          table.agesMs.set(
            values(candidateCount).map((x) => (Number.isFinite(x) ? Math.abs(x) : 0)),
          );
          const query = {
            candidateCount,
            weights: values(metricCount),
            priors: values(metricCount),
            halfLifeMs: 250,
            choiceCount,
            ...(sampleSeed === undefined ? {} : { sampleSeed }),
          };
          expect([...core.rank(query)]).toEqual([...oracle.rank(table, query)]);
        },
      ),
      { numRuns: 300 },
    );
  });

  test("equals the oracle for every count around the vector's and the table's borders", () => {
    put(
      0,
      Array.from({ length: CANDIDATES_MAX }, (_, i) => Math.imul(i, 0x9e3779b1) >>> 20),
    );
    for (const candidateCount of [1, 3, 15, 16, 17, 31, 33, 127, 129, 1023, 1024, CANDIDATES_MAX]) {
      for (const choiceCount of [1, 7, 8, 9, 16, 17, CHOICES_MAX]) {
        const query = { ...QUERY, candidateCount, choiceCount };
        expect([...core.rank(query)]).toEqual([...oracle.rank(table, query)]);
      }
    }
  });

  test("is right whether candidates come rising, falling or all equal", () => {
    const orders: readonly ((i: number) => number)[] = [(i) => i, (i) => -i, () => 5];
    for (const scoreAt of orders) {
      put(
        0,
        Array.from({ length: 1024 }, (_, i) => scoreAt(i)),
      );
      const query = { ...QUERY, candidateCount: 1024, choiceCount: 8 };
      expect([...core.rank(query)]).toEqual([...oracle.rank(table, query)]);
    }
  });

  test("draws in proportion to weight", () => {
    put(0, [1, 2, 3, 4]);
    const counts = [0, 0, 0, 0];
    const draws = 20_000;
    for (let seed = 0; seed < draws; seed++) {
      const [first] = core.rank({ ...QUERY, candidateCount: 4, choiceCount: 1, sampleSeed: seed });
      counts[first as number] = (counts[first as number] ?? 0) + 1;
    }
    // Standard deviation is at most 0.0035; five of them.
    for (const [i, count] of counts.entries()) {
      expect(Math.abs(count / draws - (i + 1) / 10)).toBeLessThan(0.018);
    }
  });
});

/**
 * Goal: a job whose processes are killed and stopped at random moments, twice, ends right or is lost for a true reason.
 * Method: rounds of `chaos.ts` with fixed seeds, which draw different strikes; more of them: `bun test/e2e/chaos.ts --rounds 60`.
 */
import { describe, expect, test } from "bun:test";
import { describePlan, drawPlan } from "./chaos/plan.ts";
import { runRound } from "./chaos/round.ts";

/** A guard and then its agent; a proxy and 38 ms later another; a node without a spare, and again once it is back. */
const SEEDS: readonly number[] = [15, 16, 22];
const KILLS = 2;
const ROUND_WITHIN_MS = 150_000;

describe("a round of chaos", () => {
  for (const seed of SEEDS) {
    const plan = drawPlan(seed, KILLS);
    test(
      `with seed ${seed}: ${describePlan(plan)}`,
      async () => {
        const { failures, story } = await runRound(plan);
        expect(failures, story.join("\n")).toEqual([]);
      },
      ROUND_WITHIN_MS,
    );
  }
});

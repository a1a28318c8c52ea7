/**
 * Goal: nothing that the outbox acknowledged is ever missing. Method: a process that fills one is killed at random moments, what it
 * had not flushed is torn, and a fresh one looks; `trials.ts --trials 10000` is the long run.
 */
import { describe, expect, test } from "bun:test";
import { runTrials } from "./trials.ts";

const TRIALS = 24;

describe("an outbox whose process is killed", () => {
  test("has every event that it acknowledged, as it was given, whatever became of the rest", async () => {
    const seed = Math.floor(Math.random() * 1e9);
    const totals = await runTrials(TRIALS, seed);
    expect(totals.trials).toBe(TRIALS);
    // A run that never tore or kept anything would have looked at nothing.
    expect(totals.torn).toBeGreaterThan(0);
    expect(totals.acknowledged).toBeGreaterThan(0);
  }, 120_000);
});

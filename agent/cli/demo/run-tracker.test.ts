/**
 * Goal: a recovery is over when every rank has computed a step after the kill, not before, and nothing is counted twice.
 * Method: reports as the four ranks write them, in the orders that streams can bring them.
 */
import { describe, expect, test } from "bun:test";
import { type DatedReport, parseReport, RunTracker } from "./run-tracker.ts";

const RANKS = [0, 1, 2, 3];

function begin(rank: number, step: number, atMs: number): DatedReport {
  return { event: "begin", rank, step, pid: 100 + rank, atMs };
}

function computing(rank: number, step: number, atMs: number): DatedReport {
  return { event: "computing", rank, step, atMs };
}

function step(number: number, atMs: number): DatedReport {
  return { event: "step", step: number, loss: 1 / number, atMs };
}

function started(): RunTracker {
  const tracker = new RunTracker("faulted", 4);
  for (const rank of RANKS) {
    tracker.add(begin(rank, 0, 100));
    tracker.add(computing(rank, 1, 110));
  }
  for (let n = 1; n <= 20; n++) tracker.add(step(n, 110 + n));
  return tracker;
}

describe("run tracker", () => {
  test("a recovery is over when the last rank has computed", () => {
    const tracker = started();
    expect(tracker.recovery(200, 20, [])).toBeNull();
    for (const rank of RANKS) tracker.add(begin(rank, 15, 300 + rank));
    for (const rank of [0, 1, 3]) tracker.add(computing(rank, 16, 320 + rank));
    expect(tracker.recovery(200, 20, [])).toBeNull();
    tracker.add(computing(2, 16, 350));
    const recovery = tracker.recovery(200, 20, []);
    expect(recovery?.totalMs).toBe(150);
    expect(recovery?.fromStep).toBe(15);
    expect(recovery?.stepsAgain).toBe(5);
  });

  test("a first step that was under way when the node died is no recovery", () => {
    const tracker = new RunTracker("faulted", 1);
    tracker.add(begin(0, 0, 100));
    tracker.add(computing(0, 1, 205));
    expect(tracker.recovery(200, 0, [])).toBeNull();
  });

  test("what is read twice is counted once, and what is computed twice is counted twice", () => {
    const tracker = started();
    expect(tracker.add(step(20, 130))).toBe(false);
    expect(tracker.add(step(20, 400))).toBe(true);
    expect(tracker.end({ exitCode: 0, reason: null, ms: 1 }).stepsComputed).toBe(21);
    expect(tracker.step).toBe(20);
  });

  test("the end holds every rank's digest, and rank 0's accuracy", () => {
    const tracker = started();
    for (const rank of [0, 1, 3]) {
      tracker.add({ event: "end", rank, digest: `d${rank}`, accuracy: 0.9 + rank, atMs: 900 });
    }
    expect(tracker.end({ exitCode: 0, reason: null, ms: 800 })).toEqual({
      run: "faulted",
      exitCode: 0,
      reason: null,
      ms: 800,
      stepsComputed: 20,
      digests: ["d0", "d1", null, "d3"],
      accuracy: 0.9,
    });
  });

  test("only lines of the training program are reports", () => {
    expect(parseReport(JSON.stringify(step(3, 5)))).toEqual(step(3, 5));
    expect(parseReport("error: no such file")).toBeNull();
    expect(parseReport('{"event":')).toBeNull();
  });
});

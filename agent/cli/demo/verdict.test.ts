/**
 * Goal: the demo cannot pass without a death and without equal bits. Method: evidence that passes, then the same with one
 * thing wrong at a time.
 */
import { describe, expect, test } from "bun:test";
import type { CallEvidence } from "./call.ts";
import type { RunEnd, RunName, Victim } from "./events.ts";
import { type Evidence, judge, type KillOutcome } from "./verdict.ts";

function victim(role: Victim["role"], pid: number): Victim {
  return { role, pid, startTicks: "77", isTheJobs: true };
}

const KILL: KillOutcome = {
  node: "n2",
  step: 100,
  victims: [victim("agent", 10), victim("proxy", 11), victim("program", 12)],
  gonePids: [10, 11, 12],
};

function end(run: RunName, change: Partial<RunEnd> = {}): RunEnd {
  return {
    run,
    exitCode: 0,
    reason: null,
    ms: 5_000,
    stepsComputed: 300,
    digests: ["aa", "aa", "aa", "aa"],
    accuracy: 0.95,
    ...change,
  };
}

const CALLS: CallEvidence = {
  ends: [
    { call: "relayed", text: "a", steps: [], path: "manager", ticket: "T-1", totalMs: 44 },
    { call: "around", text: "b", steps: [], path: "direct", ticket: "T-2", totalMs: 3_060 },
  ],
  isManagerGone: true,
  isReconciled: true,
  tickets: ["T-2", "T-1"],
};

function evidence(change: Partial<Evidence> = {}): Evidence {
  return {
    plannedKills: 1,
    kills: [KILL],
    faulted: end("faulted"),
    clean: end("clean"),
    ranks: 4,
    calls: CALLS,
    ...change,
  };
}

describe("verdict", () => {
  test("what was not tried because the first training failed is not held against it", () => {
    const faulted = end("faulted", { exitCode: 75, reason: "no spare node is left" });
    expect(judge(evidence({ faulted, clean: null })).lines.join("\n")).not.toContain("without");
  });

  test("a death at work and equal bits exit with 0", () => {
    expect(judge(evidence())).toEqual({
      exitCode: 0,
      lines: [
        "n2 died at work, and the final weights are identical bit for bit",
        "an error in a BMC became a ticket in 44 ms through the manager, and in 3060 ms around it once it was killed; no ticket came twice",
      ],
    });
  });

  const wrong: readonly (readonly [string, Partial<Evidence>, string])[] = [
    ["no node was killed", { kills: [] }, "0 of 1 nodes were killed"],
    ["no error called home", { calls: null }, "no error called home"],
    ["a ticket came twice", { calls: { ...CALLS, tickets: ["T-1", "T-2", "T-3"] } }, "T-3"],
    ["no kill was planned", { plannedKills: 0, kills: [] }, "0 of 0 nodes were killed"],
    ["one of two was killed", { plannedKills: 2 }, "1 of 2 nodes were killed"],
    [
      "the program was not among the killed",
      { kills: [{ ...KILL, victims: KILL.victims.slice(0, 2) }] },
      "n2 had no program to kill",
    ],
    [
      "the killed agent survived",
      { kills: [{ ...KILL, gonePids: [11, 12] }] },
      "agent 10 of n2 was still there after SIGKILL",
    ],
    [
      "a killed process was somebody else's",
      { kills: [{ ...KILL, victims: KILL.victims.map((v) => ({ ...v, isTheJobs: false })) }] },
      "proxy 11 of n2 was not a process of the job",
    ],
    ["the faulted training never ended", { faulted: null }, "with a fault did not end"],
    ["the clean training never ended", { clean: null }, "without a fault did not end"],
    [
      "a training failed",
      { faulted: end("faulted", { exitCode: 75, reason: "no spare node is left" }), clean: null },
      "with a fault ended with exit code 75: no spare node is left",
    ],
    [
      "a rank told no digest",
      { clean: end("clean", { digests: ["aa", null, "aa", "aa"] }) },
      "without a fault: no digest from rank 1",
    ],
    [
      "a rank is missing",
      { clean: end("clean", { digests: ["aa", "aa", "aa"] }) },
      "without a fault: no digest from rank ?",
    ],
    [
      "the ranks differ among themselves",
      { faulted: end("faulted", { digests: ["aa", "aa", "ab", "aa"] }) },
      "its ranks ended with other bits",
    ],
    [
      "the trainings differ",
      { clean: end("clean", { digests: ["bb", "bb", "bb", "bb"] }) },
      "the two trainings ended with different weights",
    ],
  ];
  for (const [what, change, reason] of wrong) {
    test(`${what}: exits with 1 and says so`, () => {
      const verdict = judge(evidence(change));
      expect(verdict.exitCode).toBe(1);
      expect(verdict.lines.join("\n")).toContain(reason);
      expect(verdict.lines.at(-1)).toStartWith("FAILED");
    });
  }
});

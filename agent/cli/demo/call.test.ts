/**
 * Goal: the demo's call home cannot pass where an error did not become exactly one ticket by the right path. Method: what the
 * ledger says, turned into steps; evidence that passes, then the same with one thing wrong at a time.
 */
import { describe, expect, test } from "bun:test";
import { type CallEnd, type CallEvidence, callEnd, callFlaws, describeSteps } from "./call.ts";

const MANAGER = { kind: "manager", name: "127.0.0.1:7440" } as const;
const DIRECT = { kind: "direct", name: "destination" } as const;
const RAISED_MS = 1_000_000;

const RELAYED = {
  text: "DIMM A1: uncorrectable ECC",
  seenMs: RAISED_MS + 21,
  steps: [
    { step: "queued", path: null, atMs: RAISED_MS + 24, ticket: null },
    { step: "sent", path: MANAGER, atMs: RAISED_MS + 25, ticket: null },
    { step: "kept", path: MANAGER, atMs: RAISED_MS + 31, ticket: null },
    { step: "delivered", path: MANAGER, atMs: RAISED_MS + 44, ticket: "T-1" },
  ],
};

const AROUND = {
  text: "PSU1 Status: failure detected",
  seenMs: RAISED_MS + 20,
  steps: [
    { step: "queued", path: null, atMs: RAISED_MS + 22, ticket: null },
    { step: "retried", path: MANAGER, atMs: RAISED_MS + 3_022, ticket: null },
    { step: "sent", path: DIRECT, atMs: RAISED_MS + 3_023, ticket: null },
    { step: "delivered", path: DIRECT, atMs: RAISED_MS + 3_060, ticket: "T-2" },
  ],
};

function ended(call: CallEnd["call"], change: Partial<CallEnd> = {}): CallEnd {
  const end = callEnd(call, RAISED_MS, call === "relayed" ? RELAYED : AROUND);
  if (end === null) throw new Error("it is delivered");
  return { ...end, ...change };
}

function evidence(change: Partial<CallEvidence> = {}): CallEvidence {
  return {
    ends: [ended("relayed"), ended("around")],
    isManagerGone: true,
    isReconciled: true,
    tickets: ["T-2", "T-1"],
    ...change,
  };
}

describe("an error's way", () => {
  test("has both receipts where the manager lives", () => {
    const end = ended("relayed");
    expect([end.path, end.ticket, end.totalMs]).toEqual(["manager", "T-1", 44]);
    expect(describeSteps(end.steps)).toBe("seen 21 · queued 24 · R1 31 · R2 44");
  });

  test("has no R1 where it went around", () => {
    const end = ended("around");
    expect([end.path, end.totalMs]).toEqual(["direct", 3_060]);
    expect(describeSteps(end.steps)).toBe("seen 20 · queued 22 · R2 3060");
  });

  test("is not over before the destination's receipt", () => {
    const steps = RELAYED.steps.slice(0, 3);
    expect(callEnd("relayed", RAISED_MS, { ...RELAYED, steps })).toBeNull();
  });
});

describe("what the call home proved", () => {
  test("nothing is wrong with two errors, two tickets and the right paths", () => {
    expect(callFlaws(evidence())).toEqual([]);
  });

  const wrong: readonly (readonly [string, Partial<CallEvidence>, string])[] = [
    [
      "an error became no ticket",
      { ends: [ended("relayed")], tickets: ["T-1"] },
      "killed did not become",
    ],
    ["a third ticket", { tickets: ["T-1", "T-2", "T-3"] }, "T-3"],
    ["a ticket is missing", { tickets: ["T-1"] }, "became the tickets T-1"],
    [
      "both are one ticket",
      { ends: [ended("relayed"), ended("around", { ticket: "T-1" })], tickets: ["T-1"] },
      "became the tickets T-1",
    ],
    [
      "it went around a living manager",
      { ends: [ended("relayed", { path: "direct" }), ended("around")] },
      "went direct all the same",
    ],
    [
      "it went through a dead manager",
      { ends: [ended("relayed"), ended("around", { path: "manager" })] },
      "that was dead",
    ],
    [
      "it was too late",
      { ends: [ended("relayed"), ended("around", { totalMs: 9_000 })] },
      "9000 ms",
    ],
    ["the manager lived on", { isManagerGone: false }, "after SIGKILL"],
    ["the manager did not learn of it", { isReconciled: false }, "did not learn"],
  ];
  for (const [what, change, says] of wrong) {
    test(`fails where ${what}`, () => {
      expect(callFlaws(evidence(change)).join("\n")).toContain(says);
    });
  }
});

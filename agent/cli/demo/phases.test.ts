/**
 * Goal: the phases of a recovery add up and belong to the epoch it ended with. Method: decision logs written by hand.
 */
import { describe, expect, test } from "bun:test";
import { type LoggedDecision, measureRecovery } from "./phases.ts";

function log(...entries: readonly (readonly [number, string, number, string])[]): LoggedDecision[] {
  return entries.map(([atMs, node, epoch, phase]) => ({ atMs, node, epoch, phase, text: "" }));
}

describe("phases", () => {
  test("each phase ends with its last node, and all add up", () => {
    const decisions = log(
      [900, "n1", 5, "suspect"],
      [1_004, "n1", 5, "suspect"],
      [1_030, "n1", 6, "view"],
      [1_050, "n2", 6, "view"],
      [1_060, "n1", 6, "assign"],
      [1_100, "n2", 6, "select"],
      [1_090, "n1", 6, "select"],
      [1_200, "n1", 6, "resume"],
      [1_210, "n2", 6, "resume"],
      [1_400, "n1", 6, "checkpoint"],
    );
    const marks = measureRecovery(decisions, 1_000, 1_250);
    expect(marks).toEqual({
      epoch: 6,
      phases: [
        { phase: "detect", ms: 4 },
        { phase: "agree", ms: 46 },
        { phase: "assign", ms: 10 },
        { phase: "select", ms: 40 },
        { phase: "resume", ms: 110 },
        { phase: "compute", ms: 40 },
      ],
      totalMs: 250,
    });
  });

  test("a recovery that was begun anew counts under the epoch it ended with", () => {
    const decisions = log(
      [1_010, "n1", 5, "suspect"],
      [1_020, "n1", 6, "view"],
      [1_030, "n1", 6, "select"],
      [1_300, "n1", 7, "view"],
      [1_320, "n1", 7, "select"],
      [1_330, "n1", 7, "resume"],
    );
    const marks = measureRecovery(decisions, 1_000, 1_350);
    expect(marks?.epoch).toBe(7);
    expect(marks?.phases.find(({ phase }) => phase === "agree")?.ms).toBe(290);
    expect(marks?.phases.reduce((sum, { ms }) => sum + ms, 0)).toBe(350);
  });

  test("without a resume there is nothing to measure", () => {
    expect(measureRecovery(log([1_010, "n1", 6, "view"]), 1_000, 2_000)).toBeNull();
  });

  test("a phase written late, out of order, never counts below zero", () => {
    const decisions = log(
      [1_050, "n1", 6, "view"],
      [1_040, "n1", 6, "assign"],
      [1_060, "n1", 6, "resume"],
    );
    const marks = measureRecovery(decisions, 1_000, 1_055);
    expect(marks).toBeNull();
    const later = measureRecovery(decisions, 1_000, 1_070);
    expect(later?.phases.every(({ ms }) => ms >= 0)).toBe(true);
  });
});

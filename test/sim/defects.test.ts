/**
 * Goal: the referee notices each kind of wrong. Method: one seeded defect at a time is put around the decision code and
 * histories are run until one fails; it has to fail, soon, and by a rule that fits the defect.
 */
import { describe, expect, test } from "bun:test";
import { DEFECTS } from "./defects.ts";
import { type Failure, runHistory } from "./history.ts";

const HISTORIES_MAX = 60;

function firstFailure(defect: (typeof DEFECTS)[number]): Failure | null {
  for (let seed = 1; seed <= HISTORIES_MAX; seed++) {
    const { failure } = runHistory({
      seed,
      nodes: 5,
      seconds: 60,
      scenario: defect.scenario,
      keepLines: false,
      defect: defect.broken,
    });
    if (failure !== null) return failure;
  }
  return null;
}

describe("a seeded defect is caught", () => {
  for (const defect of DEFECTS) {
    test(defect.name, () => {
      const failure = firstFailure(defect);
      expect(failure).not.toBeNull();
      expect(defect.rules).toContain(failure?.rule ?? "");
    }, 60_000);
  }
});

/**
 * Goal: the referee notices each kind of wrong. Method: one seeded defect at a time is put around the decision code and
 * histories are run until one fails by a rule that fits the defect; that has to happen soon.
 */
import { describe, expect, test } from "bun:test";
import { DEFECTS } from "./defects.ts";
import { type Failure, runHistory } from "./history.ts";

const HISTORIES_MAX = 60;

/** The first one that fits, else the last one at all. */
function fittingFailure(defect: (typeof DEFECTS)[number]): Failure | null {
  let last: Failure | null = null;
  for (let seed = 1; seed <= HISTORIES_MAX; seed++) {
    const { failure } = runHistory({
      seed,
      nodes: 5,
      seconds: 60,
      scenario: defect.scenario,
      keepLines: false,
      defect: defect.broken,
    });
    if (failure !== null && defect.rules.includes(failure.rule)) return failure;
    last = failure ?? last;
  }
  return last;
}

describe("a seeded defect is caught", () => {
  for (const defect of DEFECTS) {
    test(defect.name, () => {
      const failure = fittingFailure(defect);
      expect(failure).not.toBeNull();
      expect(defect.rules).toContain(failure?.rule ?? "");
    }, 60_000);
  }
});

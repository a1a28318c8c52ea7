/**
 * Goal: the referee of calling home notices each kind of wrong. Method: one seeded defect at a time is put around the machine or into
 * the world, and histories are run until one fails by a rule that fits; that has to happen soon.
 */
import { describe, expect, test } from "bun:test";
import { CALLHOME_DEFECTS, type CallhomeDefect } from "./defects.ts";
import { runCallhomeHistory } from "./history.ts";

const HISTORIES_MAX = 30;

function rulesBroken({ wrap, change, rules }: CallhomeDefect): readonly string[] {
  const broken: string[] = [];
  for (let seed = 1; seed <= HISTORIES_MAX; seed++) {
    const { failure } = runCallhomeHistory({
      seed,
      seconds: 20,
      ...(wrap === undefined ? {} : { wrap }),
      ...(change === undefined ? {} : { change }),
    });
    if (failure !== null) broken.push(failure.rule);
    if (failure !== null && rules.includes(failure.rule)) return broken;
  }
  return broken;
}

describe("a seeded defect of calling home is caught", () => {
  for (const defect of CALLHOME_DEFECTS) {
    test(defect.name, () => {
      expect(defect.rules).toContain(rulesBroken(defect).at(-1) ?? "nothing was noticed");
    }, 60_000);
  }
});

describe("without a defect", () => {
  test("storms of faults break no rule", () => {
    const seeds = [...Array.from({ length: 20 }, (_, index) => index + 1)];
    const random = Math.floor(Math.random() * 1e9);
    for (const seed of [...seeds, random]) {
      const { failure } = runCallhomeHistory({ seed, seconds: 30 });
      expect({ seed, failure }).toEqual({ seed, failure: null });
    }
  }, 60_000);

  test("one seed gives one history", () => {
    const first = runCallhomeHistory({ seed: 42, seconds: 30 });
    expect(runCallhomeHistory({ seed: 42, seconds: 30 })).toEqual(first);
    expect(first.events).toBeGreaterThan(5);
  });
});

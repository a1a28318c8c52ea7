/**
 * Goal: kills are random, repeatable, and in the middle of the training. Method: many seeds; every wrong form of `--kill`.
 */
import { describe, expect, test } from "bun:test";
import { drawKills, parseKills } from "./kill-plan.ts";

describe("kill plan", () => {
  test("the same seed draws the same, and seeds cover all ranks and the middle half", () => {
    const drawn = Array.from({ length: 300 }, (_, seed) => {
      const input = { seed, faults: 1, ranks: 4, steps: 400 };
      expect(drawKills(input)).toEqual(drawKills(input));
      return drawKills(input);
    }).flat();
    const steps = drawn.map((kill) => kill.step);
    expect(Math.min(...steps)).toBeGreaterThanOrEqual(100);
    expect(Math.max(...steps)).toBeLessThan(300);
    expect(new Set(steps).size).toBeGreaterThan(100);
    const ranks = drawn.map((kill) => (kill.victim.kind === "rank" ? kill.victim.rank : -1));
    expect(new Set(ranks)).toEqual(new Set([0, 1, 2, 3]));
    expect(new Set(drawn.map((kill) => kill.delayMs)).size).toBeGreaterThan(20);
  });

  test("several kills come one after the other, each in its part", () => {
    for (let seed = 0; seed < 100; seed++) {
      const steps = drawKills({ seed, faults: 3, ranks: 4, steps: 600 }).map((kill) => kill.step);
      expect(steps.length).toBe(3);
      steps.forEach((step, index) => {
        expect(step).toBeGreaterThanOrEqual(150 + index * 100);
        expect(step).toBeLessThan(250 + index * 100);
      });
    }
  });

  test("NODE@STEP is read, and several are put in order", () => {
    expect(parseKills("n3@120", 400)).toEqual({
      ok: true,
      value: [{ victim: { kind: "node", node: "n3" }, step: 120, delayMs: 0 }],
    });
    const two = parseKills("n3@120, n1@30", 400);
    expect(two.ok && two.value.map((kill) => kill.step)).toEqual([30, 120]);
  });

  test("anything else is refused with the text that was wrong", () => {
    for (const text of ["", "n3", "n3@", "@4", "n3@x", "n3@0", "n3@400", "N3@4", "n3@1,"]) {
      const result = parseKills(text, 400);
      expect(result.ok).toBe(false);
      if (!result.ok) expect(result.error).toStartWith("--kill ");
    }
  });
});

/**
 * Goal: the page says what was measured, and what was missed. Method: measurements made up for each verdict.
 */
import { describe, expect, test } from "bun:test";
import { type Measurement, median, medianDeviation, timed, verdictOf } from "./bench.ts";
import { formatNumber, type Kept, merged, resultsPage } from "./results.ts";

const machine = { cpu: "A CPU", cores: 2, memoryGib: 4, kernel: "6.1", bun: "1.4.5" };

function measurement(changes: Partial<Measurement>): Measurement {
  return {
    bench: "a",
    what: "a thing",
    ours: 2,
    peer: 4,
    peerName: "peer",
    unit: "s",
    spread: 0.1,
    runs: 5,
    goal: { of: "ratio", better: "lower", must: 0.6, aim: 0.3 },
    note: null,
    ...changes,
  };
}

function kept(changes: Partial<Measurement>, commit = "c1"): Kept {
  return { measurement: measurement(changes), machine, commit };
}

describe("a verdict", () => {
  test("is about ours or the ratio, in the better direction", () => {
    expect(verdictOf(measurement({}))).toBe("reached");
    expect(verdictOf(measurement({ ours: 1 }))).toBe("aim reached");
    expect(verdictOf(measurement({ ours: 3 }))).toBe("MISSED");
    const goal = { of: "ours", better: "higher", must: 1_000, aim: null } as const;
    expect(verdictOf(measurement({ ours: 999, goal }))).toBe("MISSED");
    expect(verdictOf(measurement({ ours: 1_000, goal }))).toBe("reached");
    expect(verdictOf(measurement({ peer: null }))).toBe("not measured");
    expect(verdictOf(measurement({ goal: null }))).toBe("no goal");
  });
});

describe("the page", () => {
  test("names the machine, the numbers and what was missed", () => {
    const page = resultsPage([kept({}), kept({ bench: "b", ours: 3 })]);
    expect(page).toContain("## A CPU, 2 cores, 4 GiB, Linux 6.1, Bun 1.4.5");
    expect(page).toContain("Not reached: `b`.");
    expect(page).toContain(
      "| `a` | a thing | 2 s ± 0.1 | 4 s, peer | 0.5× | ≤ 0.6× | ≤ 0.3× | reached | c1 |",
    );
  });

  test("keeps what was not measured this time", () => {
    const all = merged([kept({}), kept({ bench: "b" })], [kept({ ours: 1 }, "c2")]);
    expect(all.map((one) => [one.measurement.bench, one.commit])).toEqual([
      ["a", "c2"],
      ["b", "c1"],
    ]);
  });
});

test("median and spread do not follow one wild run", () => {
  expect(median([1, 3, 2, 1_000])).toBe(2.5);
  expect(medianDeviation([1, 2, 3, 4, 1_000])).toBe(1);
  expect(formatNumber(1_234_567)).toBe("1,230,000");
  expect(formatNumber(0.000_123_4)).toBe("0.000123");
});

test("only runs after the warm-up are counted", async () => {
  let calls = 0;
  const result = await timed({ runs: 3, warmUps: 2 }, () => calls++);
  expect([calls, result.runs]).toEqual([5, 3]);
});

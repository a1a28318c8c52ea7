/**
 * Goal: what leaves is what support needs, with a reason. Method: one event after another through one policy.
 */
import { describe, expect, test } from "bun:test";
import type { BmcEvent } from "../../bmc/bmc.ts";
import { Departures } from "./policy.ts";

function eventOf(more: Partial<BmcEvent>): BmcEvent {
  return {
    id: "a".repeat(64),
    system: "s1",
    epoch: 0,
    nth: 0,
    way: "sel",
    severity: "critical",
    whenMs: 1,
    seenMs: 1,
    isAssertion: true,
    category: "memory",
    subject: "DIMM A1",
    text: "uncorrectable error",
    record: null,
    extra: {},
    ...more,
  };
}

describe("what leaves for support", () => {
  test("is what is at least as severe as the floor", () => {
    const out = new Departures({ floor: "critical" });
    expect(out.judge(eventOf({ severity: "non-recoverable" })).goes).toBe(true);
    expect(out.judge(eventOf({ severity: "critical" })).goes).toBe(true);
    expect(out.judge(eventOf({ severity: "warning" }))).toEqual({
      goes: false,
      reason: "warning is below critical",
    });
  });

  test("is the end of something that left, once, whatever its severity", () => {
    const out = new Departures();
    const end = eventOf({ severity: "ok", isAssertion: false });
    expect(out.judge(end).goes).toBe(false);
    out.judge(eventOf({}));
    expect(
      out.judge(eventOf({ severity: "ok", isAssertion: false, subject: "DIMM B2" })).goes,
    ).toBe(false);
    expect(out.judge(end)).toEqual({ goes: true, reason: "it ends something that left" });
    expect(out.judge(end).goes).toBe(false);
  });

  test("is the end of each threshold that one sensor had crossed", () => {
    const out = new Departures();
    for (const severity of ["warning", "critical"] as const) out.judge(eventOf({ severity }));
    const end = eventOf({ severity: "ok", isAssertion: false });
    expect([out.judge(end), out.judge(end), out.judge(end)].map(({ goes }) => goes)).toEqual([
      ...[true, true, false],
    ]);
  });

  test("is what its source wishes, above and below the floor", () => {
    const out = new Departures();
    expect(out.judge(eventOf({ severity: "ok", extra: { callhome: "yes" } })).goes).toBe(true);
    expect(out.judge(eventOf({ extra: { callhome: "no" } })).goes).toBe(false);
  });

  test("remembers what left before a restart", () => {
    const out = new Departures();
    out.remember(eventOf({}));
    expect(out.judge(eventOf({ severity: "information", isAssertion: false })).goes).toBe(true);
  });
});

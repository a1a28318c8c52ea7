/**
 * Goal: what people read of a ticket is whole, in one line where it must be, and right in time. Method: times and dates against the
 * platform's own `Date`, which the pure code may not use; cuts and control characters as properties.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { changeLine, cut, descriptionOf, isoText, oneLine, ticketKey } from "./change-text.ts";
import { change } from "./harness/change.ts";

describe("times", () => {
  test("are written as the platform writes them, from 1970 to 9999", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 253_402_300_799_999 }), (ms) => {
        expect(isoText(ms)).toBe(new Date(ms).toISOString());
      }),
      { numRuns: 2_000 },
    );
  });
});

describe("texts", () => {
  test("are never longer than asked for and never end within a character", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), fc.integer({ min: 1, max: 40 }), (text, max) => {
        const short = cut(text, max);
        expect(short.length).toBeLessThanOrEqual(max);
        if (text.isWellFormed()) expect(short.isWellFormed()).toBe(true);
        if (text.length <= max) expect(short).toBe(text);
      }),
    );
  });

  test("of a BMC cannot begin a second line", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        expect(oneLine(text, 1_000)).not.toMatch(/\p{Cc}/u);
        expect(changeLine(change({ text }))).not.toMatch(/\p{Cc}/u);
      }),
    );
  });

  test("name everything that a person looks for", () => {
    const text = descriptionOf(change({ eventCount: 5, newEventCount: 2 }), 10_000);
    for (const word of ["T-2026-000123", "DIMM_A1", "n7", "tokyo", "5 events, 2 of them new"]) {
      expect(text).toContain(word);
    }
  });
});

describe("the key of a ticket", () => {
  test("is the same for all its changes and differs for another destination", () => {
    const key = ticketKey(change(), 255);
    const later = change({ key: "T-2026-000123.9", kind: "closed", node: "n8", cluster: "osaka" });
    expect(ticketKey(later, 255)).toBe(key);
    expect(ticketKey(change({ destination: "other" }), 255)).not.toBe(key);
    expect(ticketKey(change({ destination: "d".repeat(300) }), 255)).toHaveLength(255);
  });
});

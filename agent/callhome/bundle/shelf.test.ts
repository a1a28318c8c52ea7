/**
 * Goal: bundles are tried again with growing waits, nothing that a person discarded leaves, and the shelf has an end. Method: the
 * functions over their whole small ranges and with fast-check.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { BundleState } from "./bundle.ts";
import { ENTRIES_MAX, type ShelfEntry, toRemove, waitMs, whyNot } from "./shelf.ts";

function entry(of: Partial<ShelfEntry>): ShelfEntry {
  return {
    id: "0".repeat(16),
    event: "1".repeat(64),
    state: "to-send",
    begunMs: 0,
    bytes: 1_000,
    digest: null,
    detail: "",
    system: "s",
    component: "c",
    keptBy: null,
    tries: 0,
    nextMs: 0,
    ...of,
  };
}

const STATES: readonly BundleState[] = [
  "gathering",
  "waiting-for-review",
  "to-send",
  "kept",
  "delivered",
  "discarded",
  "failed",
];

test("waits grow to a quarter of an hour and never shrink to nothing", () => {
  for (let tries = 0; tries < 40; tries++) {
    expect(waitMs(tries, 0)).toBeGreaterThanOrEqual(500);
    expect(waitMs(tries, 1)).toBeLessThanOrEqual(15 * 60_000);
    expect(waitMs(tries + 1, 0.5)).toBeGreaterThanOrEqual(waitMs(tries, 0.5));
  }
});

test("only what waits is approved, only what has not left is discarded", () => {
  const of = (verb: "approve" | "discard"): unknown =>
    Object.fromEntries(STATES.map((state) => [state, whyNot(verb, state)]));
  expect(of("approve")).toMatchObject({ "waiting-for-review": null, "to-send": "not-waiting" });
  expect(of("discard")).toMatchObject({
    "waiting-for-review": null,
    "to-send": null,
    failed: null,
    kept: "already-left",
    delivered: "already-left",
  });
});

describe("making room", () => {
  test("takes what is over first, the oldest first, and leaves the newest and what is gathered", () => {
    const state = fc.constantFrom(...STATES);
    const begunMs = fc.nat(1_000);
    fc.assert(
      fc.property(fc.array(fc.record({ state, begunMs }), { maxLength: 60 }), (some) => {
        const entries = some.map((one, n) => entry({ ...one, id: String(n) }));
        const removed = new Set(toRemove(entries));
        const stays = entries.filter(({ id }) => !removed.has(id));
        const gathering = entries.filter((one) => one.state === "gathering").length;
        expect(stays.length).toBeLessThanOrEqual(Math.max(ENTRIES_MAX, gathering + 1));
        if (entries.length <= ENTRIES_MAX) expect(removed.size).toBe(0);
        for (const { id, state: was } of entries) {
          if (was === "gathering") expect(removed.has(id)).toBe(false);
        }
      }),
    );
  });

  test("goes by bytes too", () => {
    const large = [1, 2, 3].map((n) => entry({ id: `${n}`, begunMs: n, bytes: 300 * 1024 ** 2 }));
    expect(toRemove(large)).toEqual(["1", "2"]);
    expect(toRemove(large.slice(2))).toEqual([]);
  });
});

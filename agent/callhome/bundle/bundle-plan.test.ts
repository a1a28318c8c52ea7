/**
 * Goal: the plan keeps its promises: bounded, the least important cut first, the perishable gathered first. Method: properties of
 * `fit` over random items; the tables looked at as data.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  agentItem,
  BMC_ITEMS,
  BUNDLE_TIME_MS,
  EVENT_ITEM,
  fit,
  type Gathered,
  gatherOrder,
  HOST_ITEMS,
  timeFor,
} from "./bundle-plan.ts";
import { isMemberName } from "./ustar.ts";

const ALL = [EVENT_ITEM, ...BMC_ITEMS, ...HOST_ITEMS, agentItem("log.jsonl", true)];

describe("the items", () => {
  test("have names that an archive takes, each once, and fit into the whole time", () => {
    expect(new Set(ALL.map(({ name }) => name)).size).toBe(ALL.length);
    for (const { name, timeMs, priority } of ALL) {
      expect(isMemberName(name)).toBe(true);
      expect(timeMs).toBeLessThanOrEqual(BUNDLE_TIME_MS);
      expect(priority).toBeGreaterThan(0);
    }
  });

  test("are gathered as they perish", () => {
    const order = gatherOrder(ALL, "bmc").map(({ name }) => name);
    expect(order.indexOf("bmc/sensors.json")).toBeLessThan(order.indexOf("bmc/fru.json"));
    const host = gatherOrder(ALL, "host").map(({ name }) => name);
    expect(host.indexOf("host/dmesg.txt")).toBeLessThan(host.indexOf("host/cpuinfo.txt"));
    expect(order.length + host.length).toBe(ALL.length);
  });

  test("get what is left of the whole time, never more than their own", () => {
    const item = agentItem("log.jsonl", true);
    expect(timeFor(item, 1_000, 1_000, 60_000)).toBe(10_000);
    expect(timeFor(item, 1_000, 56_000, 60_000)).toBe(5_000);
    expect(timeFor(item, 1_000, 70_000, 60_000)).toBe(0);
  });
});

describe("what is cut", () => {
  const items = fc.uniqueArray(
    fc.record({
      name: fc.string({ minLength: 1, maxLength: 6 }),
      priority: fc.integer({ min: 1, max: 5 }),
      bytes: fc.nat(1_000),
      keep: fc.constantFrom("newest", "oldest", "whole" as const),
    }),
    { selector: ({ name }) => name, maxLength: 20 },
  ) as fc.Arbitrary<readonly Gathered[]>;

  const keptOf = (kept: ReadonlyMap<string, number>, { name }: Gathered): number =>
    kept.get(name) ?? -1;

  test("leaves at most the limit, and of each item a part that says something", () => {
    fc.assert(
      fc.property(items, fc.nat(6_000), (some, bytesMax) => {
        const kept = fit(some, bytesMax);
        let total = 0;
        for (const item of some) {
          const stays = keptOf(kept, item);
          expect(stays).toBeGreaterThanOrEqual(0);
          expect(stays).toBeLessThanOrEqual(item.bytes);
          if (item.keep === "whole") expect([0, item.bytes]).toContain(stays);
          total += stays;
        }
        expect(total).toBeLessThanOrEqual(bytesMax);
        const all = some.reduce((sum, { bytes }) => sum + bytes, 0);
        if (all <= bytesMax) expect(total).toBe(all);
      }),
      { numRuns: 500 },
    );
  });

  test("is never something while a less important thing stays", () => {
    fc.assert(
      fc.property(items, fc.nat(6_000), (some, bytesMax) => {
        const kept = fit(some, bytesMax);
        const cut = some.filter((item) => keptOf(kept, item) < item.bytes);
        const first = Math.min(...cut.map(({ priority }) => priority));
        for (const item of some) if (item.priority > first) expect(keptOf(kept, item)).toBe(0);
      }),
      { numRuns: 500 },
    );
  });

  test("does not depend on the order in which things were gathered", () => {
    fc.assert(
      fc.property(items, fc.nat(6_000), (some, bytesMax) => {
        const sorted = (list: readonly Gathered[]): unknown =>
          [...fit(list, bytesMax)].sort(([a], [b]) => (a < b ? -1 : 1));
        expect(sorted([...some].reverse())).toEqual(sorted(some));
      }),
    );
  });
});

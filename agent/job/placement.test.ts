/**
 * Goal: survivors stay, lost ranks find the best spare, copies never lie on the node of the original where there are two.
 * Method: small cases, and properties over random placements; the order of the core against plain expectations.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { createCore } from "../../core/core.ts";
import * as make from "./job-fixtures.ts";
import { type Candidate, orderByCore, partnersOf, place } from "./placement.ts";

const load = { cores: 2, freeMemoryBytes: 2 ** 30, loadAverage: 0 };
const candidate = (id: string, change: Partial<Candidate> = {}): Candidate => ({
  node: make.node(id),
  load,
  holdsShards: 0,
  ...change,
});

describe("placement", () => {
  test("survivors stay and the lost rank takes the first of the order", () => {
    const placed = place({
      rankCount: 3,
      previous: [make.node("n1"), make.node("n2"), make.node("n3")],
      available: new Set([make.node("n1"), make.node("n3"), make.node("n5")]),
      candidates: ["n1", "n3", "n5"].map((id) => candidate(id)),
      order: (candidates) => candidates,
    });
    expect(placed).toEqual({
      placement: ["n1", "n5", "n3"].map(make.node),
      partners: ["n5", "n3", "n1"].map(make.node),
    });
  });

  test("too few nodes name the ranks that found none", () => {
    const placed = place({
      rankCount: 3,
      previous: [],
      available: new Set([make.node("n1")]),
      candidates: [candidate("n1")],
      order: (candidates) => candidates,
    });
    expect(placed).toEqual({ missing: [1, 2] });
  });

  test("no copy lies with its original when there are two nodes", () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.integer({ min: 1, max: 40 }), { minLength: 2 }), (ids) => {
        const placement = ids.map((id) => make.node(`n${id}`));
        partnersOf(placement, null).forEach((partner, rank) => {
          expect(partner).not.toBe(placement[rank] as never);
        });
      }),
    );
  });

  test("a job on one node keeps its copies on a spare", () => {
    expect(partnersOf([make.node("n1")], make.node("n4"))).toEqual([make.node("n4")]);
    expect(partnersOf([make.node("n1")], null)).toEqual([null]);
  });
});

describe("the order by the core", () => {
  const order = orderByCore(createCore());
  const names = (candidates: readonly Candidate[]) => candidates.map((c) => String(c.node));

  test("the node that holds the shards comes first, then memory, then idleness", () => {
    const busy = { ...load, loadAverage: 2 };
    const small = { ...load, freeMemoryBytes: 2 ** 20 };
    const candidates = [
      candidate("n1", { load: small }),
      candidate("n2", { load: busy }),
      candidate("n3"),
      candidate("n4", { holdsShards: 1, load: small }),
    ];
    expect(names(order(candidates))).toEqual(["n4", "n3", "n2", "n1"]);
  });

  test("what equal nodes read a moment apart does not choose between them", () => {
    const later = { ...load, loadAverage: 0.8, freeMemoryBytes: 2 ** 30 - 2 ** 26 };
    const candidates = [candidate("n1", { load: later }), candidate("n2"), candidate("n3")];
    expect(names(order(candidates))).toEqual(["n1", "n2", "n3"]);
  });

  test("equals keep their order", () => {
    expect(names(order([candidate("n2"), candidate("n1")]))).toEqual(["n2", "n1"]);
  });
});

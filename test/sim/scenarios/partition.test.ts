/**
 * Goal: a side without a majority freezes and neither rolls back nor seals; the other goes on; a healed cut brings all together
 * again. Method: named cuts of a running cluster, one-way ones and stalls included.
 */
import { describe, expect, test } from "bun:test";
import type { SimNode } from "../world/node.ts";
import { Scenario } from "./scenario.ts";

function sides(s: Scenario, ids: readonly string[]): readonly [SimNode[], SimNode[]] {
  const { nodes } = s.cluster;
  return [
    nodes.filter((node) => ids.includes(node.id)),
    nodes.filter((node) => !ids.includes(node.id)),
  ];
}

describe("a cluster cut in two", () => {
  test("an even split is decided by the witness, never by both halves", () => {
    const s = new Scenario({ workers: 4, witness: true });
    const job = s.job({ ranks: 2 });
    expect(s.record(job)?.placement as readonly string[]).toEqual(["n1", "n2"]);
    const [one, other] = sides(s, ["n1", "n2"]);
    s.cluster.cut(one, other, false);
    s.run(6_000);
    expect(one.map((node) => node.frozen)).toEqual([true, true]);
    expect(other.map((node) => node.frozen)).toEqual([false, false, false]);
    const sealed = one.map((node) => node.store.shards().filter((shard) => shard.sealed).length);
    s.run(5_000);
    expect(one.map((n) => n.store.shards().filter((shard) => shard.sealed).length)).toEqual(sealed);
    s.cluster.heal();
    s.untilWell();
  });

  test("without a witness an even split freezes both halves, and goes on where it was when healed", () => {
    const s = new Scenario({ workers: 4 });
    const job = s.job({ ranks: 4 });
    const [one, other] = sides(s, ["n1", "n2"]);
    s.cluster.cut(one, other, false);
    s.run(5_000);
    expect(s.cluster.nodes.every((node) => node.frozen)).toBe(true);
    const before = s.steps(job);
    s.run(5_000);
    expect(s.steps(job)).toBe(before);
    s.cluster.heal();
    s.untilWell();
    s.goesOn(job);
  });

  test("the majority recovers the lost ranks, and the minority's programs never go on with them", () => {
    const s = new Scenario({ workers: 5 });
    const job = s.job({ ranks: 3, spares: 2 });
    const [one, other] = sides(s, ["n2"]);
    s.cluster.cut(one, other, false);
    s.wait(
      "the rank of n2 runs elsewhere",
      () => s.record(job)?.placement.includes("n2" as never) === false,
    );
    s.goesOn(job);
    s.cluster.heal();
    s.untilWell();
    s.goesOn(job);
  });

  for (const direction of ["hears nobody", "is heard by nobody"] as const) {
    test(`a node that ${direction} is replaced, and comes back when healed`, () => {
      const s = new Scenario({ workers: 5 });
      const job = s.job({ ranks: 4, spares: 1 });
      const [one, other] = sides(s, ["n3"]);
      if (direction === "hears nobody") s.cluster.cut(other, one, true);
      else s.cluster.cut(one, other, true);
      s.wait("n3 is replaced", () => s.record(job)?.placement.includes("n3" as never) === false);
      s.goesOn(job);
      s.cluster.heal();
      s.untilWell();
    });
  }
});

describe("an observer that stalls", () => {
  test("for 5 s accuses no one when it goes on", () => {
    const s = new Scenario({ workers: 5 });
    const job = s.job({ ranks: 4, spares: 1 });
    s.node("n2").stop(true);
    s.run(5_000);
    const lines = s.cluster.log.lines().length;
    s.node("n2").cont();
    s.run(3_000);
    const accused = s.cluster.log
      .lines()
      .slice(lines)
      .filter((line) => /n2\s+n\d (suspect|unreachable)/.test(line));
    expect(accused).toEqual([]);
    s.untilWell();
    s.goesOn(job);
  });
});

describe("connections that break", () => {
  test("every link of an agent breaks once, and no epoch passes", () => {
    const s = new Scenario({ workers: 5 });
    const job = s.job({ ranks: 4, spares: 1 });
    const epoch = s.node("n1").machine?.view()?.epoch;
    for (const id of ["n1", "n3", "n4", "n5"]) s.node("n2").breakLink(id as never);
    s.run(3_000);
    expect(s.node("n1").machine?.view()?.epoch).toBe(epoch as never);
    s.goesOn(job);
  });

  test("a connection between two living proxies breaks, and the job is recovered in place", () => {
    const s = new Scenario({ workers: 4 });
    const job = s.job({ ranks: 4 });
    const placement = s.record(job)?.placement;
    const proxy = s
      .node("n2")
      .host.proxies()
      .find((p) => p.job === job);
    expect(proxy?.breakOneLink(s.cluster.prng)).toBe(true);
    s.run(1_000);
    s.goesOn(job);
    expect(s.record(job)?.placement).toEqual(placement ?? []);
  });
});

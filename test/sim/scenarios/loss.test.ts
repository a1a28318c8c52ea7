/**
 * Goal: what is lost is lost for a reason that is told, and what was sealed is never lost with it. Method: power failures of
 * the whole cluster, deaths beyond the spares, disks that are replaced, full or damaged.
 */
import { describe, expect, test } from "bun:test";
import { Scenario } from "./scenario.ts";

describe("the power of the whole cluster fails", () => {
  test("after the restart the job goes on from its newest sealed version", () => {
    const s = new Scenario({ workers: 5 });
    const job = s.job({ ranks: 4, spares: 1 });
    s.goesOn(job);
    const sealed = s.record(job)?.sealed ?? 0;
    for (const node of s.cluster.nodes) node.losePower();
    s.run(2_000);
    for (const node of s.cluster.nodes) node.start(false);
    s.untilWell();
    s.goesOn(job);
    const base = s.record(job)?.lineage.at(-1)?.base ?? 0;
    expect(base).toBeGreaterThanOrEqual(sealed);
  });

  test("one node never comes back, and its rank starts on the spare", () => {
    const s = new Scenario({ workers: 5 });
    const job = s.job({ ranks: 4, spares: 1 });
    for (const node of s.cluster.nodes) node.losePower();
    s.run(1_000);
    for (const node of s.cluster.nodes) if (node.id !== "n2") node.start(false);
    s.untilWell();
    s.goesOn(job);
    expect(s.record(job)?.placement).not.toContain("n2");
  });
});

describe("no spare is left", () => {
  test("the job ends lost with a verdict, and is resumed from its sealed state when the node is back", () => {
    const s = new Scenario({ workers: 4 });
    const job = s.job({ ranks: 4 });
    s.goesOn(job);
    const sealed = s.record(job)?.sealed ?? 0;
    s.node("n3").losePower();
    s.wait("the job is lost", () => s.record(job)?.state === "lost");
    const verdict = s.record(job)?.verdict ?? "";
    expect(verdict).toContain("n3");
    expect(verdict).toContain("no spare node is left");
    expect(verdict).toContain(`holdfast run --resume ${job}`);
    s.node("n3").start(false);
    s.untilWell();
    s.cluster.request(s.node("n2"), { kind: "resume", job });
    s.wait("the job runs again", () => s.record(job)?.state === "running");
    s.goesOn(job);
    expect(s.record(job)?.lineage.at(-1)?.base ?? 0).toBeGreaterThanOrEqual(sealed);
  });

  test("a job that waits for nodes starts when another one ends", () => {
    const s = new Scenario({ workers: 4 });
    const first = s.job({ ranks: 2, steps: 100, stepMs: 60 });
    s.whenSaid(/asks for an epoch: j-00000002 starts/, () => s.node("n4").kill());
    const second = s.submit({ ranks: 2, stepMs: 60 });
    s.wait("n4 is dead", () => !s.node("n4").isUp);
    s.run(1_000);
    expect(s.record(second)?.state).toBe("starting");
    s.wait("the first one has ended", () => s.record(first)?.state === "ended");
    expect(s.record(first)?.exitCode).toBe(0);
    s.wait("the second one runs", () => s.record(second)?.state === "running");
    s.goesOn(second);
  });
});

describe("disks", () => {
  test("a node whose disk was replaced is another voter, and the copies at its partner serve its rank", () => {
    const s = new Scenario({ workers: 5 });
    const job = s.job({ ranks: 4, spares: 1 });
    const sealed = s.record(job)?.sealed ?? 0;
    s.node("n2").losePower();
    s.run(500);
    s.node("n2").wipe();
    s.node("n2").start(false);
    s.untilWell();
    s.goesOn(job);
    expect(s.record(job)?.lineage.at(-1)?.base ?? 0).toBeGreaterThanOrEqual(sealed);
  });

  test("a job on one node is resumed from the copy that its spare keeps", () => {
    const s = new Scenario({ workers: 3 });
    const job = s.job({ ranks: 1, spares: 1 });
    s.goesOn(job);
    const sealed = s.record(job)?.sealed ?? 0;
    s.node(s.record(job)?.placement[0] ?? "").losePower();
    s.untilWell();
    s.goesOn(job);
    expect(s.record(job)?.lineage.at(-1)?.base ?? 0).toBeGreaterThanOrEqual(sealed - 1);
  });

  test("a full disk stops the seals, not the programs, and fills no other disk", () => {
    const s = new Scenario({ workers: 4 });
    const job = s.job({ ranks: 4 });
    s.cluster.storeFaults++;
    s.node("n2").store.setFull(true);
    const sealed = s.record(job)?.sealed;
    s.run(20_000);
    s.node("n2").store.setFull(false);
    s.wait("a newer version is sealed", () => (s.record(job)?.sealed ?? 0) > (sealed ?? 0));
    s.untilWell();
  });

  test("a damaged shard is found when it is read, and the copy at the partner serves", () => {
    const s = new Scenario({ workers: 5 });
    const job = s.job({ ranks: 4, spares: 1 });
    s.goesOn(job);
    s.cluster.storeFaults++;
    for (const shard of s.node("n2").store.shards()) if (shard.rank === 1) shard.damaged = true;
    s.node("n4").kill();
    s.wait("n4 is dead", () => s.record(job)?.placement.includes("n4" as never) === false);
    s.untilWell();
    s.goesOn(job);
    expect(s.record(job)?.state).toBe("running");
  });
});

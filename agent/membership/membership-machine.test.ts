/**
 * Goal: the promises of membership hold for whole clusters: who is expelled and how soon, who is not, who freezes, who
 * returns. Method: real machines in one process under a virtual clock and a faulty network (`test-cluster.ts`), which also
 * checks after every effect that no epoch has two views and no epoch goes back.
 */
import { describe, expect, test } from "bun:test";
import { TestCluster } from "./test-cluster.ts";

const SEEDS = [1, 2, 3, 4, 5, 6, 7, 8];

function suspectsSince(c: TestCluster, ms: number): string[] {
  return c.verdictsSince(ms).map((one) => one.of);
}

describe("forming a cluster", () => {
  test("five nodes that start together are in one view within a third of a second", () => {
    for (const seed of SEEDS) {
      const c = new TestCluster({ seed, nodes: 5 });
      for (const id of c.ids()) c.start(id);
      expect(c.until(() => c.agreed(c.ids()), 5000, "one view")).toBeLessThan(333);
      expect(c.violations).toEqual([]);
    }
  });

  test("a node alone founds, and is not frozen", () => {
    const c = new TestCluster({ seed: 1, nodes: 1 }).boot();
    expect(c.viewOf("n1")?.epoch).toBe(1 as never);
    expect(c.frozen("n1")).toBeNull();
  });

  test("a node whose seeds are silent is frozen and says so", () => {
    const c = new TestCluster({ seed: 1, nodes: 3 });
    c.start("n2");
    c.run(3000);
    expect(c.frozen("n2")).toContain("asking the seeds");
    expect(c.viewOf("n2")).toBeNull();
  });

  test("a healthy cluster of thirty goes on for a minute without one suspicion", () => {
    const c = new TestCluster({ seed: 3, nodes: 30 }).boot();
    c.run(60_000);
    expect(c.accusations).toEqual([]);
    expect(c.agreed(c.ids())).toBe(true);
  });

  test("a node with a living node's id is turned away and told why", () => {
    const c = new TestCluster({ seed: 4, nodes: 3 }).boot();
    c.add("n9");
    c.startAs("n9", "n2");
    c.run(3000);
    expect(c.frozen("n9")).toContain("the id n2 is taken by the node at 10.0.0.1 port 7001");
    expect(c.agreed(["n1", "n2", "n3"])).toBe(true);
  });
});

describe("a node dies", () => {
  test("a killed node, whose port refuses, is out of the view within 20 ms", () => {
    for (const seed of SEEDS) {
      const c = new TestCluster({ seed, nodes: 5 }).boot();
      c.run(1000 + seed * 37);
      const victim = `n${1 + (seed % 5)}`;
      c.kill(victim);
      const rest = c.ids().filter((id) => id !== victim);
      expect(c.until(() => c.agreed(rest), 2000, "the others agree")).toBeLessThan(20);
      expect(c.violations).toEqual([]);
    }
  });

  test("a host cut off without a trace is known to all others within 1.5 s, and nobody else is accused", () => {
    const times: number[] = [];
    for (let seed = 1; seed <= 40; seed++) {
      const c = new TestCluster({ seed, nodes: 5 }).boot();
      c.run(1000 + seed * 37);
      const victim = `n${1 + (seed % 5)}`;
      const rest = c.ids().filter((id) => id !== victim);
      const sinceMs = c.nowMs;
      c.isolate(victim);
      times.push(c.until(() => c.agreed(rest), 5000, "the others agree"));
      c.run(3000);
      for (const one of c.verdictsSince(sinceMs)) {
        if (one.by !== victim) expect(one.of).toBe(victim);
      }
      expect(c.violations).toEqual([]);
    }
    times.sort((a, b) => a - b);
    expect(times.at(-1)).toBeLessThan(1500);
    expect(times[20]).toBeLessThan(1000);
  });

  test("at 64 nodes a cut-off host is out of every view within 1.5 s", () => {
    const c = new TestCluster({ seed: 5, nodes: 64 }).boot();
    c.run(2000);
    c.isolate("n17");
    const rest = c.ids().filter((id) => id !== "n17");
    expect(c.until(() => c.agreed(rest), 6000, "the others agree")).toBeLessThan(1500);
  });

  test("two nodes cut off at once go in one change", () => {
    for (const seed of SEEDS) {
      const c = new TestCluster({ seed, nodes: 5 }).boot();
      c.run(1000);
      const epoch = c.viewOf("n1")?.epoch ?? 0;
      c.split(["n2", "n4"], ["n1", "n3", "n5"]);
      c.cut("n2", "n4");
      const took = c.until(() => c.agreed(["n1", "n3", "n5"]), 5000, "three agree");
      expect(took).toBeLessThan(2000);
      expect(c.viewOf("n1")?.epoch).toBe((epoch + 1) as never);
    }
  });

  test("two nodes killed at once are both out within 40 ms", () => {
    for (const seed of SEEDS) {
      const c = new TestCluster({ seed, nodes: 5 }).boot();
      c.run(700);
      c.kill("n1");
      c.kill("n4");
      const took = c.until(() => c.agreed(["n2", "n3", "n5"]), 5000, "three agree");
      expect(took).toBeLessThan(40);
    }
  });

  test("the proposer dies while it changes the view, at each moment of it", () => {
    for (let delay = 0; delay < 40; delay++) {
      const c = new TestCluster({ seed: 100 + delay, nodes: 5 }).boot();
      c.run(500);
      c.kill("n5");
      c.run(delay * 0.25);
      c.kill("n1");
      c.until(() => c.agreed(["n2", "n3", "n4"]), 3000, "three agree");
      expect(c.violations).toEqual([]);
    }
  });

  test("a node that can send but not receive is expelled, or freezes", () => {
    const c = new TestCluster({ seed: 8, nodes: 5 }).boot();
    c.run(1000);
    for (const id of ["n1", "n2", "n4", "n5"]) c.cutOneWay(id, "n3");
    c.until(() => c.agreed(["n1", "n2", "n4", "n5"]), 5000, "four agree");
    c.until(() => c.frozen("n3") !== null, 5000, "n3 freezes");
  });

  test("a node that can receive but not send is expelled, learns it and freezes", () => {
    const c = new TestCluster({ seed: 9, nodes: 5 }).boot();
    c.run(1000);
    for (const id of ["n1", "n2", "n4", "n5"]) c.cutOneWay("n3", id);
    c.until(() => c.agreed(["n1", "n2", "n4", "n5"]), 5000, "four agree");
    // Its links are down with the one direction, so only packets tell it of the newer epoch.
    c.run(3000);
    c.heal();
    c.until(() => c.agreed(c.ids()), 10_000, "all five again");
    expect(c.violations).toEqual([]);
  });
});

describe("false alarms", () => {
  test("an observer stopped for 5 s accuses no one, and nobody accuses it", () => {
    for (const seed of SEEDS) {
      const c = new TestCluster({ seed, nodes: 5 }).boot();
      c.run(1000 + seed * 41);
      const sinceMs = c.nowMs;
      const stopped = `n${1 + (seed % 5)}`;
      c.stop(stopped);
      c.run(5000);
      c.resume(stopped);
      c.run(5000);
      expect(suspectsSince(c, sinceMs)).toEqual([]);
      expect(c.accusations.filter((one) => one.by === stopped)).toEqual([]);
      expect(c.agreed(c.ids())).toBe(true);
      expect(c.machine(stopped).health().stalls).toBe(1);
    }
  });

  test("a node that stays stopped is expelled in the end", () => {
    const c = new TestCluster({ seed: 2, nodes: 5 }).boot();
    c.stop("n4");
    c.until(() => c.agreed(["n1", "n2", "n3", "n5"]), 12_000, "four agree");
    c.resume("n4");
    c.until(() => c.agreed(c.ids()), 10_000, "all five again");
    expect(c.violations).toEqual([]);
  });

  test("a fifth of all packets lost for a minute accuses nobody wrongly", () => {
    for (const seed of SEEDS) {
      const c = new TestCluster({ seed, nodes: 5 }).boot();
      c.loss = 0.2;
      const sinceMs = c.nowMs;
      c.run(60_000);
      expect(suspectsSince(c, sinceMs)).toEqual([]);
      expect(c.agreed(c.ids())).toBe(true);
    }
  });

  test("under the same loss a dead node is still found within 5 s", () => {
    for (const seed of SEEDS) {
      const c = new TestCluster({ seed, nodes: 5 }).boot();
      c.loss = 0.2;
      c.run(5000);
      c.isolate("n2");
      c.until(() => c.agreed(["n1", "n3", "n4", "n5"]), 5000, "four agree");
    }
  });

  test("one half-detached node expels nobody", () => {
    const c = new TestCluster({ seed: 6, nodes: 5 }).boot();
    c.run(1000);
    // n1 would propose, but hears only n2: the others hear each other well.
    for (const id of ["n3", "n4", "n5"]) c.cut("n1", id);
    c.run(8000);
    const ids = c.ids().filter((id) => id !== "n1");
    for (const id of ids) expect(c.memberIds(id)).toContain("n2 n3 n4 n5");
    expect(c.violations).toEqual([]);
  });

  test("two nodes that only lost the path to each other are decided for one of them", () => {
    const c = new TestCluster({ seed: 7, nodes: 3 }).boot();
    c.run(1000);
    c.cut("n1", "n3");
    c.until(() => c.agreed(["n1", "n2"]), 10_000, "n1 and n2 go on");
    c.run(3000);
    expect(c.frozen("n3")).not.toBeNull();
    expect(c.violations).toEqual([]);
  });
});

describe("quorum", () => {
  test("the minority of a split freezes, the majority goes on, a healed split is one view again", () => {
    for (const seed of SEEDS) {
      const c = new TestCluster({ seed, nodes: 5 }).boot();
      c.run(1000);
      c.split(["n1", "n2"], ["n3", "n4", "n5"]);
      c.until(() => c.agreed(["n3", "n4", "n5"]), 5000, "the majority agrees");
      c.until(() => c.frozen("n1") !== null && c.frozen("n2") !== null, 5000, "n1, n2 freeze");
      expect(c.frozen("n1")).toMatch(/no quorum: 2 of 5 members heard, 3 needed/);
      c.run(10_000);
      c.heal();
      c.until(() => c.agreed(c.ids()), 5000, "all five again");
      expect(c.violations).toEqual([]);
    }
  });

  test("an even split without a witness freezes both halves and expels nobody", () => {
    const c = new TestCluster({ seed: 11, nodes: 4 }).boot();
    c.run(1000);
    const epoch = c.viewOf("n1")?.epoch;
    c.split(["n1", "n2"], ["n3", "n4"]);
    c.run(20_000);
    for (const id of c.ids()) {
      expect(c.frozen(id)).toContain("no quorum: 2 of 4");
      expect(c.viewOf(id)?.epoch).toBe(epoch as never);
    }
    c.heal();
    c.until(() => c.ids().every((id) => c.frozen(id) === null), 5000, "all thaw");
    c.until(() => c.agreed(c.ids()), 5000, "in one view");
    expect(c.violations).toEqual([]);
  });

  test("an even split is decided by the witness that one half still reaches", () => {
    const c = new TestCluster({ seed: 12, nodes: 5, witness: true }).boot();
    c.run(1000);
    c.split(["n1", "n2"], ["n3", "n4", "n5"]);
    c.until(() => c.agreed(["n3", "n4", "n5"]), 5000, "the half with the witness agrees");
    c.until(() => c.frozen("n1") !== null && c.frozen("n2") !== null, 5000, "the other freezes");
  });

  test("an even split is decided for one half when the witness reaches both", () => {
    for (const seed of SEEDS) {
      const c = new TestCluster({ seed, nodes: 5, witness: true }).boot();
      c.run(1000);
      c.split(["n1", "n2"], ["n3", "n4"]);
      const low = ["n1", "n2", "n5"];
      const high = ["n3", "n4", "n5"];
      c.until(() => c.agreed(low) || c.agreed(high), 4000, "one half and the witness agree");
      const epoch = c.viewOf("n5")?.epoch;
      const out = c.agreed(low) ? ["n3", "n4"] : ["n1", "n2"];
      c.run(20_000);
      expect(c.viewOf("n5")?.epoch).toBe(epoch as never);
      for (const id of out) expect(c.frozen(id)).toContain("not in view");
      c.heal();
      c.until(() => c.agreed(c.ids()), 5000, "all five again");
      expect(c.violations).toEqual([]);
    }
  });
});

describe("coming back", () => {
  test("a restart with the old disk is a new view with a higher incarnation", () => {
    for (const seed of SEEDS) {
      const c = new TestCluster({ seed, nodes: 5 }).boot();
      c.run(1000);
      const epoch = c.viewOf("n2")?.epoch ?? 0;
      c.kill("n1");
      c.start("n1");
      c.until(() => c.agreed(c.ids()), 3000, "all five again");
      expect(c.viewOf("n1")?.members[0]?.incarnation).toBe(2);
      expect(c.viewOf("n1")?.epoch).toBeGreaterThan(epoch);
      expect(c.violations).toEqual([]);
    }
  });

  test("a restart with a wiped disk is another voter under the same id", () => {
    for (const id of ["n1", "n3", "n5"]) {
      const c = new TestCluster({ seed: 21, nodes: 5 }).boot();
      c.run(1000);
      c.kill(id);
      c.wipe(id);
      c.start(id);
      c.until(() => c.agreed(c.ids()), 5000, "all five again");
      const member = c.viewOf("n2")?.members.find((one) => one.id === id);
      expect(member?.instance).toBe(`${id}-folder-2`);
      expect(c.violations).toEqual([]);
    }
  });

  test("all nodes restart at once and go on from a higher epoch", () => {
    for (const seed of SEEDS) {
      const c = new TestCluster({ seed, nodes: 5 }).boot();
      c.run(1000);
      const epoch = c.viewOf("n1")?.epoch ?? 0;
      for (const id of c.ids()) c.kill(id);
      c.run(50);
      for (const id of c.ids()) {
        c.start(id);
        c.run(seed * 9);
      }
      c.until(() => c.agreed(c.ids()), 5000, "all five again");
      expect(c.viewOf("n1")?.epoch).toBeGreaterThan(epoch);
      expect(c.violations).toEqual([]);
    }
  });

  test("after a full restart a majority of the saved view is enough, a minority is not", () => {
    const c = new TestCluster({ seed: 31, nodes: 5 }).boot();
    c.run(1000);
    for (const id of c.ids()) c.kill(id);
    c.run(50);
    c.start("n2");
    c.start("n4");
    c.run(10_000);
    expect(c.frozen("n2")).toContain("restarted");
    c.start("n5");
    c.until(() => c.agreed(["n2", "n4", "n5"]), 5000, "three of five");
    expect(c.violations).toEqual([]);
  });

  test("a node that was away for a long time and many views is let in again", () => {
    const c = new TestCluster({ seed: 32, nodes: 5 }).boot();
    c.isolate("n5");
    c.until(() => c.agreed(["n1", "n2", "n3", "n4"]), 5000, "four agree");
    for (let i = 0; i < 10; i++) {
      c.give("n2", { kind: "want-epoch", reason: `round ${i}` });
      c.run(300);
    }
    c.run(120_000);
    c.heal();
    c.until(() => c.agreed(c.ids()), 5000, "all five again");
  });

  test("a node that leaves is out within 50 ms and knows that it may end", () => {
    for (const id of ["n1", "n4"]) {
      const c = new TestCluster({ seed: 33, nodes: 5 }).boot();
      c.run(500);
      const sinceMs = c.nowMs;
      c.give(id, { kind: "leave" });
      const took = c.until(() => c.hasLeft(id), 3000, "left");
      expect(took).toBeLessThan(50);
      const rest = c.ids().filter((other) => other !== id);
      c.until(() => c.agreed(rest), 1000, "the others agree");
      c.kill(id);
      c.run(3000);
      expect(suspectsSince(c, sinceMs)).toEqual([]);
      c.start(id);
      c.until(() => c.agreed(c.ids()), 5000, "it may come back");
    }
  });
});

describe("epochs on demand", () => {
  test("a wish for an epoch gives a view with the same members, from any node, within 20 ms", () => {
    for (const id of ["n1", "n3", "n5"]) {
      const c = new TestCluster({ seed: 41, nodes: 5 }).boot();
      c.run(1000);
      const before = c.viewOf("n1");
      c.give(id, { kind: "want-epoch", reason: "proxy of j1 died" });
      const isNext = (): boolean =>
        c.ids().every((one) => c.viewOf(one)?.epoch === (before?.epoch ?? 0) + 1);
      expect(c.until(isNext, 2000, "the next epoch")).toBeLessThan(20);
      expect(c.viewOf("n2")?.members).toEqual(before?.members as never);
      expect(c.viewOf("n2")?.reason).toBe(`${id} asks for an epoch: proxy of j1 died`);
      c.run(2000);
      expect(c.viewOf("n2")?.epoch).toBe(((before?.epoch ?? 0) + 1) as never);
    }
  });

  test("wishes of all nodes at once give one epoch, not five", () => {
    const c = new TestCluster({ seed: 42, nodes: 5 }).boot();
    c.run(1000);
    const epoch = c.viewOf("n1")?.epoch ?? 0;
    for (const id of c.ids()) c.give(id, { kind: "want-epoch", reason: "peer lost" });
    c.run(2000);
    expect((c.viewOf("n1")?.epoch ?? 0) - epoch).toBeLessThanOrEqual(2);
    expect(c.agreed(c.ids())).toBe(true);
  });

  test("a wish is heard though the proposer is stopped", () => {
    const c = new TestCluster({ seed: 43, nodes: 5 }).boot();
    c.run(1000);
    const epoch = c.viewOf("n1")?.epoch ?? 0;
    c.stop("n1");
    c.give("n3", { kind: "want-epoch", reason: "proxy of j1 died" });
    c.until(() => (c.viewOf("n3")?.epoch ?? 0) > epoch, 2000, "the next epoch");
  });
});

describe("stale messages", () => {
  test("an old view is refused, and its sender is told of the newer one", () => {
    const c = new TestCluster({ seed: 51, nodes: 5 }).boot();
    const old = c.viewOf("n2");
    if (old === null) throw new Error("no view");
    c.give("n2", { kind: "want-epoch", reason: "on" });
    c.run(100);
    const epoch = c.viewOf("n3")?.epoch;
    const effects = c.machine("n3").step(
      {
        kind: "message",
        from: "n2" as never,
        message: {
          kind: "decided",
          view: old,
          epoch: old.epoch,
          cluster: "n1-folder-1",
          instance: "n2-folder-1",
        },
      },
      c.nowMs,
    );
    expect(c.machine("n3").view()?.epoch).toBe(epoch as never);
    const answer = effects.find((one) => one.kind === "send");
    expect(answer?.kind === "send" && answer.message.kind).toBe("decided");
    expect(answer?.kind === "send" && answer.message.epoch).toBe(epoch as never);
  });

  test("a view of another cluster is not taken", () => {
    const c = new TestCluster({ seed: 52, nodes: 3 }).boot();
    const view = c.viewOf("n2");
    if (view === null) throw new Error("no view");
    const message = {
      kind: "decided" as const,
      view: { ...view, epoch: 99 as never },
      epoch: 99 as never,
      cluster: "another",
      instance: "x",
    };
    c.machine("n2").step({ kind: "message", from: "n8" as never, message }, c.nowMs);
    expect(c.machine("n2").view()?.epoch).toBe(view.epoch);
  });
});

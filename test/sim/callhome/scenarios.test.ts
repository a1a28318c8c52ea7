/**
 * Goal: each rule of delivery as a sentence, with its bound in time. Method: small simulated clusters with one fault, the real
 * delivery machine, and the referee looking on.
 */
import { describe, expect, test } from "bun:test";
import { World } from "./world.ts";

/** Streams are open, beats have come. */
const READY_MS = 2_500;

function calm(options: Partial<ConstructorParameters<typeof World>[0]> = {}): World {
  const world = new World({ seed: 1, nodes: [true], managerCount: 1, ...options });
  world.runMs(READY_MS);
  return world;
}

function stepsOf(world: World, event: string): readonly string[] {
  return world.node.machine.explain(event, world.node.nowMs());
}

describe("with a manager that works", () => {
  test("an event takes the manager's way, and is delivered in a moment, once", () => {
    const world = calm();
    world.node.raise(1);
    world.runMs(300);
    expect(world.delayMsMax()).toBeLessThan(100);
    expect(world.referee.duplicates).toBe(0);
    expect(world.node.openCount).toBe(0);
    expect(world.node.machine.report(world.node.nowMs()).deliveredCount).toBe(1);
  });

  test("a storm of a thousand goes in few requests, the severe first", () => {
    const world = calm();
    const order: string[] = [];
    const { onArrival } = world.destination;
    world.destination.onArrival = (id) => {
      order.push(id);
      onArrival(id);
    };
    world.destination.slowMs = 200;
    for (let index = 0; index < 2_000; index++) world.node.raise(3);
    world.runMs(10);
    world.node.raise(0);
    expect(world.settleMs(20_000)).not.toBeNull();
    expect(order.indexOf("n1-2001-1")).toBeLessThan(1_300);
    expect(world.referee.duplicates).toBe(0);
  });
});

describe("without R1", () => {
  test("a manager that stops is gone around within T1 + 1 s", () => {
    const world = calm();
    world.manager.party.stop();
    world.node.raise(1);
    world.runMs(4_000);
    expect(world.delayMsMax()).toBeLessThan(4_000);
    expect(world.delayMsMax()).toBeGreaterThan(1_500);
  });

  test("a manager that is known dead costs nothing", () => {
    const world = calm();
    world.manager.kill();
    world.runMs(2_000);
    world.node.raise(1);
    world.runMs(500);
    expect(world.delayMsMax()).toBeLessThan(100);
  });

  test("what was given to a manager that is killed goes direct at once", () => {
    const world = calm();
    world.destination.slowMs = 100;
    world.node.raise(1);
    world.runMs(3);
    world.manager.kill();
    world.runMs(1_500);
    expect(world.delayMsMax()).toBeLessThan(1_000);
  });

  test("a second manager that lives is the first choice once the first is known dead", () => {
    const world = calm({ managerCount: 2, nodes: [false] });
    world.manager.kill();
    world.runMs(2_000);
    world.node.raise(1);
    world.runMs(500);
    expect(world.delayMsMax()).toBeLessThan(100);
  });

  test("a manager whose disk is full is gone around at once", () => {
    const world = calm();
    world.manager.isDiskFull = true;
    world.node.raise(1);
    world.runMs(500);
    expect(world.delayMsMax()).toBeLessThan(100);
  });
});

describe("without R2", () => {
  test("a manager that keeps and says nothing is gone around after T2", () => {
    const world = calm();
    world.manager.isSilentOnRelay = true;
    world.wire.cutBoth("m1", "d");
    world.node.raise(1);
    world.runMs(11_000);
    expect(world.delayMsMax()).toBeLessThan(11_000);
    expect(world.delayMsMax()).toBeGreaterThan(9_900);
  });

  test("after that, others go direct at once", () => {
    const world = calm();
    world.manager.isSilentOnRelay = true;
    world.wire.cutBoth("m1", "d");
    world.node.raise(1);
    world.runMs(10_500);
    world.node.raise(1);
    world.runMs(500);
    expect(world.referee.delayMs("n1-2-1")).toBeLessThan(100);
  });

  test("a manager that says that it cannot relay is gone around sooner", () => {
    const world = calm();
    world.wire.cutBoth("m1", "d");
    world.node.raise(1);
    world.runMs(10_000);
    expect(world.delayMsMax()).toBeLessThan(9_500);
    world.node.raise(1);
    world.runMs(500);
    expect(world.referee.delayMs("n1-2-1")).toBeLessThan(100);
  });

  test("a manager that comes back does not relay what was delivered around it", () => {
    const world = calm();
    world.wire.cutBoth("m1", "d");
    world.node.raise(1);
    world.runMs(12_000);
    expect(world.destination.arrivals.get("n1-1-1")).toBe(1);
    world.wire.healAll();
    world.runMs(10_000);
    expect(world.destination.arrivals.get("n1-1-1")).toBe(1);
  });
});

describe("without a direct way", () => {
  test("a peer that has one passes it on", () => {
    const world = calm({ nodes: [false, true] });
    world.manager.kill();
    world.runMs(2_000);
    world.node.raise(1);
    world.runMs(500);
    expect(world.delayMsMax()).toBeLessThan(200);
  });

  test("a direct way that is cut off is gone around by peers too", () => {
    const world = calm({ nodes: [true, true] });
    world.manager.kill();
    world.wire.cutBoth("n1", "d");
    world.runMs(2_000);
    world.node.raise(1);
    world.runMs(6_000);
    expect(world.delayMsMax()).toBeLessThan(4_000);
    world.node.raise(1);
    world.runMs(1_000);
    expect(world.referee.delayMs("n1-2-1")).toBeLessThan(200);
  });

  test("with nothing at all it waits, and goes at once when the manager comes back", () => {
    const world = calm({ nodes: [false] });
    world.manager.kill();
    world.runMs(1_000);
    world.node.raise(1);
    world.runMs(3_600_000);
    expect(world.node.openCount).toBeGreaterThan(0);
    world.manager.start();
    expect(world.settleMs(3_000)).not.toBeNull();
  });
});

describe("silence", () => {
  test("is an event of its own, which goes by every path, and its end is told", () => {
    const world = calm({ nodes: [true] });
    world.manager.kill();
    world.wire.cutBoth("n1", "d");
    world.node.raise(1);
    world.runMs(6 * 60_000);
    expect(world.node.raised.map(({ what }) => what)).toEqual(["cannot-call-home"]);
    world.wire.healAll();
    expect(world.settleMs(301_000)).not.toBeNull();
    expect(world.node.raised.map(({ what }) => what)).toEqual([
      "cannot-call-home",
      "calls-home-again",
    ]);
  });

  test("without anything to say is not one", () => {
    const world = calm({ nodes: [true] });
    world.manager.kill();
    world.wire.cutBoth("n1", "d");
    world.runMs(60 * 60_000);
    expect(world.node.raised).toEqual([]);
  });

  test("is broken once a day by a heartbeat", () => {
    const world = calm({ timing: { heartbeatMs: 24 * 3_600_000, heartbeatAgoMs: 0 } });
    world.runMs(49 * 3_600_000);
    expect(world.node.raised.map(({ what }) => what)).toEqual(["heartbeat", "heartbeat"]);
  });
});

describe("what is refused", () => {
  test("for good is closed as refused, and holds up nobody", () => {
    const world = calm();
    world.manager.kill();
    world.runMs(1_500);
    world.node.raise(0, false, "refused");
    for (let index = 0; index < 50; index++) world.node.raise(1);
    world.runMs(500);
    expect(world.node.openCount).toBe(0);
    const { refusedCount, deliveredCount } = world.node.machine.report(world.node.nowMs());
    expect([refusedCount, deliveredCount]).toEqual([1, 50]);
  });

  test("for good through the manager is tried direct, and then closed", () => {
    const world = calm();
    world.node.raise(1, false, "refused");
    world.runMs(1_000);
    expect(world.node.openCount).toBe(0);
    expect(world.node.machine.report(world.node.nowMs()).refusedCount).toBe(1);
  });

  test("as a whole request is found by halves, and the others get through", () => {
    const world = calm();
    world.manager.kill();
    world.runMs(1_500);
    world.node.raise(1, false, "unreadable");
    for (let index = 0; index < 100; index++) world.node.raise(1);
    world.runMs(5_000);
    expect(world.node.openCount).toBe(1);
    expect(stepsOf(world, "n1-1-1").join("\n")).toContain("turned-away");
  });
});

describe("after a restart", () => {
  test("what was delivered and not yet closed on disk is asked about, not sent again", () => {
    const world = calm();
    world.node.raise(1);
    world.runMs(2.1);
    let limit = 2_000;
    while (!world.destination.has("n1-1-1") && limit-- > 0) world.runMs(0.1);
    world.node.kill();
    world.runMs(100);
    expect(world.node.openCount).toBe(1);
    world.node.restart();
    expect(world.settleMs(5_000)).not.toBeNull();
    expect(world.destination.arrivals.get("n1-1-1")).toBe(1);
  });

  test("what waited is sent in its order, though nobody can be asked", () => {
    const world = calm();
    world.manager.kill();
    world.wire.cutBoth("n1", "d");
    for (let index = 0; index < 300; index++) world.node.raise(2);
    world.runMs(1_000);
    world.node.kill();
    world.runMs(1_000);
    world.node.restart();
    world.runMs(10_000);
    world.wire.healAll();
    world.manager.start();
    expect(world.settleMs(5_000)).not.toBeNull();
    expect(world.referee.duplicates).toBe(0);
  });

  test("a manager that forgot what it said it kept is noticed by its new epoch", () => {
    const world = calm({ nodes: [false] });
    world.manager.forgets = true;
    world.node.raise(1);
    world.runMs(1_000);
    world.manager.forgets = false;
    world.manager.kill();
    world.runMs(500);
    world.manager.start();
    expect(world.settleMs(5_000)).not.toBeNull();
  });
});

describe("a node that was stopped itself", () => {
  test("does not take the others for dead when it goes on", () => {
    const world = calm();
    world.node.raise(1);
    world.runMs(5);
    world.node.party.stop();
    world.runMs(60_000);
    world.node.party.goOn();
    world.runMs(2_000);
    expect(world.node.openCount).toBe(0);
    expect(world.referee.duplicates).toBe(0);
    world.node.raise(1);
    world.runMs(500);
    expect(world.node.machine.report(world.node.nowMs()).deliveredCount).toBe(2);
    expect(world.referee.duplicates).toBe(0);
  });
});

describe("an outage of a week", () => {
  test("keeps 100,000 events, costs few requests, and ends in minutes", () => {
    const world = new World({
      seed: 7,
      nodes: [true],
      managerCount: 1,
      streamAgainMs: 60_000,
      timing: { silenceMs: Number.POSITIVE_INFINITY },
    });
    world.runMs(READY_MS);
    world.manager.kill();
    world.wire.cutBoth("n1", "d");
    const weekMs = 7 * 86_400_000;
    for (let index = 0; index < 100_000; index++) {
      world.time.after((index / 100_000) * weekMs, () => world.node.raise(2));
    }
    world.runMs(weekMs + 1_000);
    expect(world.node.openCount).toBe(100_000);
    const { steps } = world.node;
    expect(steps).toBeLessThan(200_000);
    world.wire.healAll();
    const settledMs = world.settleMs(360_000);
    expect(settledMs).not.toBeNull();
    expect(world.referee.duplicates).toBe(0);
    expect(world.node.openCount).toBe(0);
  }, 60_000);
});

/**
 * Goal: a second fault in any phase of a recovery restarts it under a higher epoch and never hangs. Method: a node of a
 * running job dies; when the recovery reaches the phase, another dies too, in each of the ways a node can die. The second is
 * never the partner of the first: with both copies of a rank gone nothing could be restored, and no recovery is owed.
 */
import { describe, expect, test } from "bun:test";
import type { Phase } from "../../../agent/job/node-events.ts";
import { Scenario } from "./scenario.ts";

const PHASES: readonly Phase[] = [
  "view",
  "report",
  "assign",
  "joined",
  "idle",
  "select",
  "restore",
  "resume",
];

for (const way of ["killed", "without power"] as const) {
  describe(`a second node is ${way} during a recovery`, () => {
    for (const phase of PHASES) {
      test(`when it comes to ${phase}`, () => {
        const s = new Scenario({ workers: 6 });
        const job = s.job({ ranks: 4, spares: 2 });
        const epoch = s.record(job)?.epoch ?? 0;
        s.when(phase, () => (way === "killed" ? s.node("n4").kill() : s.node("n4").losePower()));
        s.node("n2").kill();
        s.wait("the second one is dead", () => !s.node("n4").isUp);
        s.untilWell();
        s.goesOn(job);
        const record = s.record(job);
        expect(record?.state).toBe("running");
        expect(record?.epoch).toBeGreaterThan(epoch);
        expect(record?.placement).not.toContain("n2");
        expect(record?.placement).not.toContain("n4");
      });
    }
  });
}

describe("the lead dies during a recovery", () => {
  for (const phase of PHASES) {
    test(`when it comes to ${phase}`, () => {
      const s = new Scenario({ workers: 6 });
      const job = s.job({ ranks: 4, spares: 2 });
      s.when(phase, () => s.node("n1").kill());
      s.node("n3").kill();
      s.wait("the lead is dead", () => !s.node("n1").isUp);
      s.untilWell();
      s.goesOn(job);
      expect(s.record(job)?.state).toBe("running");
      expect(s.node("n2").machine?.view()?.members[0]?.id as string).toBe("n2");
    });
  }
});

describe("the spare dies during a recovery", () => {
  test("while it fetches the lost rank's shards, and another spare takes its place", () => {
    const s = new Scenario({ workers: 6 });
    const job = s.job({ ranks: 4, spares: 2 });
    let spare = "";
    s.whenSaid(/fetching version/, (node) => {
      spare = node.id;
      node.losePower();
    });
    s.node("n2").kill();
    s.wait("the spare is dead", () => spare !== "");
    s.untilWell();
    s.goesOn(job);
    expect(s.record(job)?.placement).not.toContain(spare);
  });

  test("proxy and program killed on three nodes at once, and each goes on where it was", () => {
    const s = new Scenario({ workers: 4 });
    const job = s.job({ ranks: 4 });
    const placement = s.record(job)?.placement;
    for (const id of ["n1", "n2", "n3"]) {
      const { host } = s.node(id);
      for (const proxy of host.proxies().filter((p) => p.job === job)) host.killProxy(proxy);
      for (const program of host.programs()) host.killProgram(program);
    }
    s.run(1_000);
    s.untilWell();
    s.goesOn(job);
    expect(s.record(job)?.placement).toEqual(placement ?? []);
  });
});

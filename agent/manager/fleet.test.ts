/**
 * What the manager makes of reports: which is newer, how a node stands, jobs and views; without sockets, clock or store.
 */
import { describe, expect, test } from "bun:test";
import type { NodeReport } from "../callhome/report.ts";
import { Fleet, NODES_MAX } from "./fleet.ts";
import { testReport } from "./io/harness/test-report.ts";
import { LATE_AFTER_MS, SILENT_AFTER_MS } from "./node-standing.ts";
import { decodeSteps, deliveredSteps, encodeSteps, stepsOfTrail } from "./steps.ts";

const NONE = new Map();

function withMember(report: NodeReport, id: string, standing: string, inView: boolean): NodeReport {
  const [one] = report.status.members;
  if (one === undefined) throw new Error("no member");
  const member = { ...one, id, standing, inView, reason: "probes failed" };
  const members = [...report.status.members.filter((other) => other.id !== id), member];
  return { ...report, status: { ...report.status, members } };
}

function stateOf(fleet: Fleet, id: string, nowMs: number): string | undefined {
  return fleet.row(id, NONE, nowMs)?.state;
}

describe("how a node stands", () => {
  test("follows its own signs of life", () => {
    const fleet = new Fleet();
    fleet.report(testReport(), 1_000);
    expect(stateOf(fleet, "n1", 1_000 + LATE_AFTER_MS)).toBe("alive");
    expect(stateOf(fleet, "n1", 1_001 + LATE_AFTER_MS)).toBe("late");
    expect(stateOf(fleet, "n1", 1_001 + SILENT_AFTER_MS)).toBe("silent");
    fleet.streamOpened("n1", 90_000);
    expect(stateOf(fleet, "n1", 500_000)).toBe("alive");
    fleet.streamClosed("n1", 500_000);
    expect(stateOf(fleet, "n1", 500_001)).toBe("alive");
    expect(stateOf(fleet, "n1", 600_000)).toBe("silent");
  });

  test("is dead when another says so later than it was heard, and alive again when it speaks", () => {
    const fleet = new Fleet();
    fleet.report(testReport(), 1_000);
    fleet.report(withMember(testReport({ node: "n2" }), "n1", "unreachable", false), 2_000);
    expect(fleet.row("n1", NONE, 2_001)).toMatchObject({
      state: "dead",
      why: "n2 says: probes failed",
    });
    fleet.report(testReport({ seq: 2 }), 3_000);
    expect(stateOf(fleet, "n1", 3_001)).toBe("alive");
  });

  test("is not dead because a cut-off neighbour says so while its stream is open", () => {
    const fleet = new Fleet();
    fleet.streamOpened("n1", 1_000);
    fleet.report(withMember(testReport({ node: "n2" }), "n1", "dead", false), 2_000);
    expect(stateOf(fleet, "n1", 2_001)).toBe("alive");
    fleet.report(withMember(testReport({ node: "n3" }), "n4", "suspect", true), 2_000);
    expect(fleet.row("n4", NONE, 2_001)).toBeNull();
  });
});

describe("reports", () => {
  test("of one run are ordered by number, of two by incarnation, then by start", () => {
    const fleet = new Fleet();
    const take = (over: Partial<NodeReport>): string => fleet.report(testReport(over), 1).kind;
    expect(take({ seq: 5 })).toBe("taken");
    expect(take({ seq: 5 })).toBe("older");
    const status = { ...testReport().status, incarnation: 2 };
    expect(take({ run: "r2", seq: 1, status, startedMs: 10 })).toBe("taken");
    expect(take({ run: "r1", seq: 99 })).toBe("older");
    expect(take({ run: "r3", seq: 1, status, startedMs: 9 })).toBe("older");
    expect(take({ run: "r4", seq: 1, status, startedMs: 11 })).toBe("taken");
  });

  test("bring the inventory once; another digest asks for it", () => {
    const fleet = new Fleet();
    const bare = { inventory: null, inventoryDigest: "b".repeat(64) };
    expect(fleet.report(testReport(bare), 1)).toEqual({ kind: "taken", wantsInventory: true });
    expect(fleet.report(testReport({ seq: 2 }), 1)).toMatchObject({ wantsInventory: false });
    expect(fleet.inventory("n1")).toHaveLength(1);
    const same = { seq: 3, inventory: null };
    expect(fleet.report(testReport(same), 1)).toMatchObject({ wantsInventory: false });
    expect(fleet.inventory(null)).toHaveLength(1);
  });

  test("of more nodes than there is room for are refused", () => {
    const fleet = new Fleet();
    for (let n = 0; n < NODES_MAX; n++) fleet.streamOpened(`x${n}`, 1);
    expect(fleet.report(testReport(), 1)).toEqual({ kind: "full" });
    expect(fleet.size).toBe(NODES_MAX);
  });

  test("of several nodes make one job, by the newest record, with who holds which version", () => {
    const fleet = new Fleet();
    fleet.report(testReport(), 1);
    const other = testReport({ node: "n2" });
    const holds = [{ job: "j1", rank: 1, sealed: [9, 8] }];
    const [job] = other.jobs;
    if (job === undefined) throw new Error("no job");
    const newer = { ...job, revision: 2, state: "recovering" as const };
    fleet.report({ ...other, status: { ...other.status, ranks: [], holds }, jobs: [newer] }, 2);
    const [row] = fleet.jobs();
    expect(row).toMatchObject({ state: "recovering", revision: 2, reportedBy: "n2" });
    expect(row?.versions).toEqual([
      { version: 9, nodes: ["n1", "n2"], ranks: 2 },
      { version: 8, nodes: ["n1", "n2"], ranks: 2 },
    ]);
    fleet.report(testReport({ seq: 2 }), 3);
    expect(fleet.jobs()[0]?.revision).toBe(2);
  });

  test("are given to the store once, and again when they could not be written", () => {
    const fleet = new Fleet();
    fleet.report(testReport(), 1);
    const dirty = fleet.takeDirty();
    expect(dirty.nodes.map(({ id }) => id)).toEqual(["n1"]);
    expect(dirty.jobs).toHaveLength(1);
    expect(dirty.views.map(({ epoch }) => epoch)).toEqual([7]);
    expect(fleet.takeDirty().nodes).toEqual([]);
    fleet.redo(dirty);
    expect(fleet.takeDirty().views).toHaveLength(1);
  });

  test("of a thousand nodes that list each other are kept without their lists", () => {
    const fleet = new Fleet();
    const report = testReport();
    const [one] = report.status.members;
    if (one === undefined) throw new Error("no member");
    const members = Array.from({ length: 1_000 }, (_, n) => ({ ...one, id: `n${n}` }));
    for (let n = 0; n < 50; n++) {
      fleet.report(testReport({ node: `n${n}`, status: { ...report.status, members } }), 1);
    }
    const kept = JSON.stringify(fleet.takeDirty().nodes);
    expect(kept.length).toBeLessThan(50 * 4_000);
    expect(fleet.row("n3", NONE, 1)?.members).toHaveLength(1_000);
  });
});

describe("steps", () => {
  test("are read back in the order of their times, and a line that is none is passed over", () => {
    const receipt = { id: "a", destination: "d", ticket: "T-1", receivedMs: 30, proof: null };
    const trail = [
      { kind: "origin" as const, name: "n1", atMs: 10 },
      { kind: "peer" as const, name: "n2", atMs: 20 },
    ];
    const text = `${encodeSteps(deliveredSteps(receipt, "manager"))}nonsense\n${encodeSteps(stepsOfTrail("n1", 10, trail))}`;
    expect(decodeSteps(text).map(({ kind, by }) => [kind, by])).toEqual([
      ["queued", "n1"],
      ["peer", "n2"],
      ["R2", "d"],
    ]);
  });

  test("say by which path it went", () => {
    const receipt = { id: "a", destination: "d", ticket: "T-1", receivedMs: 30, proof: null };
    const kinds = (path: Parameters<typeof deliveredSteps>[1]): readonly string[] =>
      deliveredSteps(receipt, path).map(({ kind }) => kind);
    expect(kinds("manager")).toEqual(["R2"]);
    expect(kinds("direct")).toEqual(["direct", "R2"]);
    expect(kinds("peer")).toEqual(["peer", "R2"]);
    expect(kinds("stand-in")).toEqual(["direct", "R2"]);
    expect(kinds(null)).toEqual(["R2"]);
  });
});

/**
 * Goal: a manager knows soon what changed on a node, has the inventory once, and gets no report behind a newer one.
 * Method: a manager over real HTTP that answers as the test says.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { realClock } from "../../runtime/io/clock.ts";
import { type NodeReport, nodeReportSchema, type ReportedInventory } from "../report.ts";
import { StatusReport } from "./status-report.ts";
import { FakeCluster, plainCaller, until } from "./test-away.ts";

let reports: NodeReport[];
let instead: () => Promise<Response | null> | null;
let hasInventory: string | null;
let manager: Bun.Server<undefined>;
let report: StatusReport;
let cluster: FakeCluster;
let waiting: number;
let inventory: ReportedInventory;

beforeEach(() => {
  reports = [];
  instead = () => null;
  hasInventory = null;
  waiting = 0;
  inventory = { bmcs: [{ url: "kcs:/dev/ipmi0", identity: null, fru: [], readMs: 1 }] };
  cluster = new FakeCluster("n1");
  manager = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: async (request) => {
      expect(`${request.method} ${new URL(request.url).pathname}`).toBe("PUT /v1/nodes/n1");
      const got = nodeReportSchema.parse(await request.json());
      reports.push(got);
      if (got.inventory !== null) hasInventory = got.inventoryDigest;
      const wantsInventory = hasInventory !== got.inventoryDigest;
      return (await instead()) ?? Response.json({ name: "m", epoch: "1", wantsInventory });
    },
  });
  report = new StatusReport({
    ...{ node: "n1", run: "r", managers: [`http://127.0.0.1:${manager.port}`] },
    ...{ caller: plainCaller, clock: realClock(), log: { say: () => undefined }, cluster },
    bmcs: () => [],
    inventory: () => inventory,
    callhome: () => ({ waiting, delivered: 0, refused: 0, oldestWaitingMs: null, paths: [] }),
  });
});
afterEach(async () => {
  report.stop();
  await manager.stop(true);
});

describe("the report of a node", () => {
  test("has the inventory once, and again when it changed", async () => {
    report.begin();
    await until("the inventory came", () => reports.length === 2);
    expect(reports.map((one) => one.inventory === null)).toEqual([true, false]);
    report.touch(1);
    await until("another came", () => reports.length === 3);
    expect(reports[2]?.inventory).toBeNull();
    inventory = { bmcs: [] };
    report.touch(1);
    await until("the new inventory came", () => reports.length === 5);
    expect(reports.slice(3).map((one) => one.inventory === null)).toEqual([true, false]);
  });

  test("follows a change soon, and many changes are one report", async () => {
    report.begin();
    await until("the first came", () => reports.length === 2);
    for (waiting = 1; waiting < 50; waiting++) cluster.tell({ kind: "thawed" });
    await until("the change came", () => reports.length === 3);
    expect(reports[2]?.callhome.waiting).toBe(50);
    expect(reports.map(({ seq }) => seq)).toEqual([1, 2, 3]);
  });

  test("waits for the answer before, and then has what is newest", async () => {
    report.begin();
    await until("the first came", () => reports.length === 2);
    let release = (): void => undefined;
    instead = () =>
      new Promise((resolve) => {
        release = () => resolve(null);
      });
    report.touch(1);
    await until("one is under way", () => reports.length === 3);
    waiting = 7;
    report.touch(1);
    report.touch(1);
    await Bun.sleep(50);
    expect(reports.length).toBe(3);
    instead = () => null;
    release();
    await until("the newest came", () => reports.length === 4);
    expect(reports[3]?.callhome.waiting).toBe(7);
  });

  test("survives a manager that answers nonsense", async () => {
    instead = () => Promise.resolve(new Response("oops"));
    report.begin();
    await until("it came", () => reports.length === 1);
    instead = () => null;
    report.touch(1);
    await until("it came again", () => reports.length >= 2);
  });
});

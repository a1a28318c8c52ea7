/**
 * Goal: what this node and its cluster go through ends in the book, also when the disk takes nothing for a while.
 * Method: a real book in a temporary folder, a cluster that a test changes, a disk whose free room is a number.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { BmcEvent } from "../../../bmc/bmc.ts";
import { err } from "../../../core/result.ts";
import type { Epoch, Member, NodeId, View } from "../../membership/membership.ts";
import { realClock } from "../../runtime/io/clock.ts";
import { type EventKeeper, openEventKeeper } from "./event-keeper.ts";
import { HostWatch } from "./host-watch.ts";
import { FakeCluster, TestFolder, until } from "./test-away.ts";

const MIB = 1_048_576;
const log = { say: (): void => undefined };

let folder: TestFolder;
let keeper: EventKeeper;
let cluster: FakeCluster;
let freeBytes: number | null;
let watch: HostWatch;

function start(): void {
  watch = new HostWatch({
    ...{ cluster: "c", node: "n1", dataFolder: folder.path, watch: cluster, keeper, log },
    ...{ clock: realClock(), freeBytes: () => freeBytes },
  });
  watch.begin();
}

beforeEach(async () => {
  folder = new TestFolder();
  keeper = await openEventKeeper(folder.path, log);
  cluster = new FakeCluster("n1");
  freeBytes = null;
});
afterEach(async () => {
  await watch.stop();
  await keeper.close();
  folder.remove();
});

function events(): readonly BmcEvent[] {
  return keeper.after(0, 100).flatMap((line) => (line.kind === "event" ? [line.event] : []));
}

function viewOf(epoch: number, ids: readonly string[], reason: string): View {
  const members = ids.map((id): Member => {
    const common = { instance: `i-${id}`, incarnation: 1, address: "127.0.0.1", port: 1 } as const;
    return { id: id as NodeId, ...common, role: "worker" };
  });
  return { epoch: epoch as Epoch, members, reason };
}

describe("what this node sees of itself", () => {
  test("a disk that fills up is told while there is room for it, and when there is room again", async () => {
    freeBytes = 9 * MIB;
    start();
    await until("it is told", () => events().length === 1);
    expect(events()[0]).toMatchObject({ category: "disk", severity: "critical" });
    expect(events()[0]?.text).toContain("9 MiB");
    await watch.stop();
    // A later run knows of it.
    freeBytes = 900 * MIB;
    start();
    await until("it is over", () => events().length === 2);
    expect(events()[1]).toMatchObject({ isAssertion: false, category: "disk" });
  });

  test("a node that dies is in the book, one that left is not", async () => {
    start();
    const three = viewOf(1, ["n1", "n2", "n3"], "n3 joined");
    const two = viewOf(2, ["n1", "n2"], "n3 unreachable (its port refuses connections)");
    cluster.tell({ kind: "view", view: two, previous: three });
    await until("its death is told", () => events().length === 1);
    const one = viewOf(3, ["n1"], "n2 left");
    cluster.tell({ kind: "view", view: one, previous: two });
    watch.condition("outbox-full", "full");
    await until("what comes after is told", () => events().length === 2);
    expect(events().map(({ category }) => category)).toEqual(["node", "outbox"]);
  });

  test("an event that the disk does not take is given again until it does", async () => {
    let failures = 2;
    const failing = new Proxy(keeper, {
      get: (target, name) => {
        if (name !== "take")
          return Reflect.get(target, name).bind?.(target) ?? Reflect.get(target, name);
        return (event: BmcEvent) => {
          const failure = { kind: "no-space", detail: "full" } as const;
          return failures-- > 0 ? Promise.resolve(err(failure)) : target.take(event);
        };
      },
    });
    watch = new HostWatch({
      ...{ cluster: "c", node: "n1", dataFolder: folder.path, watch: cluster, keeper: failing },
      ...{ log, clock: realClock(), freeBytes: () => null },
    });
    watch.begin();
    watch.condition("disk-full", "no room");
    await until("it is kept", () => events().length === 1);
    expect(failures).toBe(-1);
  });

  test("the last sign of life is known after a restart", async () => {
    start();
    expect(watch.heartbeatAgoMs()).toBeNull();
    const common = { subject: "n1", text: "well", severity: "information" } as const;
    watch.tell({ what: "heartbeat", key: "1", ...common });
    await until("it is kept", () => events().length === 1);
    await watch.stop();
    keeper = await openEventKeeper(folder.path, log);
    start();
    expect(watch.heartbeatAgoMs() ?? -1).toBeGreaterThanOrEqual(0);
  });
});

/**
 * Goal: a node's BMC is watched from here while the node is dead, as its own watch would, and not while it lives.
 * Method: a cluster that a test changes, a BMC made of a script, peers over real HTTP that say how their BMC is reached.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Bmc, BmcEvent, WatchHandlers, WatchOptions } from "../../../bmc/bmc.ts";
import { bmcError } from "../../../bmc/bmc-error.ts";
import { err, ok } from "../../../core/result.ts";
import { openLocalIdentity } from "../../identity/io/open-identity.ts";
import type { Epoch, Member, NodeId, View } from "../../membership/membership.ts";
import type { Disk } from "../../runtime/disk.ts";
import { realClock } from "../../runtime/io/clock.ts";
import { folderDisk } from "../../runtime/io/disk.ts";
import { type EventKeeper, openEventKeeper } from "./event-keeper.ts";
import { relayRoutes } from "./relay-routes.ts";
import { StandInKnown, sharableUrl } from "./stand-in-known.ts";
import { StandInWatch } from "./stand-in-watch.ts";
import { eventOf, FakeCluster, plainCaller, TestFolder, until } from "./test-away.ts";

const URL_OF_N2 = "lan://monitor@10.9.9.2";
const log = { say: (): void => undefined };

let folder: TestFolder;
let disk: Disk;
let keeper: EventKeeper;
let cluster: FakeCluster;
let known: StandInKnown;
let watch: StandInWatch;
/** A test may begin none. */
let hasBegun = false;
let peer: Bun.Server<undefined>;
let watched: {
  readonly url: string;
  readonly options: WatchOptions;
  readonly handlers: WatchHandlers;
}[];
let ended: number;
let isReachable: boolean;

function scriptedBmc(url: string): Bmc {
  const bmc: Partial<Bmc> = {
    url,
    identity: () => Promise.resolve(err(bmcError("timeout", "not asked"))),
    watch: (options, handlers) => {
      watched.push({ url, options, handlers });
      handlers.onMemory(options.memory);
      return {
        stop: () => {
          ended++;
          return Promise.resolve();
        },
      };
    },
    close: () => Promise.resolve(),
  };
  return bmc as Bmc;
}

beforeEach(async () => {
  folder = new TestFolder();
  mkdirSync(join(folder.path, "state"));
  disk = folderDisk(join(folder.path, "state"));
  keeper = await openEventKeeper(folder.path, log);
  cluster = new FakeCluster("n1");
  watched = [];
  ended = 0;
  isReachable = true;
  const identity = openLocalIdentity(join(folder.path, "identity"), "agent", "n2");
  const routes = relayRoutes({
    ...{ node: "n2", destination: null, caller: plainCaller, verifier: identity.verifier },
    ...{ clock: realClock(), epoch: "e" },
    way: () => ({ direct: "unknown", waiting: 0, standsInFor: [] }),
    bmcs: () => [{ url: URL_OF_N2, system: "ab".repeat(16), memory: { seen: 7 } }],
  });
  peer = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: routes.fetch });
});
afterEach(async () => {
  if (hasBegun) await watch.stop();
  hasBegun = false;
  await keeper.close();
  await peer.stop(true);
  folder.remove();
});

function begin(overrides: ReadonlyMap<string, string> = new Map()): void {
  known = new StandInKnown({ disk, caller: plainCaller, log, overrides });
  watch = new StandInWatch({
    ...{ self: "n1" as NodeId, cluster, known, caller: plainCaller, keeper, pollMs: 1_000 },
    agentUrl: ({ port }) => `http://127.0.0.1:${port}`,
    watchedBmc: (url) => ({
      name: url,
      lan: null,
      open: () =>
        Promise.resolve(isReachable ? ok(scriptedBmc(url)) : err(bmcError("timeout", "silent"))),
    }),
    ...{ disk, clock: realClock(), log, onChange: () => undefined },
  });
  watch.begin();
  hasBegun = true;
}

function memberOf(id: string): Member {
  const common = { instance: `i-${id}`, incarnation: 1, address: "127.0.0.1" } as const;
  return { id: id as NodeId, ...common, port: peer.port ?? 0, role: "worker" };
}

/** The view changes, and what `status` says with it. */
function change(
  epoch: number,
  ids: readonly string[],
  before: readonly string[],
  why: string,
): void {
  const view = (number: number, names: readonly string[]): View => {
    return { epoch: number as Epoch, members: names.map(memberOf), reason: why };
  };
  stand(ids, "alive");
  cluster.tell({ kind: "view", view: view(epoch, ids), previous: view(epoch - 1, before) });
}

function stand(ids: readonly string[], second: "alive" | "unreachable"): void {
  cluster.members = ids.map((id) => {
    const { address, port, role, incarnation } = memberOf(id);
    const standing = id === "n2" ? second : "alive";
    return { id, address, port, role, incarnation, standing, reason: "", inView: true };
  });
}

describe("standing in", () => {
  test("begins with what the node's own watch remembered, and ends when it is back", async () => {
    begin();
    change(2, ["n1", "n2"], ["n1"], "n2 joined");
    await until("it is known how", () => known.bmcsOf("n2").length === 1);
    change(3, ["n1"], ["n1", "n2"], "n2 unreachable (silent)");
    await until("it is watched", () => watched.length === 1);
    expect(watched[0]?.url).toBe(URL_OF_N2);
    expect(watched[0]?.options.memory).toEqual({ seen: 7 });
    watched[0]?.handlers.onEvent({ ...eventOf("x"), way: "sel" });
    const events = (): readonly BmcEvent[] => keeper.after(0, 9).map(({ event }) => event);
    await until("what it sees is kept", () => events().length === 1);
    expect(events()[0]?.extra["node"]).toBe("n2");
    expect(watch.list()).toMatchObject([{ node: "n2", state: "watched" }]);
    change(4, ["n1", "n2"], ["n1"], "n2 joined");
    await until("it is let go", () => ended === 1);
    expect(watch.list()).toEqual([]);
  });

  test("is known after a restart, of this node too", async () => {
    begin();
    change(2, ["n1", "n2"], ["n1"], "n2 joined");
    await until("it is known how", () => known.bmcsOf("n2").length === 1);
    change(3, ["n1"], ["n1", "n2"], "n2 unreachable (silent)");
    await until("it is watched", () => watched.length === 1);
    await watch.stop();
    begin();
    await until("it is watched again", () => watched.length === 2);
  });

  test("is not for a node that left in good order", async () => {
    begin();
    change(2, ["n1", "n2"], ["n1"], "n2 joined");
    await until("it is known how", () => known.bmcsOf("n2").length === 1);
    change(3, ["n1"], ["n1", "n2"], "n2 left");
    await watch.stop();
    // The other one is dead: once it is looked after, the one that left would have been too.
    begin(new Map([["n3", "serial:/dev/ttyS9"]]));
    change(4, ["n1", "n3"], ["n1"], "n3 joined");
    change(5, ["n1"], ["n1", "n3"], "n3 unreachable (silent)");
    await until("the dead one is watched", () => watched.length > 0);
    expect(watched.map(({ url }) => url)).toEqual(["serial:/dev/ttyS9"]);
  });

  test("is for members that are silent where there is no quorum to say that they are dead", async () => {
    begin();
    change(2, ["n1", "n2"], ["n1"], "n2 joined");
    await until("it is known how", () => known.bmcsOf("n2").length === 1);
    stand(["n1", "n2"], "unreachable");
    cluster.tell({ kind: "frozen", reason: "n2 is not heard" });
    await until("it is watched", () => watched.length === 1);
    stand(["n1", "n2"], "alive");
    cluster.tell({ kind: "thawed" });
    await until("it is let go", () => ended === 1);
  });

  test("goes on trying where the BMC does not answer", async () => {
    isReachable = false;
    begin();
    change(2, ["n1", "n2"], ["n1"], "n2 joined");
    await until("it is known how", () => known.bmcsOf("n2").length === 1);
    change(3, ["n1"], ["n1", "n2"], "n2 unreachable (silent)");
    await until("it is tried", () => watch.list()[0]?.state === "connecting");
    isReachable = true;
    await until("it is watched", () => watched.length === 1);
  });
});

describe("what is told of a BMC", () => {
  test("names no file of the one who dials it", () => {
    expect(sharableUrl("lan://u@h?password-file=/etc/shadow&cipher=3")).toBe("lan://u@h?cipher=3");
    expect(sharableUrl("lan://u@h?kg-file=/x")).toBe("lan://u@h");
    expect(sharableUrl("http://h/")).toBeNull();
  });
});

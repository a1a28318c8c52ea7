/**
 * Goal: a grave event brings one bundle to the destination by whichever path there is, and none leaves that a person did not approve.
 * Method: the whole service on a temporary folder, with real receivers over HTTP: a destination, a manager that passes on, a peer.
 */
import { afterEach, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Hono } from "hono";
import { BUNDLES_PATH, SERVICE_DATA_PATH } from "../bundle.ts";
import { bmcEvent } from "../harness/bmc-event.ts";
import { type BundlePort, openBundlePort } from "./open-bundle-port.ts";
import {
  openServiceData,
  type ServiceData,
  type ServiceDataSettings,
} from "./open-service-data.ts";
import { verifyBundle } from "./read-bundle.ts";
import type { BundleTarget } from "./upload-client.ts";

let folder = mkdtempSync(join(tmpdir(), "holdfast-service-"));
const stops: (() => unknown)[] = [];

afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
  rmSync(folder, { recursive: true, force: true });
  folder = mkdtempSync(join(tmpdir(), "holdfast-service-"));
});

const log = { say: () => undefined };
const nowMs = (): number => Date.now();

function serve(routes: Hono, kind: BundleTarget["kind"]): BundleTarget & { stop(): void } {
  const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: routes.fetch });
  const stop = (): void => void server.stop(true);
  stops.push(stop);
  const url = `http://127.0.0.1:${server.port}`;
  return { kind, name: kind, url, fetch: (at, init) => fetch(at, init), stop };
}

async function port(
  name: string,
  isEnd: boolean,
  targets: readonly BundleTarget[] = [],
): Promise<BundlePort> {
  const opened = await openBundlePort({
    ...{ folder: join(folder, name), identity: null, isEnd, log, nowMs },
    ...{ targets: () => targets, lookEveryMs: 20 },
  });
  if (!opened.ok) throw new Error(opened.error);
  opened.value.begin();
  stops.push(() => opened.value.stop());
  return opened.value;
}

async function service(of: Partial<ServiceDataSettings> = {}): Promise<ServiceData> {
  writeFileSync(join(folder, "agent.log"), "agent token=abcdef0123\n");
  const opened = await openServiceData({
    ...{ folder: join(folder, "n7"), cluster: "tokyo", node: "n7", log, nowMs },
    openBmc: () => Promise.resolve(null),
    agentFiles: () => ({ "agent.log": join(folder, "agent.log") }),
    agentDocuments: () => ({ "jobs.json": [{ id: "j1", password: "hunter2" }] }),
    targets: () => [],
    findEvent: (id) => (bmcEvent().id.startsWith(id) ? bmcEvent() : null),
    hasReview: false,
    lookEveryMs: 20,
    ...of,
  });
  if (!opened.ok) throw new Error(opened.error);
  stops.push(() => opened.value.stop());
  return opened.value;
}

async function until(what: string, isSo: () => boolean): Promise<void> {
  const endMs = performance.now() + 15_000;
  while (!isSo()) {
    if (performance.now() > endMs) throw new Error(`not so in time: ${what}`);
    await Bun.sleep(10);
  }
}

describe("a grave event", () => {
  test("brings one bundle to the destination, without secrets", async () => {
    const destination = await port("d", true);
    const target = serve(destination.routes, "destination");
    const node = await service({ targets: () => [target] });
    node.begin();
    node.consider(bmcEvent());
    node.consider(bmcEvent({ id: "2".repeat(64) }));
    node.consider(bmcEvent({ severity: "warning", subject: "fan" }));
    await until("delivered", () => node.list()[0]?.state === "delivered");
    expect(node.list()).toHaveLength(1);
    const [upload] = destination.store.whole();
    expect(upload).toMatchObject({ event: bmcEvent().id, node: "n7", state: "delivered" });
    const read = await verifyBundle(destination.store.pathOf(upload?.digest ?? ""));
    if (!read.ok) throw new Error(read.error.detail);
    const names = read.value.items.filter(({ sha256 }) => sha256 !== null).map(({ name }) => name);
    for (const name of ["event.json", "agent/agent.log", "agent/jobs.json", "host/meminfo.txt"]) {
      expect(names).toContain(name);
    }
    const raw = Bun.spawnSync(["zstd", "-dc", destination.store.pathOf(upload?.digest ?? "")]);
    if (raw.exitCode === 0) expect(raw.stdout.toString("latin1")).not.toMatch(/hunter2|abcdef0123/);
    // The file has served its purpose; the note stays.
    const left = (): string => readdirSync(join(folder, "n7/own")).join(" ");
    await until("its file is gone", () => left() === `${node.list()[0]?.id}.json`);
  }, 30_000);

  test("goes by the manager, which passes it on, and around it when it is gone", async () => {
    const destination = await port("d", true);
    const end = serve(destination.routes, "destination");
    const manager = await port("m", false, [end]);
    const relay = serve(manager.routes, "manager");
    const node = await service({ targets: () => [relay, end] });
    node.begin();
    await node.collect(bmcEvent());
    await until("at the destination", () => destination.store.whole().length === 1);
    const state = (): string => node.list().at(-1)?.state ?? "";
    await until("kept", () => ["kept", "delivered"].includes(state()));
    await until("passed on", () => manager.store.whole()[0]?.state === "delivered");
    const passedOn = manager.store.pathOf(manager.store.whole()[0]?.digest ?? "");
    await until("the manager's copy is gone", () => !existsSync(passedOn));
    relay.stop();
    await node.collect(bmcEvent({ id: "3".repeat(64), subject: "DIMM_B1" }));
    await until("around it", () => destination.store.whole().length === 2);
    await until("delivered", () => state() === "delivered");
  }, 30_000);

  test("goes through a peer where there is no other way, and peers do not pass it round", async () => {
    const destination = await port("d", true);
    const end = serve(destination.routes, "destination");
    const loop: BundleTarget[] = [];
    const peer = await service({ folder: join(folder, "n8"), targets: () => [...loop, end] });
    peer.begin();
    const way = serve(peer.routes, "peer");
    loop.push(way);
    const node = await service({ targets: () => [way] });
    node.begin();
    await node.collect(bmcEvent());
    await until("at the destination", () => destination.store.whole().length === 1);
    expect(destination.store.whole()[0]?.node).toBe("n7");
    expect(node.list()[0]).toMatchObject({ state: "kept", detail: "is kept by peer peer" });
  }, 30_000);

  test("without any way waits, also over a restart", async () => {
    const targets: BundleTarget[] = [];
    const first = await service({ targets: () => targets });
    first.begin();
    await first.collect(bmcEvent());
    await until("tried", () => first.list()[0]?.detail === "no way is known");
    await first.stop();
    const destination = await port("d", true);
    targets.push(serve(destination.routes, "destination"));
    const second = await service({
      ...{ targets: () => targets, nowMs: () => Date.now() + 3_600_000 },
    });
    second.begin();
    await until("delivered", () => second.list()[0]?.state === "delivered");
    // What was gathered before the restart counts for the hour.
    second.consider(bmcEvent({ seenMs: Date.now() }));
    expect(second.list()).toHaveLength(1);
  }, 30_000);
});

describe("review", () => {
  test("lets nothing leave before it is approved, and nothing that is discarded", async () => {
    const destination = await port("d", true);
    const target = serve(destination.routes, "destination");
    const node = await service({ targets: () => [target], hasReview: true });
    node.begin();
    const one = await node.collect(bmcEvent());
    const two = await node.collect(bmcEvent({ id: "4".repeat(64), subject: "DIMM_C1" }));
    if (!one.ok || !two.ok) throw new Error("not gathered");
    expect([one.value.state, two.value.state]).toEqual([
      "waiting-for-review",
      "waiting-for-review",
    ]);
    await Bun.sleep(150);
    expect(destination.store.whole()).toHaveLength(0);
    const ask = (verb: string, id: string): Promise<Response> =>
      Promise.resolve(
        node.routes.request(`${SERVICE_DATA_PATH}/${id}/${verb}`, { method: "POST" }),
      );
    expect((await ask("approve", one.value.id)).status).toBe(200);
    expect((await ask("discard", two.value.id)).status).toBe(200);
    await until("delivered", () => destination.store.whole().length === 1);
    expect(destination.store.whole()[0]?.event).toBe(bmcEvent().id);
    expect((await ask("approve", two.value.id)).status).toBe(409);
    await until("noted", () => node.list()[0]?.state === "delivered");
    expect((await ask("discard", one.value.id)).status).toBe(409);
    expect((await ask("approve", "0000000000000000-1800000000000")).status).toBe(404);
    expect((await ask("approve", "..%2f..%2fetc")).status).toBe(404);
    expect(node.list().map(({ state }) => state)).toEqual(["delivered", "discarded"]);
  }, 30_000);

  test("shows what is in a bundle, and gives it to be looked at", async () => {
    const node = await service({ hasReview: true });
    const made = await node.collect(bmcEvent());
    if (!made.ok) throw new Error(made.error);
    const at = `${SERVICE_DATA_PATH}/${made.value.id}`;
    const shown = (await (await node.routes.request(at)).json()) as {
      manifest: { items: unknown[] };
    };
    expect(shown.manifest.items.length).toBeGreaterThan(10);
    const content = await node.routes.request(`${at}/content`);
    expect((await content.arrayBuffer()).byteLength).toBe(made.value.bytes);
    const listed = await (await node.routes.request(SERVICE_DATA_PATH)).json();
    expect(listed).toMatchObject({ bundles: [{ id: made.value.id, state: "waiting-for-review" }] });
    // Nothing of one's own is given under the name of somebody else's upload.
    expect((await node.routes.request(`${BUNDLES_PATH}/${made.value.digest}`)).status).toBe(404);
  }, 30_000);

  test("a bundle may be asked for by an event's id", async () => {
    const node = await service({ hasReview: true });
    const post = (body: unknown): Promise<Response> =>
      Promise.resolve(
        node.routes.request(SERVICE_DATA_PATH, { method: "POST", body: JSON.stringify(body) }),
      );
    expect((await post({ event: "../x" })).status).toBe(400);
    expect((await post({ event: "ffff" })).status).toBe(404);
    expect((await post({ event: "1111" })).status).toBe(202);
    await until("gathered", () => node.list()[0]?.state === "waiting-for-review");
  }, 30_000);
});

test("a user's rules are read at the start, and what is wrong with them is said", async () => {
  const rules = join(folder, "redact.toml");
  const open = async (text: string): Promise<string> => {
    writeFileSync(rules, text);
    const opened = await openServiceData({
      ...{ folder: join(folder, "n7"), cluster: "c", node: "n", log, nowMs, redactFile: rules },
      ...{
        openBmc: () => Promise.resolve(null),
        agentFiles: () => ({}),
        agentDocuments: () => ({}),
      },
      ...{ targets: () => [], findEvent: () => null, hasReview: false },
    });
    return opened.ok ? "ok" : opened.error;
  };
  expect(await open('[[rule]]\nname = "x"\npattern = "y+"\n')).toBe("ok");
  expect(await open('[[rule]]\nname = "x"\npattern = "("\n')).toContain("rule x: its pattern");
  expect(await open("this is no TOML [")).toContain("is no TOML that can be read");
  rmSync(rules);
  expect(await open("").then(() => "ok")).toBe("ok");
});

/**
 * Goal: a manager relays to a destination that another organisation runs where its authority is named, believes its receipts, and
 * has nothing to do with it otherwise.
 * Method: a manager and a destination of two real authorities, over mutual TLS.
 */
import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TestDestination } from "../destination/harness/test-destination.ts";
import { type TestIdentities, testIdentities } from "../identity/harness/test-authority.ts";
import { parcelOf, testEvent } from "../manager/io/harness/signed-events.ts";
import { type TestManager, testManager, until } from "../manager/io/harness/test-manager.ts";
import { NO_PROXY_AT_ALL } from "../net/outgoing-proxy.ts";
import { removeFolder } from "../runtime/io/remove-folder.ts";
import { trustDestination } from "./destination-trust.ts";
import { managerCommand } from "./manager.ts";

setDefaultTimeout(30_000);

let folder: string;
let world: TestManager;
let vendor: TestDestination;
let vendorCa: string;

async function authorityFile(ids: TestIdentities, name: string): Promise<string> {
  const path = join(folder, name);
  const [pem] = (await ids.of("destination", "x")).tls()?.ca ?? [];
  writeFileSync(path, pem ?? "");
  return path;
}

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "holdfast-vendor-"));
  world = await testManager();
  const ids = await testIdentities("vendor");
  vendorCa = await authorityFile(ids, "vendor.pem");
  vendor = await TestDestination.start({
    identity: await ids.of("destination", "support"),
    takesLocal: false,
    trust: [await authorityFile(world.ids, "own.pem")],
  });
});

afterEach(async () => {
  await vendor.stop();
  await world.remove();
  await removeFolder(folder);
});

/** As `holdfast manager` opens it with `--destination-ca`. */
async function startManager(file: string | null): Promise<void> {
  await world.stop();
  const identity = await world.ids.of("manager", "m1");
  const to = trustDestination(file, identity, NO_PROXY_AT_ALL);
  await world.start({
    destination: vendor.url,
    caller: (_role, url, init) => to.fetch(url, init),
    receiptVerifier: to.verifier,
  });
}

async function give(): Promise<string> {
  const node = await world.agent("n1");
  const parcel = parcelOf(node.identity.signer, testEvent());
  const answer = await node.fetch("/v1/callhome/parcels", {
    method: "POST",
    body: JSON.stringify({ parcels: [parcel] }),
  });
  expect(answer.status).toBe(200);
  return parcel.id;
}

async function stateOf(id: string): Promise<string | undefined> {
  const states = await world.open.manager.store.states([id]);
  return states.ok ? states.value.get(id)?.state : undefined;
}

describe("a destination of another cluster", () => {
  test("gets what a manager relays, and its receipt is believed", async () => {
    await startManager(vendorCa);
    const id = await give();
    await until(async () => (await stateOf(id)) === "delivered", "the event is delivered");
    expect(vendor.tickets()).toHaveLength(1);
  });

  test("gets nothing where its authority is not named, and the event waits", async () => {
    await startManager(null);
    const id = await give();
    await until(
      () => world.said.some((line) => line.includes("certificate")),
      "the manager says why",
    );
    expect(await stateOf(id)).toBe("kept");
    expect(vendor.tickets()).toEqual([]);
  });
});

describe("the help of a manager", () => {
  test("knows the flag, and shows addresses as they are written", () => {
    const help = managerCommand().helpInformation().replace(/\s+/g, " ");
    expect(help).toContain("--destination-ca <file>");
    expect(help).toContain("(default: 127.0.0.1:7443)");
    expect(help).toContain("(default: 127.0.0.1:7480)");
    expect(help).not.toContain('{"address"');
  });
});

/**
 * What changes while processes run: certificates are renewed, somebody is revoked, keys and authorities take turns. Against a real
 * door; nobody is cut off who should not be, and nobody let in who should not be.
 */
import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, renameSync } from "node:fs";
import { join } from "node:path";
import type { Result } from "../../../core/result.ts";
import { serveTls } from "../../net/io/secure.ts";
import type { Problem } from "../../net/problem.ts";
import { testIdentities } from "../harness/test-authority.ts";
import { type TestDoor, testDoor, until } from "../harness/test-door.ts";
import type { Identity } from "../identity.ts";
import { BUNDLE_WAIT_S_MAX, RENEWAL_TYPE } from "../join-protocol.ts";
import { BUNDLE_TYPE } from "../trust.ts";
import { DAY_MS, timesFrom } from "./authority.ts";
import { beginRotation, endRotation, laggards, switchRotation } from "./authority-rotation.ts";
import { authoritiesOf, readBundle } from "./bundle.ts";
import { isIssuedBy, readLeaf } from "./certificates.ts";
import { makeKeys, requestsOf } from "./credentials.ts";
import { askForBundle, askMemberForBundle, askToRenew } from "./door-client.ts";
import { writeSettings } from "./identity-folder.ts";
import { beginIdentityService } from "./identity-service.ts";
import { initCluster } from "./init-cluster.ts";
import { type Keeper, renewIdentity, startKeeper } from "./keeper.ts";
import type { FolderIdentity } from "./open-identity.ts";

/** Certificates are made by the dozen, perhaps on a machine that is busy. */
setDefaultTimeout(60_000);

const TYPE = "text/plain";
let cluster: TestDoor;
let keepers: Keeper[] = [];

beforeEach(async () => {
  cluster = await testDoor();
});
afterEach(async () => {
  for (const keeper of keepers) await keeper.close();
  keepers = [];
  await cluster.close();
});

const said: string[] = [];
const log = { say: (_level: string, text: string) => said.push(text) };

function keep(identity: FolderIdentity, lookMs = 20, aheadMs = 0): void {
  const nowMs = (): number => Date.now() + aheadMs;
  keepers.push(startKeeper(identity, { log, nowMs, unit: () => 0, doors: [], lookMs }));
}

function kindOf(result: Result<unknown, Problem>): string {
  return result.ok ? "ok" : result.error.kind;
}

function believes(by: Identity, whom: Identity, atMs = Date.now()): boolean {
  const envelope = whom.signer.sign(TYPE, new Uint8Array(1));
  return by.verifier.verify(envelope, TYPE, atMs).ok;
}

function versionOf(identity: FolderIdentity): number {
  return identity.trust().statement.version;
}

describe("news", () => {
  test("of a revocation reach everybody before a held question ends, and count at once", async () => {
    const a = await cluster.member("n1");
    const b = await cluster.member("n2", { role: "manager" });
    const bad = await cluster.member("n3");
    keep(a);
    keep(b);
    expect([believes(a, bad), believes(b, bad)]).toEqual([true, true]);
    const startMs = performance.now();
    expect(await cluster.office.revoke("agent", "n3", "compromised")).toEqual({
      ok: true,
      value: 2,
    });
    await until(() => !believes(a, bad) && !believes(b, bad), "the revocation is known");
    expect(performance.now() - startMs).toBeLessThan((BUNDLE_WAIT_S_MAX * 1_000) / 2);
    expect(a.tls()?.crl).toHaveLength(1);
    expect([believes(a, b), believes(b, a)]).toEqual([true, true]);
    expect(said.join("\n")).toContain("2 more certificates are revoked");
  });

  test("call back who asked for it, until he asks no more", async () => {
    const a = await cluster.member("n1");
    let calls = 0;
    const forget = a.onChange(() => calls++);
    await cluster.office.rotateClusterKey();
    expect(a.adopt((await cluster.office.trust()).bundle)).toEqual({ ok: true, value: 2 });
    expect(calls).toBe(1);
    forget();
    await cluster.office.rotateClusterKey();
    expect(a.adopt((await cluster.office.trust()).bundle)).toEqual({ ok: true, value: 3 });
    expect(calls).toBe(1);
  });

  test("bring the cluster's key to agents, and to nobody else", async () => {
    const agent = await cluster.member("n1");
    const manager = await cluster.member("m1", { role: "manager" });
    keep(agent);
    keep(manager);
    const first = agent.clusterKeys()[0];
    await cluster.office.rotateClusterKey();
    await until(() => versionOf(agent) === 2 && versionOf(manager) === 2, "the bundle is known");
    expect(agent.clusterKeys().map(({ generation }) => generation)).toEqual([2, 1]);
    expect(agent.clusterKeys()[1]).toEqual(first);
    expect(manager.clusterKeys()).toEqual([]);
  });

  test("that somebody passes on without keys leave the old ones, until the door gives the new one", async () => {
    const agent = await cluster.member("n1");
    await cluster.office.rotateClusterKey();
    const { envelope } = (await cluster.office.trust()).bundle;
    expect(agent.adopt({ envelope, clusterKeys: [] })).toEqual({ ok: true, value: 2 });
    expect(agent.clusterKeys().map(({ generation }) => generation)).toEqual([1]);
    keep(agent);
    await until(() => agent.clusterKeys().length === 2, "the key has come");
  });

  test("come from another server of the cluster while no door answers", async () => {
    const node = await cluster.member("n1");
    const manager = await cluster.member("m1", { role: "manager" });
    await cluster.office.revoke("agent", "n1", "retired");
    expect(manager.adopt((await cluster.office.trust()).bundle)).toEqual({ ok: true, value: 2 });
    const service = await beginIdentityService(manager, { log, door: null, doors: [] });
    const stranger = await (await testIdentities("c2")).of("manager", "m1");
    const server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: service.routes.fetch,
      ...{ tls: serveTls(stranger) as Bun.TLSOptions },
    });
    const good = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: service.routes.fetch,
      // Of an older bundle, which lets the revoked one in: it is its own news that it is to hear.
      ...{ tls: { ...serveTls(manager), crl: node.tls()?.crl } as Bun.TLSOptions },
    });
    writeSettings(node.folder, { doors: ["127.0.0.1:1"] });
    const others = [server, good].map(
      ({ port }) => ({ address: `127.0.0.1:${port}`, role: "manager" }) as const,
    );
    const ask = async (nth: number): Promise<string> => {
      const [source] = others.slice(nth);
      if (source === undefined) throw new Error("no source");
      const answer = await askMemberForBundle(source, node, {
        after: 1,
        waitS: 0,
        nowMs: Date.now(),
      });
      return answer.ok ? "ok" : answer.error.kind;
    };
    expect(await ask(0)).not.toBe("ok");
    expect(await ask(1)).toBe("ok");
    const options = { log, nowMs: Date.now, unit: () => 0, doors: [], lookMs: 20 };
    keepers.push(startKeeper(node, { ...options, others: () => others.slice(1) }));
    await until(() => versionOf(node) === 2, "the news have come");
    await service.close();
    await Promise.all([server.stop(true), good.stop(true)]);
  });

  test("are not taken from who is no authority, of another cluster, changed, or old", async () => {
    const agent = await cluster.member("n1");
    const old = (await cluster.office.trust()).bundle;
    await cluster.office.revoke("agent", "n1", "retired");
    const fresh = (await cluster.office.trust()).bundle;
    const signed = agent.signer.sign(BUNDLE_TYPE, Buffer.from(fresh.envelope.payload, "base64"));
    const others = await (await testIdentities("c2")).trust();
    const namesakes = await (await testIdentities("c1")).trust();
    const payload = Buffer.from(fresh.envelope.payload, "base64").toString();
    const cut = JSON.stringify({ ...JSON.parse(payload), revoked: [] });
    const changed = { ...fresh.envelope, payload: Buffer.from(cut).toString("base64") };
    const bad: readonly unknown[] = [
      null,
      "x",
      { envelope: signed, clusterKeys: [] },
      others.bundle,
      namesakes.bundle,
      { ...fresh, envelope: changed },
      { ...fresh, envelope: { ...fresh.envelope, signatures: [] } },
      { ...fresh, clusterKeys: "x" },
    ];
    for (const bundle of bad) expect(agent.adopt(bundle).ok).toBe(false);
    expect(versionOf(agent)).toBe(1);
    expect(agent.adopt(fresh)).toEqual({ ok: true, value: 2 });
    expect(agent.adopt(old)).toEqual({ ok: true, value: 2 });
    expect(agent.trust().statement.revoked).toHaveLength(2);
  });

  test("with a key that the authority has not named leave it out", async () => {
    const agent = await cluster.member("n1");
    await cluster.office.rotateClusterKey();
    const { bundle } = await cluster.office.trust();
    const false2 = { generation: 2, key: Buffer.alloc(32).toString("base64") };
    const { clusterKeys } = bundle;
    const given = [false2, ...clusterKeys.filter(({ generation }) => generation === 1)];
    expect(agent.adopt({ ...bundle, clusterKeys: given }).ok).toBe(true);
    expect(agent.clusterKeys().map(({ generation }) => generation)).toEqual([1]);
  });

  test("are told by the door to who asks, and nothing where there are none", async () => {
    const agent = await cluster.member("n1");
    const manager = await cluster.member("m1", { role: "manager" });
    const question = { after: 0, waitS: 0, nowMs: Date.now() };
    const keysOf = async (identity: Identity): Promise<number> => {
      const answer = await askForBundle(cluster.address, identity, question);
      const trust = answer.ok ? readBundle(answer.value, null) : null;
      return trust?.ok === true ? trust.value.bundle.clusterKeys.length : -1;
    };
    expect(await keysOf(agent)).toBe(1);
    expect(await keysOf(manager)).toBe(0);
    const none = await askForBundle(cluster.address, agent, { ...question, after: 1 });
    expect(none).toEqual({ ok: true, value: null });
    await cluster.office.revoke("agent", "n1", "compromised");
    expect(await keysOf(agent)).toBe(0);
  });
});

describe("a renewal", () => {
  test("comes by itself when two thirds are over, with new keys, and the old ones go", async () => {
    const node = await cluster.member("n1");
    const before = node.tls();
    cluster.clock.aheadMs = 61 * DAY_MS;
    keep(node, 20, 61 * DAY_MS);
    await until(() => node.tls()?.cert !== before?.cert, "the certificate is renewed");
    const leaf = readLeaf(node.tls()?.cert ?? "");
    if (!leaf.ok) throw new Error(leaf.error);
    expect(leaf.value.notAfterMs - Date.now()).toBeGreaterThan(150 * DAY_MS);
    expect(node.tls()?.key).not.toBe(before?.key);
    const other = await cluster.member("n2");
    expect(believes(other, node, Date.now() + 61 * DAY_MS)).toBe(true);
  });

  test("is not made before its time", async () => {
    const node = await cluster.member("n1");
    const before = node.tls()?.cert;
    keep(node, 5);
    await cluster.office.rotateClusterKey();
    await until(() => versionOf(node) === 2, "the keeper is at work");
    expect(node.tls()?.cert).toBe(before);
  });

  test("is refused to who is revoked, whose certificate has ended, and whose clock is wrong", async () => {
    const node = await cluster.member("n1");
    const ask = (nowMs: number): Promise<Result<unknown, Problem>> =>
      askToRenew(cluster.address, node, requestsOf(node.principal, makeKeys()), nowMs);
    expect(kindOf(await ask(Date.now()))).toBe("ok");
    expect(kindOf(await ask(Date.now() - 10 * 60_000))).toBe("forbidden");
    cluster.clock.aheadMs = 91 * DAY_MS;
    const ended = await ask(Date.now() + 91 * DAY_MS);
    expect(ended.ok ? "" : ended.error.detail).toContain("join again");
    cluster.clock.aheadMs = 0;
    await cluster.office.revoke("agent", "n1", "retired");
    const revoked = await ask(Date.now() + 1);
    expect(revoked.ok ? "" : revoked.error.detail).toContain("revoked");
  });

  test("is only for one's own name, and only for what one signed as a renewal", async () => {
    const node = await cluster.member("n1");
    const other = { ...node.principal, name: "n2" };
    const asOther = await askToRenew(
      cluster.address,
      node,
      requestsOf(other, makeKeys()),
      Date.now(),
    );
    expect(asOther.ok ? "" : asOther.error.detail).toContain("agent n1 asks for agent n2");
    const asManager = { ...node.principal, role: "manager" } as const;
    const raised = await askToRenew(
      cluster.address,
      node,
      requestsOf(asManager, makeKeys()),
      Date.now(),
    );
    expect(kindOf(raised)).toBe("forbidden");
    const statement = {
      v: 1,
      askedMs: Date.now(),
      requests: requestsOf(node.principal, makeKeys()),
    };
    const text = new TextEncoder().encode(JSON.stringify(statement));
    const envelopes = [
      node.signer.sign("application/json", text),
      node.signer.sign(RENEWAL_TYPE, new TextEncoder().encode("{}")),
      (await (await testIdentities("c1")).of("agent", "n1")).signer.sign(RENEWAL_TYPE, text),
    ];
    for (const envelope of envelopes) {
      const response = await fetch(`https://${cluster.address}/v1/identity/renew`, {
        method: "POST",
        body: JSON.stringify({ envelope }),
        tls: { rejectUnauthorized: false },
      } as RequestInit);
      expect([400, 403]).toContain(response.status);
    }
  });

  test("that is answered with certificates that do not fit changes nothing", async () => {
    const node = await cluster.member("n1");
    const before = node.tls()?.cert;
    const keys = makeKeys();
    const answer = await askToRenew(
      cluster.address,
      node,
      requestsOf(node.principal, keys),
      Date.now(),
    );
    const pair = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      tls: { cert: before ?? "", key: node.tls()?.key ?? "" },
      fetch: () => Response.json(answer.ok ? answer.value : {}),
    });
    const renewed = await renewIdentity(node, [`127.0.0.1:${pair.port}`], Date.now());
    expect(renewed.ok).toBe(false);
    expect(node.tls()?.cert).toBe(before);
    await pair.stop(true);
  });

  test("that cannot be had is tried again, and is said when it presses", async () => {
    const node = await cluster.member("n1");
    const lines: string[] = [];
    const loud = { say: (level: string, text: string) => lines.push(`${level} ${text}`) };
    const aheadMs = 80 * DAY_MS;
    await cluster.close();
    const nowMs = (): number => Date.now() + aheadMs;
    keepers.push(startKeeper(node, { log: loud, nowMs, unit: () => 0, doors: [], lookMs: 10 }));
    await until(() => lines.some((line) => line.startsWith("fault")), "it is said");
    expect(lines.find((line) => line.startsWith("fault"))).toContain("cannot be renewed, they end");
    cluster = await testDoor();
  });

  test("works on the authority's own machine without a door", async () => {
    const home = cluster.folder("own");
    const made = await initCluster({
      cluster: "c9",
      identityFolder: home,
      nodeName: "n1",
      operatorFolder: cluster.folder("person"),
      operatorName: "person",
    });
    expect(made.ok).toBe(true);
    const node = cluster.open("own");
    const before = node.tls()?.cert;
    expect(await renewIdentity(node, [], Date.now())).toEqual({ ok: true, value: null });
    expect(node.tls()?.cert).not.toBe(before);
    const person = cluster.open("person");
    expect(kindOf(await renewIdentity(person, [], Date.now()))).toBe("unreachable");
  });
});

describe("a rotation of the authority", () => {
  test("cuts nobody off at any of its steps", async () => {
    const { office } = cluster;
    const a = await cluster.member("n1");
    const b = await cluster.member("m1", { role: "manager" });
    keep(a);
    keep(b);
    const old = office.current().pair.cert;
    const all = (): readonly boolean[] => [believes(a, b), believes(b, a)];
    const signedBefore = a.signer.sign(TYPE, new Uint8Array(1));

    expect((await endRotation(office, false)).ok).toBe(false);
    expect((await switchRotation(office)).ok).toBe(false);
    expect((await beginRotation(office)).ok).toBe(true);
    expect((await beginRotation(office)).ok).toBe(false);
    await until(() => versionOf(a) === 2 && versionOf(b) === 2, "both believe the new one");
    expect(a.tls()?.ca).toHaveLength(2);
    expect(a.tls()?.crl).toHaveLength(2);
    expect(all()).toEqual([true, true]);
    const late = await cluster.member("late");
    expect(believes(a, late)).toBe(true);

    expect((await switchRotation(office)).ok).toBe(true);
    const fresh = office.current().pair.cert;
    expect(fresh).not.toBe(old);
    const isOfFresh = (identity: Identity): boolean => {
      const [authority] = authoritiesOf((identity as FolderIdentity).trust());
      const leaf = readLeaf(identity.tls()?.cert ?? "");
      return authority !== undefined && leaf.ok && isIssuedBy(leaf.value.x509, authority);
    };
    const hasHeard = (identity: Identity): boolean => identity.tls()?.ca[0] === fresh;
    const isDone = (identity: Identity): boolean => hasHeard(identity) && isOfFresh(identity);
    await until(() => isDone(a) && isDone(b), "both have renewed");
    expect(all()).toEqual([true, true]);
    expect(b.verifier.verify(signedBefore, TYPE, Date.now()).ok).toBe(true);

    expect(laggards(office).map(({ name }) => name)).toEqual(["late"]);
    const tooEarly = await endRotation(office, false);
    expect(tooEarly.ok ? "" : tooEarly.error.detail).toContain("agent late");
    await renewIdentity(late, [cluster.address], Date.now());
    expect((await endRotation(office, false)).ok).toBe(true);
    await until(() => a.tls()?.ca.length === 1 && b.tls()?.ca.length === 1, "the old one is gone");
    expect(all()).toEqual([true, true]);
    expect(b.verifier.verify(signedBefore, TYPE, Date.now()).ok).toBe(false);
  });

  test("needs none of the old one's revocations, and can be followed by another one", async () => {
    const { office } = cluster;
    await cluster.member("bad");
    await office.revoke("agent", "bad", "compromised");
    expect((await office.trust()).revoked.size).toBe(2);
    for (let i = 0; i < 2; i++) {
      expect((await beginRotation(office)).ok).toBe(true);
      expect((await switchRotation(office)).ok).toBe(true);
      expect((await endRotation(office, true)).ok).toBe(true);
      expect((await office.trust()).revoked.size).toBe(0);
      expect((await office.trust()).statement.authorities).toHaveLength(1);
    }
    expect(office.store.authorities().map(({ state }) => state)).toEqual(["current", "gone"]);
    const token = cluster.token();
    const isIn = async (): Promise<boolean> => (await cluster.join("n9", token)).ok;
    await until(isIn, "the door shows the newest one");
  });

  test("lets who has not heard of the new one come to the door until its end", async () => {
    const { office } = cluster;
    const sleeper = await cluster.member("sleeper");
    await beginRotation(office);
    await switchRotation(office);
    expect([office.current().generation, office.doorAuthority().generation]).toEqual([2, 1]);
    const joined = await cluster.member("new");
    expect(joined.tls()?.ca).toHaveLength(2);
    expect(kindOf(await renewIdentity(sleeper, [cluster.address], Date.now()))).toBe("ok");
    expect([believes(sleeper, joined), believes(joined, sleeper)]).toEqual([true, true]);
  });

  test("reaches who slept through all but its end, by the old one's signature", async () => {
    const { office } = cluster;
    const sleeper = await cluster.member("sleeper");
    await beginRotation(office);
    await switchRotation(office);
    await endRotation(office, true);
    expect(sleeper.adopt((await office.trust()).bundle)).toEqual({ ok: true, value: 4 });
    expect(sleeper.tls()?.ca).toEqual([office.current().pair.cert]);
  });
});

describe("the service of a process", () => {
  test("opens the door where the authority is, passes news on, and ends with everything", async () => {
    const identityFolder = cluster.folder("server");
    const operatorFolder = cluster.folder("someone");
    const order = { cluster: "c7", identityFolder, nodeName: "n1", operatorFolder };
    expect((await initCluster({ ...order, operatorName: "someone" })).ok).toBe(true);
    const node = cluster.open("server");
    const door = { hostname: "127.0.0.1", port: 0 };
    const service = await beginIdentityService(node, { log, door, doors: [] });
    expect(service.doorPort).toBeGreaterThan(0);
    const asked = await service.routes.request("/v1/identity/bundle");
    expect(asked.status).toBe(200);
    const answer = (await asked.json()) as { clusterKeys: readonly unknown[] };
    expect(answer.clusterKeys).toEqual([]);
    expect((await service.routes.request("/v1/identity/bundle?after=1")).status).toBe(204);
    const push = { method: "POST", body: JSON.stringify(node.trust().bundle) };
    expect((await service.routes.request("/v1/identity/bundle", push)).status).toBe(200);
    const bad = { method: "POST", body: "{}" };
    expect((await service.routes.request("/v1/identity/bundle", bad)).status).toBe(403);
    await service.close();
    const address = `https://127.0.0.1:${service.doorPort}/`;
    const later = fetch(address, { tls: { rejectUnauthorized: false } } as RequestInit);
    expect(
      await later.then(
        () => "answered",
        () => "gone",
      ),
    ).toBe("gone");
  });

  test("finds the authority's folder gone and back again", async () => {
    const identityFolder = cluster.folder("carried");
    const operatorFolder = cluster.folder("carrier");
    const order = { cluster: "c8", identityFolder, nodeName: "n1", operatorFolder };
    expect((await initCluster({ ...order, operatorName: "carrier" })).ok).toBe(true);
    const node = cluster.open("carried");
    const away = cluster.folder("safe");
    renameSync(join(identityFolder, "authority"), away);
    expect(existsSync(join(identityFolder, "authority"))).toBe(false);
    expect(kindOf(await renewIdentity(node, [], Date.now()))).toBe("unreachable");
    renameSync(away, join(identityFolder, "authority"));
    expect(kindOf(await renewIdentity(node, [], Date.now()))).toBe("ok");
  });

  test("does nothing for an identity that has no folder", async () => {
    const identity = await (await testIdentities("c1")).of("agent", "n1", timesFrom(Date.now()));
    const service = await beginIdentityService(identity, { log, door: null, doors: [] });
    expect(service.doorPort).toBeNull();
    expect((await service.routes.request("/v1/identity/bundle")).status).toBe(404);
    await service.close();
  });
});

/**
 * An authority that several processes use at once, and that is killed between what it keeps and what it tells.
 */
import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { REVOCATIONS_MAX } from "../trust.ts";
import { admit } from "./admission.ts";
import { DAY_MS } from "./authority.ts";
import { type AuthorityOffice, createAuthority, openAuthorityOffice } from "./authority-office.ts";
import { readBundle } from "./bundle.ts";
import { makeKey, makeRequest, spkiOf } from "./keys.ts";

/** Certificates are made by the dozen, perhaps on a machine that is busy. */
setDefaultTimeout(60_000);

const root = mkdtempSync(join(tmpdir(), "holdfast-office-"));
const offices: AuthorityOffice[] = [];
afterAll(() => {
  for (const office of offices) office.close();
  rmSync(root, { recursive: true, force: true });
});

function open(folder: string, nowMs?: () => number): AuthorityOffice {
  const office = openAuthorityOffice(folder, nowMs);
  offices.push(office);
  return office;
}

let count = 0;
async function created(): Promise<string> {
  count++;
  const folder = join(root, `authority-${count}`);
  await createAuthority(folder, "c1", Date.now());
  return folder;
}

async function issue(office: AuthorityOffice, name: string): Promise<void> {
  const principal = { cluster: "c1", role: "agent", name } as const;
  const requests = {
    tls: makeRequest(principal, makeKey("tls")),
    sign: makeRequest(principal, makeKey("sign")),
  };
  const admitted = await admit(office, principal, requests);
  if (!admitted.ok) throw new Error(admitted.error.detail);
}

test("two processes that change it at once lose nothing of each other", async () => {
  const folder = await created();
  const [a, b] = [open(folder), open(folder)];
  const names = Array.from({ length: 12 }, (_, i) => `n${i}`);
  await Promise.all(names.map((name, i) => issue(i % 2 === 0 ? a : b, name)));
  await Promise.all(
    names.map((name, i) => (i % 2 === 0 ? b : a).revoke("agent", name, "compromised")),
  );
  for (const office of [a, b]) {
    const trust = await office.trust();
    expect(trust.revoked.size).toBe(24);
    expect(trust.statement.version).toBe(13);
  }
});

test("what a dead process had kept and not told is told by the next one", async () => {
  const folder = await created();
  const dying = open(folder);
  await issue(dying, "n1");
  await dying.trust();
  dying.store.transaction(() => {
    dying.store.revoke("agent", "n1", Date.now(), "compromised");
    dying.store.raiseRevision();
  });
  const next = open(folder);
  expect(next.store.about).toMatchObject({ revision: 2, bundleRevision: 1 });
  const trust = await next.trust();
  expect([trust.statement.version, trust.revoked.size]).toEqual([2, 2]);
});

test("an older bundle never replaces a newer one", async () => {
  const folder = await created();
  const office = open(folder);
  const first = (await office.trust()).bundle;
  await office.rotateClusterKey();
  office.store.keepBundle(JSON.stringify(first), 1);
  expect((await open(folder).trust()).statement.version).toBe(2);
});

test("keeps four keys for datagrams, the newest first", async () => {
  const office = open(await created());
  for (let i = 2; i <= 6; i++) expect(await office.rotateClusterKey()).toBe(i);
  const { bundle } = await office.trust();
  expect(bundle.clusterKeys.map(({ generation }) => generation)).toEqual([6, 5, 4, 3]);
  expect(new Set(bundle.clusterKeys.map(({ key }) => key)).size).toBe(4);
});

test("a full list of the revoked says so, and is as large as a bundle may be", async () => {
  const office = open(await created());
  const nowMs = Date.now();
  office.store.transaction(() => {
    for (let i = 0; i < REVOCATIONS_MAX; i++) {
      const serial = (0x40000000n * (1n << 96n) + BigInt(i)).toString(16).toUpperCase();
      const row = { serial, authority: 1, role: "agent", name: `n${i}`, purpose: "tls" } as const;
      office.store.addIssued({ ...row, issuedMs: nowMs, notAfterMs: nowMs + DAY_MS });
      office.store.revoke("agent", `n${i}`, nowMs, "compromised");
    }
    office.store.raiseRevision();
  });
  const { bundle } = await office.trust();
  const trust = readBundle(JSON.parse(JSON.stringify(bundle)), null);
  expect(trust.ok && trust.value.revoked.size).toBe(REVOCATIONS_MAX);
  await issue(office, "one-more");
  const refused = await office.revoke("agent", "one-more", "compromised");
  expect(refused.ok ? "" : refused.error.detail).toContain("rotate");
});

test("certificates that ended long ago are forgotten, those that are revoked and hold are not", async () => {
  let aheadMs = 0;
  const office = open(await created(), () => Date.now() + aheadMs);
  await issue(office, "old");
  await office.revoke("agent", "old", "compromised");
  aheadMs = 100 * DAY_MS;
  await issue(office, "new");
  await office.revoke("agent", "new", "retired");
  expect((await office.trust()).revoked.size).toBe(4);
  aheadMs = 130 * DAY_MS;
  await issue(office, "newest");
  await office.revoke("agent", "newest", "retired");
  expect((await office.trust()).revoked.size).toBe(4);
  expect(office.store.issuedTo("agent", "old")).toEqual([]);
});

test("a public key in a request is the one in the certificate", async () => {
  const office = open(await created());
  const principal = { cluster: "c1", role: "hook", name: "h1" } as const;
  const key = makeKey("sign");
  const requests = {
    tls: makeRequest(principal, makeKey("tls")),
    sign: makeRequest(principal, key),
  };
  const admitted = await admit(office, principal, requests);
  if (!admitted.ok) throw new Error(admitted.error.detail);
  const certificate = new X509Certificate(admitted.value.sign);
  expect(spkiOf(certificate.publicKey).equals(spkiOf(key))).toBe(true);
});

/**
 * A second opinion on certificates, requests and lists: OpenSSL reads them, checks them by its own rules, and dials a server of ours;
 * and Bun's own TLS, on both sides, refuses whoever is revoked or of another cluster, and nobody else.
 */
import { afterAll, expect, test } from "bun:test";
import { sign } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { testIdentities } from "../../agent/identity/harness/test-authority.ts";
import { type TestDoor, testDoor } from "../../agent/identity/harness/test-door.ts";
import type { Identity } from "../../agent/identity/identity.ts";
import { serverNameOf } from "../../agent/identity/identity.ts";
import {
  DOOR_NAME,
  issueLeaf,
  newAuthority,
  timesFrom,
} from "../../agent/identity/io/authority.ts";
import { beginRotation, switchRotation } from "../../agent/identity/io/authority-rotation.ts";
import { pemOf } from "../../agent/identity/io/certificates.ts";
import { renewIdentity } from "../../agent/identity/io/keeper.ts";
import {
  keyPem,
  makeKey,
  makeRequest,
  makeSelfSigned,
  makeSerial,
  spkiOf,
} from "../../agent/identity/io/keys.ts";
import { makeAuthority, makeRevocationList } from "../../agent/identity/io/x509.ts";
import { hasCommand, realPart } from "../real-part.ts";

const openssl = realPart("openssl", () => hasCommand("openssl"), "apt-get install openssl");
const root = mkdtempSync(join(tmpdir(), "holdfast-openssl-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

interface Said {
  readonly code: number;
  readonly text: string;
}

function ask(args: readonly string[], input = ""): Said {
  const ran = Bun.spawnSync(["openssl", ...args], { stdin: Buffer.from(input), timeout: 20_000 });
  return { code: ran.exitCode ?? -1, text: `${ran.stdout}${ran.stderr}` };
}

/** While this very process is the one that is dialled. */
async function dialBy(args: readonly string[]): Promise<string> {
  const child = Bun.spawn(["openssl", "s_client", ...args], {
    stdin: Buffer.from("Q\n"),
    stdout: "pipe",
    stderr: "pipe",
    timeout: 20_000,
  });
  const texts = [new Response(child.stdout).text(), new Response(child.stderr).text()];
  const [out = "", error = ""] = await Promise.all(texts);
  await child.exited;
  return out + error;
}

function file(name: string, text: string): string {
  const path = join(root, name);
  writeFileSync(path, text);
  return path;
}

/** Of the folder of a member, by OpenSSL's rules, with revocation looked at. */
function verified(folder: string, pem: string, how: readonly string[]): Said {
  const trust = ["-CAfile", join(folder, "ca.pem"), "-CRLfile", join(folder, "crl.pem")];
  return ask(["verify", "-x509_strict", "-crl_check_all", ...trust, ...how, join(folder, pem)]);
}

openssl("reads a node's certificates as what they are", async () => {
  const cluster = await testDoor("rack1");
  await cluster.member("n1");
  const folder = cluster.folder("n1");
  const shown = ask(["x509", "-in", join(folder, "tls.pem"), "-noout", "-text"]);
  for (const part of [
    "Subject: O = rack1, OU = agent, CN = n1",
    "Issuer: O = rack1, OU = authority, CN = authority 1",
    "NIST CURVE: P-256",
    "CA:FALSE",
    "TLS Web Server Authentication, TLS Web Client Authentication",
    "URI:spiffe://rack1/agent/n1, DNS:agent.holdfast.internal",
  ]) {
    expect(shown.text).toContain(part);
  }
  const sign = ask(["x509", "-in", join(folder, "sign.pem"), "-noout", "-text"]);
  expect(sign.text).toContain("Public Key Algorithm: ED25519");
  expect(sign.text).toContain("URI:spiffe://rack1/agent/n1");
  const authority = ask(["x509", "-in", join(folder, "ca.pem"), "-noout", "-text"]);
  expect(authority.text).toMatch(/Basic Constraints: critical\s+CA:TRUE, pathlen:0/);
  expect(authority.text).toMatch(/Permitted:\s+URI:rack1\s+DNS:holdfast.internal/);
  await cluster.close();
});

openssl("finds the chain good for TLS, and the other certificate good for no TLS", async () => {
  const cluster = await testDoor("rack1");
  await cluster.member("n1");
  const folder = cluster.folder("n1");
  const host = ["-verify_hostname", "agent.holdfast.internal"];
  for (const purpose of ["sslserver", "sslclient"]) {
    expect(verified(folder, "tls.pem", ["-purpose", purpose, ...host])).toMatchObject({ code: 0 });
    expect(verified(folder, "sign.pem", ["-purpose", purpose]).code).not.toBe(0);
  }
  expect(verified(folder, "sign.pem", [])).toMatchObject({ code: 0 });
  const other = verified(folder, "tls.pem", ["-verify_hostname", "manager.holdfast.internal"]);
  expect(other.text).toContain("hostname mismatch");
  await cluster.close();
});

openssl("reads the list, and refuses who is on it by it", async () => {
  const cluster = await testDoor("rack1");
  await cluster.member("n1");
  const bad = await cluster.member("n2");
  await cluster.office.revoke("agent", "n2", "compromised");
  const { bundle } = await cluster.office.trust();
  expect(bad.adopt(bundle).ok).toBe(true);
  const folder = cluster.folder("n2");
  const list = ask([
    "crl",
    "-in",
    join(folder, "crl.pem"),
    "-noout",
    "-text",
    "-CAfile",
    join(folder, "ca.pem"),
  ]);
  expect(list.text).toContain("verify OK");
  expect(list.text).toMatch(/CRL Number:\s+2/);
  expect(list.text.match(/Serial Number: /g)).toHaveLength(2);
  expect(list.text).toContain("Key Compromise");
  expect(verified(folder, "tls.pem", []).text).toContain("certificate revoked");
  expect(verified(folder, "sign.pem", []).text).toContain("certificate revoked");
  const good = cluster.folder("n1");
  const crl = ["-CAfile", join(folder, "ca.pem"), "-CRLfile", join(folder, "crl.pem")];
  expect(ask(["verify", "-crl_check_all", ...crl, join(good, "tls.pem")])).toMatchObject({
    code: 0,
  });
  await cluster.close();
});

openssl("reads a list of 2,000 to its last entry", async () => {
  const authority = await newAuthority("rack1", 1, Date.now());
  const serials = Array.from({ length: 2_000 }, makeSerial);
  const list = await makeRevocationList(authority, {
    number: 300,
    revoked: serials.map((serial) => ({ serial, atMs: Date.now(), reason: "retired" })),
    thisUpdateMs: Date.now() - 60_000,
    nextUpdateMs: Date.now() + 86_400_000,
  });
  const paths = ["-in", file("long.crl", list), "-CAfile", file("long-ca.pem", authority.cert)];
  const shown = ask(["crl", ...paths, "-noout", "-text"]);
  expect(shown.text).toContain("verify OK");
  expect(shown.text).toMatch(/CRL Number:\s+300/);
  const read = [...shown.text.matchAll(/Serial Number: ([0-9A-F]+)/g)].map(([, serial]) => serial);
  expect(read).toEqual(serials);
});

openssl("refuses what an authority's key signs outside of its cluster's names", async () => {
  const authority = await makeAuthority({
    cluster: "rack1",
    generation: 1,
    ...timesFrom(Date.now()),
  });
  const ca = file("nc-ca.pem", authority.cert);
  const check = async (cluster: string): Promise<string> => {
    const principal = { cluster, role: "agent", name: "n1" } as const;
    const order = { principal, purpose: "tls", spki: spkiOf(makeKey("tls")) } as const;
    const { cert } = await issueLeaf(authority, { ...order, times: timesFrom(Date.now()) });
    return ask(["verify", "-CAfile", ca, file(`nc-${cluster}.pem`, cert)]).text;
  };
  expect(await check("rack1")).toContain(": OK");
  expect(await check("rack2")).toContain("permitted subtree violation");
});

openssl("reads our requests and finds them signed by their keys", () => {
  const principal = { cluster: "rack1", role: "agent", name: "n1" } as const;
  for (const purpose of ["tls", "sign"] as const) {
    const request = file(`${purpose}.csr`, makeRequest(principal, makeKey(purpose)));
    const shown = ask(["req", "-in", request, "-noout", "-text", "-verify"]);
    expect(shown.text).toContain("verify OK");
    expect(shown.text).toContain("Subject: O = rack1, OU = agent, CN = n1");
    expect(shown.text).toContain("URI:spiffe://rack1/agent/n1");
  }
});

openssl("reads the certificate of who has no authority, also after 2049", () => {
  const principal = { cluster: "local", role: "agent", name: "n1" } as const;
  for (const [days, year] of [
    [30, String(new Date(Date.now() + 30 * 86_400_000).getUTCFullYear())],
    [40 * 365, String(new Date(Date.now() + 40 * 365 * 86_400_000).getUTCFullYear())],
  ] as const) {
    const key = makeKey("sign");
    const pem = pemOf("CERTIFICATE", makeSelfSigned(principal, key, Date.now(), days));
    const path = file(`local-${days}.pem`, pem);
    const shown = ask(["x509", "-in", path, "-noout", "-text"]);
    expect(shown.text).toContain("URI:spiffe://local/agent/n1");
    expect(shown.text).toContain(`${year} GMT`);
    expect(ask(["verify", "-CAfile", path, "-check_ss_sig", path]).text).toContain(": OK");
  }
});

openssl("finds the same signature good that we made", () => {
  const key = makeKey("sign");
  const message = file("message", "hello");
  const path = file("sign.key", keyPem(key));
  const made = ask([
    "pkeyutl",
    "-sign",
    "-rawin",
    "-inkey",
    path,
    "-in",
    message,
    "-out",
    join(root, "sig"),
  ]);
  expect(made.code).toBe(0);

  expect(readFileSync(join(root, "sig")).equals(sign(null, Buffer.from("hello"), key))).toBe(true);
});

openssl("dials the door and finds its name and chain good", async () => {
  const cluster = await testDoor("rack1");
  await cluster.member("n1");
  const ca = join(cluster.folder("n1"), "ca.pem");
  const to = ["-connect", cluster.address, "-CAfile", ca, "-verify_return_error", "-brief"];
  const named = (name: string): Promise<string> =>
    dialBy([...to, "-servername", name, "-verify_hostname", name]);
  const right = await named(DOOR_NAME);
  expect(right).toContain("Verification: OK");
  expect(right).toContain("TLSv1.3");
  expect(await named("agent.holdfast.internal")).toContain("hostname mismatch");
  await cluster.close();
});

/** A server as agents, managers and destinations are. */
function serve(identity: Identity): { readonly port: number; stop(): Promise<void> } {
  const { cert, key, ca, crl } = identity.tls() ?? { cert: "", key: "", ca: [], crl: [] };
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    tls: {
      cert,
      key,
      ca: [...ca],
      crl: [...crl],
      requestCert: true,
      rejectUnauthorized: true,
    } as Bun.TLSOptions,
    fetch: () => new Response("welcome"),
  });
  return { port: server.port ?? 0, stop: () => server.stop(true) };
}

async function dial(port: number, identity: Identity | null, serverName: string): Promise<string> {
  const tls = identity?.tls();
  const own = tls === null || tls === undefined ? {} : { cert: tls.cert, key: tls.key };
  const ca = [...(tls?.ca ?? [])];
  const how = { ...own, ca, serverName, rejectUnauthorized: identity !== null };
  const init = { tls: how, signal: AbortSignal.timeout(5_000), keepalive: false };
  return await fetch(`https://127.0.0.1:${port}/`, init as RequestInit).then(
    (response) => response.text(),
    (cause: Error & { code?: string }) => cause.code ?? cause.name,
  );
}

const AGENT = serverNameOf("agent");

test("a server of ours lets in whom it believes, and refuses who is revoked, a stranger, or nobody", async () => {
  const ids = await testIdentities("c1");
  const node = await ids.of("agent", "n1");
  const good = await ids.of("manager", "m1");
  const bad = await ids.of("agent", "n2");
  const ended = await ids.of("agent", "n3", timesFrom(Date.now() - 200 * 86_400_000));
  const namesake = await (await testIdentities("c1")).of("agent", "n1");
  const before = serve(node);
  expect(await dial(before.port, good, AGENT)).toBe("welcome");
  expect(await dial(before.port, bad, AGENT)).toBe("welcome");
  expect(await dial(before.port, good, serverNameOf("manager"))).toContain("ALTNAME");
  await before.stop();
  await ids.revoke("agent", "n2");
  const after = serve(node);
  expect(await dial(after.port, good, AGENT)).toBe("welcome");
  expect(await dial(after.port, bad, AGENT)).not.toBe("welcome");
  expect(await dial(after.port, ended, AGENT)).not.toBe("welcome");
  expect(await dial(after.port, namesake, AGENT)).not.toBe("welcome");
  expect(await dial(after.port, null, AGENT)).not.toBe("welcome");
  await after.stop();
});

test("with two authorities and their two lists, members of both are let in, and the revoked of either is not", async () => {
  const cluster: TestDoor = await testDoor("c1");
  const { office } = cluster;
  const server = await cluster.member("n1");
  const old = await cluster.member("old");
  await cluster.member("old-bad");
  await beginRotation(office);
  await switchRotation(office);
  await cluster.member("new");
  await cluster.member("new-bad");
  await office.revoke("agent", "old-bad", "compromised");
  await office.revoke("agent", "new-bad", "compromised");
  const { bundle } = await office.trust();
  for (const identity of [server, old]) expect(identity.adopt(bundle).ok).toBe(true);
  expect(server.tls()?.crl).toHaveLength(2);
  for (const by of ["old", "new"]) {
    const listening = serve(server);
    expect(await dial(listening.port, old, AGENT)).toBe("welcome");
    expect(await dial(listening.port, cluster.open("new"), AGENT)).toBe("welcome");
    for (const name of ["old-bad", "new-bad"]) {
      const bad = cluster.open(name);
      expect(bad.adopt(bundle).ok).toBe(true);
      expect([by, await dial(listening.port, bad, AGENT)]).not.toEqual([by, "welcome"]);
    }
    await listening.stop();
    expect((await renewIdentity(server, [cluster.address], Date.now())).ok).toBe(true);
  }
  await cluster.close();
});

/**
 * Signatures by real certificates: what is believed, and every way in which something is not.
 */
import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { createPrivateKey, sign } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import type { Result } from "../../../core/result.ts";
import { pae } from "../dsse.ts";
import { testIdentities } from "../harness/test-authority.ts";
import type { Envelope, Identity, Verified, VerifyError } from "../identity.ts";
import { DAY_MS, issueLeaf, timesFrom } from "./authority.ts";
import { readLeaf } from "./certificates.ts";
import { keyPem, makeKey, makeSelfSigned, spkiOf } from "./keys.ts";
import { openIdentity, openLocalIdentity } from "./open-identity.ts";
import { openSigner } from "./signer.ts";
import { openLocalVerifier } from "./verifier.ts";

/** Certificates are made by the dozen, perhaps on a machine that is busy. */
setDefaultTimeout(60_000);

const TYPE = "application/vnd.holdfast.test+json";
const text = new TextEncoder();
const root = mkdtempSync(join(tmpdir(), "holdfast-verifier-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const ids = await testIdentities("c1");
const node = await ids.of("agent", "n1");
const other = await ids.of("agent", "n2");
const manager = await ids.of("manager", "m1");
const envelope = node.signer.sign(TYPE, text.encode("hello"));

function verdict(result: Result<Verified, VerifyError>): string {
  return result.ok
    ? `${result.value.principal.role} ${result.value.principal.name}`
    : result.error.kind;
}

function judge(by: Identity, what: Envelope, atMs: number = Date.now()): string {
  return verdict(by.verifier.verify(what, TYPE, atMs));
}

function resigned(change: Readonly<Record<string, unknown>>): Envelope {
  const [only] = envelope.signatures;
  return { ...envelope, signatures: [{ ...only, ...change }] } as Envelope;
}

describe("what a node signs", () => {
  test("is believed by another one of its cluster, with its name and its bytes", () => {
    expect(manager.verifier.verify(envelope, TYPE, Date.now())).toEqual({
      ok: true,
      value: {
        principal: { cluster: "c1", role: "agent", name: "n1" },
        payload: text.encode("hello"),
      },
    });
  });

  test("is still believed after it went through JSON, as often as one likes", () => {
    const relayed = JSON.parse(JSON.stringify(envelope)) as Envelope;
    for (let i = 0; i < 3; i++) expect(judge(manager, relayed)).toBe("agent n1");
  });

  test("is not believed of another type, though the type in it is changed", () => {
    expect(verdict(manager.verifier.verify(envelope, "text/plain", Date.now()))).toBe("wrong-type");
    expect(judge(manager, { ...node.signer.sign("text/plain", text.encode("x")) })).toBe(
      "wrong-type",
    );
    const relabelled = { ...node.signer.sign("text/plain", text.encode("x")), payloadType: TYPE };
    expect(judge(manager, relabelled)).toBe("bad-signature");
  });

  test("is not believed with another payload, or with any bit of it turned", () => {
    const swapped = { ...envelope, payload: Buffer.from("hullo").toString("base64") };
    expect(judge(manager, swapped)).toBe("bad-signature");
    fc.assert(
      fc.property(fc.nat(4), fc.nat(7), (at, bit) => {
        const bytes = Buffer.from("hello");
        bytes.writeUInt8((bytes[at] ?? 0) ^ (1 << bit), at);
        expect(judge(manager, { ...envelope, payload: bytes.toString("base64") })).toBe(
          "bad-signature",
        );
      }),
    );
  });

  test("is not believed with a signature or certificate of somebody else", () => {
    const [theirs] = other.signer.sign(TYPE, text.encode("hello")).signatures;
    expect(judge(manager, resigned({ sig: theirs?.sig }))).toBe("bad-signature");
    expect(judge(manager, resigned({ cert: theirs?.cert, keyid: theirs?.keyid }))).toBe(
      "bad-signature",
    );
    expect(judge(manager, resigned({ cert: theirs?.cert }))).toBe("malformed");
    expect(judge(manager, resigned({ keyid: "0".repeat(64) }))).toBe("malformed");
    expect(judge(manager, resigned({ sig: Buffer.alloc(64).toString("base64") }))).toBe(
      "bad-signature",
    );
  });

  test("is not believed with a certificate in which any byte is changed", () => {
    const [only] = envelope.signatures;
    const der = Buffer.from(only?.cert ?? "", "base64");
    fc.assert(
      fc.property(fc.nat(der.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const changed = Buffer.from(der);
        changed.writeUInt8((changed[at] ?? 0) ^ flip, at);
        const result = judge(manager, resigned({ cert: changed.toString("base64") }));
        expect(["malformed", "unknown-authority", "wrong-cluster"]).toContain(result);
      }),
      { numRuns: 300 },
    );
  });

  test("is believed if one of several signatures is good, and the first one's fault is told if none is", () => {
    const [good] = envelope.signatures;
    const [theirs] = other.signer.sign("text/plain", text.encode("x")).signatures;
    if (good === undefined || theirs === undefined) throw new Error("no signature");
    expect(judge(manager, { ...envelope, signatures: [theirs, good] })).toBe("agent n1");
    expect(judge(manager, { ...envelope, signatures: [theirs, theirs] })).toBe("bad-signature");
  });
});

describe("a certificate", () => {
  test("of another cluster is refused, and so is one of a namesake's cluster", async () => {
    const stranger = await (await testIdentities("c2")).of("agent", "n1");
    expect(judge(manager, stranger.signer.sign(TYPE, text.encode("x")))).toBe("wrong-cluster");
    const namesake = await (await testIdentities("c1")).of("agent", "n1");
    expect(judge(manager, namesake.signer.sign(TYPE, text.encode("x")))).toBe("unknown-authority");
  });

  test("counts when it was signed: what it signed before it ended stays, later it signs nothing", async () => {
    const fromMs = Date.now() - 10 * DAY_MS;
    const short = await ids.of("agent", "short", {
      notBeforeMs: fromMs,
      notAfterMs: fromMs + DAY_MS,
    });
    const signed = short.signer.sign(TYPE, text.encode("x"));
    expect(judge(manager, signed, fromMs + DAY_MS / 2)).toBe("agent short");
    expect(judge(manager, signed, fromMs - 1_000)).toBe("not-yet-valid");
    expect(judge(manager, signed, fromMs + DAY_MS + 1_000)).toBe("expired");
    expect(judge(manager, signed)).toBe("expired");
    expect(judge(manager, signed, Number.NaN)).toBe("not-yet-valid");
  });

  test("that is revoked as compromised signs nothing, whenever it says that was", async () => {
    const bad = await ids.of("agent", "bad");
    const signed = bad.signer.sign(TYPE, text.encode("x"));
    expect(judge(manager, signed)).toBe("agent bad");
    await ids.revoke("agent", "bad");
    expect(judge(manager, signed)).toBe("revoked");
    expect(judge(manager, signed, Date.now() - 1_000)).toBe("revoked");
    expect(judge(manager, envelope)).toBe("agent n1");
  });

  test("that is retired keeps what it signed before", async () => {
    const old = await ids.of("agent", "old");
    const signed = old.signer.sign(TYPE, text.encode("x"));
    const retiredMs = Date.now();
    await ids.revoke("agent", "old", "retired", retiredMs);
    expect(judge(manager, signed, retiredMs - 1)).toBe("agent old");
    expect(judge(manager, signed, retiredMs)).toBe("revoked");
  });

  test("for TLS, of the authority itself, or garbage is none for signatures", async () => {
    const principal = { cluster: "c1", role: "agent", name: "n1" } as const;
    const key = makeKey("tls");
    const order = {
      principal,
      purpose: "tls",
      spki: spkiOf(key),
      times: timesFrom(Date.now()),
    } as const;
    const { cert } = await issueLeaf(ids.authority, order);
    const leaf = readLeaf(cert);
    if (!leaf.ok) throw new Error(leaf.error);
    const payload = text.encode("x");
    const sig = sign("sha256", pae(TYPE, payload), { key, dsaEncoding: "ieee-p1363" });
    const how = { sig: sig.toString("base64"), cert: leaf.value.x509.raw.toString("base64") };
    expect(judge(manager, resigned(how))).toBe("malformed");
    const authority = Buffer.from(ids.authority.cert.replace(/-----.*-----|\s/g, ""), "base64");
    expect(judge(manager, resigned({ cert: authority.toString("base64") }))).toBe("malformed");
    expect(judge(manager, resigned({ cert: Buffer.from("garbage").toString("base64") }))).toBe(
      "malformed",
    );
  });

  test("is not believed because it is signed by a certificate that is", async () => {
    const key = makeKey("sign");
    const principal = { cluster: "c1", role: "manager", name: "m2" } as const;
    const pair = { key: keyPem(makeKey("tls")), cert: node.tls()?.cert ?? "" };
    const times = timesFrom(Date.now());
    const order = { principal, purpose: "sign", spki: spkiOf(key), times } as const;
    const { cert } = await issueLeaf(pair, order);
    const leaf = readLeaf(cert);
    if (!leaf.ok) throw new Error(leaf.error);
    const forged = openSigner(principal, key, leaf.value.x509.raw).sign(TYPE, text.encode("x"));
    expect(judge(manager, forged)).toBe("unknown-authority");
  });

  test("is remembered, as many as may be, and the oldest is forgotten first", () => {
    const key = makeKey("sign");
    const principal = { cluster: "local", role: "agent", name: "n1" } as const;
    const verifier = openLocalVerifier(3);
    for (let i = 1; i <= 8; i++) {
      const cert = makeSelfSigned(principal, key, Date.now(), 1);
      const signed = openSigner(principal, key, cert).sign(TYPE, text.encode("x"));
      for (let again = 0; again < 2; again++) {
        expect(verdict(verifier.verify(signed, TYPE, Date.now()))).toBe("agent n1");
      }
      expect(verifier.certificateCount).toBe(Math.min(i, 3));
    }
    const nonsense = resigned({ cert: Buffer.from("x").toString("base64") });
    expect(verdict(verifier.verify(nonsense, TYPE, Date.now()))).toBe("malformed");
    expect(verifier.certificateCount).toBe(3);
  });
});

describe("the cluster local", () => {
  test("takes a name on trust, and finds what was changed", () => {
    const a = openLocalIdentity(join(root, "a"), "agent", "n1");
    const b = openLocalIdentity(join(root, "b"), "manager", "m1");
    const signed = a.signer.sign(TYPE, text.encode("hello"));
    expect(judge(b, signed)).toBe("agent n1");
    expect(judge(b, { ...signed, payload: "aGVsbHU=" })).toBe("bad-signature");
    expect(a.tls()).toBeNull();
    expect(a.clusterKeys()).toEqual([]);
  });

  test("keeps its key from one start to the next, and makes another for another name", () => {
    const folder = join(root, "kept");
    const keyid = (identity: Identity): string | undefined =>
      identity.signer.sign(TYPE, text.encode("x")).signatures[0]?.keyid;
    const first = keyid(openLocalIdentity(folder, "agent", "n1"));
    expect(keyid(openLocalIdentity(folder, "agent", "n1"))).toBe(first);
    expect(keyid(openLocalIdentity(folder, "agent", "n2"))).not.toBe(first);
  });

  test("and a cluster with an authority believe nothing of each other", () => {
    const local = openLocalIdentity(join(root, "c"), "agent", "n1");
    expect(judge(manager, local.signer.sign(TYPE, text.encode("x")))).toBe("wrong-cluster");
    expect(judge(local, envelope)).toBe("wrong-cluster");
  });

  test("refuses a certificate that its own key has not signed", () => {
    const local = openLocalIdentity(join(root, "d"), "agent", "n1");
    const principal = { cluster: "local", role: "agent", name: "n1" } as const;
    const mine = makeKey("sign");
    const cert = Buffer.from(makeSelfSigned(principal, mine, Date.now(), 1));
    cert.writeUInt8((cert.at(-1) ?? 0) ^ 1, cert.length - 1);
    const forged = openSigner(principal, createPrivateKey(keyPem(mine)), cert);
    expect(judge(local, forged.sign(TYPE, text.encode("x")))).toBe("unknown-authority");
  });
});

test("a folder without an identity says how to make one", () => {
  const opened = openIdentity(join(root, "nothing"));
  expect(opened.ok ? "" : opened.error).toContain("holdfast init");
});

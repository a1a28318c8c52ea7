/**
 * Whole identities in memory, for tests of whoever takes one: real certificates of a real authority, nothing on disk.
 *
 *   const ids = await testIdentities("c1");
 *   const node = await ids.of("agent", "n1");
 *   await ids.revoke("agent", "n1");            // every identity of `ids` has heard of it when this is done
 *   await ids.rotateClusterKey();
 */
import { randomBytes } from "node:crypto";
import type { Identity, PrincipalRole } from "../identity.ts";
import { issueLeaf, type LeafTimes, makeBundle, newAuthority, timesFrom } from "../io/authority.ts";
import { readBundle } from "../io/bundle.ts";
import { readLeaf } from "../io/certificates.ts";
import { HeldIdentity, type IdentityParts } from "../io/held-identity.ts";
import { keyPem, makeKey, spkiOf } from "../io/keys.ts";
import type { AuthorityPair } from "../io/x509.ts";
import type { Revocation, RevocationReason, SecretKey, Trust } from "../trust.ts";

interface Made {
  readonly identity: HeldIdentity;
  readonly parts: IdentityParts;
  readonly serials: readonly string[];
}

function newKey(generation: number): SecretKey {
  return { generation, key: randomBytes(32).toString("base64") };
}

export class TestIdentities {
  readonly cluster: string;
  readonly authority: AuthorityPair;
  readonly #made: Made[] = [];
  readonly #revoked: Revocation[] = [];
  #keys: readonly SecretKey[] = [newKey(1)];
  #version = 0;
  #trust: Trust | null = null;

  constructor(cluster: string, authority: AuthorityPair) {
    this.cluster = cluster;
    this.authority = authority;
  }

  /** Times other than from an hour ago for 90 days may be given. */
  async of(
    role: PrincipalRole,
    name: string,
    times: LeafTimes = timesFrom(Date.now()),
  ): Promise<Identity> {
    const principal = { cluster: this.cluster, role, name };
    const signKey = makeKey("sign");
    const tlsKey = makeKey("tls");
    const order = { principal, times };
    const sign = await issueLeaf(this.authority, {
      ...order,
      purpose: "sign",
      spki: spkiOf(signKey),
    });
    const tls = await issueLeaf(this.authority, { ...order, purpose: "tls", spki: spkiOf(tlsKey) });
    const leaf = readLeaf(sign.cert);
    if (!leaf.ok) throw new Error(leaf.error);
    const parts: IdentityParts = {
      principal,
      signKey,
      signCert: leaf.value.x509.raw,
      tls: { cert: tls.cert, key: keyPem(tlsKey) },
      trusts: [await this.trust()],
    };
    const identity = new HeldIdentity(parts);
    this.#made.push({ identity, parts, serials: [sign.serial, tls.serial] });
    return identity;
  }

  async revoke(
    role: PrincipalRole,
    name: string,
    reason: RevocationReason = "compromised",
    atMs: number = Date.now(),
  ): Promise<void> {
    for (const { parts, serials } of this.#made) {
      if (parts.principal.role !== role || parts.principal.name !== name) continue;
      this.#revoked.push(...serials.map((serial) => ({ serial, atMs, reason })));
    }
    await this.#tell();
  }

  /** The old one is still taken. */
  async rotateClusterKey(): Promise<void> {
    this.#keys = [newKey((this.#keys[0]?.generation ?? 0) + 1), ...this.#keys].slice(0, 2);
    await this.#tell();
  }

  async trust(): Promise<Trust> {
    this.#trust ??= await this.#makeTrust();
    return this.#trust;
  }

  async #makeTrust(): Promise<Trust> {
    this.#version++;
    const bundle = await makeBundle(
      {
        cluster: this.cluster,
        version: this.#version,
        authorities: [this.authority],
        alsoSigning: [],
        revoked: this.#revoked,
        clusterKeys: this.#keys,
      },
      Date.now(),
    );
    const trust = readBundle(bundle, null);
    if (!trust.ok) throw new Error(trust.error);
    return trust.value;
  }

  async #tell(): Promise<void> {
    this.#trust = null;
    const trust = await this.trust();
    for (const { identity, parts } of this.#made) identity.replace({ ...parts, trusts: [trust] });
  }
}

export async function testIdentities(cluster: string): Promise<TestIdentities> {
  return new TestIdentities(cluster, await newAuthority(cluster, 1, Date.now()));
}

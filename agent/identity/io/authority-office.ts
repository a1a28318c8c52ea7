/**
 * An authority at work: makes tokens, revokes, rotates the cluster's key, and keeps the bundle that says all this.
 *
 * Invariant: what others must hear of is in a bundle with a higher version when a call returns, and on disk before; if the
 * process dies between, the next one makes the bundle. Who gets certificates: `admission.ts`.
 */
import { randomBytes, X509Certificate } from "node:crypto";
import { mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { err, ok, type Result } from "../../../core/result.ts";
import type { Problem } from "../../net/problem.ts";
import type { PrincipalRole } from "../identity.ts";
import type { AuthorityAnswer } from "../join-protocol.ts";
import { formatJoinToken } from "../join-token.ts";
import {
  CLUSTER_KEY_BYTES,
  CLUSTER_KEYS_MAX,
  REVOCATIONS_MAX,
  type RevocationReason,
  type Trust,
} from "../trust.ts";
import { DAY_MS, LEAF_DAYS, makeBundle, newAuthority } from "./authority.ts";
import {
  type AuthorityRow,
  type AuthorityStore,
  createAuthorityStore,
  hasAuthority,
  type IssuedRow,
  openAuthorityStore,
} from "./authority-store.ts";
import { readBundle, sha256Hex } from "./bundle.ts";
import { fingerprintOf } from "./certificates.ts";

export const TOKENS_MAX = 10_000;
export const TOKEN_TTL_MS_MAX: number = 30 * DAY_MS;
/** How long it is told that a token has expired or was used, before it is not known any more. */
const TOKEN_MEMORY_MS = DAY_MS;
/** What is revoked stays so for a while after its end, since signatures are believed by when they were made. */
const ISSUED_MEMORY_MS = 30 * DAY_MS;

export interface TokenOrder {
  readonly role: PrincipalRole;
  /** null: who joins chooses one that nobody has. */
  readonly name: string | null;
  readonly ttlMs: number;
}

function refuse(
  kind: Problem["kind"],
  detail: string,
): { readonly ok: false; readonly error: Problem } {
  return err({ kind, detail });
}

export function isLive({ revokedMs, notAfterMs }: IssuedRow, nowMs: number): boolean {
  return revokedMs === null && notAfterMs > nowMs;
}

export class AuthorityOffice {
  readonly store: AuthorityStore;
  readonly cluster: string;
  readonly leafDays: number;
  readonly nowMs: () => number;
  #publishing: Promise<unknown> = Promise.resolve();
  #trust: Trust | null = null;

  constructor(store: AuthorityStore, nowMs: () => number, leafDays: number) {
    this.store = store;
    this.cluster = store.about.cluster;
    this.nowMs = nowMs;
    this.leafDays = leafDays;
  }

  close(): void {
    this.store.close();
  }

  /** What anybody may know. */
  authorities(): AuthorityAnswer {
    const authorities = this.#believed().map(({ pair }) => pair.cert);
    return { cluster: this.cluster, authorities };
  }

  current(): AuthorityRow {
    const row = this.store.authorities().find(({ state }) => state === "current");
    if (row === undefined) throw new Error(`${this.store.folder}: no authority issues`);
    return row;
  }

  /** The one that everybody believes, also who has not heard of a rotation: the door shows it until its end. */
  doorAuthority(): AuthorityRow {
    return this.store.authorities().find(({ state }) => state === "old") ?? this.current();
  }

  /** The newest bundle, made now if a crash kept it from being made. Costs a small query where nothing has changed. */
  async trust(): Promise<Trust> {
    const { revision } = this.store;
    if (this.#trust?.statement.version === revision) return this.#trust;
    if (this.store.about.bundleRevision < revision) await this.#publish();
    const { bundle } = this.store.about;
    const trust = readBundle(JSON.parse(bundle ?? "null"), null);
    if (!trust.ok) throw new Error(`${this.store.folder}: the authority's bundle: ${trust.error}`);
    this.#trust = trust.value;
    return trust.value;
  }

  /** A change that everybody must hear of. */
  async change<T>(change: () => T): Promise<T> {
    const result = this.store.transaction(() => {
      const made = change();
      this.store.raiseRevision();
      return made;
    });
    await this.#publish();
    return result;
  }

  /** The token's text; only a digest of its secret is kept. */
  makeToken({ role, name, ttlMs }: TokenOrder): Result<string, Problem> {
    const nowMs = this.nowMs();
    const id = randomBytes(8).toString("hex");
    const secret = randomBytes(32).toString("base64url");
    this.store.forgetTokensBefore(nowMs - TOKEN_MEMORY_MS);
    if (this.store.countTokens() >= TOKENS_MAX) {
      return refuse("refused", `there are ${TOKENS_MAX} tokens already: wait until some expire`);
    }
    const expiresMs = nowMs + Math.min(ttlMs, TOKEN_TTL_MS_MAX);
    const secretSha256 = sha256Hex(Buffer.from(secret));
    this.store.addToken({ id, secretSha256, role, name, madeMs: nowMs, expiresMs });
    const fingerprint = fingerprintOf(new X509Certificate(this.doorAuthority().pair.cert));
    return ok(formatJoinToken({ fingerprint, cluster: this.cluster, id, secret, role, name }));
  }

  /** Whether somebody has certificates of that name. */
  isTaken(role: PrincipalRole, name: string): boolean {
    return this.store.issuedTo(role, name).some((row) => isLive(row, this.nowMs()));
  }

  /** Number of certificates that are revoked by this. */
  async revoke(
    role: PrincipalRole,
    name: string,
    reason: RevocationReason,
  ): Promise<Result<number, Problem>> {
    const nowMs = this.nowMs();
    this.store.forgetIssuedBefore(nowMs - ISSUED_MEMORY_MS);
    const rows = this.store.issuedTo(role, name);
    if (rows.length === 0) {
      return refuse("not-found", `no certificate was issued to ${role} ${name}`);
    }
    if (this.store.revoked().length + rows.length > REVOCATIONS_MAX) {
      const remedy = "holdfast identity rotate: a new authority needs none of them";
      return refuse("refused", `${REVOCATIONS_MAX} certificates are revoked already: ${remedy}`);
    }
    return ok(await this.change(() => this.store.revoke(role, name, nowMs, reason)));
  }

  /** The new key is used at once; those before are still taken. Its generation. */
  async rotateClusterKey(): Promise<number> {
    return await this.change(() => {
      const generation = (this.store.clusterKeys()[0]?.generation ?? 0) + 1;
      const key = randomBytes(CLUSTER_KEY_BYTES).toString("base64");
      this.store.addClusterKey({ generation, key }, this.nowMs(), CLUSTER_KEYS_MAX);
      return generation;
    });
  }

  /** The one that issues first. */
  #believed(): readonly AuthorityRow[] {
    return this.store
      .authorities()
      .filter(({ state }) => state !== "gone")
      .sort((a, b) => Number(b.state === "current") - Number(a.state === "current"));
  }

  /** One at a time; whoever comes second finds it done. */
  async #publish(): Promise<void> {
    const made = this.#publishing.catch(() => undefined).then(() => this.#makeBundle());
    this.#publishing = made;
    await made;
  }

  async #makeBundle(): Promise<void> {
    const { store } = this;
    const content = store.transaction(() => ({
      about: store.about,
      believed: this.#believed(),
      gone: store.authorities().filter(({ state }) => state === "gone"),
      revoked: store.revoked(),
      clusterKeys: store.clusterKeys(),
    }));
    const { about } = content;
    if (about.bundleRevision >= about.revision) return;
    const bundle = await makeBundle(
      {
        cluster: about.cluster,
        version: about.revision,
        authorities: content.believed.map(({ pair }) => pair),
        alsoSigning: content.gone.map(({ pair }) => pair),
        revoked: content.revoked,
        clusterKeys: content.clusterKeys,
      },
      this.nowMs(),
    );
    store.keepBundle(JSON.stringify(bundle), about.revision);
  }
}

/** Leaf certificates hold `leafDays`. Throws what the file system and SQLite throw. */
export function openAuthorityOffice(
  folder: string,
  nowMs: () => number = Date.now,
  leafDays: number = LEAF_DAYS,
): AuthorityOffice {
  return new AuthorityOffice(openAuthorityStore(folder), nowMs, leafDays);
}

/** Makes a cluster's authority in a folder that is there only when it is whole. Nothing happens where there is one. */
export async function createAuthority(
  folder: string,
  cluster: string,
  nowMs: number,
): Promise<void> {
  if (hasAuthority(folder)) return;
  const parent = dirname(folder);
  mkdirSync(parent, { recursive: true, mode: 0o700 });
  const prefix = `${basename(folder)}.new.`;
  for (const left of readdirSync(parent)) {
    if (left.startsWith(prefix)) rmSync(join(parent, left), { recursive: true, force: true });
  }
  const making = join(parent, `${prefix}${process.pid}`);
  const pair = await newAuthority(cluster, 1, nowMs);
  const clusterKey = randomBytes(CLUSTER_KEY_BYTES).toString("base64");
  createAuthorityStore(making, cluster, { pair, clusterKey, nowMs }).close();
  renameSync(making, folder);
}

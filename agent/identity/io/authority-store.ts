/**
 * What an authority remembers, in its folder (mode 0700):
 *
 *   ca-N.key.pem   0600  private key of the N-th authority of this cluster
 *   ca-N.pem             its certificate
 *   authority.sqlite     what was issued and revoked, tokens (hashes of their secrets only), cluster keys
 *
 * Several processes may use it at one time, as `holdfast identity revoke` beside a running agent: each change is one
 * transaction. `revision` rises in the transaction of every change that others must hear of; a bundle is made from a revision
 * and has its number, so that one that was not made before a crash is made afterwards.
 */
import { Database } from "bun:sqlite";
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { PrincipalRole } from "../identity.ts";
import type { Revocation, RevocationReason, SecretKey } from "../trust.ts";
import { writeWhole } from "./identity-folder.ts";
import type { KeyPurpose } from "./keys.ts";
import type { AuthorityPair } from "./x509.ts";

const DATABASE_FILE = "authority.sqlite";
/** How long one process waits for another one's transaction. */
const BUSY_MS = 5_000;

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS about (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    cluster TEXT NOT NULL, revision INTEGER NOT NULL, bundle TEXT, bundleRevision INTEGER NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS authorities (
    generation INTEGER PRIMARY KEY, state TEXT NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS issued (
    serial TEXT PRIMARY KEY, authority INTEGER NOT NULL, role TEXT NOT NULL, name TEXT NOT NULL, purpose TEXT NOT NULL,
    issuedMs INTEGER NOT NULL, notAfterMs INTEGER NOT NULL, revokedMs INTEGER, reason TEXT) STRICT;
  CREATE INDEX IF NOT EXISTS issuedTo ON issued (role, name);
  CREATE TABLE IF NOT EXISTS tokens (
    id TEXT PRIMARY KEY, secretSha256 TEXT NOT NULL, role TEXT NOT NULL, name TEXT, madeMs INTEGER NOT NULL,
    expiresMs INTEGER NOT NULL, failures INTEGER NOT NULL DEFAULT 0, usedMs INTEGER, usedBy TEXT, usedName TEXT) STRICT;
  CREATE TABLE IF NOT EXISTS clusterKeys (
    generation INTEGER PRIMARY KEY, key TEXT NOT NULL, madeMs INTEGER NOT NULL) STRICT;
`;

/**
 * `current` issues. `next` is believed and does not issue yet; `old` issued before and is believed still; `gone` is not, and
 * only signs bundles for those who have not heard.
 */
export type AuthorityState = "current" | "next" | "old" | "gone";

export interface AuthorityRow {
  readonly generation: number;
  readonly state: AuthorityState;
  readonly pair: AuthorityPair;
}

export interface IssuedRow {
  readonly serial: string;
  readonly authority: number;
  readonly role: PrincipalRole;
  readonly name: string;
  readonly purpose: KeyPurpose;
  readonly issuedMs: number;
  readonly notAfterMs: number;
  readonly revokedMs: number | null;
  readonly reason: RevocationReason | null;
}

export interface TokenRow {
  readonly id: string;
  readonly secretSha256: string;
  readonly role: PrincipalRole;
  readonly name: string | null;
  readonly madeMs: number;
  readonly expiresMs: number;
  readonly failures: number;
  readonly usedMs: number | null;
  /** Digest of the keys that it was used with. */
  readonly usedBy: string | null;
  readonly usedName: string | null;
}

interface AboutRow {
  readonly cluster: string;
  readonly revision: number;
  readonly bundle: string | null;
  readonly bundleRevision: number;
}

type NewIssued = Omit<IssuedRow, "revokedMs" | "reason">;
type NewToken = Omit<TokenRow, "failures" | "usedMs" | "usedBy" | "usedName">;

export class AuthorityStore {
  readonly folder: string;
  readonly #db: Database;

  constructor(folder: string, db: Database) {
    this.folder = folder;
    this.#db = db;
  }

  close(): void {
    this.#db.close();
  }

  /** All changes in `change`, or none. */
  transaction<T>(change: () => T): T {
    return this.#db.transaction(change).immediate();
  }

  get about(): AboutRow {
    const row = this.#db.query("SELECT * FROM about").get() as AboutRow | null;
    if (row === null) throw new Error(`${this.folder}: the authority's store is empty`);
    return row;
  }

  get revision(): number {
    const row = this.#db.query("SELECT revision FROM about").get();
    return (row as { revision: number } | null)?.revision ?? 0;
  }

  raiseRevision(): void {
    this.#db.run("UPDATE about SET revision = revision + 1");
  }

  /** An older one never replaces a newer one. */
  keepBundle(bundle: string, revision: number): void {
    this.#db
      .query("UPDATE about SET bundle = ?1, bundleRevision = ?2 WHERE bundleRevision < ?2")
      .run(bundle, revision);
  }

  authorities(): readonly AuthorityRow[] {
    const rows = this.#db
      .query("SELECT generation, state FROM authorities ORDER BY generation DESC")
      .all() as readonly Omit<AuthorityRow, "pair">[];
    return rows.map((row) => ({ ...row, pair: this.#pair(row.generation) }));
  }

  addAuthority(generation: number, state: AuthorityState, pair: AuthorityPair): void {
    writeWhole(this.#path(generation, "key.pem"), pair.key, 0o600);
    writeWhole(this.#path(generation, "pem"), pair.cert, 0o644);
    this.#db
      .query("INSERT INTO authorities (generation, state) VALUES (?, ?)")
      .run(generation, state);
  }

  setAuthority(generation: number, state: AuthorityState): void {
    this.#db
      .query("UPDATE authorities SET state = ?2 WHERE generation = ?1")
      .run(generation, state);
  }

  /** Its key too. */
  forgetAuthority(generation: number): void {
    this.#db.query("DELETE FROM authorities WHERE generation = ?").run(generation);
    rmSync(this.#path(generation, "key.pem"), { force: true });
  }

  issued(): readonly IssuedRow[] {
    return this.#db
      .query("SELECT * FROM issued ORDER BY role, name, issuedMs")
      .all() as readonly IssuedRow[];
  }

  issuedTo(role: PrincipalRole, name: string): readonly IssuedRow[] {
    return this.#db
      .query("SELECT * FROM issued WHERE role = ? AND name = ?")
      .all(role, name) as readonly IssuedRow[];
  }

  addIssued(row: NewIssued): void {
    this.#db
      .query(
        `INSERT INTO issued (serial, authority, role, name, purpose, issuedMs, notAfterMs)
         VALUES (?, ?, ?, ?, ?, ?, ?)`,
      )
      .run(
        row.serial,
        row.authority,
        row.role,
        row.name,
        row.purpose,
        Math.trunc(row.issuedMs),
        Math.trunc(row.notAfterMs),
      );
  }

  /** Of those that are not revoked yet; a graver reason replaces a milder one. Number of certificates. */
  revoke(role: PrincipalRole, name: string, atMs: number, reason: RevocationReason): number {
    return this.#db
      .query(
        `UPDATE issued SET revokedMs = ?3, reason = ?4 WHERE role = ?1 AND name = ?2
         AND (revokedMs IS NULL OR (reason = 'retired' AND ?4 = 'compromised'))`,
      )
      .run(role, name, Math.trunc(atMs), reason).changes;
  }

  /** Newest first; of an authority that is not believed any more nothing need be revoked. */
  revoked(): readonly Revocation[] {
    return this.#db
      .query(
        `SELECT serial, revokedMs AS atMs, reason FROM issued
         JOIN authorities ON generation = authority AND state <> 'gone'
         WHERE revokedMs IS NOT NULL ORDER BY revokedMs DESC, serial`,
      )
      .all() as readonly Revocation[];
  }

  forgetIssuedBefore(endedMs: number): void {
    this.#db.query("DELETE FROM issued WHERE notAfterMs < ?").run(Math.trunc(endedMs));
  }

  token(id: string): TokenRow | null {
    return this.#db.query("SELECT * FROM tokens WHERE id = ?").get(id) as TokenRow | null;
  }

  addToken(row: NewToken): void {
    this.#db
      .query(
        `INSERT INTO tokens (id, secretSha256, role, name, madeMs, expiresMs)
         VALUES (?, ?, ?, ?, ?, ?)`,
      )
      .run(row.id, row.secretSha256, row.role, row.name, row.madeMs, row.expiresMs);
  }

  countTokens(): number {
    const row = this.#db.query("SELECT COUNT(*) AS count FROM tokens").get();
    return (row as { count: number }).count;
  }

  noteTokenFailure(id: string): void {
    this.#db.query("UPDATE tokens SET failures = failures + 1 WHERE id = ?").run(id);
  }

  /** False: somebody else was quicker. */
  useToken(id: string, atMs: number, by: string, name: string): boolean {
    const { changes } = this.#db
      .query(
        "UPDATE tokens SET usedMs = ?2, usedBy = ?3, usedName = ?4 WHERE id = ?1 AND usedMs IS NULL",
      )
      .run(id, Math.trunc(atMs), by, name);
    return changes === 1;
  }

  forgetTokensBefore(expiredMs: number): void {
    this.#db.query("DELETE FROM tokens WHERE expiresMs < ?").run(Math.trunc(expiredMs));
  }

  /** Newest first. */
  clusterKeys(): readonly SecretKey[] {
    return this.#db
      .query("SELECT generation, key FROM clusterKeys ORDER BY generation DESC")
      .all() as readonly SecretKey[];
  }

  /** Keeps the newest `most`. */
  addClusterKey({ generation, key }: SecretKey, madeMs: number, most: number): void {
    this.#db
      .query("INSERT INTO clusterKeys (generation, key, madeMs) VALUES (?, ?, ?)")
      .run(generation, key, Math.trunc(madeMs));
    this.#db.query("DELETE FROM clusterKeys WHERE generation <= ?").run(generation - most);
  }

  #path(generation: number, ending: string): string {
    return join(this.folder, `ca-${generation}.${ending}`);
  }

  #pair(generation: number): AuthorityPair {
    return {
      key: readFileSync(this.#path(generation, "key.pem"), "utf8"),
      cert: readFileSync(this.#path(generation, "pem"), "utf8"),
    };
  }
}

export function hasAuthority(folder: string): boolean {
  return existsSync(join(folder, DATABASE_FILE));
}

function openDatabase(folder: string): Database {
  const path = join(folder, DATABASE_FILE);
  const db = new Database(path, { create: true, strict: true });
  chmodSync(path, 0o600);
  db.run(`PRAGMA busy_timeout = ${BUSY_MS}`);
  db.run("PRAGMA journal_mode = WAL");
  db.run("PRAGMA synchronous = FULL");
  return db;
}

/** Throws what the file system and SQLite throw. */
export function openAuthorityStore(folder: string): AuthorityStore {
  return new AuthorityStore(folder, openDatabase(folder));
}

/** The first authority, and the first cluster key, of a new cluster. The folder must have none yet. */
export function createAuthorityStore(
  folder: string,
  cluster: string,
  first: { readonly pair: AuthorityPair; readonly clusterKey: string; readonly nowMs: number },
): AuthorityStore {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const db = openDatabase(folder);
  const store = new AuthorityStore(folder, db);
  store.transaction(() => {
    for (const statement of SCHEMA.split(";")) if (statement.trim() !== "") db.run(statement);
    store.addAuthority(1, "current", first.pair);
    store.addClusterKey({ generation: 1, key: first.clusterKey }, first.nowMs, 1);
    db.query("INSERT INTO about VALUES (1, ?, 1, NULL, 0)").run(cluster);
  });
  return store;
}

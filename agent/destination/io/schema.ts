/**
 * The tables of the destination's database, and how an older database becomes one of today.
 *
 * `PRAGMA user_version` counts the steps that were taken; a step never changes once it has shipped. A database of a newer
 * holdfast is not touched.
 *
 *   ids        one row an event id that was receipted; `n` is its number in the ticket, `by_record` finds its twin of another id
 *   tickets    the ticket as JSON (`Ticket`), and what it is found by
 *   samples    whole events with their signatures and trails, bounded for each ticket
 *   certs      certificates of signatures in samples, each once
 *   outbox     what adapters are still to be told; `is_refused`: what one has refused for good
 *   externals  what adapters call a ticket
 *   pins       the key of each signer of a cluster without an authority, as it was first seen
 */
import type { Database } from "bun:sqlite";

const STEPS: readonly string[] = [
  `
  CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID, STRICT;
  CREATE TABLE ids (
    id BLOB PRIMARY KEY,
    ticket INTEGER NOT NULL,
    ticket_id TEXT NOT NULL,
    n INTEGER NOT NULL,
    received_ms INTEGER NOT NULL,
    kept_until_ms INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    by_record TEXT
  ) WITHOUT ROWID, STRICT;
  CREATE INDEX ids_by_record ON ids (by_record) WHERE by_record IS NOT NULL;
  CREATE INDEX ids_kept ON ids (kept_until_ms);
  CREATE TABLE tickets (
    number INTEGER PRIMARY KEY,
    fault_key TEXT NOT NULL,
    cluster TEXT NOT NULL,
    node TEXT NOT NULL,
    is_open INTEGER NOT NULL,
    is_host INTEGER NOT NULL,
    doc TEXT NOT NULL
  ) STRICT;
  CREATE INDEX tickets_fault ON tickets (fault_key, number);
  CREATE INDEX tickets_node ON tickets (node, is_host, number);
  CREATE INDEX tickets_open ON tickets (is_open, number);
  CREATE TABLE samples (
    ticket INTEGER NOT NULL,
    n INTEGER NOT NULL,
    nth INTEGER NOT NULL,
    id BLOB NOT NULL,
    received_ms INTEGER NOT NULL,
    copies INTEGER NOT NULL,
    signer TEXT NOT NULL,
    trail TEXT NOT NULL,
    payload BLOB NOT NULL,
    signatures TEXT NOT NULL,
    PRIMARY KEY (ticket, n, nth)
  ) WITHOUT ROWID, STRICT;
  CREATE TABLE certs (
    number INTEGER PRIMARY KEY,
    cert TEXT NOT NULL UNIQUE
  ) STRICT;
  CREATE TABLE outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    adapter TEXT NOT NULL,
    ticket INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    due_ms INTEGER NOT NULL,
    is_refused INTEGER NOT NULL,
    detail TEXT,
    change TEXT NOT NULL
  ) STRICT;
  CREATE INDEX outbox_line ON outbox (adapter, is_refused, ticket, seq);
  CREATE TABLE externals (
    adapter TEXT NOT NULL,
    ticket INTEGER NOT NULL,
    external_id TEXT NOT NULL,
    PRIMARY KEY (adapter, ticket)
  ) WITHOUT ROWID, STRICT;
  CREATE TABLE pins (
    signer TEXT PRIMARY KEY,
    keyid TEXT NOT NULL,
    seen_ms INTEGER NOT NULL
  ) WITHOUT ROWID, STRICT;
  `,
];

export const SCHEMA_VERSION: number = STEPS.length;

/** In the order in which they are worth saving: receipts first. */
export const TABLES = [
  "meta",
  "ids",
  "tickets",
  "outbox",
  "externals",
  "pins",
  "certs",
  "samples",
] as const;

function versionOf(db: Database): number {
  const row = db.query<{ user_version: number }, []>("PRAGMA user_version").get();
  return row?.user_version ?? 0;
}

/** false: the database is of a newer holdfast. Throws what SQLite throws. */
export function migrate(db: Database): boolean {
  const version = versionOf(db);
  if (version < 0 || version > SCHEMA_VERSION) return false;
  for (let step = version; step < SCHEMA_VERSION; step++) {
    db.transaction(() => {
      db.run(STEPS[step] ?? "");
      db.run(`PRAGMA user_version = ${step + 1}`);
    })();
  }
  return true;
}

/**
 * The tables of the store, and how those of an older version become those of this one.
 *
 * Invariants: a step that was released is never changed; each is one transaction with its number, so a killed start repeats it
 * or not; a database of a newer version is refused, since an older program would not know what its columns mean.
 * One counter orders everything that changes (`clock.value`): whoever writes bumps it first, which on PostgreSQL also makes
 * writers of several managers wait for each other, so numbers appear in order and a reader that has seen N misses nothing below.
 */
import { err, ok, type Result } from "../../../core/result.ts";
import type { Database, Statements, StoreFailure } from "./database.ts";
import type { Dialect } from "./dialect.ts";

type Step = (dialect: Dialect) => readonly string[];

const first: Step = ({ int }) => [
  `create table clock (one ${int} primary key, value ${int} not null)`,
  "insert into clock (one, value) values (1, 0)",
  `create table events (
    seq ${int} primary key,
    id text not null unique,
    node text not null,
    brought_by text,
    system text not null,
    severity ${int} not null,
    category text not null,
    subject text not null,
    text text not null,
    is_assertion ${int} not null,
    seen_by text not null,
    when_ms ${int},
    seen_ms ${int} not null,
    signed_ms ${int} not null,
    arrived_ms ${int} not null,
    state text not null,
    path text,
    destination text,
    ticket text,
    reason text,
    envelope text,
    trail text not null,
    receipt text,
    steps text not null,
    change ${int} not null,
    lease_by text,
    lease_until ${int} not null
  )`,
  "create index events_change on events (change)",
  "create index events_node on events (node, seq)",
  "create index events_ticket on events (destination, ticket) where ticket is not null",
  "create index events_kept on events (severity desc, seq) where state = 'kept'",
  // Lines of the streams of receipts.
  `create table notices (
    seq ${int} primary key,
    event text not null,
    node text not null,
    line text not null,
    at_ms ${int} not null,
    unique (event, node)
  )`,
  "create index notices_node on notices (node, seq)",
  `create table tickets (
    destination text not null,
    id text not null,
    node text not null,
    system text not null,
    category text not null,
    subject text not null,
    severity ${int} not null,
    text text not null,
    is_open ${int} not null,
    opened_ms ${int} not null,
    changed_ms ${int} not null,
    events ${int} not null,
    change ${int} not null,
    primary key (destination, id)
  )`,
  "create index tickets_change on tickets (change)",
  "create index tickets_node on tickets (node, is_open)",
  // How many events there are, without counting them.
  `create table tallies (
    state text not null,
    severity ${int} not null,
    count ${int} not null,
    primary key (state, severity)
  )`,
  `create table nodes (
    id text primary key,
    report text,
    inventory text,
    inventory_digest text,
    seen_ms ${int} not null,
    reported_ms ${int},
    events ${int} not null,
    change ${int} not null
  )`,
  "create index nodes_change on nodes (change)",
  `create table jobs (id text primary key, row_json text not null, change ${int} not null)`,
  "create index jobs_change on jobs (change)",
  `create table epochs (
    epoch ${int} primary key,
    members text not null,
    at_ms ${int} not null,
    change ${int} not null
  )`,
  "create index epochs_change on epochs (change)",
];

const STEPS: readonly Step[] = [first];
export const SCHEMA_VERSION: number = STEPS.length;

export interface TooNew {
  readonly kind: "too-new-version";
  readonly version: number;
}

async function versionOf(statements: Statements): Promise<number> {
  const [row] = await statements.rows(
    "select coalesce(max(version), 0) as version from migrations",
  );
  return Number(row?.["version"] ?? 0);
}

/** Brings the tables to this version. Several managers may start at once. */
export async function migrate(db: Database): Promise<Result<number, StoreFailure | TooNew>> {
  const { dialect } = db;
  const done = await db.write(async (statements): Promise<Result<number, TooNew>> => {
    if (dialect.kind === "postgres") {
      await statements.rows("select pg_advisory_xact_lock(7400443)");
    }
    await statements.rows(
      `create table if not exists migrations (version ${dialect.int} primary key, at_ms ${dialect.int} not null)`,
    );
    const version = await versionOf(statements);
    if (version > SCHEMA_VERSION) return err({ kind: "too-new-version", version });
    for (let next = version; next < SCHEMA_VERSION; next++) {
      for (const text of STEPS[next]?.(dialect) ?? []) await statements.rows(text);
      await statements.rows(
        `insert into migrations (version, at_ms) values (?, ${dialect.nowMs})`,
        [next + 1],
      );
    }
    return ok(version);
  });
  return done.ok ? done.value : done;
}

/**
 * Who relays which event, and what the streams of receipts are to say.
 *
 * A claim is a lease: its holder relays the event; when it dies, the lease runs out and another manager takes over. Two that
 * relay one event at once do no harm, as the destination knows it by its id. With SQLite there is one manager, so leases are
 * cleared at its start and never run out.
 */

import type { Statements } from "./database.ts";
import { type Dialect, packRows } from "./dialect.ts";
import type { Claimed } from "./event-tables.ts";

export interface Lease {
  readonly owner: string;
  readonly leaseMs: number;
}

/** The gravest first, of those the oldest. */
export async function claimKept(
  statements: Statements,
  { nowMs }: Dialect,
  { owner, leaseMs }: Lease,
  countMax: number,
): Promise<readonly Claimed[]> {
  const rows = await statements.rows(
    `update events set lease_by = ?, lease_until = ${nowMs} + ${leaseMs} where seq in (
       select seq from events where state = 'kept' and envelope is not null and lease_until < ${nowMs}
       order by severity desc, seq limit ?
     ) and state = 'kept' returning id, seq, severity, node, envelope, trail`,
    [owner, countMax],
  );
  return rows.map((row) => ({
    id: String(row["id"]),
    seq: Number(row["seq"]),
    rank: Number(row["severity"]),
    node: String(row["node"]),
    envelope: String(row["envelope"]),
    trail: String(row["trail"]),
  }));
}

/** Those that are still the owner's and still to be relayed; the others were taken or settled by somebody else. */
export async function renewClaims(
  statements: Statements,
  dialect: Dialect,
  { owner, leaseMs }: Lease,
  seqs: readonly number[],
): Promise<readonly number[]> {
  const source = dialect.rows([["seq", "int"]]);
  const rows = await statements.rows(
    `update events set lease_until = ${dialect.nowMs} + ${leaseMs}
     where seq in (select seq from ${source} as given) and lease_by = ? and state = 'kept' returning seq`,
    [packRows(seqs.map((seq) => [seq])), owner],
  );
  return rows.map((row) => Number(row["seq"]));
}

/** `ownerPattern` is of `like`: an owner, or every start of one manager. */
export async function releaseClaims(statements: Statements, ownerPattern: string): Promise<void> {
  await statements.rows(
    "update events set lease_by = null, lease_until = 0 where state = 'kept' and lease_by like ? escape '!'",
    [ownerPattern],
  );
}

export interface Notice {
  readonly seq: number;
  readonly node: string;
  /** A `ReceiptLine` without its number, as JSON. */
  readonly line: string;
}

function noticeOf(row: Readonly<Record<string, unknown>>): Notice {
  return { seq: Number(row["seq"]), node: String(row["node"]), line: String(row["line"]) };
}

export async function noticesAfter(
  statements: Statements,
  seq: number,
  countMax: number,
): Promise<readonly Notice[]> {
  const rows = await statements.rows(
    "select seq, node, line from notices where seq > ? order by seq limit ?",
    [seq, countMax],
  );
  return rows.map(noticeOf);
}

export async function noticesOfNode(
  statements: Statements,
  node: string,
  seq: number,
  countMax: number,
): Promise<readonly Notice[]> {
  const rows = await statements.rows(
    "select seq, node, line from notices where node = ? and seq > ? order by seq limit ?",
    [node, seq, countMax],
  );
  return rows.map(noticeOf);
}

export async function newestNotice(statements: Statements, node: string | null): Promise<number> {
  const where = node === null ? "" : "where node = ?";
  const [row] = await statements.rows(
    `select coalesce(max(seq), 0) as seq from notices ${where}`,
    node === null ? [] : [node],
  );
  return Number(row?.["seq"] ?? 0);
}

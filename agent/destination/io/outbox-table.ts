/**
 * What adapters are still to be told, in the destination's database: written in the same transaction as the ticket.
 *
 * One row a change and adapter; a row that was not tried yet is gathered with the next (`../forwarding.ts`). The order is kept for
 * each ticket and adapter. What an adapter has refused for good is kept to be looked at, the newest `REFUSED_MAX` of it.
 */
import type { Database } from "bun:sqlite";
import type { TicketChange } from "../adapter.ts";
import { dueMs, gathered } from "../forwarding.ts";

export const REFUSED_MAX = 1_000;

interface Row {
  readonly seq: number;
  readonly adapter: string;
  readonly ticket: number;
  readonly attempts: number;
  readonly due_ms: number;
  readonly detail: string | null;
  readonly change: string;
}

export interface WaitingChange {
  readonly seq: number;
  readonly adapter: string;
  /** Number of its ticket. */
  readonly number: number;
  readonly attempts: number;
  readonly dueMs: number;
  /** Why it was not taken last time; null: not tried yet. */
  readonly detail: string | null;
  readonly change: TicketChange;
}

export interface OutboxCount {
  readonly adapter: string;
  readonly waiting: number;
  readonly refused: number;
}

function waitingOf(row: Row): WaitingChange {
  const { seq, adapter, ticket, attempts, due_ms, detail, change } = row;
  return {
    seq,
    adapter,
    number: ticket,
    attempts,
    dueMs: due_ms,
    detail,
    change: JSON.parse(change) as TicketChange,
  };
}

export class OutboxTable {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  /** Within the transaction that changes the ticket. */
  add(adapter: string, number: number, change: TicketChange): void {
    const newest = this.#db
      .query<Row, [string, number]>(
        "SELECT * FROM outbox WHERE adapter = ? AND is_refused = 0 AND ticket = ? ORDER BY seq DESC LIMIT 1",
      )
      .get(adapter, number);
    const waiting = newest === null || newest.attempts > 0 ? null : waitingOf(newest);
    const one = waiting === null ? null : gathered(waiting.change, change);
    if (waiting === null || one === null) {
      this.#db
        .query(
          "INSERT INTO outbox (adapter, ticket, attempts, due_ms, is_refused, change) VALUES (?, ?, 0, ?, 0, ?)",
        )
        .run(adapter, number, Math.round(dueMs(change, change.atMs)), JSON.stringify(change));
      return;
    }
    const due = Math.min(waiting.dueMs, Math.round(dueMs(one, change.atMs)));
    this.#db
      .query("UPDATE outbox SET change = ?, due_ms = ? WHERE seq = ?")
      .run(JSON.stringify(one), due, waiting.seq);
  }

  /** The first of each ticket, those that are due, the one that waits longest first. */
  due(adapter: string, nowMs: number, countMax: number): readonly WaitingChange[] {
    return this.#db
      .query<Row, [string, number, number]>(
        `SELECT * FROM outbox WHERE seq IN
           (SELECT MIN(seq) FROM outbox WHERE adapter = ? AND is_refused = 0 GROUP BY ticket)
         AND due_ms <= ? ORDER BY seq LIMIT ?`,
      )
      .all(adapter, nowMs, countMax)
      .map(waitingOf);
  }

  /** When the next one is due; null: nothing waits. */
  nextDueMs(adapter: string): number | null {
    const row = this.#db
      .query<{ readonly due: number | null }, [string]>(
        `SELECT MIN(due_ms) AS due FROM outbox WHERE seq IN
           (SELECT MIN(seq) FROM outbox WHERE adapter = ? AND is_refused = 0 GROUP BY ticket)`,
      )
      .get(adapter);
    return row?.due ?? null;
  }

  /** Before it is given to the adapter: from now on it is not altered. */
  begin(seq: number): void {
    this.#db.query("UPDATE outbox SET attempts = attempts + 1 WHERE seq = ?").run(seq);
  }

  done({ seq, adapter, number }: WaitingChange, externalId: string | null): void {
    this.#db.query("DELETE FROM outbox WHERE seq = ?").run(seq);
    if (externalId === null) return;
    this.#db
      .query("INSERT OR REPLACE INTO externals VALUES (?, ?, ?)")
      .run(adapter, number, externalId);
  }

  later(seq: number, atMs: number, detail: string): void {
    this.#db
      .query("UPDATE outbox SET due_ms = ?, detail = ? WHERE seq = ?")
      .run(Math.round(atMs), detail, seq);
  }

  refuse(seq: number, detail: string): void {
    this.#db.query("UPDATE outbox SET is_refused = 1, detail = ? WHERE seq = ?").run(detail, seq);
    this.#db
      .query(
        `DELETE FROM outbox WHERE seq IN
           (SELECT seq FROM outbox WHERE is_refused = 1 ORDER BY seq DESC LIMIT -1 OFFSET ?)`,
      )
      .run(REFUSED_MAX);
  }

  refused(countMax: number): readonly WaitingChange[] {
    return this.#db
      .query<Row, [number]>("SELECT * FROM outbox WHERE is_refused = 1 ORDER BY seq DESC LIMIT ?")
      .all(countMax)
      .map(waitingOf);
  }

  ofTicket(number: number): readonly (WaitingChange & { readonly isRefused: boolean })[] {
    return this.#db
      .query<Row & { readonly is_refused: number }, [number]>(
        "SELECT * FROM outbox WHERE ticket = ? ORDER BY seq",
      )
      .all(number)
      .map((row) => ({ ...waitingOf(row), isRefused: row.is_refused === 1 }));
  }

  externalId(adapter: string, number: number): string | null {
    const row = this.#db
      .query<{ readonly external_id: string }, [string, number]>(
        "SELECT external_id FROM externals WHERE adapter = ? AND ticket = ?",
      )
      .get(adapter, number);
    return row?.external_id ?? null;
  }

  externals(number: number): Readonly<Record<string, string>> {
    const rows = this.#db
      .query<{ readonly adapter: string; readonly external_id: string }, [number]>(
        "SELECT adapter, external_id FROM externals WHERE ticket = ?",
      )
      .all(number);
    return Object.fromEntries(rows.map((row) => [row.adapter, row.external_id]));
  }

  counts(): readonly OutboxCount[] {
    return this.#db
      .query<OutboxCount, []>(
        `SELECT adapter, SUM(is_refused = 0) AS waiting, SUM(is_refused) AS refused
         FROM outbox GROUP BY adapter ORDER BY adapter`,
      )
      .all();
  }
}

/**
 * Tickets in the database, the newest used ones in memory.
 *
 * A ticket is read once and written once a transaction however many events it takes: `save` remembers, `flush` writes. What
 * memory holds is forgotten when a transaction is undone.
 */
import type { Database } from "bun:sqlite";
import type { Ticket } from "../ticket.ts";

const CACHED_MAX = 4_096;

export interface TicketFilter {
  readonly state: "open" | "closed" | "any";
  readonly node: string | null;
  readonly cluster: string | null;
  /** Numbers below it; null: from the newest. */
  readonly before: number | null;
  readonly countMax: number;
}

interface Row {
  readonly doc: string;
}

function read(row: Row | null): Ticket | null {
  return row === null ? null : (JSON.parse(row.doc) as Ticket);
}

function kindKey(node: string, isHost: boolean): string {
  return `${isHost ? "host" : "bmc"} ${node}`;
}

export class TicketTable {
  readonly #db: Database;
  /** The newest of each fault. Insertion order is age. */
  readonly #byFault = new Map<string, Ticket>();
  readonly #dirty = new Map<number, Ticket>();
  /** Numbers of those, by node and kind. */
  readonly #dirtyOf = new Map<string, Set<number>>();

  constructor(db: Database) {
    this.#db = db;
  }

  highest(): number {
    const row = this.#db
      .query<{ readonly number: number | null }, []>("SELECT MAX(number) AS number FROM tickets")
      .get();
    return row?.number ?? 0;
  }

  latest(faultKey: string): Ticket | null {
    const cached = this.#byFault.get(faultKey);
    if (cached !== undefined) return cached;
    const query = "SELECT doc FROM tickets WHERE fault_key = ? ORDER BY number DESC LIMIT 1";
    const ticket = read(this.#db.query<Row, [string]>(query).get(faultKey));
    if (ticket !== null) this.#cache(ticket);
    return ticket;
  }

  get(number: number): Ticket | null {
    const dirty = this.#dirty.get(number);
    if (dirty !== undefined) return dirty;
    const query = "SELECT doc FROM tickets WHERE number = ?";
    return read(this.#db.query<Row, [number]>(query).get(number));
  }

  save(ticket: Ticket): void {
    this.#dirty.set(ticket.number, ticket);
    const key = kindKey(ticket.node, ticket.isHost);
    const ofKind = this.#dirtyOf.get(key);
    if (ofKind === undefined) this.#dirtyOf.set(key, new Set([ticket.number]));
    else ofKind.add(ticket.number);
    const cached = this.#byFault.get(ticket.faultKey);
    if (cached === undefined || cached.number <= ticket.number) this.#cache(ticket);
  }

  /** Within the transaction. */
  flush(): void {
    const upsert = this.#db.query(
      `INSERT INTO tickets VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
       ON CONFLICT (number) DO UPDATE SET is_open = ?5, doc = ?7`,
    );
    for (const ticket of this.#dirty.values()) {
      const { number, faultKey, cluster, node, isOpen, isHost } = ticket;
      const doc = JSON.stringify(ticket);
      upsert.run(number, faultKey, cluster, node, isOpen ? 1 : 0, isHost ? 1 : 0, doc);
    }
    this.#dirty.clear();
    this.#dirtyOf.clear();
  }

  forget(): void {
    this.#dirty.clear();
    this.#dirtyOf.clear();
    this.#byFault.clear();
  }

  list({ state, node, cluster, before, countMax }: TicketFilter): readonly Ticket[] {
    // Only what is asked for stands in the query, so that an index serves it.
    const parts: readonly (readonly [string, string | number | null])[] = [
      ["is_open = ?", state === "any" ? null : state === "open" ? 1 : 0],
      ["node = ?", node],
      ["cluster = ?", cluster],
      ["number < ?", before],
    ];
    const asked = parts.filter(([, value]) => value !== null);
    const where = asked.length === 0 ? "" : `WHERE ${asked.map(([text]) => text).join(" AND ")}`;
    return this.#db
      .query<Row, (string | number | null)[]>(
        `SELECT doc FROM tickets ${where} ORDER BY number DESC LIMIT ?`,
      )
      .all(...asked.map(([, value]) => value), countMax)
      .map((row) => JSON.parse(row.doc) as Ticket);
  }

  /** The newest of the other kind (host or BMC) of a ticket's node, those of this transaction too. */
  neighbours(ticket: Ticket, countMax: number): readonly Ticket[] {
    const { cluster, node, isHost } = ticket;
    const rows = this.#db
      .query<Row, [string, number, number]>(
        "SELECT doc FROM tickets WHERE node = ? AND is_host = ? ORDER BY number DESC LIMIT ?",
      )
      .all(node, isHost ? 0 : 1, countMax);
    const found = new Map<number, Ticket>();
    for (const { doc } of rows) {
      const one = JSON.parse(doc) as Ticket;
      found.set(one.number, one);
    }
    for (const number of this.#dirtyOf.get(kindKey(node, !isHost)) ?? []) {
      const one = this.#dirty.get(number);
      if (one !== undefined) found.set(number, one);
    }
    return [...found.values()].filter((one) => one.cluster === cluster).slice(-countMax);
  }

  counts(): { readonly open: number; readonly all: number } {
    const row = this.#db
      .query<{ readonly open: number | null; readonly total: number }, []>(
        "SELECT SUM(is_open) AS open, COUNT(*) AS total FROM tickets",
      )
      .get();
    return { open: row?.open ?? 0, all: row?.total ?? 0 };
  }

  /** The oldest closed ones above `ticketsMax`, at most `countMax`; true: there are more. */
  prune(ticketsMax: number, countMax: number): boolean {
    const above = Math.min(this.counts().all - ticketsMax, countMax);
    if (above <= 0) return false;
    const oldest = this.#db
      .query<{ readonly number: number }, [number]>(
        "SELECT number FROM tickets WHERE is_open = 0 ORDER BY number LIMIT ?",
      )
      .all(above);
    for (const { number } of oldest) {
      for (const table of ["samples", "externals", "outbox"]) {
        this.#db.query(`DELETE FROM ${table} WHERE ticket = ?`).run(number);
      }
      this.#db.query("DELETE FROM tickets WHERE number = ?").run(number);
    }
    this.#byFault.clear();
    return oldest.length === countMax;
  }

  #cache(ticket: Ticket): void {
    this.#byFault.delete(ticket.faultKey);
    this.#byFault.set(ticket.faultKey, ticket);
    if (this.#byFault.size <= CACHED_MAX) return;
    const oldest = this.#byFault.keys().next();
    if (oldest.done !== true) this.#byFault.delete(oldest.value);
  }
}

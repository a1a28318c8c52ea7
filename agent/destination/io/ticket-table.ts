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

export class TicketTable {
  readonly #db: Database;
  /** The newest of each fault. Insertion order is age. */
  readonly #byFault = new Map<string, Ticket>();
  readonly #dirty = new Map<number, Ticket>();

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
    const cached = this.#byFault.get(ticket.faultKey);
    if (cached === undefined || cached.number <= ticket.number) this.#cache(ticket);
  }

  /** Within the transaction. */
  flush(): void {
    const upsert = this.#db.query(
      `INSERT INTO tickets VALUES (?1, ?2, ?3, ?4, ?5, ?6)
       ON CONFLICT (number) DO UPDATE SET is_open = ?5, doc = ?6`,
    );
    for (const ticket of this.#dirty.values()) {
      const { number, faultKey, cluster, node, isOpen } = ticket;
      upsert.run(number, faultKey, cluster, node, isOpen ? 1 : 0, JSON.stringify(ticket));
    }
    this.#dirty.clear();
  }

  forget(): void {
    this.#dirty.clear();
    this.#byFault.clear();
  }

  list(filter: TicketFilter): readonly Ticket[] {
    const query = `SELECT doc FROM tickets
      WHERE (?1 IS NULL OR is_open = ?1) AND (?2 IS NULL OR node = ?2) AND (?3 IS NULL OR cluster = ?3)
        AND (?4 IS NULL OR number < ?4) ORDER BY number DESC LIMIT ?5`;
    const isOpen = filter.state === "any" ? null : filter.state === "open" ? 1 : 0;
    return this.#db
      .query<Row, [number | null, string | null, string | null, number | null, number]>(query)
      .all(isOpen, filter.node, filter.cluster, filter.before, filter.countMax)
      .map((row) => JSON.parse(row.doc) as Ticket);
  }

  /** The newest of a node, those of this transaction too. */
  ofNode(cluster: string, node: string, countMax: number): readonly Ticket[] {
    this.flush();
    return this.list({ state: "any", node, cluster, before: null, countMax });
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

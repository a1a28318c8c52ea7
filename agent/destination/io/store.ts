/**
 * What the destination keeps: receipts by event id, tickets, samples of events. One transaction for many arrivals.
 *
 * Knows nothing of faults or adapters: `intake.ts` decides with it. What is written within `transact` is on disk when it
 * returns, or nothing of it is. Bounded: `prune` forgets ids that nobody can send any more, and the oldest closed tickets; below the floor
 * that it gives, an id that is not known may have been forgotten.
 */
import type { Database } from "bun:sqlite";
import { err, ok, type Result } from "../../../core/result.ts";
import { EVENT_TYPE } from "../../callhome/protocol.ts";
import type { DiskFailure } from "../../runtime/disk.ts";
import type { Log } from "../../runtime/log.ts";
import { FileWatch, isDamage, openDatabase, TicketNumbers } from "./database.ts";
import { OutboxTable } from "./outbox-table.ts";
import { SampleTable } from "./sample-table.ts";
import { TicketTable } from "./ticket-table.ts";

/** Kept for ever while there are fewer; of more, those that would be refused as too old are forgotten. */
export const IDS_KEPT = 1_000_000;
/** Whatever their age: above it the floor rises, and what was signed before it is refused. About 4 GB. */
export const IDS_MAX = 10_000_000;
/** Closed ones above it are forgotten with their samples, the oldest first. */
export const TICKETS_MAX = 100_000;
const PRUNE_AT_ONCE = 10_000;

export interface KeptReceipt {
  readonly number: number;
  readonly ticketId: string;
  readonly n: number;
  readonly receivedMs: number;
}

export interface NewId {
  readonly id: string;
  readonly number: number;
  readonly ticketId: string;
  /** Number of the event in its ticket. */
  readonly n: number;
  readonly receivedMs: number;
  /** Until then the same event may be sent again. */
  readonly keptUntilMs: number;
  readonly epoch: number;
  readonly byRecord: string | null;
}

interface ReceiptRow {
  readonly ticket: number;
  readonly ticket_id: string;
  readonly n: number;
  readonly received_ms: number;
}

export interface StoreLimits {
  readonly idsKept: number;
  readonly idsMax: number;
  readonly ticketsMax: number;
  /** For tests of a full disk. */
  readonly pagesMax: number | null;
}

const LIMITS: StoreLimits = {
  idsKept: IDS_KEPT,
  idsMax: IDS_MAX,
  ticketsMax: TICKETS_MAX,
  pagesMax: null,
};

function blob(hex: string): Buffer {
  return Buffer.from(hex, "hex");
}

function receiptOf(row: ReceiptRow): KeptReceipt {
  const { ticket, ticket_id, n, received_ms } = row;
  return { number: ticket, ticketId: ticket_id, n, receivedMs: received_ms };
}

function failureOf(cause: unknown): DiskFailure {
  const detail = cause instanceof Error ? cause.message : String(cause);
  const code = (cause as { readonly code?: string } | null)?.code ?? "";
  return { kind: code === "SQLITE_FULL" || code === "ENOSPC" ? "no-space" : "io", detail };
}

interface StoreSetting {
  readonly folder: string;
  readonly log: Log;
  readonly complaint: string | null;
  readonly limits: StoreLimits;
}

export class Store {
  readonly #folder: string;
  readonly #log: Log;
  readonly #limits: StoreLimits;
  readonly #watch: FileWatch;
  #db: Database;
  readonly numbers: TicketNumbers;
  tickets: TicketTable;
  outbox: OutboxTable;
  samples: SampleTable;
  /** Signatures from before it may belong to forgotten ids. */
  #floorMs: number;
  /** null: the store is whole. */
  complaint: string | null;
  /** It was damaged, and goes on with what could be saved; not called for what was found when it was opened. */
  onComplaint: (complaint: string) => void = () => undefined;
  #idCount: number;

  constructor(db: Database, { folder, log, complaint, limits }: StoreSetting) {
    this.#folder = folder;
    this.#db = db;
    this.#log = log;
    this.#limits = limits;
    this.#watch = new FileWatch(folder);
    this.tickets = new TicketTable(db);
    this.outbox = new OutboxTable(db);
    this.samples = new SampleTable(db, EVENT_TYPE);
    const highest = this.tickets.highest();
    this.numbers = new TicketNumbers(folder, highest, complaint !== null || highest === 0);
    this.complaint = complaint;
    this.#floorMs = Number(this.meta("floor") ?? 0);
    this.#idCount = this.#countIds();
  }

  get idCount(): number {
    return this.#idCount;
  }

  /** Ids that were to be kept until then have been forgotten before. */
  get floorMs(): number {
    return this.#floorMs;
  }

  /** Everything `run` writes is on disk when this returns, or nothing of it is. */
  transact<T>(run: () => T): Result<T, DiskFailure> {
    const first = this.numbers.next;
    const idCount = this.#idCount;
    for (let attempt = 0; ; attempt++) {
      try {
        if (this.#watch.isGone()) this.#bringBack();
        return ok(this.#db.transaction(run).immediate());
      } catch (cause) {
        this.numbers.back(first);
        this.#idCount = idCount;
        this.tickets.forget();
        this.samples.forget();
        if (!isDamage(cause) || attempt > 0) return err(failureOf(cause));
        const reopened = this.#reopen();
        if (!reopened.ok) return reopened;
      }
    }
  }

  receipt(id: string): KeptReceipt | null {
    const row = this.#db
      .query<ReceiptRow, [Buffer]>("SELECT ticket, ticket_id, n, received_ms FROM ids WHERE id = ?")
      .get(blob(id));
    return row === null ? null : receiptOf(row);
  }

  /** Of the same log record under the id of another generation of the log. */
  twin(byRecord: string, epoch: number): KeptReceipt | null {
    const row = this.#db
      .query<ReceiptRow, [string, number]>(
        "SELECT ticket, ticket_id, n, received_ms FROM ids WHERE by_record = ? AND epoch <> ? LIMIT 1",
      )
      .get(byRecord, epoch);
    return row === null ? null : receiptOf(row);
  }

  addId(one: NewId): void {
    this.#db
      .query("INSERT INTO ids VALUES (?, ?, ?, ?, ?, ?, ?, ?)")
      .run(
        blob(one.id),
        one.number,
        one.ticketId,
        one.n,
        one.receivedMs,
        Math.round(one.keptUntilMs),
        one.epoch,
        one.byRecord,
      );
    this.#idCount++;
  }

  /** The key that a signer without an authority was first seen with; remembered if there is none. */
  pin(signer: string, keyid: string, nowMs: number): string {
    const known = this.#db
      .query<{ readonly keyid: string }, [string]>("SELECT keyid FROM pins WHERE signer = ?")
      .get(signer);
    if (known !== null) return known.keyid;
    this.#db.query("INSERT INTO pins VALUES (?, ?, ?)").run(signer, keyid, Math.round(nowMs));
    return keyid;
  }

  meta(name: string): string | null {
    const row = this.#db
      .query<{ readonly value: string }, [string]>("SELECT value FROM meta WHERE name = ?")
      .get(name);
    return row?.value ?? null;
  }

  setMeta(name: string, value: string): void {
    this.#db.query("INSERT OR REPLACE INTO meta VALUES (?, ?)").run(name, value);
  }

  /** A bounded piece of work within a transaction; true: there is more. */
  prune(nowMs: number): boolean {
    const ids = this.#pruneIds(nowMs);
    return this.tickets.prune(this.#limits.ticketsMax, PRUNE_AT_ONCE) || ids;
  }

  /** After damage was met while reading: what is damaged is set aside, the rest goes on. False: it cannot be opened. */
  mend(): boolean {
    return this.#adopt();
  }

  close(): void {
    this.#db.close();
  }

  #pruneIds(nowMs: number): boolean {
    const above = this.#idCount - this.#limits.idsKept;
    if (above <= 0) return false;
    const count = Math.min(above, PRUNE_AT_ONCE);
    const gone = this.#deleteIds("WHERE kept_until_ms < ?1", nowMs, count);
    const excess = Math.min(this.#idCount - this.#limits.idsMax, PRUNE_AT_ONCE);
    if (excess > 0) this.#raiseFloor(excess, nowMs);
    return gone === PRUNE_AT_ONCE || excess > 0;
  }

  #deleteIds(where: string, nowMs: number, count: number): number {
    const { changes } = this.#db
      .query(
        `DELETE FROM ids WHERE id IN (SELECT id FROM ids ${where} ORDER BY kept_until_ms LIMIT ?2)`,
      )
      .run(nowMs, count);
    this.#idCount -= changes;
    return changes;
  }

  /** What is forgotten before its time would open a second ticket if it came again, so from now on it is refused. */
  #raiseFloor(count: number, nowMs: number): void {
    const last = this.#db
      .query<{ readonly kept_until_ms: number }, [number]>(
        "SELECT kept_until_ms FROM ids ORDER BY kept_until_ms LIMIT 1 OFFSET ?",
      )
      .get(count - 1);
    const untilMs = last?.kept_until_ms ?? 0;
    this.#deleteIds("WHERE kept_until_ms <= ?1", untilMs, IDS_MAX);
    this.#floorMs = Math.max(this.#floorMs, untilMs);
    this.setMeta("floor", String(this.#floorMs));
    this.setMeta("floor-raised", String(nowMs));
  }

  #countIds(): number {
    const row = this.#db
      .query<{ readonly count: number }, []>("SELECT COUNT(*) AS count FROM ids")
      .get();
    return row?.count ?? 0;
  }

  #bringBack(): void {
    this.#watch.bringBack(this.#db, Date.now());
    this.#log.say(
      "fault",
      `the database in ${this.#folder} was taken away while it was open; it is written again whole`,
    );
    this.#adopt();
  }

  #adopt(): boolean {
    try {
      this.#db.close();
    } catch {
      // Damaged; what matters is that the file is let go.
    }
    const opened = openDatabase(this.#folder, {
      nowMs: Date.now(),
      pagesMax: this.#limits.pagesMax,
      isSuspect: true,
    });
    if (!opened.ok) {
      this.#log.say("fault", opened.error);
      return false;
    }
    this.#db = opened.value.db;
    this.#watch.note();
    this.tickets = new TicketTable(this.#db);
    this.outbox = new OutboxTable(this.#db);
    this.samples = new SampleTable(this.#db, EVENT_TYPE);
    this.#idCount = this.#countIds();
    for (const line of opened.value.complaints) {
      this.#log.say("fault", line);
      this.complaint = line;
      this.onComplaint(line);
    }
    return true;
  }

  #reopen(): Result<null, DiskFailure> {
    const isOpen = this.#adopt();
    const detail = `the database in ${this.#folder} is damaged and cannot be opened anew`;
    return isOpen ? ok(null) : err({ kind: "io", detail });
  }
}

/** The error is one line for the user. */
export function openStore(
  folder: string,
  log: Log,
  limits: Partial<StoreLimits> = {},
): Result<Store, string> {
  const all = { ...LIMITS, ...limits };
  const opened = openDatabase(folder, {
    nowMs: Date.now(),
    pagesMax: all.pagesMax,
    isSuspect: false,
  });
  if (!opened.ok) return opened;
  for (const line of opened.value.complaints) log.say("fault", line);
  const complaint = opened.value.complaints[0] ?? null;
  return ok(new Store(opened.value.db, { folder, log, complaint, limits: all }));
}

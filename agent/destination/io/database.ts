/**
 * The destination's database file: opened whatever state it is in, and brought back when it is damaged or taken away.
 *
 * SQLite with a write-ahead log and a flush at each commit: what was committed survives a kill and a power cut. One process has it for
 * itself. A damaged file is set aside, never deleted, and what can still be read of it is taken over, receipts first. What could not be
 * read is lost for telling repetitions apart: such an event may open a second ticket, and whoever opens is told so in one line. Ticket
 * numbers are reserved in a file of their own, so that not even then is one given twice.
 */
import { Database, SQLiteError } from "bun:sqlite";
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";
import { err, ok, type Result } from "../../../core/result.ts";
import { writeWhole } from "../../identity/io/identity-folder.ts";
import { ownFile } from "../../runtime/io/own-folder.ts";
import { migrate, TABLES } from "./schema.ts";

export const DATABASE_FILE = "tickets.sqlite";
export const MARK_FILE = "ticket-numbers";
/** Numbers reserved at a time. */
const RESERVE_COUNT = 1_000;
const BUSY_MS = 3_000;
/** Above it a start does not read the whole file; damage is found when it is met. */
const CHECK_BYTES_MAX: number = 256 * 1024 * 1024;
const WAL_BYTES_MAX: number = 64 * 1024 * 1024;

export interface Opened {
  readonly db: Database;
  /** What was put right, each a line that somebody should read. */
  readonly complaints: readonly string[];
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}

function codeOf(cause: unknown): string {
  return cause instanceof SQLiteError ? (cause.code ?? "") : "";
}

export function isDamage(cause: unknown): boolean {
  return /^SQLITE_(?:CORRUPT|NOTADB)/.test(codeOf(cause));
}

function isBusy(cause: unknown): boolean {
  return /^SQLITE_(?:BUSY|LOCKED)/.test(codeOf(cause));
}

function configure(db: Database, pagesMax: number | null): void {
  db.run(`PRAGMA busy_timeout = ${BUSY_MS}`);
  // A whole event fits into a page of this size; only a new database takes it.
  db.run("PRAGMA page_size = 8192");
  db.run("PRAGMA locking_mode = EXCLUSIVE");
  db.run("PRAGMA journal_mode = WAL");
  db.run("PRAGMA synchronous = FULL");
  db.run(`PRAGMA journal_size_limit = ${WAL_BYTES_MAX}`);
  db.run("PRAGMA cache_size = -65536");
  // Takes the lock at once, so that a second process learns of the first here.
  db.run("BEGIN IMMEDIATE");
  db.run("COMMIT");
  if (pagesMax !== null) db.run(`PRAGMA max_page_count = ${pagesMax}`);
}

class Damaged extends Error {
  override readonly name = "Damaged";
}

function check(db: Database, path: string, isSuspect: boolean): void {
  if (!isSuspect && statSync(path).size > CHECK_BYTES_MAX) return;
  const row = db.query<Record<string, unknown>, []>("PRAGMA quick_check(1)").get();
  const found = Object.values(row ?? {})[0];
  if (found !== "ok") throw new Damaged(String(found));
}

export interface OpenOptions {
  readonly nowMs: number;
  /** For tests of a full disk; null: no bound. */
  readonly pagesMax: number | null;
  /** Damage was met: it is looked at whole, however large it is. */
  readonly isSuspect: boolean;
}

function openWhole(path: string, { pagesMax, isSuspect }: OpenOptions): Result<Database, string> {
  // What SQLite makes beside it has its mode.
  ownFile(path);
  const db = new Database(path, { create: true, strict: true });
  try {
    configure(db, pagesMax);
    check(db, path, isSuspect);
    if (migrate(db)) return ok(db);
    db.close();
    return err(
      `${path} is of a newer holdfast: start that one, or name another folder with --data`,
    );
  } catch (cause) {
    db.close();
    throw cause;
  }
}

/** Rows from both ends until a damaged page is met. */
function* readable(from: Database, table: string): Generator<Record<string, unknown>> {
  for (const order of ["ASC", "DESC"]) {
    try {
      const query = from.query<Record<string, unknown>, []>(
        `SELECT * FROM ${table} ORDER BY 1 ${order}`,
      );
      for (const row of query.iterate()) yield row;
      return;
    } catch {
      // Somewhere in the middle: the other end is tried.
    }
  }
}

function takeOver(from: Database, to: Database, table: string): number {
  let count = 0;
  to.transaction(() => {
    for (const row of readable(from, table)) {
      const names = Object.keys(row);
      const marks = names.map(() => "?").join(", ");
      const insert = `INSERT OR IGNORE INTO ${table} (${names.join(", ")}) VALUES (${marks})`;
      to.query(insert).run(...(Object.values(row) as string[]));
      count++;
    }
  })();
  return count;
}

/** What of it this version cannot take is left in the file that was set aside. */
function takenOver(from: Database, to: Database, table: string): number {
  try {
    return takeOver(from, to, table);
  } catch {
    return 0;
  }
}

function salvage(aside: string, to: Database): string {
  try {
    const from = new Database(aside, { readwrite: true, create: false });
    try {
      const counts = TABLES.map((table) => [table, takenOver(from, to, table)] as const);
      const found = counts.filter(([, count]) => count > 0);
      if (found.length === 0) return "nothing could be read back";
      return `read back: ${found.map(([table, count]) => `${count} ${table}`).join(", ")}`;
    } finally {
      from.close();
    }
  } catch (cause) {
    return `nothing could be read back (${messageOf(cause)})`;
  }
}

/** With its log, so that nothing of it is mixed with the new one. */
function setAside(path: string, nowMs: number): string {
  const aside = `${path}.damaged-${nowMs}`;
  for (const end of ["", "-wal", "-shm"]) {
    if (existsSync(`${path}${end}`)) renameSync(`${path}${end}`, `${aside}${end}`);
  }
  return aside;
}

function whyNot(path: string, cause: unknown): string {
  if (isBusy(cause)) {
    return `${path} is in use by another process: stop that destination, or name another folder with --data`;
  }
  return `${path} cannot be opened (${messageOf(cause)}): mend the folder, or name another with --data`;
}

/** The error is one line: another process has it, or the folder cannot be written to. Damage is never an error. */
export function openDatabase(folder: string, options: OpenOptions): Result<Opened, string> {
  const path = join(folder, DATABASE_FILE);
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const opened = openWhole(path, options);
    return opened.ok ? ok({ db: opened.value, complaints: [] }) : opened;
  } catch (cause) {
    if (!isDamage(cause) && !(cause instanceof Damaged)) return err(whyNot(path, cause));
    return openAnew(path, messageOf(cause), options);
  }
}

function openAnew(path: string, why: string, options: OpenOptions): Result<Opened, string> {
  try {
    const aside = setAside(path, options.nowMs);
    const opened = openWhole(path, { ...options, isSuspect: false });
    if (!opened.ok) return opened;
    const saved = salvage(aside, opened.value);
    const line = `the database of tickets was damaged (${why}) and is now ${aside}; ${saved}. What is missing of it cannot be told from new: repeated events may open second tickets`;
    return ok({ db: opened.value, complaints: [line] });
  } catch (cause) {
    return err(whyNot(path, cause));
  }
}

/** Whether the file that is open is still the one at its path: who deletes it would lose what is acknowledged from then on. */
export class FileWatch {
  readonly #path: string;
  #inode: number;

  constructor(folder: string) {
    this.#path = join(folder, DATABASE_FILE);
    this.#inode = inodeOf(this.#path);
  }

  isGone(): boolean {
    return inodeOf(this.#path) !== this.#inode;
  }

  /** Writes everything of the open database to its path again; what lies there is set aside. */
  bringBack(db: Database, nowMs: number): void {
    setAside(this.#path, nowMs);
    db.run("VACUUM INTO ?", [this.#path]);
    chmodSync(this.#path, 0o600);
  }

  note(): void {
    this.#inode = inodeOf(this.#path);
  }
}

function inodeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.ino ?? 0;
}

/** Gives ticket numbers that were never given before, whatever became of the database. */
export class TicketNumbers {
  readonly #path: string;
  #next: number;
  /** Below it numbers may have been given. */
  #reserved: number;

  /** `used`: the highest number that the database knows. Throws what the file system throws. */
  constructor(folder: string, used: number, isFresh: boolean) {
    this.#path = join(folder, MARK_FILE);
    this.#reserved = readMark(this.#path);
    this.#next = isFresh ? Math.max(used + 1, this.#reserved) : used + 1;
    this.#reserved = Math.max(this.#reserved, 1);
  }

  /** The next one; not used until `take`. Throws where the disk is full: then nothing was given. */
  peek(): number {
    if (this.#next >= this.#reserved) {
      const reserved = this.#next + RESERVE_COUNT;
      writeWhole(this.#path, `${reserved}\n`, 0o600);
      this.#reserved = reserved;
    }
    return this.#next;
  }

  take(): void {
    this.#next++;
  }

  get next(): number {
    return this.#next;
  }

  /** After a transaction that was undone. */
  back(to: number): void {
    this.#next = to;
  }
}

function readMark(path: string): number {
  try {
    const mark = Number(readFileSync(path, "utf8"));
    return Number.isSafeInteger(mark) && mark > 0 ? mark : 1;
  } catch {
    return 1;
  }
}

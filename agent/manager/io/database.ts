/**
 * One database behind two drivers of `Bun.SQL`: SQLite in a file of our own, or a PostgreSQL that several managers share.
 *
 * Decides nothing. `write` runs a body in one transaction that is durable when it resolves, one at a time in this process;
 * `read` never sees what is not committed. Every call ends within `CALL_MS`: a database that hangs is let go of, and the next
 * call dials anew, so that it comes back by itself. What goes wrong outside holdfast is a `StoreFailure`; a defect of ours
 * (bad SQL) throws. SQLite calls are synchronous below `Bun.SQL`, so they go one by one.
 */
import { SQL } from "bun";
import { err, ok, type Result } from "../../../core/result.ts";
import { type Dialect, numbered } from "./dialect.ts";

export interface StoreFailure {
  /**
   * `full`: no room; `away`: it does not answer or cannot be reached; `locked`: another process has the file; `too-new`: its
   * tables are of a newer holdfast.
   */
  readonly kind: "full" | "away" | "locked" | "damaged" | "too-new";
  /** One line, without credentials. */
  readonly detail: string;
}

export type SqlValue = string | number | null;
export type SqlRow = Readonly<Record<string, unknown>>;

export interface Statements {
  /** `?` stands for each value in turn, in both dialects. */
  rows(text: string, values?: readonly SqlValue[]): Promise<readonly SqlRow[]>;
}

export interface Database {
  readonly dialect: Dialect;
  /** Safe to print. */
  readonly name: string;
  write<T>(body: (statements: Statements) => Promise<T>): Promise<Result<T, StoreFailure>>;
  read<T>(body: (statements: Statements) => Promise<T>): Promise<Result<T, StoreFailure>>;
  close(): Promise<void>;
}

/** Longer than any of our statements takes by far; shorter than a client waits. */
const CALL_MS = 5_000;
const CONNECT_SECONDS = 3;
const CONNECTIONS_MAX = 6;

interface DriverError {
  readonly code?: string;
  readonly errno?: number | string;
  readonly message?: string;
}

function sqliteFailure({ code = "", message = "" }: DriverError): StoreFailure | null {
  if (code.startsWith("SQLITE_FULL")) return { kind: "full", detail: message };
  if (code.startsWith("SQLITE_BUSY") || code.startsWith("SQLITE_LOCKED")) {
    return { kind: "locked", detail: message };
  }
  if (code.startsWith("SQLITE_CORRUPT") || code.startsWith("SQLITE_NOTADB")) {
    return { kind: "damaged", detail: message };
  }
  if (/^SQLITE_(?:IOERR|CANTOPEN|READONLY|PERM|NOMEM)/.test(code)) {
    return { kind: "away", detail: `${message} (${code})` };
  }
  return null;
}

/** Classes of SQLSTATE that say what is the matter with the server, not with the statement. */
const AWAY_STATES = /^(?:08|25P0|28|3D|40|53|55P03|57|58|XX)/;

function postgresFailure({ code = "", errno, message = "" }: DriverError): StoreFailure | null {
  const state = String(errno ?? "");
  if (code === "ERR_POSTGRES_SERVER_ERROR") {
    if (state === "53100") return { kind: "full", detail: message };
    if (AWAY_STATES.test(state) || state === "") {
      return { kind: "away", detail: `${message} (${state})` };
    }
    return null;
  }
  if (code.startsWith("ERR_POSTGRES_") || /^E[A-Z]+$/.test(code)) {
    return { kind: "away", detail: `${message} (${code})` };
  }
  return null;
}

class Hung extends Error {
  override readonly name = "Hung";
}

async function within<T>(work: Promise<T>, limitMs: number): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | null = null;
  const limit = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Hung(`no answer within ${limitMs} ms`)), limitMs);
  });
  try {
    return await Promise.race([work, limit]);
  } finally {
    if (timer !== null) clearTimeout(timer);
    // What comes after the limit has nobody to go to.
    work.catch(() => undefined);
  }
}

interface Runner {
  unsafe(text: string, values?: SqlValue[]): PromiseLike<unknown>;
}

function statementsOf(runner: Runner, dialect: Dialect): Statements {
  return {
    rows: async (text, values = []) =>
      (await runner.unsafe(dialect.kind === "postgres" ? numbered(text) : text, [
        ...values,
      ])) as readonly SqlRow[],
  };
}

/** A connection, or several, that can be thrown away and made anew. */
export interface Driver {
  readonly dialect: Dialect;
  readonly name: string;
  /** What each fresh SQLite connection is told; of PostgreSQL the options say it. */
  readonly pragmas: readonly string[];
  open(): SQL;
}

export function sqliteDriver(dialect: Dialect, path: string): Driver {
  return {
    dialect,
    name: path,
    pragmas: [
      // Held from the first read on, and let go by the kernel when the process dies: two managers cannot share a file.
      "pragma locking_mode = exclusive",
      "pragma journal_mode = wal",
      "pragma synchronous = full",
      "pragma cache_size = -16000",
      "pragma temp_store = memory",
    ],
    open: () => new SQL({ adapter: "sqlite", filename: path, create: true, readwrite: true }),
  };
}

export function postgresDriver(dialect: Dialect, url: string): Driver {
  const parsed = new URL(url);
  return {
    dialect,
    name: `${parsed.host}${parsed.pathname}`,
    pragmas: [],
    open: () =>
      new SQL({
        url,
        max: CONNECTIONS_MAX,
        connectionTimeout: CONNECT_SECONDS,
        connection: {
          application_name: "holdfast manager",
          statement_timeout: String(CALL_MS),
          lock_timeout: String(CALL_MS),
          // A manager that stands still within a transaction must not hold up the others.
          idle_in_transaction_session_timeout: String(CALL_MS),
          // Acknowledged means durable, whatever the server's own default is.
          synchronous_commit: "on",
          client_min_messages: "warning",
        },
      }),
  };
}

export class BunDatabase implements Database {
  readonly #driver: Driver;
  #sql: SQL | null = null;
  #writing: Promise<unknown> = Promise.resolve();
  #isClosed = false;

  constructor(driver: Driver) {
    this.#driver = driver;
  }

  get dialect(): Dialect {
    return this.#driver.dialect;
  }

  get name(): string {
    return this.#driver.name;
  }

  write<T>(body: (statements: Statements) => Promise<T>): Promise<Result<T, StoreFailure>> {
    return this.#next(() =>
      this.#call((sql) =>
        sql.begin((transaction) => body(statementsOf(transaction as Runner, this.dialect))),
      ),
    );
  }

  read<T>(body: (statements: Statements) => Promise<T>): Promise<Result<T, StoreFailure>> {
    const call = (): Promise<Result<T, StoreFailure>> =>
      this.#call((sql) => body(statementsOf(sql as Runner, this.dialect)));
    return this.dialect.kind === "sqlite" ? this.#next(call) : call();
  }

  async close(): Promise<void> {
    await this.#writing;
    this.#isClosed = true;
    await this.#drop();
  }

  #next<T>(run: () => Promise<T>): Promise<T> {
    const next = this.#writing.then(run);
    this.#writing = next.then(
      () => undefined,
      () => undefined,
    );
    return next;
  }

  async #connected(): Promise<SQL> {
    if (this.#sql !== null) return this.#sql;
    const sql = this.#driver.open();
    try {
      for (const pragma of this.#driver.pragmas) await sql.unsafe(pragma);
    } catch (cause) {
      void sql.close({ timeout: 0 });
      throw cause;
    }
    this.#sql = sql;
    return sql;
  }

  async #call<T>(run: (sql: SQL) => Promise<T>): Promise<Result<T, StoreFailure>> {
    if (this.#isClosed) return err({ kind: "away", detail: "the store is closed" });
    try {
      const sql = await within(this.#connected(), CALL_MS);
      return ok(await within(run(sql), CALL_MS));
    } catch (cause) {
      const failure = this.#failureOf(cause);
      if (failure === null) throw cause;
      // What is full stays open: room may come. Everything else is dialled anew at the next call.
      if (failure.kind !== "full") await this.#drop();
      return err(failure);
    }
  }

  #failureOf(cause: unknown): StoreFailure | null {
    if (cause instanceof Hung) return { kind: "away", detail: cause.message };
    const error = (cause ?? {}) as DriverError;
    return this.dialect.kind === "sqlite" ? sqliteFailure(error) : postgresFailure(error);
  }

  async #drop(): Promise<void> {
    const sql = this.#sql;
    this.#sql = null;
    try {
      await sql?.close({ timeout: 0 });
    } catch {
      // It is gone in any case.
    }
  }
}

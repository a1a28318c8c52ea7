/**
 * The manager's store: every question and change, over SQLite or PostgreSQL alike.
 *
 * Composes: tables (`*-tables.ts`, `lists.ts`, `retention.ts`) over a `Database`. Each change is one transaction that is durable
 * when it resolves; whoever gives many at once shares it. A failure is a value; the next call tries again by itself, so a
 * database that comes back is used at once. `onUse` hears how long each took, `onFailure` of the first failure and the first
 * success after it.
 */
import { existsSync, mkdirSync, renameSync } from "node:fs";
import { dirname } from "node:path";
import { err, ok, type Result } from "../../../core/result.ts";
import { ownFile } from "../../runtime/io/own-folder.ts";
import type { DeliveryRow, EpochRow, EventRow, JobRow, Page, TicketRow } from "../api.ts";
import {
  BunDatabase,
  type Database,
  postgresDriver,
  type Statements,
  type StoreFailure,
  sqliteDriver,
} from "./database.ts";
import { likeLiteral, POSTGRES, SQLITE } from "./dialect.ts";
import {
  type Claimed,
  type Incoming,
  type Keeper,
  type Kept,
  type Known,
  keepEvents,
  statesOf,
  takeNumbers,
} from "./event-tables.ts";
import { type FleetChanges, loadFleet, type SavedFleet, saveFleet } from "./fleet-tables.ts";
import * as lists from "./lists.ts";
import { migrate, SCHEMA_VERSION } from "./migrations.ts";
import * as relay from "./relay-tables.ts";
import { pruneSlice, type Retention } from "./retention.ts";
import { type Settled, type Settlement, settleEvents } from "./settle-tables.ts";
import { syncOpenTickets } from "./ticket-tables.ts";

export type Answer<T> = Promise<Result<T, StoreFailure>>;

export interface StoreWatch {
  /** Of each call that reached the database. */
  readonly onUse: (call: string, tookMs: number, failure: StoreFailure | null) => void;
  /** null: it works again. */
  readonly onFailure: (failure: StoreFailure | null) => void;
}

const SILENT: StoreWatch = { onUse: () => undefined, onFailure: () => undefined };

export interface Changes {
  readonly upTo: number;
  readonly events: readonly EventRow[];
  readonly tickets: readonly TicketRow[];
}

export class Store {
  readonly #db: Database;
  readonly #watch: StoreWatch;
  #isReady = false;
  #failure: StoreFailure | null = null;

  constructor(db: Database, watch: StoreWatch = SILENT) {
    this.#db = db;
    this.#watch = watch;
  }

  get kind(): "sqlite" | "postgres" {
    return this.#db.dialect.kind;
  }

  get name(): string {
    return this.#db.name;
  }

  get isUp(): boolean {
    return this.#failure === null;
  }

  /** Why the last call failed; null: it did not. */
  get failure(): StoreFailure | null {
    return this.#failure;
  }

  /** Brings the tables to this version, unless that was done. */
  async prepare(): Answer<null> {
    if (this.#isReady) return ok(null);
    const done = await migrate(this.#db);
    if (done.ok) {
      this.#isReady = true;
      return ok(null);
    }
    const { error } = done;
    if (error.kind !== "too-new-version") return this.#noted(err(error));
    const versions = `version ${error.version} of its tables, this one knows ${SCHEMA_VERSION}`;
    const detail = `the store is of a newer holdfast (${versions}): use that one`;
    return this.#noted(err({ kind: "too-new", detail }));
  }

  keep(given: readonly Incoming[], keeper: Keeper): Answer<readonly Kept[]> {
    return this.#write("keep", (s) => keepEvents(s, this.#db.dialect, given, keeper));
  }

  /** Both in one transaction: what a node tells of what went around. */
  keepSettled(
    given: readonly Incoming[],
    keeper: Keeper,
    settlements: readonly Settlement[],
  ): Answer<readonly Settled[]> {
    return this.#write("keep", async (s) => {
      await keepEvents(s, this.#db.dialect, given, { ...keeper, takes: 0 });
      return settleEvents(s, this.#db.dialect, settlements);
    });
  }

  settle(settlements: readonly Settlement[]): Answer<readonly Settled[]> {
    return this.#write("settle", (s) => settleEvents(s, this.#db.dialect, settlements));
  }

  claim(lease: relay.Lease, countMax: number): Answer<readonly Claimed[]> {
    return this.#write("claim", (s) => relay.claimKept(s, this.#db.dialect, lease, countMax));
  }

  renew(lease: relay.Lease, seqs: readonly number[]): Answer<readonly number[]> {
    return this.#write("renew", (s) => relay.renewClaims(s, this.#db.dialect, lease, seqs));
  }

  releaseSome(owner: string, seqs: readonly number[]): Answer<null> {
    return this.#write("release", async (s) => {
      await relay.renewClaims(s, this.#db.dialect, { owner, leaseMs: -1 }, seqs);
      return null;
    });
  }

  /** Of one start of a manager, or, with `/` at the end of what it is given, of all its starts. */
  releaseOwner(owner: string): Answer<null> {
    return this.#write("release", async (s) => {
      await relay.releaseClaims(s, `${likeLiteral(owner)}%`);
      return null;
    });
  }

  saveFleet(changes: FleetChanges): Answer<null> {
    return this.#write("fleet", async (s) => {
      await saveFleet(s, this.#db.dialect, changes);
      return null;
    });
  }

  prune(retention: Retention): Answer<number> {
    return this.#write("prune", (s) => pruneSlice(s, this.#db.dialect, retention));
  }

  states(ids: readonly string[]): Answer<ReadonlyMap<string, Known>> {
    return this.#read("states", (s) => statesOf(s, this.#db.dialect, ids));
  }

  noticesAfter(seq: number, countMax: number): Answer<readonly relay.Notice[]> {
    return this.#read("notices", (s) => relay.noticesAfter(s, seq, countMax));
  }

  noticesOfNode(node: string, seq: number, countMax: number): Answer<readonly relay.Notice[]> {
    return this.#read("notices", (s) => relay.noticesOfNode(s, node, seq, countMax));
  }

  newestNotice(node: string | null): Answer<number> {
    return this.#read("notices", (s) => relay.newestNotice(s, node));
  }

  /** After `change`, which is 0 at first. */
  fleet(change: number, countMax: number): Answer<SavedFleet> {
    return this.#read("fleet", (s) => loadFleet(s, change, countMax));
  }

  events(filter: lists.EventFilter, turn: lists.Turn): Answer<Page<EventRow>> {
    return this.#read("list", (s) => lists.listEvents(s, filter, turn));
  }

  event(id: string): Answer<lists.EventDetail | null> {
    return this.#read("list", (s) => lists.findEvent(s, id));
  }

  deliveries(node: string | undefined, turn: lists.Turn): Answer<Page<DeliveryRow>> {
    return this.#read("list", (s) => lists.listDeliveries(s, node, turn));
  }

  tickets(filter: lists.TicketFilter, turn: lists.Turn): Answer<Page<TicketRow>> {
    return this.#read("list", (s) => lists.listTickets(s, filter, turn));
  }

  ticket(id: string): Answer<TicketRow | null> {
    return this.#read("list", (s) => lists.findTicket(s, id));
  }

  /** How many rows changed. */
  syncTickets(destination: string, ids: readonly string[], upTo: number): Answer<number> {
    return this.#write("tickets", async (s) => {
      const change = await takeNumbers(s, 1);
      return syncOpenTickets(s, this.#db.dialect, { destination, ids, upTo }, change);
    });
  }

  openByNode(): Answer<Awaited<ReturnType<typeof lists.openByNode>>> {
    return this.#read("sums", (s) => lists.openByNode(s));
  }

  sums(): Answer<{
    readonly tallies: readonly lists.Tally[];
    readonly oldestKeptMs: number | null;
    readonly openTickets: number;
  }> {
    return this.#read("sums", async (s) => ({
      tallies: await lists.readTallies(s),
      oldestKeptMs: await lists.oldestKeptMs(s),
      openTickets: await lists.countOpenTickets(s),
    }));
  }

  clock(): Answer<number> {
    return this.#read("clock", lists.readClock);
  }

  /** What changed after `after`; null: too much to tell, read the lists anew. */
  changes(
    after: number,
    countMax: number,
  ): Answer<{ readonly upTo: number; readonly changes: Changes | null }> {
    return this.#read("changes", async (s) => {
      const upTo = await lists.readClock(s);
      if (upTo <= after) return { upTo, changes: { upTo, events: [], tickets: [] } };
      const changes = await lists.changedSince(s, { after, upTo, countMax });
      return { upTo, changes: changes === null ? null : { upTo, ...changes } };
    });
  }

  jobs(): Answer<readonly JobRow[]> {
    return this.#read("list", async (s) => (await loadFleet(s, 0, 10_000)).jobs);
  }

  epochs({ cursor, limit }: lists.Turn): Answer<Page<EpochRow>> {
    return this.#read("list", (s) => lists.listEpochs(s, { cursor, limit }));
  }

  close(): Promise<void> {
    return this.#db.close();
  }

  #write<T>(call: string, body: (statements: Statements) => Promise<T>): Answer<T> {
    return this.#timed(call, () => this.#db.write(body));
  }

  #read<T>(call: string, body: (statements: Statements) => Promise<T>): Answer<T> {
    return this.#timed(call, () => this.#db.read(body));
  }

  async #timed<T>(call: string, run: () => Answer<T>): Answer<T> {
    const ready = await this.prepare();
    if (!ready.ok) return ready;
    const beganMs = performance.now();
    const result = await run();
    this.#watch.onUse(call, performance.now() - beganMs, result.ok ? null : result.error);
    return this.#noted(result);
  }

  #noted<T>(result: Result<T, StoreFailure>): Result<T, StoreFailure> {
    const failure = result.ok ? null : result.error;
    const hasChanged = (failure === null) !== (this.#failure === null);
    this.#failure = failure;
    if (hasChanged) this.#watch.onFailure(failure);
    return result;
  }
}

/** The file as it was stays beside it, with what belongs to it. */
function setAside(path: string, suffix: string): void {
  for (const end of ["", "-wal", "-shm"]) {
    if (existsSync(path + end)) renameSync(path + end, `${path}${suffix}${end}`);
  }
}

function makeFile(path: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  ownFile(path);
}

export interface OpenedStore {
  readonly store: Store;
  /** What was put right, each a line that somebody should read. */
  readonly complaints: readonly string[];
}

/**
 * In a file of its own. The error is one line for the user. A damaged file is set aside and begun anew: nodes keep what is
 * not at the destination yet, and give it again.
 */
export async function openSqlite(
  path: string,
  watch: StoreWatch = SILENT,
): Promise<Result<OpenedStore, string>> {
  const attempt = async (): Promise<Result<Store, StoreFailure>> => {
    makeFile(path);
    const store = new Store(new BunDatabase(sqliteDriver(SQLITE, path)), watch);
    const prepared = await store.prepare();
    if (prepared.ok) return ok(store);
    await store.close();
    return prepared;
  };
  try {
    const first = await attempt();
    if (first.ok) return ok({ store: first.value, complaints: [] });
    const { kind, detail } = first.error;
    if (kind === "locked") {
      return err(`${path} is used by another manager: stop that one, or give another --data`);
    }
    if (kind !== "damaged") return err(`${path} cannot be opened: ${detail}`);
    const suffix = `.damaged-${Date.now()}`;
    setAside(path, suffix);
    const second = await attempt();
    if (!second.ok) return err(`${path} cannot be opened: ${second.error.detail}`);
    const what = `the store ${path} is damaged (${detail}): it is now ${path}${suffix}`;
    const complaint = `${what}, and a new one is begun; nodes give again what is not delivered`;
    return ok({ store: second.value, complaints: [complaint] });
  } catch (cause) {
    return err(`${path} cannot be opened: ${cause instanceof Error ? cause.message : cause}`);
  }
}

/** One that cannot be reached now is used as soon as it can. The error is one line for the user, without credentials. */
export async function openPostgres(
  url: string,
  watch: StoreWatch = SILENT,
): Promise<Result<OpenedStore, string>> {
  let db: BunDatabase;
  try {
    db = new BunDatabase(postgresDriver(POSTGRES, url));
  } catch {
    return err("--store must be a URL such as postgres://user:password@host:5432/holdfast");
  }
  const store = new Store(db, watch);
  const prepared = await store.prepare();
  if (prepared.ok) return ok({ store, complaints: [] });
  const { kind, detail } = prepared.error;
  if (kind !== "too-new") {
    const complaint = `the store ${db.name} cannot be used yet: ${detail}; it is tried again with each request`;
    return ok({ store, complaints: [complaint] });
  }
  await store.close();
  return err(`${db.name}: ${detail}`);
}

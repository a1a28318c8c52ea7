/**
 * What the page knows: the manager's rows, put together from its lists and its live messages. No DOM, no clock.
 *
 * Bounded: the newest `EVENTS_MAX` events and so on; `isCut` says that there is more at the manager. Rows replace those with
 * the same key, whichever way they come, so a list that is read while messages arrive does no harm: an event's row of a list
 * that says less than the one of a message is passed over.
 */
import type {
  EpochRow,
  EventRow,
  JobRow,
  LiveMessage,
  NodeRow,
  Summary,
  TicketRow,
} from "../api.ts";

export const EVENTS_MAX = 10_000;
export const NODES_MAX = 10_000;
export const TICKETS_MAX = 5_000;
export const JOBS_MAX = 1_000;
export const EPOCHS_MAX = 500;

export const LISTS = ["nodes", "events", "tickets", "jobs", "epochs"] as const;
export type ListName = (typeof LISTS)[number];

/** Rows by key, and in order when asked for: sorted anew only after a change. */
export class Table<Row> {
  readonly #rows = new Map<string, Row>();
  readonly #max: number;
  readonly #compare: (a: Row, b: Row) => number;
  #sorted: readonly Row[] | null = [];
  #isCut = false;
  /** Rows from before the lists were read anew, which nothing has told of since. */
  readonly #stale = new Set<string>();

  constructor(max: number, compare: (a: Row, b: Row) => number) {
    this.#max = max;
    this.#compare = compare;
  }

  get isCut(): boolean {
    return this.#isCut;
  }

  get size(): number {
    return this.#rows.size;
  }

  get(key: string): Row | undefined {
    return this.#rows.get(key);
  }

  set(key: string, row: Row): void {
    this.#rows.set(key, row);
    this.#stale.delete(key);
    this.#sorted = null;
    // A tenth at a time, so that a long stream does not sort at each row.
    if (this.#rows.size > this.#max * 1.1) this.#cut();
  }

  /** From now on what is not told again counts as gone, once `dropStale` says so. */
  markStale(): void {
    for (const key of this.#rows.keys()) this.#stale.add(key);
  }

  dropStale(): void {
    for (const key of this.#stale) this.#rows.delete(key);
    if (this.#stale.size > 0) this.#sorted = null;
    this.#stale.clear();
  }

  /** Best first as the table's order says; at most its bound. */
  rows(): readonly Row[] {
    if (this.#rows.size > this.#max) this.#cut();
    this.#sorted ??= [...this.#rows.values()].sort(this.#compare);
    return this.#sorted;
  }

  #cut(): void {
    const entries = [...this.#rows].sort(([, a], [, b]) => this.#compare(a, b));
    for (const [key] of entries.slice(this.#max)) this.#rows.delete(key);
    this.#sorted = entries.slice(0, this.#max).map(([, row]) => row);
    this.#isCut = true;
  }
}

/** Numbers within names count as numbers: `n2` before `n10`. */
const collator = new Intl.Collator("en", { numeric: true });

export class World {
  summary: Summary | null = null;
  readonly nodes: Table<NodeRow> = new Table(NODES_MAX, (a, b) => collator.compare(a.id, b.id));
  readonly events: Table<EventRow> = new Table(EVENTS_MAX, (a, b) => b.seq - a.seq);
  readonly tickets: Table<TicketRow> = new Table(
    TICKETS_MAX,
    (a, b) => Number(b.isOpen) - Number(a.isOpen) || b.changedMs - a.changedMs,
  );
  readonly jobs: Table<JobRow> = new Table(
    JOBS_MAX,
    (a, b) => b.reportedMs - a.reportedMs || collator.compare(a.id, b.id),
  );
  readonly epochs: Table<EpochRow> = new Table(EPOCHS_MAX, (a, b) => b.epoch - a.epoch);
  /** How far each list was read: below it the manager has more. */
  readonly read: Map<ListName, "all" | "part"> = new Map();

  /** False: the message asks for the lists anew. */
  apply(message: LiveMessage): boolean {
    switch (message.kind) {
      case "hello":
      case "summary":
        this.summary = message.summary;
        return true;
      case "reset":
        return false;
      case "node":
        this.nodes.set(message.row.id, message.row);
        return true;
      case "event":
        this.#event(message.row);
        return true;
      case "ticket":
        this.tickets.set(ticketKey(message.row), message.row);
        return true;
      case "job":
        this.jobs.set(message.row.id, message.row);
        return true;
      case "epoch":
        this.epochs.set(String(message.row.epoch), message.row);
        return true;
      default:
        // A later manager says more than this page knows.
        return true;
    }
  }

  #event(row: EventRow): void {
    const known = this.events.get(row.id);
    const isNewer = known === undefined || known.steps.length <= row.steps.length;
    this.events.set(row.id, isNewer ? row : known);
  }

  addEvents(rows: readonly EventRow[]): void {
    for (const row of rows) this.#event(row);
  }

  markStale(): void {
    for (const name of LISTS) this[name].markStale();
    this.read.clear();
  }

  dropStale(): void {
    for (const name of LISTS) this[name].dropStale();
  }
}

/** Two destinations may use one number. */
export function ticketKey(row: { readonly id: string; readonly destination: string }): string {
  return `${row.destination}\n${row.id}`;
}

/**
 * What is shown of the store: pages of lists, rows that changed, sums.
 *
 * Reads only. Every list is bounded by its caller's limit, and goes on from a cursor that is the last row's own number or name, so
 * that rows which come meanwhile neither repeat nor hide one. Searching in texts looks at the newest events only.
 */

import type { EventWay, Severity } from "../../../bmc/bmc.ts";
import type {
  DeliveryPath,
  DeliveryRow,
  EpochRow,
  EventRow,
  EventState,
  Page,
  TicketRow,
} from "../api.ts";
import { rankOf, SEVERITIES, severityOf } from "../severity.ts";
import { decodeSteps } from "../steps.ts";
import { withDifference } from "../views.ts";
import type { SqlRow, SqlValue, Statements } from "./database.ts";
import { likeLiteral } from "./dialect.ts";

/** A search in texts reads rows one by one; half a second of them at most. */
const SEARCHED_MAX = 200_000;

export interface EventFilter {
  readonly node?: string | undefined;
  readonly system?: string | undefined;
  /** At least so grave. */
  readonly least?: Severity | undefined;
  readonly state?: EventState | undefined;
  readonly path?: DeliveryPath | undefined;
  readonly ticket?: string | undefined;
  /** Seen by its node at this time or later. */
  readonly fromMs?: number | undefined;
  readonly toMs?: number | undefined;
  readonly search?: string | undefined;
}

export interface Turn {
  readonly cursor: number | null;
  readonly limit: number;
}

const LISTED = `seq, id, node, system, severity, category, subject, text, is_assertion, seen_by, when_ms, seen_ms, signed_ms,
  arrived_ms, state, path, ticket, steps, change, envelope is not null as is_signed`;

function numberOrNull(value: unknown): number | null {
  return value === null || value === undefined ? null : Number(value);
}

function textOrNull(value: unknown): string | null {
  return value === null || value === undefined ? null : String(value);
}

export function eventRowOf(row: SqlRow): EventRow {
  return {
    seq: Number(row["seq"]),
    id: String(row["id"]),
    node: String(row["node"]),
    system: String(row["system"]),
    severity: severityOf(Number(row["severity"])),
    category: String(row["category"]),
    subject: String(row["subject"]),
    text: String(row["text"]),
    isAssertion: Number(row["is_assertion"]) === 1,
    seenBy: String(row["seen_by"]) as EventWay,
    whenMs: numberOrNull(row["when_ms"]),
    seenMs: Number(row["seen_ms"]),
    signedMs: Number(row["signed_ms"]),
    arrivedMs: Number(row["arrived_ms"]),
    state: String(row["state"]) as EventState,
    path: textOrNull(row["path"]) as DeliveryPath | null,
    ticket: textOrNull(row["ticket"]),
    steps: decodeSteps(String(row["steps"])),
    isSigned: Boolean(row["is_signed"]),
  };
}

export function ticketRowOf(row: SqlRow): TicketRow {
  return {
    id: String(row["id"]),
    destination: String(row["destination"]),
    node: String(row["node"]),
    system: String(row["system"]),
    category: String(row["category"]),
    subject: String(row["subject"]),
    severity: severityOf(Number(row["severity"])),
    text: String(row["text"]),
    isOpen: Number(row["is_open"]) === 1,
    openedMs: Number(row["opened_ms"]),
    changedMs: Number(row["changed_ms"]),
    events: Number(row["events"]),
  };
}

interface Where {
  readonly texts: string[];
  readonly values: SqlValue[];
}

function whereOf(filter: EventFilter): Where {
  const texts: string[] = [];
  const values: SqlValue[] = [];
  const also = (text: string, value: SqlValue | undefined): void => {
    if (value === undefined) return;
    texts.push(text);
    values.push(value);
  };
  also("node = ?", filter.node);
  also("system = ?", filter.system);
  also("severity >= ?", filter.least === undefined ? undefined : rankOf(filter.least));
  also("state = ?", filter.state);
  also("path = ?", filter.path);
  also("ticket = ?", filter.ticket);
  also("seen_ms >= ?", filter.fromMs);
  also("seen_ms <= ?", filter.toMs);
  if (filter.search !== undefined && filter.search !== "") {
    const columns = ["text", "subject", "category", "node", "system", "id"];
    texts.push(`(${columns.map((name) => `lower(${name}) like ? escape '!'`).join(" or ")})`);
    for (const _ of columns) values.push(`%${likeLiteral(filter.search.toLowerCase())}%`);
    texts.push(`seq > (select value from clock) - ${SEARCHED_MAX}`);
  }
  return { texts, values };
}

function pageOf<Row>(rows: readonly Row[], limit: number, key: (row: Row) => number): Page<Row> {
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  return {
    rows: shown,
    next: rows.length > limit && last !== undefined ? String(key(last)) : null,
  };
}

export async function listEvents(
  statements: Statements,
  filter: EventFilter,
  { cursor, limit }: Turn,
): Promise<Page<EventRow>> {
  const { texts, values } = whereOf(filter);
  if (cursor !== null) {
    texts.push("seq < ?");
    values.push(cursor);
  }
  const where = texts.length === 0 ? "" : `where ${texts.join(" and ")}`;
  const rows = await statements.rows(
    `select ${LISTED} from events ${where} order by seq desc limit ?`,
    [...values, limit + 1],
  );
  return pageOf(rows.map(eventRowOf), limit, ({ seq }) => seq);
}

export interface EventDetail {
  readonly row: EventRow;
  /** As JSON; null: only told of. */
  readonly envelope: string | null;
  readonly receipt: string | null;
  readonly trail: string;
}

export async function findEvent(statements: Statements, id: string): Promise<EventDetail | null> {
  const [row] = await statements.rows(
    `select ${LISTED}, envelope, receipt, trail from events where id = ?`,
    [id],
  );
  if (row === undefined) return null;
  return {
    row: eventRowOf(row),
    envelope: textOrNull(row["envelope"]),
    receipt: textOrNull(row["receipt"]),
    trail: String(row["trail"]),
  };
}

/** The steps of the events that changed last. */
export async function listDeliveries(
  statements: Statements,
  node: string | undefined,
  { cursor, limit }: Turn,
): Promise<Page<DeliveryRow>> {
  const texts = [
    ...(node === undefined ? [] : ["node = ?"]),
    ...(cursor === null ? [] : ["change < ?"]),
  ];
  const values = [...(node === undefined ? [] : [node]), ...(cursor === null ? [] : [cursor])];
  const where = texts.length === 0 ? "" : `where ${texts.join(" and ")}`;
  const rows = await statements.rows(
    `select ${LISTED} from events ${where} order by change desc limit ?`,
    [...values, limit + 1],
  );
  const events = rows.slice(0, limit);
  const last = events.at(-1);
  const steps = events.flatMap((row) => {
    const event = eventRowOf(row);
    const { id, severity, subject, text } = event;
    return event.steps
      .map(
        (step): DeliveryRow => ({
          ...step,
          seq: Number(row["change"]),
          event: id,
          node: event.node,
          severity,
          subject,
          text,
        }),
      )
      .reverse();
  });
  const next = rows.length > limit && last !== undefined ? String(Number(last["change"])) : null;
  return { rows: steps, next };
}

export interface TicketFilter {
  readonly node?: string | undefined;
  readonly isOpen?: boolean | undefined;
}

export async function listTickets(
  statements: Statements,
  filter: TicketFilter,
  { cursor, limit }: Turn,
): Promise<Page<TicketRow>> {
  const texts: string[] = [];
  const values: SqlValue[] = [];
  if (filter.node !== undefined) {
    texts.push("node = ?");
    values.push(filter.node);
  }
  if (filter.isOpen !== undefined) {
    texts.push("is_open = ?");
    values.push(filter.isOpen ? 1 : 0);
  }
  // By offset: tickets are few, and those that change move to the front.
  const offset = cursor ?? 0;
  const where = texts.length === 0 ? "" : `where ${texts.join(" and ")}`;
  const rows = await statements.rows(
    `select * from tickets ${where} order by changed_ms desc, destination, id limit ? offset ?`,
    [...values, limit + 1, offset],
  );
  const shown = rows.slice(0, limit).map(ticketRowOf);
  return { rows: shown, next: rows.length > limit ? String(offset + limit) : null };
}

export async function findTicket(statements: Statements, id: string): Promise<TicketRow | null> {
  const [row] = await statements.rows("select * from tickets where id = ? limit 1", [id]);
  return row === undefined ? null : ticketRowOf(row);
}

/** What is open on each node, and how grave. */
export async function openByNode(
  statements: Statements,
): Promise<ReadonlyMap<string, { readonly count: number; readonly worst: Severity }>> {
  const rows = await statements.rows(
    "select node, count(*) as count, max(severity) as worst from tickets where is_open = 1 group by node",
  );
  return new Map(
    rows.map((row) => [
      String(row["node"]),
      { count: Number(row["count"]), worst: severityOf(Number(row["worst"])) },
    ]),
  );
}

export interface Tally {
  readonly state: EventState;
  readonly severity: Severity;
  readonly count: number;
}

export async function readTallies(statements: Statements): Promise<readonly Tally[]> {
  const rows = await statements.rows("select state, severity, count from tallies");
  return rows
    .filter((row) => Number(row["severity"]) < SEVERITIES.length)
    .map((row) => ({
      state: String(row["state"]) as EventState,
      severity: severityOf(Number(row["severity"])),
      count: Number(row["count"]),
    }));
}

export async function countOpenTickets(statements: Statements): Promise<number> {
  const [row] = await statements.rows("select count(*) as count from tickets where is_open = 1");
  return Number(row?.["count"] ?? 0);
}

/** Newest first; what changed is against the view before. */
export async function listEpochs(
  statements: Statements,
  { cursor, limit }: Turn,
): Promise<Page<EpochRow>> {
  const where = cursor === null ? "" : "where epoch < ?";
  const rows = await statements.rows(
    `select epoch, members, at_ms from epochs ${where} order by epoch desc limit ?`,
    [...(cursor === null ? [] : [cursor]), limit + 1],
  );
  const views = rows.map((row) => ({
    epoch: Number(row["epoch"]),
    members: JSON.parse(String(row["members"])) as readonly string[],
    atMs: Number(row["at_ms"]),
  }));
  const epochs = views.map((view, index) => withDifference(view, views[index + 1] ?? null));
  return pageOf(epochs, limit, ({ epoch }) => epoch);
}

/** When the oldest that waits was kept; null: nothing waits. */
export async function oldestKeptMs(statements: Statements): Promise<number | null> {
  const [row] = await statements.rows(
    "select arrived_ms from events where state = 'kept' order by seq limit 1",
  );
  return row === undefined ? null : Number(row["arrived_ms"]);
}

export async function readClock(statements: Statements): Promise<number> {
  const [row] = await statements.rows("select value from clock where one = 1");
  return Number(row?.["value"] ?? 0);
}

/** What is above `after` and not above `upTo`; more than `countMax` of one kind: null, read the lists anew. */
export async function changedSince(
  statements: Statements,
  range: { readonly after: number; readonly upTo: number; readonly countMax: number },
): Promise<{
  readonly events: readonly EventRow[];
  readonly tickets: readonly TicketRow[];
} | null> {
  const { after, upTo, countMax } = range;
  const values = [after, upTo, countMax + 1];
  const events = await statements.rows(
    `select ${LISTED} from events where change > ? and change <= ? order by change limit ?`,
    values,
  );
  const tickets = await statements.rows(
    "select * from tickets where change > ? and change <= ? order by change limit ?",
    values,
  );
  if (events.length > countMax || tickets.length > countMax) return null;
  return { events: events.map(eventRowOf), tickets: tickets.map(ticketRowOf) };
}

/**
 * What became of events, in the store: delivered or not relayed, with the lines that tell their nodes, and their tickets.
 *
 * Invariants: an event that is `delivered` never becomes anything else; a receipt and the line that tells its node of it are
 * written together, in one transaction of many.
 */
import type { Receipt } from "../../callhome/protocol.ts";
import type { DeliveryPath, EventState } from "../api.ts";
import { deliveredSteps, encodeSteps, failedStep, notRelayedStep } from "../steps.ts";
import type { Statements } from "./database.ts";
import { type Cell, type Columns, type Dialect, packRows } from "./dialect.ts";
import { count, takeNumbers, tally } from "./event-tables.ts";
import { foldTickets, type TicketEvent } from "./ticket-tables.ts";

export interface Settlement {
  readonly id: string;
  readonly atMs: number;
  readonly outcome:
    | {
        readonly kind: "delivered";
        readonly receipt: Receipt;
        /** null: it came there, nobody said how. */
        readonly path: DeliveryPath | null;
      }
    | { readonly kind: "not-relayed"; readonly reason: string; readonly destination: string | null }
    /** A try that failed; it stays `kept`. */
    | { readonly kind: "failed"; readonly reason: string; readonly destination: string | null };
}

interface Current extends TicketEvent {
  readonly id: string;
  readonly state: EventState;
  readonly path: DeliveryPath | null;
  readonly broughtBy: string | null;
  readonly arrivedMs: number;
}

async function currentOf(
  statements: Statements,
  dialect: Dialect,
  ids: readonly string[],
): Promise<ReadonlyMap<string, Current>> {
  const source = dialect.rows([["id", "text"]]);
  const rows = await statements.rows(
    `select id, state, path, node, brought_by, system, severity, category, subject, text, is_assertion, seen_ms, arrived_ms
     from events where id in (select id from ${source} as given)`,
    [packRows(ids.map((id) => [id]))],
  );
  const current = rows.map(
    (row): Current => ({
      id: String(row["id"]),
      state: row["state"] as EventState,
      path: row["path"] as DeliveryPath | null,
      node: String(row["node"]),
      broughtBy: row["brought_by"] as string | null,
      system: String(row["system"]),
      rank: Number(row["severity"]),
      category: String(row["category"]),
      subject: String(row["subject"]),
      text: String(row["text"]),
      isAssertion: Number(row["is_assertion"]) === 1,
      seenMs: Number(row["seen_ms"]),
      arrivedMs: Number(row["arrived_ms"]),
    }),
  );
  return new Map(current.map((one) => [one.id, one]));
}

export interface Settled {
  readonly id: string;
  readonly rank: number;
  readonly kind: Settlement["outcome"]["kind"];
  readonly arrivedMs: number;
}

interface Change {
  readonly current: Current;
  readonly settlement: Settlement;
}

function changesOf(
  settlements: readonly Settlement[],
  current: ReadonlyMap<string, Current>,
): readonly Change[] {
  const seen = new Map<string, Change>();
  for (const settlement of settlements) {
    const found = current.get(settlement.id);
    if (found === undefined) continue;
    const { outcome } = settlement;
    const isNews =
      found.state === "kept" || (found.state === "not-relayed" && outcome.kind === "delivered");
    if (!isNews) continue;
    const earlier = seen.get(settlement.id);
    if (earlier === undefined || earlier.settlement.outcome.kind !== "delivered") {
      seen.set(settlement.id, { current: found, settlement });
    }
  }
  return [...seen.values()];
}

const SETTLED_COLUMNS: Columns = [
  ["id", "text"],
  ["state", "text"],
  ["path", "text"],
  ["destination", "text"],
  ["ticket", "text"],
  ["reason", "text"],
  ["receipt", "text"],
  ["steps", "text"],
  ["change", "int"],
];

function settledCells({ settlement }: Change, change: number): readonly Cell[] {
  const { id, atMs, outcome } = settlement;
  if (outcome.kind === "delivered") {
    const { receipt, path } = outcome;
    const steps = encodeSteps(deliveredSteps(receipt, path));
    const { destination, ticket } = receipt;
    return [
      id,
      "delivered",
      path,
      destination,
      ticket,
      null,
      JSON.stringify(receipt),
      steps,
      change,
    ];
  }
  const { reason, destination } = outcome;
  const isFinal = outcome.kind === "not-relayed";
  const step = (isFinal ? notRelayedStep : failedStep)(destination, atMs, reason);
  const state = isFinal ? "not-relayed" : "kept";
  return [id, state, null, destination, null, reason, null, encodeSteps([step]), change];
}

/** Whom to tell: the node that signed it, and who brought it; nobody of what a node told us itself. */
function noticesOf({ current, settlement }: Change, seq: number): readonly (readonly Cell[])[] {
  const { id, atMs, outcome } = settlement;
  const isTold =
    outcome.kind === "delivered" && outcome.path !== "manager" && outcome.path !== null;
  if (outcome.kind === "failed" || isTold) return [];
  const line =
    outcome.kind === "delivered"
      ? { kind: "receipt", receipt: outcome.receipt }
      : { kind: "not-relayed", id, reason: outcome.reason };
  const nodes = current.broughtBy === null ? [current.node] : [current.node, current.broughtBy];
  return nodes.map((node, index) => [seq + index, id, node, JSON.stringify(line), atMs]);
}

async function writeNotices(
  statements: Statements,
  dialect: Dialect,
  rows: readonly (readonly Cell[])[],
): Promise<void> {
  if (rows.length === 0) return;
  const source = dialect.rows([
    ["seq", "int"],
    ["event", "text"],
    ["node", "text"],
    ["line", "text"],
    ["at_ms", "int"],
  ]);
  await statements.rows(
    `insert into notices (seq, event, node, line, at_ms)
     select seq, event, node, line, at_ms from ${source} as given where true
     on conflict (event, node) do update set seq = excluded.seq, line = excluded.line, at_ms = excluded.at_ms`,
    [packRows(rows)],
  );
}

/** What became of events. Those that are settled already, or unknown, are passed over. */
export async function settleEvents(
  statements: Statements,
  dialect: Dialect,
  settlements: readonly Settlement[],
): Promise<readonly Settled[]> {
  const ids = [...new Set(settlements.map(({ id }) => id))];
  // Two numbers an event, as two nodes may have to be told. Taken first, so nobody else writes between.
  const base = await takeNumbers(statements, ids.length * 2);
  const changes = changesOf(settlements, await currentOf(statements, dialect, ids));
  if (changes.length === 0) return [];
  const rows = changes.map((change, index) => settledCells(change, base + index * 2));
  await statements.rows(
    `update events set state = given.state, path = given.path,
       destination = coalesce(given.destination, events.destination), ticket = given.ticket,
       reason = given.reason, receipt = given.receipt, steps = events.steps || given.steps,
       change = given.change,
       lease_until = case when given.state = 'kept' then events.lease_until else 0 end
     from ${dialect.rows(SETTLED_COLUMNS)} as given where events.id = given.id`,
    [packRows(rows)],
  );
  const tallies = new Map<string, number>();
  for (const { current, settlement } of changes) {
    if (settlement.outcome.kind === "failed") continue;
    count(tallies, current.state, current.rank, -1);
    count(tallies, settlement.outcome.kind, current.rank, 1);
  }
  await tally(statements, dialect, tallies);
  await writeNotices(
    statements,
    dialect,
    changes.flatMap((change, index) => noticesOf(change, base + index * 2)),
  );
  await foldTickets(
    statements,
    dialect,
    changes.flatMap(({ current, settlement }) => {
      const { outcome } = settlement;
      return outcome.kind === "delivered" ? [{ event: current, receipt: outcome.receipt }] : [];
    }),
    base,
  );
  return changes.map(({ current, settlement }) => ({
    id: current.id,
    rank: current.rank,
    kind: settlement.outcome.kind,
    arrivedMs: current.arrivedMs,
  }));
}

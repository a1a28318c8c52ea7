/**
 * Events in the store: kept, many in one transaction, and found again by their ids.
 *
 * Invariant: `tallies` counts exactly what is in `events`. Everything is idempotent by the event's id.
 */

import type { EventStatement, Hop, Receipt } from "../../callhome/protocol.ts";
import type { EventState } from "../api.ts";
import { rankOf } from "../severity.ts";
import { encodeSteps, keptStep, stepsOfTrail } from "../steps.ts";
import type { SqlRow, Statements } from "./database.ts";
import { type Cell, type Columns, type Dialect, packRows } from "./dialect.ts";

/** A verified event, about to be kept. */
export interface Incoming {
  readonly id: string;
  readonly statement: EventStatement;
  /** As JSON, just as it came. */
  readonly envelope: string;
  readonly trail: readonly Hop[];
  /** Another node than the one that signed it; null: the same. */
  readonly broughtBy: string | null;
}

export interface Known {
  readonly state: EventState;
  readonly receipt: Receipt | null;
  readonly reason: string | null;
}

export type Kept =
  /** `isTaken`: claimed for this manager, as said by `takes`. */
  | {
      readonly id: string;
      readonly kind: "new";
      readonly seq: number;
      readonly isTaken: boolean;
    }
  | ({ readonly id: string; readonly kind: "known" } & Known);

/** Held by this manager, to be relayed. */
export interface Claimed {
  readonly id: string;
  readonly seq: number;
  readonly rank: number;
  readonly node: string;
  readonly envelope: string;
  readonly trail: string;
}

export interface Keeper {
  readonly manager: string;
  /** Changes with each start. */
  readonly owner: string;
  readonly nowMs: number;
  readonly leaseMs: number;
  /** How many of these the relay takes at once; the rest waits to be claimed. */
  readonly takes: number;
}

const EVENT_COLUMNS: Columns = [
  ["seq", "int"],
  ["id", "text"],
  ["node", "text"],
  ["brought_by", "text"],
  ["system", "text"],
  ["severity", "int"],
  ["category", "text"],
  ["subject", "text"],
  ["text", "text"],
  ["is_assertion", "int"],
  ["seen_by", "text"],
  ["when_ms", "int"],
  ["seen_ms", "int"],
  ["signed_ms", "int"],
  ["arrived_ms", "int"],
  ["envelope", "text"],
  ["trail", "text"],
  ["steps", "text"],
  ["lease_by", "text"],
  ["lease_for", "int"],
];

const INSERTED: string = EVENT_COLUMNS.map(([name]) => name)
  .filter((name) => name !== "lease_for")
  .join(", ");

/** Takes the next `count` numbers; the caller is the only writer until its transaction ends. */
export async function takeNumbers(statements: Statements, count: number): Promise<number> {
  const [row] = await statements.rows(
    "update clock set value = value + ? where one = 1 returning value",
    [count],
  );
  return Number(row?.["value"]) - count + 1;
}

function cellsOf(incoming: Incoming, seq: number, index: number, keeper: Keeper): readonly Cell[] {
  const { statement, trail } = incoming;
  const { event, node, signedMs } = statement;
  const isTaken = index < keeper.takes;
  return [
    seq,
    incoming.id,
    node,
    incoming.broughtBy,
    event.system,
    rankOf(event.severity),
    event.category,
    event.subject,
    event.text,
    event.isAssertion ? 1 : 0,
    event.way,
    event.whenMs,
    event.seenMs,
    signedMs,
    keeper.nowMs,
    incoming.envelope,
    JSON.stringify(trail),
    encodeSteps([...stepsOfTrail(node, signedMs, trail), keptStep(keeper.manager, keeper.nowMs)]),
    isTaken ? keeper.owner : null,
    isTaken ? keeper.leaseMs : 0,
  ];
}

export async function tally(
  statements: Statements,
  dialect: Dialect,
  changes: ReadonlyMap<string, number>,
): Promise<void> {
  const rows = [...changes].flatMap(([key, count]) => {
    const [state = "", rank] = key.split("/");
    return count === 0 ? [] : [[state, Number(rank), count]];
  });
  if (rows.length === 0) return;
  const source = dialect.rows([
    ["state", "text"],
    ["severity", "int"],
    ["count", "int"],
  ]);
  await statements.rows(
    `insert into tallies (state, severity, count) select state, severity, count from ${source} as given where true
     on conflict (state, severity) do update set count = tallies.count + excluded.count`,
    [packRows(rows)],
  );
}

export function count(changes: Map<string, number>, state: string, rank: number, by: number): void {
  const key = `${state}/${rank}`;
  changes.set(key, (changes.get(key) ?? 0) + by);
}

async function noteNodes(
  statements: Statements,
  dialect: Dialect,
  news: readonly Incoming[],
  at: { readonly nowMs: number; readonly change: number },
): Promise<void> {
  const counts = new Map<string, number>();
  for (const { statement } of news)
    counts.set(statement.node, (counts.get(statement.node) ?? 0) + 1);
  const source = dialect.rows([
    ["id", "text"],
    ["events", "int"],
  ]);
  await statements.rows(
    `insert into nodes (id, seen_ms, events, change)
     select id, ${Math.round(at.nowMs)}, events, ${at.change} from ${source} as given where true
     on conflict (id) do update set events = nodes.events + excluded.events, change = excluded.change`,
    [packRows([...counts])],
  );
}

function knownOf(row: SqlRow): Known & { readonly id: string } {
  const receipt = row["receipt"] as string | null;
  return {
    id: String(row["id"]),
    state: row["state"] as EventState,
    receipt: receipt === null ? null : (JSON.parse(receipt) as Receipt),
    reason: row["reason"] as string | null,
  };
}

export async function statesOf(
  statements: Statements,
  dialect: Dialect,
  ids: readonly string[],
): Promise<ReadonlyMap<string, Known>> {
  const source = dialect.rows([["id", "text"]]);
  const rows = await statements.rows(
    `select id, state, receipt, reason from events where id in (select id from ${source} as given)`,
    [packRows(ids.map((id) => [id]))],
  );
  return new Map(rows.map(knownOf).map((known) => [known.id, known]));
}

/** In the order given; of one id given twice the second is `known`. */
export async function keepEvents(
  statements: Statements,
  dialect: Dialect,
  given: readonly Incoming[],
  keeper: Keeper,
): Promise<readonly Kept[]> {
  const unique = [...new Map(given.map((incoming) => [incoming.id, incoming])).values()];
  const base = await takeNumbers(statements, unique.length);
  const rows = unique.map((incoming, index) => cellsOf(incoming, base + index, index, keeper));
  const inserted = await statements.rows(
    `insert into events (${INSERTED}, lease_until, state, change)
     select ${INSERTED}, ${dialect.nowMs} + lease_for, 'kept', seq from ${dialect.rows(EVENT_COLUMNS)} as given where true
     on conflict (id) do nothing returning id, seq, severity`,
    [packRows(rows)],
  );
  const seqs = new Map(inserted.map((row) => [String(row["id"]), Number(row["seq"])]));
  const changes = new Map<string, number>();
  for (const row of inserted) count(changes, "kept", Number(row["severity"]), 1);
  await tally(statements, dialect, changes);
  const news = unique.filter(({ id }) => seqs.has(id));
  if (news.length > 0) {
    const change = base + unique.length - 1;
    await noteNodes(statements, dialect, news, { nowMs: keeper.nowMs, change });
  }
  const others = unique.filter(({ id }) => !seqs.has(id)).map(({ id }) => id);
  const known = others.length === 0 ? null : await statesOf(statements, dialect, others);
  return given.map(({ id }): Kept => {
    const seq = seqs.get(id);
    if (seq !== undefined) {
      seqs.delete(id);
      return { id, kind: "new", seq, isTaken: seq - base < keeper.takes };
    }
    const found = known?.get(id) ?? { state: "kept" as const, receipt: null, reason: null };
    return { id, kind: "known", ...found };
  });
}

/**
 * Tickets as far as the manager sees them: made of the receipts of events, one row a ticket of a destination.
 *
 * The destination decides what is one fault; here its tickets are only counted and shown. A ticket counts as open until
 * the newest of its events, by the clock of who saw it, is a deassertion.
 */
import type { Receipt } from "../../callhome/protocol.ts";
import type { SqlRow, Statements } from "./database.ts";
import { type Cell, type Columns, type Dialect, packRows } from "./dialect.ts";

export interface TicketEvent {
  readonly node: string;
  readonly system: string;
  readonly rank: number;
  readonly category: string;
  readonly subject: string;
  readonly text: string;
  readonly isAssertion: boolean;
  readonly seenMs: number;
}

interface Ticket extends TicketEvent {
  readonly destination: string;
  readonly id: string;
  readonly isOpen: boolean;
  readonly openedMs: number;
  readonly changedMs: number;
  readonly events: number;
}

const COLUMNS: Columns = [
  ["destination", "text"],
  ["id", "text"],
  ["node", "text"],
  ["system", "text"],
  ["category", "text"],
  ["subject", "text"],
  ["severity", "int"],
  ["text", "text"],
  ["is_open", "int"],
  ["opened_ms", "int"],
  ["changed_ms", "int"],
  ["events", "int"],
  ["change", "int"],
];

const NAMES: string = COLUMNS.map(([name]) => name).join(", ");

function ticketOf(row: SqlRow): Ticket {
  return {
    destination: String(row["destination"]),
    id: String(row["id"]),
    node: String(row["node"]),
    system: String(row["system"]),
    category: String(row["category"]),
    subject: String(row["subject"]),
    rank: Number(row["severity"]),
    text: String(row["text"]),
    isAssertion: Number(row["is_open"]) === 1,
    seenMs: Number(row["changed_ms"]),
    isOpen: Number(row["is_open"]) === 1,
    openedMs: Number(row["opened_ms"]),
    changedMs: Number(row["changed_ms"]),
    events: Number(row["events"]),
  };
}

function withEvent(ticket: Ticket | undefined, event: TicketEvent, receipt: Receipt): Ticket {
  const { destination, ticket: id } = receipt;
  if (ticket === undefined) {
    const { isAssertion: isOpen, seenMs } = event;
    return { ...event, destination, id, isOpen, openedMs: seenMs, changedMs: seenMs, events: 1 };
  }
  const isNewest = event.seenMs >= ticket.changedMs;
  return {
    ...ticket,
    rank: Math.max(ticket.rank, event.rank),
    text: isNewest ? event.text : ticket.text,
    isOpen: isNewest ? event.isAssertion : ticket.isOpen,
    openedMs: Math.min(ticket.openedMs, event.seenMs),
    changedMs: Math.max(ticket.changedMs, event.seenMs),
    events: ticket.events + 1,
  };
}

function cellsOf(ticket: Ticket, change: number): readonly Cell[] {
  return [
    ticket.destination,
    ticket.id,
    ticket.node,
    ticket.system,
    ticket.category,
    ticket.subject,
    ticket.rank,
    ticket.text,
    ticket.isOpen ? 1 : 0,
    ticket.openedMs,
    ticket.changedMs,
    ticket.events,
    change,
  ];
}

export async function foldTickets(
  statements: Statements,
  dialect: Dialect,
  delivered: readonly { readonly event: TicketEvent; readonly receipt: Receipt }[],
  change: number,
): Promise<void> {
  if (delivered.length === 0) return;
  const keyOf = (destination: string, id: string): string => JSON.stringify([destination, id]);
  const keys = new Map<string, readonly Cell[]>();
  for (const { receipt } of delivered) {
    keys.set(keyOf(receipt.destination, receipt.ticket), [receipt.destination, receipt.ticket]);
  }
  const source = dialect.rows([
    ["destination", "text"],
    ["id", "text"],
  ]);
  const rows = await statements.rows(
    `select tickets.* from tickets join ${source} as given
     on tickets.destination = given.destination and tickets.id = given.id`,
    [packRows([...keys.values()])],
  );
  const tickets = new Map(rows.map(ticketOf).map((one) => [keyOf(one.destination, one.id), one]));
  for (const { event, receipt } of delivered) {
    const key = keyOf(receipt.destination, receipt.ticket);
    tickets.set(key, withEvent(tickets.get(key), event, receipt));
  }
  const updates = COLUMNS.slice(2).map(([name]) => `${name} = excluded.${name}`);
  await statements.rows(
    `insert into tickets (${NAMES}) select ${NAMES} from ${dialect.rows(COLUMNS)} as given where true
     on conflict (destination, id) do update set ${updates.join(", ")}`,
    [packRows([...tickets.values()].map((ticket) => cellsOf(ticket, change)))],
  );
}

/**
 * What the destination says is open is open, and the rest of its tickets is not; of those that changed since `upTo` nothing
 * is said. Gives how many rows changed.
 */
export async function syncOpenTickets(
  statements: Statements,
  dialect: Dialect,
  open: { readonly destination: string; readonly ids: readonly string[]; readonly upTo: number },
  change: number,
): Promise<number> {
  const { destination, ids, upTo } = open;
  const source = dialect.rows([["id", "text"]]);
  const packed = packRows(ids.map((id) => [id]));
  const rows = await statements.rows(
    `update tickets set change = ${change},
       is_open = case when id in (select id from ${source} as given) then 1 else 0 end
     where destination = ? and change <= ?
       and is_open <> (case when id in (select id from ${source} as given) then 1 else 0 end)
     returning id`,
    [packed, destination, upTo, packed],
  );
  return rows.length;
}

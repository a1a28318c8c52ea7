/**
 * One ticket a fault: which ticket an event belongs to, and what becomes of it.
 *
 * Decides for one event at a time, given the newest ticket of its fault. Whether the event came before is settled by then. The
 * rules, and why:
 *
 * - An open ticket takes everything of its fault, however long ago it was opened: support works on one thing at a time.
 * - It is closed when no condition of the component holds any more (HPE closes a case when the condition clears); a warning that
 *   is left over from a critical threshold keeps it open. Something that never says that it ended is closed by hand.
 * - Back within a day of its end it is opened again, since what was closed was not mended and a sensor at its threshold must not
 *   make a hundred tickets; later it is another ticket, which names the one before.
 * - Order of arrival does not matter: what began and ended is compared by when it was logged. In doubt it is open: where the log's clock
 *   says one thing and the observer's says clearly another, a ticket too many is open rather than a fault forgotten.
 * - Information is filed (everything that was receipted is counted somewhere) and wakes nobody.
 * - What holdfast saw of a node and what its BMC said are two tickets that name each other: a DIMM is not mended by the node being
 *   back, nor the other way round, and they are for different people.
 *
 * Invariant: a fault has at most one open ticket.
 */
import type { Severity } from "../../bmc/bmc.ts";
import type { TicketChange, TicketChangeKind } from "./adapter.ts";
import {
  componentOf,
  covers,
  type Effect,
  effectOf,
  faultKey,
  foldedBy,
  isTest,
  nodeOf,
  rankOf,
  titleOf,
} from "./fault.ts";
import {
  type Arrival,
  type Began,
  CONDITIONS_MAX,
  type Ended,
  NOTES_MAX,
  RELATED_MAX,
  type Stamp,
  stampOf,
  type Ticket,
  ticketId,
  timeOf,
} from "./ticket.ts";

export const REOPEN_WITHIN_MS: number = 24 * 60 * 60 * 1000;
/** A node that dies of what its BMC logged is found dead within seconds; a log that is polled is a little late. */
export const RELATED_WITHIN_MS: number = 10 * 60 * 1000;
/** By so much the observers' clocks may differ, and one that polls may be late. */
export const SEEN_SLACK_MS = 60_000;

export interface Filing {
  readonly ticket: Ticket;
  /** It has a number of its own: `numberNext` is used. */
  readonly isNew: boolean;
  /** To be told, in this order; empty: nobody needs to know. */
  readonly kinds: readonly TicketChangeKind[];
}

function compareStamps(a: Stamp, b: Stamp): number {
  return a.timeMs - b.timeMs || a.seenMs - b.seenMs || a.signedMs - b.signedMs || a.n - b.n;
}

/** The newer one; it was last seen when either was. */
function laterOf(a: Stamp, b: Stamp): Stamp {
  const later = compareStamps(a, b) > 0 ? a : b;
  return { ...later, seenMs: Math.max(a.seenMs, b.seenMs) };
}

function isOver({ name, stamp }: Began, ended: readonly Ended[]): boolean {
  return ended.some(
    (one) =>
      covers(one.pattern, name) &&
      compareStamps(stamp, one.stamp) < 0 &&
      stamp.seenMs <= one.stamp.seenMs + SEEN_SLACK_MS,
  );
}

/** Conditions that hold. O(conditions²), both bounded. */
export function holding({ began, ended, handClosedMs }: Ticket): readonly Began[] {
  return began.filter(
    (one) => one.stamp.seenMs > (handClosedMs ?? Number.NEGATIVE_INFINITY) && !isOver(one, ended),
  );
}

function gravest(severities: readonly Severity[], atLeast: Severity): Severity {
  return severities.reduce((a, b) => (rankOf(b) > rankOf(a) ? b : a), atLeast);
}

/** The oldest that is over leaves first, then the oldest. */
function bounded<T extends { readonly stamp: Stamp }>(
  all: readonly T[],
  isKept: (one: T) => boolean,
): readonly T[] {
  if (all.length <= CONDITIONS_MAX) return all;
  const byAge = [...all].sort(
    (a, b) => Number(isKept(a)) - Number(isKept(b)) || compareStamps(a.stamp, b.stamp),
  );
  const gone = byAge[0];
  return all.filter((one) => one !== gone);
}

function withBegan(ticket: Ticket, name: string, severity: Severity, stamp: Stamp): Ticket {
  const known = ticket.began.find((one) => one.name === name);
  const next: Began =
    known === undefined
      ? { name, severity, stamp }
      : {
          name,
          severity: gravest([known.severity], severity),
          stamp: laterOf(known.stamp, stamp),
        };
  const began = [...ticket.began.filter((one) => one !== known), next];
  return { ...ticket, began: bounded(began, (one) => !isOver(one, ticket.ended)) };
}

function withEnded(ticket: Ticket, pattern: string, stamp: Stamp): Ticket {
  const known = ticket.ended.find((one) => one.pattern === pattern);
  const next = { pattern, stamp: known === undefined ? stamp : laterOf(known.stamp, stamp) };
  const ended = [...ticket.ended.filter((one) => one !== known), next];
  return { ...ticket, ended: bounded(ended, () => true) };
}

function withEffect(ticket: Ticket, effect: Effect, arrival: Arrival): Ticket {
  const stamp = stampOf(arrival, ticket.eventCount);
  const { severity } = arrival.statement.event;
  let next = ticket;
  if (effect.begins !== null) next = withBegan(next, effect.begins, severity, stamp);
  for (const pattern of effect.ends) next = withEnded(next, pattern, stamp);
  return next;
}

function withNote(ticket: Ticket, note: string | null): Ticket {
  if (note === null || ticket.notes.length >= NOTES_MAX) return ticket;
  const about = note.split(":")[0] ?? note;
  if (ticket.notes.some((known) => known.startsWith(about))) return ticket;
  return { ...ticket, notes: [...ticket.notes, note] };
}

export function withRelated(ticket: Ticket, id: string): Ticket {
  if (ticket.related.includes(id) || ticket.related.length >= RELATED_MAX) return ticket;
  return { ...ticket, related: [...ticket.related, id] };
}

/** Silent until its first event is counted in. */
function fresh(arrival: Arrival, number: number): Ticket {
  const { statement, receivedMs } = arrival;
  const { event, cluster } = statement;
  const node = nodeOf(statement);
  return {
    number,
    id: ticketId(number, receivedMs),
    faultKey: keyOf(arrival),
    cluster,
    system: event.system,
    node,
    component: componentOf(event),
    title: titleOf(event, node),
    isOpen: false,
    wasOpen: false,
    isHost: event.way === "host",
    severity: event.severity,
    openedMs: receivedMs,
    closedMs: receivedMs,
    closeReason: null,
    handClosedMs: null,
    reopenCount: 0,
    firstMs: timeOf(event),
    lastMs: timeOf(event),
    eventCount: 0,
    mergedCount: 0,
    foldedCount: 0,
    revision: 0,
    text: event.text,
    eventId: event.id,
    updatedMs: receivedMs,
    began: [],
    ended: [],
    related: [],
    notes: [],
  };
}

/** Of whose newest ticket `fileEvent` is to be given. Each test is a fault of its own. */
export function keyOf({ statement }: Arrival): string {
  const { cluster, event } = statement;
  return isTest(event) ? `test ${event.id}` : faultKey(cluster, event);
}

/** How long after its end something began again. */
function gapMs(ticket: Ticket, { statement, receivedMs }: Arrival): number {
  const { event } = statement;
  // Closed by hand: by the destination's clock, which the observer's is nearer to than the log's.
  if (ticket.handClosedMs !== null && ticket.handClosedMs === ticket.closedMs) {
    return Math.min(event.seenMs, receivedMs) - ticket.handClosedMs;
  }
  return timeOf(event) - ticket.lastMs;
}

function belongsTo(ticket: Ticket, effect: Effect, arrival: Arrival): boolean {
  if (ticket.isOpen || effect.begins === null) return true;
  const isOldNews = holding(withEffect(ticket, effect, arrival)).length === 0;
  return isOldNews || (ticket.wasOpen && gapMs(ticket, arrival) <= REOPEN_WITHIN_MS);
}

function counted(ticket: Ticket, arrival: Arrival): Ticket {
  const { event } = arrival.statement;
  const atMs = timeOf(event);
  const isNewest = ticket.eventCount === 0 || atMs >= ticket.lastMs;
  return withNote(
    {
      ...ticket,
      firstMs: Math.min(ticket.firstMs, atMs),
      lastMs: Math.max(ticket.lastMs, atMs),
      eventCount: ticket.eventCount + 1,
      foldedCount: ticket.foldedCount + foldedBy(event),
      text: isNewest ? event.text : ticket.text,
      eventId: isNewest ? event.id : ticket.eventId,
      updatedMs: arrival.receivedMs,
    },
    arrival.note,
  );
}

function opened(ticket: Ticket, severity: Severity): Ticket {
  const grave = gravest(
    holding(ticket).map((one) => one.severity),
    severity,
  );
  return {
    ...ticket,
    isOpen: true,
    wasOpen: true,
    severity: grave,
    closedMs: null,
    closeReason: null,
    reopenCount: ticket.reopenCount + (ticket.wasOpen ? 1 : 0),
  };
}

function closed(ticket: Ticket, reason: string, atMs: number): Ticket {
  return { ...ticket, isOpen: false, closedMs: atMs, closeReason: reason };
}

/** What becomes of a ticket that has just counted the event in. */
function judged(ticket: Ticket, effect: Effect, arrival: Arrival): Omit<Filing, "isNew"> {
  const { event } = arrival.statement;
  const { receivedMs } = arrival;
  if (isTest(event)) {
    const over = closed(opened(ticket, event.severity), "a test of call home", receivedMs);
    return { ticket: over, kinds: ["opened", "closed"] };
  }
  const holds = holding(ticket).length > 0;
  if (holds && !ticket.isOpen) {
    return {
      ticket: opened(ticket, event.severity),
      kinds: [ticket.wasOpen ? "reopened" : "opened"],
    };
  }
  if (ticket.isOpen && !holds) {
    return { ticket: closed(ticket, `over: ${event.text}`, receivedMs), kinds: ["closed"] };
  }
  if (ticket.isOpen) {
    const isRaised = rankOf(event.severity) > rankOf(ticket.severity);
    const next = isRaised ? { ...ticket, severity: event.severity } : ticket;
    return { ticket: next, kinds: [isRaised ? "raised" : "appended"] };
  }
  if (ticket.wasOpen) return { ticket, kinds: ["appended"] };
  if (effect.begins === null)
    return { ticket: { ...ticket, closeReason: quietReason(event.severity) }, kinds: [] };
  // Its end came first.
  const over = closed(opened(ticket, event.severity), "over: its end came first", receivedMs);
  return { ticket: over, kinds: ["opened", "closed"] };
}

function quietReason(severity: Severity): string {
  return severity === "information" ? "information only" : "over before its beginning was told";
}

/** `latest`: the newest ticket with `keyOf(arrival)`, null: there is none. */
export function fileEvent(arrival: Arrival, latest: Ticket | null, numberNext: number): Filing {
  const effect = effectOf(arrival.statement.event);
  const isJoining = latest !== null && belongsTo(latest, effect, arrival);
  const start = isJoining ? latest : freshAfter(arrival, latest, numberNext);
  const next = withEffect(counted(start, arrival), effect, arrival);
  const { ticket, kinds } = judged(next, effect, arrival);
  const revision = ticket.revision + kinds.length;
  return { ticket: { ...ticket, revision }, isNew: !isJoining, kinds };
}

/** What ended before stays ended: its beginning may come yet, to this ticket. */
function freshAfter(arrival: Arrival, latest: Ticket | null, number: number): Ticket {
  const ticket = fresh(arrival, number);
  if (latest === null) return ticket;
  const { ended, handClosedMs, wasOpen, id } = latest;
  return { ...ticket, ended, handClosedMs, related: wasOpen ? [id] : [] };
}

/** Another sighting of an error that its ticket has counted already. */
export function mergeEvent(ticket: Ticket, arrival: Arrival): Ticket {
  return withNote({ ...ticket, mergedCount: ticket.mergedCount + 1 }, arrival.note);
}

export function closeByHand(ticket: Ticket, reason: string, nowMs: number): Filing | null {
  if (!ticket.isOpen) return null;
  const next = closed({ ...ticket, handClosedMs: nowMs, updatedMs: nowMs }, reason, nowMs);
  return { ticket: { ...next, revision: next.revision + 1 }, isNew: false, kinds: ["closed"] };
}

/** Those of `others` (newest tickets of the same node) that seem to have the same cause as one that was just opened. */
export function relatedTo(ticket: Ticket, others: readonly Ticket[]): readonly Ticket[] {
  return others.filter(
    (other) =>
      other.number !== ticket.number &&
      other.cluster === ticket.cluster &&
      other.node === ticket.node &&
      other.isHost !== ticket.isHost &&
      other.wasOpen &&
      other.lastMs >= ticket.firstMs - RELATED_WITHIN_MS &&
      other.firstMs <= ticket.lastMs + RELATED_WITHIN_MS,
  );
}

/** One for each of a filing's kinds, as the adapters are told. `eventId` null: no event made it. */
export function changesOf(
  { ticket, kinds }: Filing,
  told: { readonly destination: string; readonly atMs: number; readonly eventId: string | null },
): readonly TicketChange[] {
  return kinds.map((kind, index) => ({
    key: `${ticket.id}.${ticket.revision - kinds.length + index + 1}`,
    kind,
    ticket: ticket.id,
    destination: told.destination,
    title: ticket.title,
    severity: ticket.severity,
    component: ticket.component,
    system: ticket.system,
    node: ticket.node,
    cluster: ticket.cluster,
    eventCount: ticket.eventCount,
    newEventCount: told.eventId === null || index > 0 ? 0 : 1,
    firstMs: ticket.firstMs,
    lastMs: ticket.lastMs,
    text: told.eventId === null ? (ticket.closeReason ?? ticket.text) : ticket.text,
    eventId: told.eventId,
    atMs: told.atMs,
    related: ticket.related,
    link: null,
    externalId: null,
  }));
}

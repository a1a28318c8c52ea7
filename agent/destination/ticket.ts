/**
 * A ticket: one fault, from its first event until it is over, and what is kept of it.
 *
 * Types, limits and ids; `tickets.ts` decides. Plain JSON, since this is what the store keeps. Invariants: an id is given once, whatever
 * happens to the store; `eventCount` counts every event that was receipted for it, whatever was kept of it.
 */
import type { BmcEvent, Severity } from "../../bmc/bmc.ts";
import type { EventStatement, Hop } from "../callhome/protocol.ts";
import type { Principal } from "../identity/identity.ts";
import type { Component } from "./adapter.ts";

/** When something was said, for telling which of two is newer. */
export interface Stamp {
  /** By the clock of who logged it. */
  readonly timeMs: number;
  /** By the clock of the observer, and never later than it came. */
  readonly seenMs: number;
  readonly signedMs: number;
  /** Number of the event in its ticket: what is left where all the rest is equal. */
  readonly n: number;
}

export interface Began {
  readonly name: string;
  readonly severity: Severity;
  readonly stamp: Stamp;
}

export interface Ended {
  readonly pattern: string;
  readonly stamp: Stamp;
}

export interface Ticket {
  /** Rises by one with each ticket, over the years too. */
  readonly number: number;
  /** `T-2026-000123`. */
  readonly id: string;
  readonly faultKey: string;
  readonly cluster: string;
  /** As it was told first. */
  readonly system: string;
  readonly node: string;
  readonly component: Component;
  readonly title: string;
  readonly isOpen: boolean;
  /** false: nobody was told of it; it holds information, or the end of something whose beginning never came. */
  readonly wasOpen: boolean;
  /** Seen by holdfast itself, such as a node that is dead. */
  readonly isHost: boolean;
  readonly severity: Severity;
  readonly openedMs: number;
  /** null: open. */
  readonly closedMs: number | null;
  readonly closeReason: string | null;
  /** When somebody last closed it by hand: what was seen before that does not open it again. */
  readonly handClosedMs: number | null;
  readonly reopenCount: number;
  readonly firstMs: number;
  readonly lastMs: number;
  readonly eventCount: number;
  /** Further sightings of the same errors, under other ids: not counted as events. */
  readonly mergedCount: number;
  /** What events say that they stand for: counted at their node for want of room. */
  readonly foldedCount: number;
  /** Number of changes that were told; in their keys. */
  readonly revision: number;
  readonly text: string;
  readonly eventId: string;
  readonly updatedMs: number;
  readonly began: readonly Began[];
  readonly ended: readonly Ended[];
  /** Ids of other tickets, oldest first. */
  readonly related: readonly string[];
  /** What whoever reads it should know besides: whose clock is wrong, say. */
  readonly notes: readonly string[];
}

/** An event that was verified and never came before under this id. */
export interface Arrival {
  readonly statement: EventStatement;
  readonly signer: Principal;
  readonly trail: readonly Hop[];
  readonly receivedMs: number;
  /** Worth a note on the ticket. */
  readonly note: string | null;
}

/** Of each kind; a component with more conditions than that is told as one. */
export const CONDITIONS_MAX = 64;
export const NOTES_MAX = 16;
export const RELATED_MAX = 16;
/** Whole events kept of a ticket: the first ones tell how it began, the newest how it is. */
export const SAMPLES_FIRST = 64;
export const SAMPLES_NEWEST = 192;

const DAY_MS = 86_400_000;
/** Days of 400 years of the Gregorian calendar. */
const DAYS_OF_ERA = 146_097;

/** The year in UTC (Howard Hinnant's civil_from_days). Decision code has no `Date`. */
export function yearOf(ms: number): number {
  const days = Math.floor(ms / DAY_MS) + 719_468;
  const era = Math.floor(days / DAYS_OF_ERA);
  const day = days - era * DAYS_OF_ERA;
  const year = Math.floor(
    (day - Math.floor(day / 1460) + Math.floor(day / 36_524) - Math.floor(day / 146_096)) / 365,
  );
  const ofYear = day - (365 * year + Math.floor(year / 4) - Math.floor(year / 100));
  // Years of that count begin in March; its day 306 is the first of January.
  return year + era * 400 + (ofYear >= 306 ? 1 : 0);
}

export function ticketId(number: number, openedMs: number): string {
  return `T-${yearOf(openedMs)}-${String(number).padStart(6, "0")}`;
}

/** null: not written like one. */
export function ticketNumber(id: string): number | null {
  const match = /^T-\d{4,6}-(\d{6,12})$/.exec(id);
  return match === null ? null : Number(match[1]);
}

export function stampOf({ statement, receivedMs }: Arrival, n: number): Stamp {
  const { event, signedMs } = statement;
  // A clock that is ahead must not make its events newer than all that follow.
  const seenMs = Math.min(event.seenMs, receivedMs);
  return { timeMs: Math.min(timeOf(event), receivedMs), seenMs, signedMs, n };
}

/** When it happened, as well as is known. */
export function timeOf(event: BmcEvent): number {
  return event.whenMs ?? event.seenMs;
}

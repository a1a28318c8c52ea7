/**
 * What the destination tells whoever asks about tickets: the shapes of its API, besides those of call home (`callhome/protocol.ts`).
 *
 *   GET  /v1/tickets[?state=open|closed|any][&node=][&cluster=][&before=T-…][&limit=]   TicketsAnswer, newest first
 *   GET  /v1/tickets/:id           TicketAnswer: its events with their trails, and what adapters were told
 *   POST /v1/tickets/:id/close     {reason} → TicketSummary
 *   GET  /v1/tickets/stream        Server-Sent Events: `change` with a TicketChange, from now on; a comment as a beat
 *   GET  /v1/destination           DestinationStatus
 *   GET  /healthz                  200 or 503, the status in short
 *   GET  /metrics                  in the text format of Prometheus
 */
import { z } from "zod";
import type { BmcEvent } from "../../bmc/bmc.ts";
import type { Hop } from "../callhome/protocol.ts";
import type { Envelope } from "../identity/identity.ts";
import type { Component, TicketChange } from "./adapter.ts";
import type { Ticket } from "./ticket.ts";

export const TICKETS_PATH = "/v1/tickets";
export const STATUS_PATH = "/v1/destination";
export const LIST_DEFAULT = 100;
export const LIST_MAX = 1_000;

export interface TicketSummary {
  readonly id: string;
  readonly state: "open" | "closed";
  readonly severity: BmcEvent["severity"];
  readonly cluster: string;
  readonly node: string;
  readonly system: string;
  readonly component: Component;
  readonly title: string;
  readonly text: string;
  readonly eventCount: number;
  /** Further sightings of the same errors under other ids. */
  readonly mergedCount: number;
  /** Events that were counted at their node for want of room and never came by themselves. */
  readonly foldedCount: number;
  readonly firstMs: number;
  readonly lastMs: number;
  readonly openedMs: number;
  readonly updatedMs: number;
  readonly closedMs: number | null;
  readonly closeReason: string | null;
  readonly reopenCount: number;
  readonly related: readonly string[];
  readonly notes: readonly string[];
}

export interface TicketsAnswer {
  readonly destination: string;
  readonly tickets: readonly TicketSummary[];
  /** Give it as `before` for the next; null: that was all. */
  readonly next: string | null;
}

export interface TicketEvent {
  /** Of the ticket's events, from 1. */
  readonly n: number;
  readonly event: BmcEvent;
  /** Who signed it. */
  readonly signer: string;
  readonly signedMs: number;
  readonly receivedMs: number;
  /** Who had it, in order. */
  readonly trail: readonly Hop[];
  /** How often it came again under the same id. */
  readonly copies: number;
  /** The same error under another id: not counted. */
  readonly isMerged: boolean;
  /** As it was signed, for whoever wants to check it. */
  readonly envelope: Envelope;
}

export interface Telling {
  readonly adapter: string;
  readonly kind: TicketChange["kind"];
  readonly attempts: number;
  readonly dueMs: number;
  readonly isRefused: boolean;
  readonly detail: string | null;
}

/** Service data that came for one of the ticket's events; `GET /v1/callhome/bundles/DIGEST` gives it. */
export interface TicketBundle {
  readonly digest: string;
  readonly bytes: number;
  readonly event: string;
  readonly node: string;
}

export interface TicketAnswer {
  readonly destination: string;
  readonly ticket: TicketSummary;
  readonly events: readonly TicketEvent[];
  /** Counted, and no longer kept whole. */
  readonly droppedCount: number;
  readonly bundles: readonly TicketBundle[];
  /** What adapters call it. */
  readonly externals: Readonly<Record<string, string>>;
  /** What adapters are still to be told, or have refused. */
  readonly waiting: readonly Telling[];
}

export interface DestinationStatus {
  readonly destination: string;
  readonly cluster: string;
  readonly version: string;
  readonly startedMs: number;
  readonly tickets: { readonly open: number; readonly all: number };
  readonly ids: {
    readonly count: number;
    /** Events signed before it are refused as `expired`, unless their id is known. */
    readonly floorMs: number;
  };
  readonly accepted: number;
  readonly merged: number;
  readonly duplicates: number;
  readonly refused: number;
  readonly isWriting: boolean;
  /** Why it does not write, or what became of its database; null: all is well. */
  readonly complaint: string | null;
  readonly adapters: readonly {
    readonly name: string;
    readonly waiting: number;
    readonly refused: number;
    readonly deliveredCount: number;
    readonly failedCount: number;
    readonly failure: string | null;
    readonly lastDeliveredMs: number | null;
  }[];
}

export const closeRequestSchema: z.ZodType<{ readonly reason: string }> = z.object({
  reason: z
    .string()
    .trim()
    .min(1)
    .max(500)
    .transform((text) => text.replace(/\p{Cc}+/gu, " ")),
});

export function summaryOf(ticket: Ticket): TicketSummary {
  return {
    id: ticket.id,
    state: ticket.isOpen ? "open" : "closed",
    severity: ticket.severity,
    cluster: ticket.cluster,
    node: ticket.node,
    system: ticket.system,
    component: ticket.component,
    title: ticket.title,
    text: ticket.text,
    eventCount: ticket.eventCount,
    mergedCount: ticket.mergedCount,
    foldedCount: ticket.foldedCount,
    firstMs: ticket.firstMs,
    lastMs: ticket.lastMs,
    openedMs: ticket.openedMs,
    updatedMs: ticket.updatedMs,
    closedMs: ticket.closedMs,
    closeReason: ticket.closeReason,
    reopenCount: ticket.reopenCount,
    related: ticket.related,
    notes: ticket.notes,
  };
}

/**
 * A change of a ticket for tests of adapters, with whatever a test cares about replaced.
 */
import type { TicketChange } from "../../adapter.ts";

export const EVENT_ID: string = "3f".repeat(32);

export function change(of: Partial<TicketChange> = {}): TicketChange {
  return {
    key: "T-2026-000123.1",
    kind: "opened",
    ticket: "T-2026-000123",
    destination: "support",
    title: "Uncorrectable memory error in DIMM_A1 of n7",
    severity: "critical",
    component: { category: "memory", subject: "DIMM_A1" },
    system: "a123456789abcdefa123456789abcdef",
    node: "n7",
    cluster: "tokyo",
    eventCount: 1,
    newEventCount: 1,
    firstMs: Date.UTC(2026, 10, 25, 9, 34, 9, 123),
    lastMs: Date.UTC(2026, 10, 25, 9, 34, 9, 123),
    text: "DIMM_A1: uncorrectable ECC error",
    eventId: EVENT_ID,
    atMs: Date.UTC(2026, 10, 25, 9, 34, 10, 0),
    related: [],
    link: "https://support.example.com/tickets/T-2026-000123",
    externalId: null,
    ...of,
  };
}

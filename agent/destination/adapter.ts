/**
 * The contract between the destination and what people run: what happened to a ticket, and what can go wrong in telling it.
 *
 * Types, and the few names that give them meaning; the `Adapter` itself is in `io/adapter.ts`, since it takes time. An adapter
 * tells one system (a webhook, an incident service, mail) of one change at a time; the destination keeps what is still to be
 * told durably, in order for each ticket and adapter, and asks again for as long as it takes. Therefore `deliver` may be called
 * twice with the same `key`, and a crash between a success and its note makes that certain some day: an adapter whose far end
 * can tell repetitions apart passes `key` (of a change) or `ticket` (of the fault) on to it. An adapter that was added later may
 * hear of a ticket first by another kind than `opened`.
 */
import type { Severity } from "../../bmc/bmc.ts";

/** `appended`: more events came, nothing else changed. `raised`: so grave it was not before. */
export type TicketChangeKind = "opened" | "appended" | "raised" | "closed" | "reopened";

export interface Component {
  /** As in `BmcEvent`, such as `memory`. */
  readonly category: string;
  /** Such as `DIMM_A1`. */
  readonly subject: string;
}

export interface TicketChange {
  /** The same at each attempt and for no other change: `T-2026-000123.7`. Fits wherever an idempotency key does. */
  readonly key: string;
  readonly kind: TicketChangeKind;
  /** `T-2026-000123`: one fault, from its first event to its end; never reused. */
  readonly ticket: string;
  /** Name of the destination that gives the tickets their ids; two destinations may both have a `T-2026-000001`. */
  readonly destination: string;
  /** One line; does not change while the ticket lives. */
  readonly title: string;
  /** The gravest of its events since it was (re)opened. */
  readonly severity: Severity;
  readonly component: Component;
  /** System GUID, or what else names the machine, as in `BmcEvent`. */
  readonly system: string;
  /** Node that told it: of a BMC event usually the machine itself, of a host event whom it is about. */
  readonly node: string;
  readonly cluster: string;
  /** Of the whole ticket, this change included. */
  readonly eventCount: number;
  /** Those that this change tells of and no change before it did: more than 1 where changes were gathered. */
  readonly newEventCount: number;
  /** When it happened, by the clocks of those who saw it. */
  readonly firstMs: number;
  readonly lastMs: number;
  /** Of the newest event, one line of plain English; of a change that no event made, why. */
  readonly text: string;
  /** Id of the newest event, 64 hex digits; null where no event made the change (closed by hand). */
  readonly eventId: string | null;
  /** When the destination made this change. */
  readonly atMs: number;
  /** Other tickets that seem to have the same cause, such as that of the dead node. */
  readonly related: readonly string[];
  /** Where a person can look at it; null: the destination was not told its public address. */
  readonly link: string | null;
  /** What this adapter gave for this ticket before; null at first. */
  readonly externalId: string | null;
}

export type AdapterFailureKind = "unreachable" | "refused" | "rate-limited" | "misconfigured";

export interface AdapterFailure {
  readonly kind: AdapterFailureKind;
  /** One line that names the far end and the remedy; never a secret. */
  readonly detail: string;
  /**
   * Would be refused again whenever. The change is set aside, said loudly, and those after it go on. A misconfiguration is not
   * permanent: somebody mends it, and what waits is told then.
   */
  readonly isPermanent: boolean;
  /** What the far end asked for (`Retry-After`); null: the destination decides. */
  readonly retryAfterMs: number | null;
}

export interface Delivered {
  /** The far end's own id of the ticket (an issue key, a sys_id), kept and given with the next change; null: it has none. */
  readonly externalId: string | null;
}

/** A far end that has not answered by then is unreachable. */
export const ADAPTER_WITHIN_MS = 30_000;

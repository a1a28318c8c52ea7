/**
 * What the delivery machine hears and what it asks for: types, and the limits that both sides hold to.
 *
 * The machine (`delivery.ts`) knows events by id and urgency only; their bytes are in the outbox. Whoever runs it does the
 * effects in their order: `record` goes to the ledger, `close` to the outbox, `send` reads the named events from the outbox and
 * posts them as one `ParcelsRequest`. Every `send` and `ask-digest` is answered by exactly one `answered`, `digest` or
 * `failed` with its number, at the latest after its `timeoutMs`; a request of before a restart is answered by nothing. What
 * comes late is welcome: a receipt closes its event whenever it comes. Receipts are verified before they get here.
 */
import type { Severity } from "../../bmc/bmc.ts";
import type { DeliveryState, ParcelResult, Receipt } from "./protocol.ts";

/** From sending to R1, of a manager. */
export const R1_MS = 3_000;
/** From sending to R2, whichever path. */
export const R2_MS = 10_000;
/** A manager is known dead after so long without a beat: three of them. */
export const BEATS_MISSED_MS = 3_000;
/** A manager that says so long that it cannot relay is gone around before R2 is missing. */
export const CANNOT_RELAY_MS = 2_000;
/** Answer of a destination or a peer; longer than that is as good as none. */
export const ANSWER_MS = 10_000;
export const DIGEST_MS = 3_000;

export const BACKOFF_MS_MIN = 500;
export const BACKOFF_MS_MAX = 300_000;

/** Requests under way on one path. */
export const REQUESTS_MAX = 4;
/** Ids of one `ask-digest`. */
export const DIGEST_IDS_MAX = 4_096;
/** Events that wait or are under way; above it the outbox has folded. */
export const EVENTS_WAITING_MAX = 100_000;

export type PathKind = "manager" | "direct" | "peer";

export interface Path {
  readonly kind: PathKind;
  /** Of a manager or peer as it was configured; `destination` of the direct one. */
  readonly name: string;
}

/** 0 is sent first. */
export type Urgency = 0 | 1 | 2 | 3 | 4;

export const URGENCY_OF: Readonly<Record<Severity, Urgency>> = {
  "non-recoverable": 0,
  critical: 1,
  warning: 2,
  information: 3,
  ok: 4,
};

/** An event that the outbox holds durably. */
export interface QueuedEvent {
  readonly id: string;
  readonly urgency: Urgency;
  /** When it was queued, in the machine's time; before its start for those that a restart found. */
  readonly queuedMs: number;
  /** Of its envelope as JSON: requests are bounded by bytes too. */
  readonly bytes: number;
  /** Goes by every path at once: for the event that no event comes through. */
  readonly isByEveryPath: boolean;
}

export type RequestFailure =
  /** Nobody listens, no route, TLS failed, name not found: it was not taken. */
  | "unreachable"
  /** No answer in time, or the connection broke within: it may have been taken. */
  | "no-answer"
  /** 429, 503, 507: later. */
  | "busy"
  /** Any other answer that is not ours: 401, 403, 404, 500, not parsable. */
  | "rejected";

export interface DigestState {
  readonly id: string;
  readonly state: DeliveryState;
  readonly receipt: Receipt | null;
}

export type DeliveryEvent =
  /** What is configured, given first, and again when it changes. Managers in order of preference. */
  | { readonly kind: "paths"; readonly managers: readonly string[]; readonly hasDirect: boolean }
  /** Peers that say they reach the destination, best first. Given when it changes. */
  | { readonly kind: "peers"; readonly names: readonly string[] }
  /** New, and durable. */
  | { readonly kind: "queued"; readonly events: readonly QueuedEvent[] }
  /** Open in the outbox at the start: they may have been sent before, so they are asked about first. */
  | { readonly kind: "restored"; readonly events: readonly QueuedEvent[] }
  /** A line of life on the stream of receipts. */
  | {
      readonly kind: "beat";
      readonly manager: string;
      readonly epoch: string;
      readonly canRelay: boolean;
    }
  /** Its stream of receipts ended or cannot be opened. */
  | { readonly kind: "manager-lost"; readonly manager: string; readonly detail: string }
  | {
      readonly kind: "answered";
      readonly request: number;
      readonly epoch: string;
      readonly results: readonly ParcelResult[];
    }
  | { readonly kind: "digest"; readonly request: number; readonly states: readonly DigestState[] }
  | {
      readonly kind: "failed";
      readonly request: number;
      readonly failure: RequestFailure;
      readonly detail: string;
      /** What the other side asked to wait (Retry-After); null: it said nothing. */
      readonly retryAfterMs: number | null;
    }
  /** On the stream of a manager. */
  | { readonly kind: "receipt"; readonly manager: string; readonly receipt: Receipt }
  | {
      readonly kind: "not-relayed";
      readonly manager: string;
      readonly id: string;
      readonly reason: string;
      readonly isPermanent: boolean;
    }
  /** The network changed, or something else says that it is worth trying: every back-off ends. */
  | { readonly kind: "try-now"; readonly why: string }
  /** A person wants this one sent again, though it was refused. It is in the outbox. */
  | { readonly kind: "retry"; readonly event: QueuedEvent }
  /** The outbox gave it up (folded into a count); it is forgotten. */
  | { readonly kind: "withdrawn"; readonly id: string; readonly reason: string }
  | { readonly kind: "tick" };

export type StepKind =
  | "queued"
  | "restored"
  | "sent"
  /** R1. */
  | "kept"
  /** R2. */
  | "delivered"
  /** R2 of something that was delivered before: a counted duplicate. */
  | "late"
  /** By the destination, for good. */
  | "refused"
  /** By one on the way, or only for now; it goes on. */
  | "turned-away"
  /** It is given to another path, or waits. */
  | "retried"
  | "folded";

/** One step of one event's way, as the ledger keeps it. */
export interface DeliveryStep {
  readonly id: string;
  readonly step: StepKind;
  readonly path: Path | null;
  /** In a few words of plain English: why this, and why not another path. */
  readonly reason: string;
  /** Of R2, else null. */
  readonly ticket: string | null;
}

export type Raised =
  | {
      readonly what: "cannot-call-home";
      /** For how long nothing was delivered. */
      readonly silentMs: number;
      readonly waitingCount: number;
      /** What each path says, a line each. */
      readonly paths: readonly string[];
    }
  | { readonly what: "calls-home-again"; readonly silentMs: number; readonly waitingCount: number }
  | { readonly what: "heartbeat"; readonly waitingCount: number; readonly deliveredCount: number };

export type ClosedAs = "delivered" | "refused";

export type DeliveryEffect =
  | {
      readonly kind: "send";
      readonly request: number;
      readonly path: Path;
      readonly ids: readonly string[];
      readonly timeoutMs: number;
    }
  | {
      readonly kind: "ask-digest";
      readonly request: number;
      readonly path: Path;
      readonly ids: readonly string[];
      readonly timeoutMs: number;
    }
  | { readonly kind: "record"; readonly step: DeliveryStep }
  /** Nothing more is done for it. The outbox keeps what was refused for `retry`. */
  | {
      readonly kind: "close";
      readonly id: string;
      readonly as: ClosedAs;
      readonly receipt: Receipt | null;
    }
  /** To be made an event of this node, signed and queued: `cannot-call-home` with `isByEveryPath`. */
  | { readonly kind: "raise"; readonly raised: Raised }
  /** No direct way: peers that have one are asked for, ranked, and given as `peers`. */
  | { readonly kind: "find-peers" }
  | { readonly kind: "say"; readonly level: "fault" | "event" | "detail"; readonly text: string };

export interface DeliveryTiming {
  /** Nothing delivered for so long while something waits is an event of its own. */
  readonly silenceMs: number;
  /** null: none. */
  readonly heartbeatMs: number | null;
  /** How long ago the last heartbeat was, at the start. */
  readonly heartbeatAgoMs: number;
}

export const DEFAULT_TIMING: DeliveryTiming = {
  silenceMs: 5 * 60_000,
  heartbeatMs: 24 * 3_600_000,
  heartbeatAgoMs: 0,
};

/** What `callhome list` and `show` print of the machine. */
export interface PathReport {
  readonly path: Path;
  readonly state: "unknown" | "up" | "cannot-relay" | "down";
  /** Why it is in that state. */
  readonly why: string;
  readonly requestCount: number;
  /** Until it is tried again; 0: now. */
  readonly backoffMs: number;
}

export interface DeliveryReport {
  readonly waitingCount: number;
  readonly underWayCount: number;
  /** R1 without R2. */
  readonly keptCount: number;
  readonly deliveredCount: number;
  readonly refusedCount: number;
  readonly lateCount: number;
  readonly isSilent: boolean;
  readonly paths: readonly PathReport[];
}

/** The machine, as whoever runs it sees it; `Delivery` of `delivery.ts` is one. */
export interface DeliveryMachine {
  step(event: DeliveryEvent, nowMs: number): readonly DeliveryEffect[];
  /** When it wants its next `tick`; Infinity: never. */
  dueMs(): number;
  report(nowMs: number): DeliveryReport;
  /** Where it is and why not elsewhere, a line a path; empty for one that is not open. */
  explain(id: string, nowMs: number): readonly string[];
}

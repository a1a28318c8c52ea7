/**
 * What the relay hears and what it asks for: types, and the limits that both sides hold to.
 *
 * The machine (`relay.ts`) knows events by id, number and gravity; their bytes are with whoever runs it. Every `send` and
 * `ask-digest` is answered by exactly one `answered`, `digest` or `failed` with its number, at the latest after its
 * `timeoutMs`; every `claim` by one `claimed`. Receipts are verified before they get here: one that is not the
 * destination's is given as `turned-away`.
 */
import type { Receipt } from "../callhome/protocol.ts";

/** Events that one manager holds for relay; the rest stays in the store. */
export const HELD_MAX = 2_048;
/** Of one request to the destination. */
export const SEND_MAX = 64;
export const SENDS_UNDER_WAY_MAX = 4;
export const SEND_TIMEOUT_MS = 10_000;
export const DIGEST_TIMEOUT_MS = 5_000;
/** Below `HELD_MAX`, so that one question covers all that is held. */
export const DIGEST_MAX: number = HELD_MAX;

/** What waited so long may have gone around this manager meanwhile: nodes do that 10 s after R1. It is asked about first. */
export const CHECK_HOLDS_MS = 8_000;

export const BACKOFF_MS_MIN = 250;
export const BACKOFF_MS_MAX = 30_000;
/** With nothing to send, the destination is asked so often whether it is still there: nodes rely on `canRelay`. */
export const IDLE_PROBE_MS = 5_000;

export interface RelayItem {
  readonly id: string;
  /** The store's number: of equally grave ones the lower goes first. */
  readonly seq: number;
  /** The graver, the higher: 0 … 4. */
  readonly rank: number;
}

export type RelayFailure = "unreachable" | "no-answer" | "busy" | "rejected";

export type RelayResult =
  | { readonly id: string; readonly kind: "delivered"; readonly receipt: Receipt }
  | { readonly id: string; readonly kind: "refused"; readonly reason: string }
  /** Not now; also a receipt that is not the destination's. */
  | { readonly id: string; readonly kind: "turned-away"; readonly reason: string };

export interface RelayState {
  readonly id: string;
  /** null: the destination does not have it yet. */
  readonly receipt: Receipt | null;
}

export type RelayEvent =
  | { readonly kind: "start" }
  /** New and durable, claimed with its keeping. At most as many as `room()` said. */
  | { readonly kind: "queued"; readonly items: readonly RelayItem[] }
  /** There is more in the store than what was given. */
  | { readonly kind: "more" }
  | { readonly kind: "claimed"; readonly items: readonly RelayItem[]; readonly isAll: boolean }
  | {
      readonly kind: "answered";
      readonly request: number;
      readonly results: readonly RelayResult[];
    }
  | { readonly kind: "digest"; readonly request: number; readonly states: readonly RelayState[] }
  | {
      readonly kind: "failed";
      readonly request: number;
      readonly failure: RelayFailure;
      /** HTTP status; null: no answer. */
      readonly status: number | null;
      readonly detail: string;
      readonly retryAfterMs: number | null;
    }
  /** Settled otherwise, or another manager's now. */
  | { readonly kind: "withdrawn"; readonly ids: readonly string[] }
  | { readonly kind: "tick" };

export type RelayOutcome =
  | {
      readonly kind: "delivered";
      readonly receipt: Receipt;
      /** `manager`: by us; null: the destination had it, we had not sent it. */
      readonly path: "manager" | null;
    }
  | { readonly kind: "not-relayed"; readonly reason: string }
  | { readonly kind: "failed"; readonly reason: string };

export type RelayEffect =
  | { readonly kind: "claim"; readonly countMax: number }
  | {
      readonly kind: "send";
      readonly request: number;
      readonly ids: readonly string[];
      readonly timeoutMs: number;
    }
  | {
      readonly kind: "ask-digest";
      readonly request: number;
      readonly ids: readonly string[];
      readonly timeoutMs: number;
    }
  | { readonly kind: "settle"; readonly id: string; readonly outcome: RelayOutcome }
  /** Whoever wants may relay these. */
  | { readonly kind: "release"; readonly ids: readonly string[] }
  | { readonly kind: "can-relay"; readonly canRelay: boolean; readonly why: string }
  | { readonly kind: "say"; readonly level: "fault" | "event" | "detail"; readonly text: string };

export interface RelayReport {
  readonly canRelay: boolean;
  readonly why: string;
  readonly held: number;
  readonly underWay: number;
  readonly retryMs: number;
}

/**
 * A conversation with a far end over HTTP, as a pure function of what was answered so far.
 *
 * Most far ends take one request; some need a look first (is there an incident already?) or afterwards (was the accepted request
 * carried out?). `step` is called with all answers of this delivery and says what is asked next or how it ended, so each
 * conversation is tested without a socket; `io/http-adapter.ts` only sends. Bound: `ASKS_MAX` requests a delivery.
 */
import type { AdapterFailure, TicketChange } from "../adapter.ts";

export const ASKS_MAX = 12;

export interface HttpAsk {
  readonly method: "GET" | "POST" | "PUT" | "PATCH";
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | null;
  /** Waited before it is sent. */
  readonly afterMs?: number;
}

export interface HttpAnswer {
  readonly status: number;
  /** As JSON; null where it is none. */
  readonly body: unknown;
  /** First characters of it, for people. */
  readonly text: string;
  readonly retryAfterMs: number | null;
  /** Host of a redirect; null: it is none. */
  readonly movedTo: string | null;
}

export type TalkStep =
  | { readonly kind: "ask"; readonly ask: HttpAsk }
  | { readonly kind: "delivered"; readonly externalId: string | null }
  | { readonly kind: "failed"; readonly failure: AdapterFailure };

/** Read anew for each delivery, so that a rotated key needs no restart. Never printed. */
export type Secrets = Readonly<Record<string, string>>;

export interface Talk {
  step(change: TicketChange, answers: readonly HttpAnswer[], secrets: Secrets): TalkStep;
}

export function delivered(externalId: string | null): TalkStep {
  return { kind: "delivered", externalId };
}

export function failed(failure: AdapterFailure): TalkStep {
  return { kind: "failed", failure };
}

export function jsonAsk(
  method: HttpAsk["method"],
  url: string,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): TalkStep {
  const all = { accept: "application/json", "content-type": "application/json", ...headers };
  return { kind: "ask", ask: { method, url, headers: all, body: JSON.stringify(body) } };
}

export function getAsk(
  url: string,
  headers: Readonly<Record<string, string>>,
  afterMs = 0,
): TalkStep {
  const all = { accept: "application/json", ...headers };
  return { kind: "ask", ask: { method: "GET", url, headers: all, body: null, afterMs } };
}

/** Member of a JSON object; null where it has none or is no object. */
export function memberOf(value: unknown, name: string): unknown {
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, name)) return null;
  return (value as Readonly<Record<string, unknown>>)[name] ?? null;
}

export function textOf(value: unknown, name: string): string | null {
  const member = memberOf(value, name);
  return typeof member === "string" && member !== "" ? member : null;
}

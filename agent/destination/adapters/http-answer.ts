/**
 * What an HTTP status means for a change that is to be told: told, to be told again later, or never.
 *
 * One table for all far ends; where a service's own documentation says otherwise, its file looks at the answer first. A redirect is never
 * followed (Standard Webhooks: "3xx: Failure"; and a body with a key in it must not reach another host): whoever set the URL mends it.
 */
import type { AdapterFailure, AdapterFailureKind } from "../adapter.ts";
import { oneLine } from "./change-text.ts";
import type { HttpAnswer } from "./talk.ts";

const SAID_MAX = 200;
/** A far end that asks for more is asked again after this; a wrong clock there must not silence an adapter for years. */
export const RETRY_AFTER_MS_MAX: number = 6 * 3_600_000;

interface Meaning {
  readonly kind: AdapterFailureKind;
  readonly isPermanent: boolean;
  readonly remedy: string;
}

const LATER: Meaning = {
  kind: "unreachable",
  isPermanent: false,
  remedy: "it is told again later",
};
const NEVER: Meaning = {
  kind: "refused",
  isPermanent: true,
  remedy: "this change is set aside; compare the adapter's settings with what the service takes",
};

const MEANINGS: Readonly<Record<number, Meaning>> = {
  401: {
    kind: "misconfigured",
    isPermanent: false,
    remedy: "the key or password is not the right one: put the right one into its file",
  },
  402: {
    kind: "misconfigured",
    isPermanent: false,
    remedy: "the account there lacks this feature",
  },
  403: {
    kind: "misconfigured",
    isPermanent: false,
    remedy: "the key is known but may not do this: give it the rights there",
  },
  404: { kind: "misconfigured", isPermanent: false, remedy: "look at host and path of the URL" },
  405: { kind: "misconfigured", isPermanent: false, remedy: "look at the path of the URL" },
  407: { kind: "misconfigured", isPermanent: false, remedy: "the proxy wants user and password" },
  408: LATER,
  410: {
    kind: "refused",
    isPermanent: true,
    remedy: "the far end takes nothing there any more: remove the adapter or change its URL",
  },
  413: NEVER,
  421: LATER,
  423: LATER,
  425: LATER,
  429: { kind: "rate-limited", isPermanent: false, remedy: "it is told again later" },
};

function meaningOf(status: number): Meaning {
  const known = MEANINGS[status];
  if (known !== undefined) return known;
  if (status >= 300 && status < 400) {
    return {
      kind: "misconfigured",
      isPermanent: false,
      remedy: "put the new address into the URL",
    };
  }
  return status >= 500 ? LATER : NEVER;
}

export function isSuccess({ status }: HttpAnswer): boolean {
  return status >= 200 && status < 300;
}

/** Of an answer that is no success. `who` names the far end; `said` is what it says, if that is worth repeating. */
export function failureOf(answer: HttpAnswer, who: string, said: string | null): AdapterFailure {
  const { kind, isPermanent, remedy } = meaningOf(answer.status);
  const moved = answer.movedTo === null ? "" : ` (a redirect to ${answer.movedTo}, not followed)`;
  const words = said === null ? "" : `, saying "${oneLine(said, SAID_MAX)}"`;
  return {
    kind,
    isPermanent,
    detail: `${who} answered ${answer.status}${moved}${words}: ${remedy}`,
    retryAfterMs: isPermanent ? null : answer.retryAfterMs,
  };
}

export function refused(who: string, why: string): AdapterFailure {
  const detail = `${who} refused it: ${oneLine(why, SAID_MAX)}; this change is set aside`;
  return { kind: "refused", isPermanent: true, detail, retryAfterMs: null };
}

export function misconfigured(detail: string): AdapterFailure {
  return { kind: "misconfigured", isPermanent: false, detail, retryAfterMs: null };
}

export function unreachable(detail: string): AdapterFailure {
  return { kind: "unreachable", isPermanent: false, detail, retryAfterMs: null };
}

/** Seconds or an HTTP date (RFC 9110 §10.2.3); null: not given or not understood. */
export function retryAfterMs(header: string | null, nowMs: number): number | null {
  const text = (header ?? "").trim();
  if (text === "") return null;
  const waitMs = /^\d{1,10}$/.test(text) ? Number(text) * 1_000 : httpDateMs(text) - nowMs;
  if (Number.isNaN(waitMs)) return null;
  return Math.min(Math.max(waitMs, 0), RETRY_AFTER_MS_MAX);
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** IMF-fixdate, the one form that may still be sent; NaN for anything else. */
function httpDateMs(text: string): number {
  const found = /^[A-Z][a-z]{2}, (\d{2}) ([A-Z][a-z]{2}) (\d{4}) (\d{2}):(\d{2}):(\d{2}) GMT$/.exec(
    text,
  );
  if (found === null) return Number.NaN;
  const [, day, month, year, hour, minute, second] = found;
  const monthIndex = MONTHS.indexOf(month ?? "");
  if (monthIndex < 0) return Number.NaN;
  return utcMs({
    year: Number(year),
    month: monthIndex + 1,
    day: Number(day),
    seconds: Number(hour) * 3_600 + Number(minute) * 60 + Number(second),
  });
}

/** Days from 1970 by the civil calendar: `Date` reads a clock and so is none of a pure file's. */
function utcMs(at: { year: number; month: number; day: number; seconds: number }): number {
  const year = at.month <= 2 ? at.year - 1 : at.year;
  const era = Math.floor(year / 400);
  const ofEra = year - era * 400;
  const ofYear = Math.floor((153 * ((at.month + 9) % 12) + 2) / 5) + at.day - 1;
  const days =
    era * 146_097 + ofEra * 365 + Math.floor(ofEra / 4) - Math.floor(ofEra / 100) + ofYear;
  return ((days - 719_468) * 86_400 + at.seconds) * 1_000;
}

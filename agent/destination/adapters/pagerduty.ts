/**
 * PagerDuty, Events API v2.
 *
 * Documentation: github.com/PagerDuty/developer-docs, `docs/events-API-v2/01-Overview.md` and `02-Trigger-Events.md`. A `trigger` with the
 * `dedup_key` of an open alert is added to it; after a `resolve` the same key makes a new alert, which is what a reopened ticket wants.
 * Keys hold only within one routing key, so every path uses the same. Limits: `dedup_key` 255, `summary` 1024 characters, the whole
 * 512 KB. 202 is accepted; 400 is never right later, but for a wrong routing key, which somebody mends; 429 and 5xx are tried again.
 * `acknowledge` means that a person has begun to work on it; no change of a ticket says so, hence it is not sent.
 */
import type { TicketChange, TicketChangeKind } from "../adapter.ts";
import {
  type BySeverity,
  changeLine,
  detailsOf,
  isoText,
  oneLine,
  ticketKey,
} from "./change-text.ts";
import { failureOf, isSuccess, misconfigured, refused } from "./http-answer.ts";
import {
  delivered,
  failed,
  type HttpAnswer,
  jsonAsk,
  memberOf,
  type Talk,
  type TalkStep,
  textOf,
} from "./talk.ts";

export const PAGERDUTY_URLS = {
  us: "https://events.pagerduty.com/v2/enqueue",
  eu: "https://events.eu.pagerduty.com/v2/enqueue",
} as const;

const DEDUP_KEY_MAX = 255;
const SUMMARY_MAX = 1_024;
const SHORT_MAX = 255;

export type PagerdutyAction = "trigger" | "acknowledge" | "resolve";

const ACTIONS: Readonly<Record<TicketChangeKind, PagerdutyAction>> = {
  opened: "trigger",
  appended: "trigger",
  raised: "trigger",
  reopened: "trigger",
  closed: "resolve",
};

const SEVERITIES: BySeverity<"critical" | "error" | "warning" | "info"> = {
  "non-recoverable": "critical",
  critical: "critical",
  warning: "warning",
  ok: "info",
  information: "info",
};

/** Nothing but the key is asked for with `acknowledge` and `resolve`. */
export function pagerdutyBody(change: TicketChange, routingKey: string): unknown {
  const action = ACTIONS[change.kind];
  const addressed = {
    routing_key: routingKey,
    event_action: action,
    dedup_key: ticketKey(change, DEDUP_KEY_MAX),
  };
  if (action !== "trigger") return addressed;
  return {
    ...addressed,
    client: "holdfast",
    ...(change.link === null
      ? {}
      : { client_url: change.link, links: [{ href: change.link, text: change.ticket }] }),
    payload: {
      summary: oneLine(`${change.title} (${change.ticket})`, SUMMARY_MAX),
      source: oneLine(change.node, SHORT_MAX),
      severity: SEVERITIES[change.severity],
      timestamp: isoText(change.lastMs),
      component: oneLine(change.component.subject, SHORT_MAX),
      group: oneLine(change.cluster, SHORT_MAX),
      class: oneLine(change.component.category, SHORT_MAX),
      custom_details: { what: changeLine(change), ...detailsOf(change) },
    },
  };
}

function errorsOf(answer: HttpAnswer): string {
  const errors = memberOf(answer.body, "errors");
  const texts = Array.isArray(errors) ? errors.filter((one) => typeof one === "string") : [];
  return texts.length > 0 ? texts.join("; ") : (textOf(answer.body, "message") ?? answer.text);
}

function ended(change: TicketChange, answer: HttpAnswer, who: string): TalkStep {
  if (isSuccess(answer)) return delivered(textOf(answer.body, "dedup_key") ?? change.externalId);
  const said = errorsOf(answer);
  if (answer.status !== 400) return failed(failureOf(answer, who, said === "" ? null : said));
  // "Invalid routing key": the only 400 that a change of settings cures.
  if (/routing.?key|integration.?key/i.test(said)) {
    const detail = `${who} does not know the routing key: put the key of an Events API v2 integration into key-file`;
    return failed(misconfigured(detail));
  }
  return failed(refused(who, said));
}

export function pagerdutyTalk(url: string, who: string): Talk {
  return {
    step: (change, [answer], secrets) =>
      answer === undefined
        ? jsonAsk("POST", url, pagerdutyBody(change, secrets["key"] ?? ""))
        : ended(change, answer, who),
  };
}

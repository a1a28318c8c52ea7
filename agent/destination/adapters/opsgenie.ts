/**
 * Alerts of Opsgenie, and of Jira Service Management, which has taken over its integration API word for word.
 *
 * Documentation: docs.opsgenie.com/docs/alert-api (Opsgenie, which ends on 2027-04-05) and
 * developer.atlassian.com/cloud/jira/service-desk-ops/rest/v1/api-group-integration-events (Jira: create, acknowledge, close, add note;
 * `Authorization: GenieKey KEY`). An alert is known by its `alias`; a create with the alias of an open alert adds to that one; an alias of
 * a closed alert is unknown. Limits in characters: message 130, alias 512, description 15000, note 25000, entity 512, source 100,
 * user 100, 20 tags of 50, details 8000 in all.
 *
 * Requests are carried out later: 202 says only that it was taken. Therefore the request's status is looked at, a few times and
 * each later than before; "alert does not exist" means that a person has closed it while the fault goes on, and it is made anew.
 */
import type { TicketChange } from "../adapter.ts";
import {
  type BySeverity,
  changeLine,
  cut,
  descriptionOf,
  detailsOf,
  oneLine,
  ticketKey,
} from "./change-text.ts";
import { failureOf, isSuccess, refused } from "./http-answer.ts";
import {
  delivered,
  failed,
  getAsk,
  type HttpAnswer,
  jsonAsk,
  memberOf,
  type Talk,
  type TalkStep,
  textOf,
} from "./talk.ts";

export const OPSGENIE_URLS = {
  us: "https://api.opsgenie.com",
  eu: "https://api.eu.opsgenie.com",
} as const;
export const JSM_URL = "https://api.atlassian.com/jsm/ops/integration";

const MESSAGE_MAX = 130;
const ALIAS_MAX = 512;
const DESCRIPTION_MAX = 15_000;
const NOTE_MAX = 25_000;
const ENTITY_MAX = 512;
const DETAIL_MAX = 600;
const TAG_MAX = 50;
const SOURCE = "holdfast";

/** Waits before the looks at a request's status. Later than that, 202 must do. */
const LOOKS_MS: readonly number[] = [300, 900, 2_000];

const PRIORITIES: BySeverity<"P1" | "P2" | "P3" | "P4" | "P5"> = {
  "non-recoverable": "P1",
  critical: "P2",
  warning: "P3",
  ok: "P5",
  information: "P5",
};

export interface OpsgenieSetting {
  readonly who: string;
  /** Such as `https://api.opsgenie.com`; `/v2/alerts` comes after it. */
  readonly url: string;
  /** Such as `team:platform`, `user:ann@example.com`. */
  readonly responders: readonly { readonly type: string; readonly name: string }[];
  readonly tags: readonly string[];
  /** Jira's integration API has no way to change a priority; there a note says it. */
  readonly hasPriorities: boolean;
}

type Act = "create" | "note" | "priority" | "close";

function actsOf(change: TicketChange, hasPriorities: boolean): readonly Act[] {
  switch (change.kind) {
    case "opened":
    case "reopened":
      return ["create"];
    case "appended":
      return ["note"];
    case "raised":
      return hasPriorities ? ["priority", "note"] : ["note"];
    case "closed":
      return ["close"];
  }
}

function respondersOf({ responders }: OpsgenieSetting): unknown {
  return responders.map(({ type, name }) =>
    type === "user" ? { type, username: name } : { type, name },
  );
}

export function alertBody(change: TicketChange, setting: OpsgenieSetting): unknown {
  const details = Object.entries(detailsOf(change)).map(([name, text]) => [
    name,
    cut(text, DETAIL_MAX),
  ]);
  return {
    message: oneLine(change.title, MESSAGE_MAX),
    alias: ticketKey(change, ALIAS_MAX),
    description: descriptionOf(change, DESCRIPTION_MAX),
    priority: PRIORITIES[change.severity],
    entity: oneLine(`${change.node} ${change.component.subject}`, ENTITY_MAX),
    source: SOURCE,
    tags: ["holdfast", change.component.category, ...setting.tags]
      .slice(0, 20)
      .map((tag) => oneLine(tag, TAG_MAX)),
    details: Object.fromEntries(details),
    ...(setting.responders.length === 0 ? {} : { responders: respondersOf(setting) }),
  };
}

function alertUrl(change: TicketChange, setting: OpsgenieSetting, verb: string): string {
  const alias = encodeURIComponent(ticketKey(change, ALIAS_MAX));
  return `${setting.url}/v2/alerts/${alias}/${verb}?identifierType=alias`;
}

class Conversation {
  readonly #change: TicketChange;
  readonly #setting: OpsgenieSetting;
  readonly #headers: Readonly<Record<string, string>>;
  #acts: readonly Act[];
  /** Of the act under way: id of its accepted request, and how often its status was looked at. */
  #request: string | null = null;
  #lookCount = 0;
  #alertId: string | null;

  constructor(change: TicketChange, setting: OpsgenieSetting, key: string) {
    this.#change = change;
    this.#setting = setting;
    this.#headers = { authorization: `GenieKey ${key}` };
    this.#acts = actsOf(change, setting.hasPriorities);
    this.#alertId = change.externalId;
  }

  /** What is asked now, with none of the acts left: how it ended. */
  next(): TalkStep {
    const act = this.#acts[0];
    if (act === undefined) return delivered(this.#alertId);
    if (this.#request !== null) {
      const url = `${this.#setting.url}/v2/alerts/requests/${encodeURIComponent(this.#request)}`;
      return getAsk(url, this.#headers, LOOKS_MS[this.#lookCount] ?? 0);
    }
    return this.#askOf(act);
  }

  /** Takes in one answer; not null: it ends here. */
  hear(answer: HttpAnswer): TalkStep | null {
    return this.#request === null ? this.#hearAct(answer) : this.#hearStatus(answer);
  }

  #askOf(act: Act): TalkStep {
    const change = this.#change;
    const setting = this.#setting;
    const note = { note: cut(changeLine(change), NOTE_MAX), source: SOURCE };
    switch (act) {
      case "create":
        return jsonAsk(
          "POST",
          `${setting.url}/v2/alerts`,
          alertBody(change, setting),
          this.#headers,
        );
      case "note":
        return jsonAsk("POST", alertUrl(change, setting, "notes"), note, this.#headers);
      case "close":
        return jsonAsk("POST", alertUrl(change, setting, "close"), note, this.#headers);
      case "priority":
        return jsonAsk(
          "PUT",
          alertUrl(change, setting, "priority"),
          { priority: PRIORITIES[change.severity] },
          this.#headers,
        );
    }
  }

  #hearAct(answer: HttpAnswer): TalkStep | null {
    if (isSuccess(answer)) {
      this.#request = textOf(answer.body, "requestId");
      this.#lookCount = 0;
      if (this.#request === null) this.#acts = this.#acts.slice(1);
      return null;
    }
    // A create has no alert in its path: there a 404 is a wrong URL.
    if (answer.status === 404 && this.#acts[0] !== "create") return this.#isGone();
    const said = textOf(answer.body, "message");
    return failed(failureOf(answer, this.#setting.who, said));
  }

  #hearStatus(answer: HttpAnswer): TalkStep | null {
    const data = memberOf(answer.body, "data") ?? answer.body;
    const isDone = isSuccess(answer) && textOf(data, "processedAt") !== null;
    if (!isDone) {
      this.#lookCount++;
      // Not carried out yet, or the look itself failed: it was accepted, and that is kept to.
      if (this.#lookCount >= LOOKS_MS.length || answer.status === 429) this.#actIsOver();
      return null;
    }
    const status = textOf(data, "status") ?? "";
    this.#alertId = textOf(data, "alertId") ?? this.#alertId;
    if (memberOf(data, "isSuccess") === true || memberOf(data, "success") === true) {
      this.#actIsOver();
      return null;
    }
    if (/not exist|not found/i.test(status)) return this.#isGone();
    return failed(refused(this.#setting.who, status));
  }

  #actIsOver(): void {
    this.#acts = this.#acts.slice(1);
    this.#request = null;
  }

  /** Nobody has an open alert with this alias. */
  #isGone(): TalkStep | null {
    this.#request = null;
    this.#acts = this.#change.kind === "closed" ? [] : ["create"];
    return null;
  }
}

export function opsgenieTalk(setting: OpsgenieSetting): Talk {
  return {
    step: (change, answers, secrets) => {
      const conversation = new Conversation(change, setting, secrets["key"] ?? "");
      for (const answer of answers) {
        const end = conversation.hear(answer);
        if (end !== null) return end;
      }
      return conversation.next();
    },
  };
}

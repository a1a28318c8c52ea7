/**
 * ServiceNow: an incident by the Table API, or an event for Event Management.
 *
 * Documentation: github.com/ServiceNow/ServiceNowDocs, `api-reference/rest-apis/c_TableAPI.md` (POST /api/now/table/incident → 201 with
 * `result.sys_id`; PATCH …/SYS_ID → 200; GET with `sysparm_query`) and `event-management/send-events-via-web-service.md` (POST
 * /api/global/em/jsonv2 with `records`; severity 1 critical to 5 OK, 0 clear; `message_key` makes events one alert; `time_of_event` in GMT;
 * `additional_info` a JSON text). Limits: short_description 160, description and notes 4000, correlation_id 100 characters.
 *
 * The Table API has no idempotency key. An incident carries the ticket's key as `correlation_id` and is looked for before one is made, so
 * a delivery whose answer got lost makes no second incident. One that a person has closed for good is left alone: a fault that goes
 * on gets a new incident with the same correlation.
 */
import type { TicketChange } from "../adapter.ts";
import {
  type BySeverity,
  changeLine,
  descriptionOf,
  detailsOf,
  oneLine,
  ticketKey,
  utcText,
} from "./change-text.ts";
import { failureOf, isSuccess } from "./http-answer.ts";
import {
  delivered,
  failed,
  getAsk,
  type HttpAnswer,
  jsonAsk,
  memberOf,
  type Secrets,
  type Talk,
  type TalkStep,
  textOf,
} from "./talk.ts";

const KEY_MAX = 100;
const SHORT_MAX = 160;
const LONG_MAX = 4_000;

/** Of the base system; an instance may have others, which `field.` settings name. */
const STATE = { inProgress: "2", resolved: "6", closed: "7", canceled: "8" } as const;

export interface ServicenowSetting {
  readonly who: string;
  /** `https://INSTANCE.service-now.com` */
  readonly url: string;
  /** False: a note says that the fault is over, and people resolve the incident. */
  readonly closes: boolean;
  readonly closeCode: string;
  /** Written into each new incident, such as `assignment_group`. */
  readonly fields: Readonly<Record<string, string>>;
}

/** Both from 1, the highest; the instance's own table makes the priority of them. */
const URGENCIES: BySeverity<"1" | "2" | "3"> = {
  "non-recoverable": "1",
  critical: "1",
  warning: "2",
  ok: "3",
  information: "3",
};
const IMPACTS: BySeverity<"1" | "2" | "3"> = { ...URGENCIES, critical: "2" };

const EVENT_SEVERITIES: BySeverity<string> = {
  "non-recoverable": "1",
  critical: "1",
  warning: "4",
  ok: "5",
  information: "5",
};

function failedBy(answer: HttpAnswer, who: string): TalkStep {
  const error = memberOf(answer.body, "error");
  return failed(failureOf(answer, who, textOf(error, "message")));
}

function gravityOf({ severity }: TicketChange): Readonly<Record<string, string>> {
  return { urgency: URGENCIES[severity], impact: IMPACTS[severity] };
}

export function incidentBody(change: TicketChange, setting: ServicenowSetting): unknown {
  return {
    short_description: oneLine(`${change.title} (${change.ticket})`, SHORT_MAX),
    description: descriptionOf(change, LONG_MAX),
    correlation_id: ticketKey(change, KEY_MAX),
    correlation_display: "holdfast",
    category: "hardware",
    ...gravityOf(change),
    ...setting.fields,
  };
}

/** What is changed of an incident that is there. The key stands in the note: a repetition is seen to be one. */
export function incidentChange(change: TicketChange, setting: ServicenowSetting): unknown {
  const note = oneLine(`${changeLine(change)} [${change.key}]`, LONG_MAX);
  switch (change.kind) {
    case "closed":
      return setting.closes
        ? { state: STATE.resolved, close_code: setting.closeCode, close_notes: note }
        : { work_notes: note };
    case "reopened":
      return { state: STATE.inProgress, work_notes: note, ...gravityOf(change) };
    case "raised":
      return { work_notes: note, ...gravityOf(change) };
    case "opened":
    case "appended":
      return { work_notes: note };
  }
}

/** Nobody works on it any more, and the instance takes no changes of it. */
function isOver(record: unknown): boolean {
  const state = textOf(record, "state");
  return state === STATE.closed || state === STATE.canceled;
}

type Phase = "patch-known" | "look" | "patch" | "create";

/** One delivery, replayed from its answers: known record → patch; else look → patch or create. */
class IncidentTalk {
  readonly #change: TicketChange;
  readonly #setting: ServicenowSetting;
  readonly #headers: Readonly<Record<string, string>>;
  #phase: Phase;
  #record: string | null;

  constructor(change: TicketChange, setting: ServicenowSetting, secrets: Secrets) {
    this.#change = change;
    this.#setting = setting;
    this.#headers = { authorization: secrets["authorization"] ?? "" };
    this.#record = change.externalId;
    this.#phase = change.externalId === null ? "look" : "patch-known";
  }

  next(): TalkStep {
    const table = `${this.#setting.url}/api/now/table/incident`;
    const fields = "sysparm_fields=sys_id,number,state";
    switch (this.#phase) {
      case "look": {
        const key = ticketKey(this.#change, KEY_MAX);
        const query = encodeURIComponent(`correlation_id=${key}^ORDERBYDESCsys_created_on`);
        return getAsk(`${table}?sysparm_query=${query}&sysparm_limit=1&${fields}`, this.#headers);
      }
      case "create":
        return jsonAsk(
          "POST",
          `${table}?${fields}`,
          incidentBody(this.#change, this.#setting),
          this.#headers,
        );
      case "patch":
      case "patch-known": {
        const at = `${table}/${encodeURIComponent(this.#record ?? "")}?${fields}`;
        return jsonAsk("PATCH", at, incidentChange(this.#change, this.#setting), this.#headers);
      }
    }
  }

  /** Not null: it ends here. */
  hear(answer: HttpAnswer): TalkStep | null {
    if (this.#phase === "patch-known" && answer.status === 404) {
      this.#phase = "look";
      return null;
    }
    if (!isSuccess(answer)) return failedBy(answer, this.#setting.who);
    const result = memberOf(answer.body, "result");
    if (this.#phase === "look") return this.#found(Array.isArray(result) ? result[0] : null);
    if (this.#phase === "patch-known" && isOver(result) && this.#change.kind !== "closed") {
      this.#phase = "create";
      return null;
    }
    return delivered(textOf(result, "sys_id") ?? this.#record);
  }

  #found(record: unknown): TalkStep | null {
    const id = textOf(record, "sys_id");
    const { kind } = this.#change;
    if (kind === "closed") {
      // None there, or people were faster: nothing to close.
      const isResolved = textOf(record, "state") === STATE.resolved;
      if (id === null || isResolved || isOver(record)) return delivered(id);
    } else if (id === null || isOver(record)) {
      this.#phase = "create";
      return null;
    } else if (kind === "opened") {
      // Made by an earlier try of this very change.
      return delivered(id);
    }
    this.#record = id;
    this.#phase = "patch";
    return null;
  }
}

export function incidentTalk(setting: ServicenowSetting): Talk {
  return {
    step: (change, answers, secrets) => {
      const talk = new IncidentTalk(change, setting, secrets);
      for (const answer of answers) {
        const end = talk.hear(answer);
        if (end !== null) return end;
      }
      return talk.next();
    },
  };
}

export function eventBody(change: TicketChange): unknown {
  const isOver = change.kind === "closed";
  return {
    records: [
      {
        source: "holdfast",
        event_class: oneLine(`holdfast ${change.destination}`, KEY_MAX),
        node: oneLine(change.node, KEY_MAX),
        resource: oneLine(change.component.subject, KEY_MAX),
        type: oneLine(change.component.category, KEY_MAX),
        metric_name: oneLine(change.component.category, KEY_MAX),
        message_key: ticketKey(change, 1_024),
        severity: isOver ? "0" : EVENT_SEVERITIES[change.severity],
        resolution_state: isOver ? "Closing" : "New",
        time_of_event: utcText(change.lastMs),
        description: descriptionOf(change, LONG_MAX),
        additional_info: JSON.stringify(detailsOf(change)),
      },
    ],
  };
}

export function eventTalk(setting: ServicenowSetting): Talk {
  return {
    step: (change, [answer], secrets) => {
      if (answer === undefined) {
        const headers = { authorization: secrets["authorization"] ?? "" };
        const url = `${setting.url}/api/global/em/jsonv2`;
        return jsonAsk("POST", url, eventBody(change), headers);
      }
      return isSuccess(answer) ? delivered(null) : failedBy(answer, setting.who);
    },
  };
}

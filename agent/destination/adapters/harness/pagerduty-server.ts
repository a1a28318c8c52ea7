/**
 * PagerDuty's Events API v2 as its documentation has it (`01-Overview.md`, `02-Trigger-Events.md`): what it refuses, what a repeated
 * `dedup_key` does to an open alert and to a resolved one.
 */
import { type FarEnd, farEnd, type Heard } from "./far-end.ts";
import { json, textAt } from "./json-body.ts";

export interface PagerdutyAlert {
  readonly key: string;
  state: "triggered" | "acknowledged" | "resolved";
  entries: number;
  severity: string;
}

type Body = Readonly<Record<string, unknown>>;

/** null: nothing is wrong with the trigger. */
function triggerFault(body: Body): string | null {
  const payload = body["payload"];
  const summary = textAt(payload, "summary");
  if (summary === "") return "'payload.summary' is missing or blank";
  if (summary.length > 1024) return "'payload.summary' is too long";
  if (textAt(payload, "source") === "") return "'payload.source' is missing or blank";
  if (!/^(critical|error|warning|info)$/.test(textAt(payload, "severity"))) {
    return "'payload.severity' is invalid";
  }
  const links = body["links"];
  if (links === undefined) return null;
  const areLinks = Array.isArray(links) && links.every((link) => textAt(link, "href") !== "");
  return areLinks ? null : "'links' is invalid";
}

class Service {
  readonly alerts: PagerdutyAlert[] = [];
  readonly #routingKey: string;

  constructor(routingKey: string) {
    this.#routingKey = routingKey;
  }

  take(heard: Heard): Response {
    if (heard.method !== "POST" || heard.path !== "/v2/enqueue") return json(404, {});
    if (heard.text.length > 512 * 1024) return json(413, {});
    const fault = heard.body === null ? "JSON is invalid" : this.#apply(heard.body);
    if (fault !== null) {
      const message = "Event object is invalid";
      return json(400, { status: "invalid event", message, errors: [fault] });
    }
    const key = textAt(heard.body, "dedup_key");
    return json(202, { status: "success", message: "Event processed", dedup_key: key });
  }

  #apply(body: Body): string | null {
    if (body["routing_key"] !== this.#routingKey) return "Invalid routing key";
    const key = textAt(body, "dedup_key");
    if (key.length > 255) return "'dedup_key' is too long";
    const open = this.alerts.find((alert) => alert.key === key && alert.state !== "resolved");
    switch (body["event_action"]) {
      case "trigger":
        return this.#trigger(body, key, open);
      case "acknowledge":
        if (open !== undefined) open.state = "acknowledged";
        return null;
      case "resolve":
        if (open !== undefined) open.state = "resolved";
        return null;
      default:
        return "'event_action' is invalid";
    }
  }

  #trigger(body: Body, key: string, open: PagerdutyAlert | undefined): string | null {
    const fault = triggerFault(body);
    if (fault !== null) return fault;
    const severity = textAt(body["payload"], "severity");
    if (open === undefined) this.alerts.push({ key, state: "triggered", entries: 1, severity });
    else {
      open.entries++;
      open.severity = severity;
    }
    return null;
  }
}

export type PagerdutyServer = FarEnd & { readonly alerts: readonly PagerdutyAlert[] };

export function pagerdutyServer(routingKey: string): PagerdutyServer {
  const service = new Service(routingKey);
  return { ...farEnd({ answer: (heard) => service.take(heard) }), alerts: service.alerts };
}

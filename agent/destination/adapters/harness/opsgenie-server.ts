/**
 * Opsgenie's alerts as its documentation has them (docs.opsgenie.com/docs/alert-api): requests are accepted first and carried out later,
 * an alias is known only while its alert is open, and every field has its limit. Below `base` it is Jira Service Management's
 * integration API, which has no way to change a priority.
 */
import { type FarEnd, farEnd, type Heard } from "./far-end.ts";
import { json, textAt } from "./json-body.ts";

export interface OpsgenieAlert {
  readonly id: string;
  readonly alias: string;
  readonly notes: string[];
  priority: string;
  isOpen: boolean;
  count: number;
}

const LIMITS: Readonly<Record<string, number>> = {
  message: 130,
  alias: 512,
  description: 15_000,
  entity: 512,
  source: 100,
  note: 25_000,
};

type Body = Readonly<Record<string, unknown>>;

function fault(body: Body): string | null {
  for (const [field, limit] of Object.entries(LIMITS)) {
    if (textAt(body, field).length > limit) return `${field} is longer than ${limit}`;
  }
  const details = Object.values((body["details"] ?? {}) as Body);
  if (details.some((value) => typeof value !== "string")) return "details must be texts";
  if (details.join("").length > 8_000) return "details are longer than 8000";
  const tags = (body["tags"] ?? []) as readonly string[];
  if (tags.length > 20 || tags.some((tag) => tag.length > 50)) return "tags are too many or long";
  return null;
}

class Service {
  readonly alerts: OpsgenieAlert[] = [];
  readonly #key: string;
  readonly #base: string;
  readonly #laterLooks: number;
  readonly #requests = new Map<string, { looks: number; data: Body }>();

  constructor(key: string, base: string, laterLooks: number) {
    this.#laterLooks = laterLooks;
    this.#key = key;
    this.#base = base;
  }

  take(heard: Heard): Response {
    if (heard.headers.get("authorization") !== `GenieKey ${this.#key}`) {
      return json(403, { message: "Key format is not valid!", took: 0, requestId: "" });
    }
    const prefix = `${this.#base}/v2/alerts`;
    if (!heard.path.startsWith(prefix)) return json(404, { message: "no such path" });
    const wrong = fault(heard.body ?? {});
    if (wrong !== null) return json(422, { message: wrong, took: 0, requestId: "" });
    const [, first = "", second = ""] = heard.path.slice(prefix.length).split("/");
    if (first === "requests") return this.#look(second);
    if (first === "") return this.#create(heard.body ?? {});
    if (heard.query["identifierType"] !== "alias") return json(404, { message: "No such alert" });
    return this.#act(second, heard, decodeURIComponent(first));
  }

  #look(id: string): Response {
    const request = this.#requests.get(id);
    if (request === undefined || request.looks++ < this.#laterLooks)
      return json(404, { message: "not yet" });
    return json(200, { data: request.data, took: 0.1, requestId: id });
  }

  #accept(action: string, alert: OpsgenieAlert | undefined, status: string): Response {
    const requestId = crypto.randomUUID();
    const isSuccess = alert !== undefined;
    const processedAt = "2026-11-25T09:34:11.000Z";
    const alertId = alert?.id ?? "";
    const data = { success: isSuccess, action, processedAt, isSuccess, status, alertId };
    this.#requests.set(requestId, { looks: 0, data });
    return json(202, { result: "Request will be processed", took: 0.1, requestId });
  }

  #create(body: Body): Response {
    if (textAt(body, "message") === "") return json(422, { message: "Message can not be empty." });
    const alias = textAt(body, "alias");
    const open = this.#open(alias);
    if (open !== undefined) {
      open.count++;
      return this.#accept("Create", open, "Deduplicated alert");
    }
    const id = crypto.randomUUID();
    const priority = textAt(body, "priority");
    const made: OpsgenieAlert = { id, alias, notes: [], priority, isOpen: true, count: 1 };
    this.alerts.push(made);
    return this.#accept("Create", made, "Created alert");
  }

  #open(alias: string): OpsgenieAlert | undefined {
    return this.alerts.find((alert) => alert.alias === alias && alert.isOpen);
  }

  #act(verb: string, heard: Heard, alias: string): Response {
    const open = this.#open(alias);
    if (open === undefined) return this.#accept(verb, undefined, "Alert does not exist");
    switch (`${heard.method} ${verb}`) {
      case "POST notes":
        open.notes.push(textAt(heard.body, "note"));
        break;
      case "POST close":
        open.isOpen = false;
        break;
      case "PUT priority":
        if (this.#base !== "") return json(404, { message: "no such action" });
        open.priority = textAt(heard.body, "priority");
        break;
      default:
        return json(405, { message: "no such action" });
    }
    return this.#accept(verb, open, "done");
  }
}

export type OpsgenieServer = FarEnd & { readonly alerts: readonly OpsgenieAlert[] };

/** `laterLooks`: how often a request is not carried out yet when its status is asked for. */
export function opsgenieServer(key: string, base = "", laterLooks = 0): OpsgenieServer {
  const service = new Service(key, base, laterLooks);
  return { ...farEnd({ answer: (heard) => service.take(heard) }), alerts: service.alerts };
}

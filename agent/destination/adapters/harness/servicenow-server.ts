/**
 * ServiceNow's Table API as its documentation has it (`c_TableAPI.md`), as far as incidents go: a query by `correlation_id`, limits of
 * the columns, and incidents that are closed and take no changes.
 */
import { type FarEnd, farEnd, type Heard } from "./far-end.ts";
import { json, textAt } from "./json-body.ts";

export interface Incident {
  readonly sys_id: string;
  readonly number: string;
  readonly notes: string[];
  fields: Record<string, string>;
}

const LIMITS: Readonly<Record<string, number>> = {
  short_description: 160,
  correlation_id: 100,
  description: 4_000,
  work_notes: 4_000,
  close_notes: 4_000,
};

type Body = Readonly<Record<string, string>>;

function shown({ sys_id, number, fields }: Incident): unknown {
  return { sys_id, number, state: fields["state"] };
}

function failure(status: number, message: string): Response {
  return json(status, { error: { message, detail: "" }, status: "failure" });
}

class Table {
  readonly incidents: Incident[] = [];
  readonly #authorization: string;

  constructor(authorization: string) {
    this.#authorization = authorization;
  }

  take(heard: Heard): Response {
    if (heard.headers.get("authorization") !== this.#authorization) {
      return failure(401, "User Not Authenticated");
    }
    const path = /^\/api\/now\/table\/incident(?:\/([0-9a-f]{32}))?$/.exec(heard.path);
    if (path === null) return failure(400, "Invalid table");
    for (const [column, limit] of Object.entries(LIMITS)) {
      if (textAt(heard.body, column).length > limit) return failure(400, `${column} too long`);
    }
    const body = (heard.body ?? {}) as Body;
    if (heard.method === "GET") return this.#query(heard.query["sysparm_query"] ?? "");
    if (heard.method === "POST" && path[1] === undefined) return this.#insert(body);
    if (heard.method === "PATCH") return this.#change(path[1] ?? "", body);
    return failure(405, "Method not allowed");
  }

  #query(query: string): Response {
    const key = /^correlation_id=([^^]*)\^ORDERBYDESCsys_created_on$/.exec(query)?.[1];
    const found = this.incidents.filter(({ fields }) => fields["correlation_id"] === key).at(-1);
    return json(200, { result: found === undefined ? [] : [shown(found)] });
  }

  #insert(body: Body): Response {
    const sys_id = crypto.randomUUID().replaceAll("-", "");
    const number = `INC${String(this.incidents.length + 1).padStart(7, "0")}`;
    const made: Incident = { sys_id, number, notes: [], fields: { state: "1", ...body } };
    this.incidents.push(made);
    return json(201, { result: shown(made) });
  }

  #change(id: string, body: Body): Response {
    const incident = this.incidents.find(({ sys_id }) => sys_id === id);
    if (incident === undefined) return failure(404, "No Record found");
    const { work_notes: note, ...fields } = body;
    if (incident.fields["state"] !== "7") {
      if (note !== undefined) incident.notes.push(note);
      incident.fields = { ...incident.fields, ...fields };
    }
    return json(200, { result: shown(incident) });
  }
}

export type ServicenowServer = FarEnd & { readonly incidents: readonly Incident[] };

export function servicenowServer(authorization: string): ServicenowServer {
  const table = new Table(authorization);
  return { ...farEnd({ answer: (heard) => table.take(heard) }), incidents: table.incidents };
}

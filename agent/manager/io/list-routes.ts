/**
 * What people and scripts read: nodes, events, tickets, deliveries, jobs, views, inventory, the sum of it, live updates, metrics.
 *
 * Reads only. Every list has a bound and a cursor. Where the store cannot be read, lists that come from it are refused with
 * 503; nodes and the sum are answered from what is at hand.
 */
import { z } from "zod";
import { envelopeSchema, receiptSchema } from "../../callhome/protocol.ts";
import { problemResponse } from "../../net/problem.ts";
import {
  DELIVERIES_PATH,
  EPOCHS_PATH,
  EVENTS_PATH,
  INVENTORY_PATH,
  JOBS_PATH,
  NODES_PATH,
  PAGE_ROWS_DEFAULT,
  PAGE_ROWS_MAX,
  STREAM_PATH,
  SUMMARY_PATH,
  TICKETS_PATH,
} from "../api.ts";
import * as schemas from "../api-schemas.ts";
import { type ApiApp, badRequest, queryOf, type RouteSpec, storeAnswer } from "./api-app.ts";
import type { Manager } from "./manager.ts";

const READERS = ["operator", "manager"] as const;
const RATE = { perSecond: 50, burst: 200 };

const turn = {
  limit: z.coerce.number().int().min(1).max(PAGE_ROWS_MAX).default(PAGE_ROWS_DEFAULT),
  cursor: z.string().max(300).optional().describe("`next` of the page before."),
};

const numbered = z.coerce.number().int().min(0);

function cursorNumber(cursor: string | undefined): number | null | Response {
  if (cursor === undefined) return null;
  const parsed = numbered.safeParse(cursor);
  return parsed.success
    ? parsed.data
    : badRequest("cursor: give `next` of the page before as it is");
}

const severity = z.enum(["information", "ok", "warning", "critical", "non-recoverable"]);

const eventsQuery = z.object({
  ...turn,
  node: z.string().max(256).optional(),
  system: z.string().max(256).optional(),
  least: severity.optional().describe("Only what is at least so grave."),
  state: schemas.eventStateSchema.optional(),
  path: schemas.deliveryPathSchema.optional(),
  ticket: z.string().max(256).optional(),
  from: z.coerce.number().optional().describe("Seen at this time or later, in milliseconds."),
  to: z.coerce.number().optional(),
  search: z.string().max(200).optional().describe("In text, component, node, system, id."),
});
const nodeQuery = z.object({ ...turn, node: z.string().max(256).optional() });
const ticketsQuery = z.object({
  ...turn,
  node: z.string().max(256).optional(),
  open: z.enum(["true", "false"]).optional(),
});
const plainQuery = z.object(turn);
const idParams = z.object({ id: z.string() });

const eventDetailSchema = z.object({
  row: schemas.eventRowSchema,
  envelope: envelopeSchema.nullable(),
  receipt: receiptSchema.nullable(),
});
const ticketDetailSchema = z.object({
  row: schemas.ticketRowSchema,
  atDestination: z.record(z.string(), z.unknown()).nullable(),
});
const nodeDetailSchema = z.object({
  row: schemas.nodeRowSchema,
  inventory: z.array(schemas.inventoryRowSchema),
});

function list<Row>(
  path: string,
  summary: string,
  row: z.ZodType<Row>,
  query: z.ZodObject,
): RouteSpec {
  return {
    ...{ method: "get", path, tag: "read", summary, roles: READERS, rate: RATE, query },
    answer: { type: "application/json", schema: schemas.pageSchema(row), says: "A page." },
    problems: ["bad-request"],
  };
}

function single(path: string, summary: string, schema: z.ZodType): RouteSpec {
  return {
    ...{ method: "get", path, tag: "read", summary, roles: READERS, rate: RATE },
    ...(path.includes("{id}") ? { params: idParams, problems: ["not-found"] } : {}),
    answer: { type: "application/json", schema, says: "As it is now." },
  };
}

function missing(what: string): Response {
  return problemResponse({ kind: "not-found", detail: `${what} is not known here` });
}

/** Lists that are in memory: the cursor is the last row's key. */
function pageOfRows<Row>(
  rows: readonly Row[],
  keyOf: (row: Row) => string,
  { cursor, limit }: { readonly cursor?: string | undefined; readonly limit: number },
): Response {
  const rest = cursor === undefined ? rows : rows.filter((row) => keyOf(row) > cursor);
  const shown = rest.slice(0, limit);
  const last = shown.at(-1);
  const next = rest.length > limit && last !== undefined ? keyOf(last) : null;
  return Response.json({ rows: shown, next });
}

export function addListRoutes(api: ApiApp, manager: Manager): void {
  addSummary(api, manager);
  addNodes(api, manager);
  addEvents(api, manager);
  addTickets(api, manager);
  addHistory(api, manager);
  addStream(api, manager);
}

function addSummary(api: ApiApp, manager: Manager): void {
  api.route(
    single(SUMMARY_PATH, "How everything is, in one object", schemas.summarySchema),
    async () => Response.json(await manager.summary()),
  );
}

function addNodes(api: ApiApp, manager: Manager): void {
  api.route(
    list(NODES_PATH, "Nodes, by name", schemas.nodeRowSchema, plainQuery),
    async (context) => {
      const query = queryOf(context, plainQuery);
      if (query instanceof Response) return query;
      await manager.fleet.refresh();
      return pageOfRows(manager.nodes(), ({ id }) => id, query);
    },
  );
  api.route(
    single(`${NODES_PATH}/{id}`, "One node, with what is built in", nodeDetailSchema),
    async (context) => {
      const id = context.req.param("id") ?? "";
      await manager.fleet.refresh();
      const row = manager.node(id);
      if (row === null) return missing(`node ${id}`);
      return Response.json({ row, inventory: manager.fleet.inventory(id) });
    },
  );
  api.route(
    list(INVENTORY_PATH, "What is built in, by node", schemas.inventoryRowSchema, nodeQuery),
    async (context) => {
      const query = queryOf(context, nodeQuery);
      if (query instanceof Response) return query;
      await manager.fleet.refresh();
      const rows = manager.fleet.inventory(query.node ?? null).map((row, index) => ({
        row,
        key: `${row.node}/${row.bmc}/${String(index).padStart(6, "0")}`,
      }));
      const from =
        query.cursor === undefined ? 0 : rows.findIndex(({ key }) => key === query.cursor) + 1;
      const shown = rows.slice(from, from + query.limit);
      const next = from + query.limit < rows.length ? (shown.at(-1)?.key ?? null) : null;
      return Response.json({ rows: shown.map(({ row }) => row), next });
    },
  );
  api.route(list(JOBS_PATH, "Jobs, by id", schemas.jobRowSchema, plainQuery), async (context) => {
    const query = queryOf(context, plainQuery);
    if (query instanceof Response) return query;
    await manager.fleet.refresh();
    return pageOfRows(manager.fleet.jobs(), ({ id }) => id, query);
  });
}

function addEvents(api: ApiApp, manager: Manager): void {
  api.route(
    list(EVENTS_PATH, "Events, the newest first", schemas.eventRowSchema, eventsQuery),
    async (context) => {
      const query = queryOf(context, eventsQuery);
      if (query instanceof Response) return query;
      const cursor = cursorNumber(query.cursor);
      if (cursor instanceof Response) return cursor;
      const { limit, from: fromMs, to: toMs, cursor: _, ...filter } = query;
      return storeAnswer(
        await manager.store.events({ ...filter, fromMs, toMs }, { cursor, limit }),
      );
    },
  );
  api.route(
    single(`${EVENTS_PATH}/{id}`, "One event, with its signature and receipt", eventDetailSchema),
    async (context) => {
      const id = context.req.param("id") ?? "";
      return storeAnswer(await manager.store.event(id), (detail) => {
        if (detail === null) return missing(`event ${id.slice(0, 64)}`);
        const { row, envelope, receipt } = detail;
        return {
          row,
          envelope: envelope === null ? null : JSON.parse(envelope),
          receipt: receipt === null ? null : JSON.parse(receipt),
        };
      });
    },
  );
}

function addTickets(api: ApiApp, manager: Manager): void {
  api.route(
    list(TICKETS_PATH, "Tickets, the last changed first", schemas.ticketRowSchema, ticketsQuery),
    async (context) => {
      const query = queryOf(context, ticketsQuery);
      if (query instanceof Response) return query;
      const cursor = cursorNumber(query.cursor);
      if (cursor instanceof Response) return cursor;
      const { node, open, limit } = query;
      const isOpen = open === undefined ? undefined : open === "true";
      return storeAnswer(await manager.store.tickets({ node, isOpen }, { cursor, limit }));
    },
  );
  const summary = "One ticket, with what the destination says of it";
  api.route(single(`${TICKETS_PATH}/{id}`, summary, ticketDetailSchema), async (context) => {
    const id = context.req.param("id") ?? "";
    const found = await manager.store.ticket(id);
    if (!found.ok || found.value === null) {
      return storeAnswer(found, () => missing(`ticket ${id.slice(0, 64)}`));
    }
    const atDestination = (await manager.tickets?.detail(id)) ?? null;
    return Response.json({ row: found.value, atDestination });
  });
}

function addHistory(api: ApiApp, manager: Manager): void {
  api.route(
    list(
      DELIVERIES_PATH,
      "Steps of events, the last changed first",
      schemas.deliveryRowSchema,
      nodeQuery,
    ),
    async (context) => {
      const query = queryOf(context, nodeQuery);
      if (query instanceof Response) return query;
      const cursor = cursorNumber(query.cursor);
      if (cursor instanceof Response) return cursor;
      return storeAnswer(
        await manager.store.deliveries(query.node, { cursor, limit: query.limit }),
      );
    },
  );
  api.route(
    list(EPOCHS_PATH, "Views of the cluster, the newest first", schemas.epochRowSchema, plainQuery),
    async (context) => {
      const query = queryOf(context, plainQuery);
      if (query instanceof Response) return query;
      const cursor = cursorNumber(query.cursor);
      if (cursor instanceof Response) return cursor;
      return storeAnswer(await manager.store.epochs({ cursor, limit: query.limit }));
    },
  );
}

function addStream(api: ApiApp, manager: Manager): void {
  api.route(
    {
      method: "get",
      path: STREAM_PATH,
      tag: "read",
      summary: "Follow what changes",
      description:
        "Server-Sent Events, `data` as the schema says. Give `Last-Event-ID` to go on from there; a comment comes every few seconds.",
      roles: READERS,
      rate: { perSecond: 5, burst: 50 },
      answer: {
        type: "text/event-stream",
        schema: schemas.liveMessageSchema,
        says: "A stream that does not end.",
      },
    },
    (context) => {
      const given = numbered.safeParse(context.req.header("last-event-id"));
      const lastId = given.success ? given.data : null;
      const detail = "there are as many streams of live updates as there can be: close one";
      return manager.live.open(lastId) ?? problemResponse({ kind: "busy", detail });
    },
  );
}

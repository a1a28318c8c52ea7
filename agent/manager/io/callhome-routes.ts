/**
 * What agents ask: parcels, digests, the stream of receipts, their reports.
 */
import { z } from "zod";
import {
  DIGEST_PATH,
  digestAnswerSchema,
  digestRequestSchema,
  PARCELS_BYTES_MAX,
  PARCELS_PATH,
  parcelSchema,
  parcelsAnswerSchema,
  RECEIPTS_PATH,
  receiptLineSchema,
} from "../../callhome/protocol.ts";
import {
  NODES_PATH,
  nodeReportSchema,
  REPORT_BYTES_MAX,
  reportAnswerSchema,
} from "../../callhome/report.ts";
import { LOCAL_CLUSTER } from "../../identity/names.ts";
import { principalOf } from "../../net/io/access.ts";
import { NDJSON_TYPE } from "../../net/io/ndjson.ts";
import { problemResponse } from "../../net/problem.ts";
import { type ApiApp, answerOf, badRequest, describeIssues, jsonOf, queryOf } from "./api-app.ts";
import type { Manager } from "./manager.ts";

const DIGEST_BYTES_MAX: number = 512 * 1024;
const TAG = "call home";

const receiptsQuery = z.object({
  after: z.coerce
    .number()
    .int()
    .min(0)
    .default(0)
    .describe("Number of the last line that was read."),
  node: z
    .string()
    .min(1)
    .max(256)
    .optional()
    .describe("Only in cluster `local`: whose receipts; elsewhere they are the caller's."),
});

export function addCallhomeRoutes(api: ApiApp, manager: Manager): void {
  addParcels(api, manager);
  addDigest(api, manager);
  addReceipts(api, manager);
  addReports(api, manager);
}

function addParcels(api: ApiApp, manager: Manager): void {
  api.route(
    {
      method: "post",
      path: PARCELS_PATH,
      tag: TAG,
      summary: "Give signed events",
      description:
        "Each is answered by itself: `kept` (R1) once it is durable, `delivered` (R2) with its receipt, `refused` with why.",
      roles: ["agent"],
      rate: { perSecond: 200, burst: 400 },
      body: {
        schema: z.object({ parcels: z.array(parcelSchema) }),
        bytesMax: PARCELS_BYTES_MAX,
      },
      answer: {
        type: "application/json",
        schema: parcelsAnswerSchema,
        says: "A result a parcel, in their order.",
      },
      problems: ["bad-request", "too-large", "not-kept"],
    },
    async (context) => {
      const body = await jsonOf(context);
      if (body instanceof Response) return body;
      return answerOf(await manager.take(body.value, principalOf(context)));
    },
  );
}

function addDigest(api: ApiApp, manager: Manager): void {
  api.route(
    {
      method: "post",
      path: DIGEST_PATH,
      tag: TAG,
      summary: "Ask which events are known here",
      roles: ["agent", "manager"],
      rate: { perSecond: 20, burst: 40 },
      body: { schema: digestRequestSchema, bytesMax: DIGEST_BYTES_MAX },
      answer: {
        type: "application/json",
        schema: digestAnswerSchema,
        says: "In the order of the ids.",
      },
      problems: ["bad-request", "too-large"],
    },
    async (context) => {
      const body = await jsonOf(context);
      if (body instanceof Response) return body;
      const parsed = digestRequestSchema.safeParse(body.value);
      if (!parsed.success) return badRequest(describeIssues(parsed.error));
      return answerOf(await manager.digest(parsed.data.ids));
    },
  );
}

function addReceipts(api: ApiApp, manager: Manager): void {
  api.route(
    {
      method: "get",
      path: RECEIPTS_PATH,
      tag: TAG,
      summary: "Follow the asking node's receipts",
      description:
        "Lines of JSON, each as the schema says: receipts as they come, and a beat each second.",
      roles: ["agent"],
      rate: { perSecond: 10, burst: 40 },
      query: receiptsQuery,
      answer: { type: NDJSON_TYPE, schema: receiptLineSchema, says: "A stream that does not end." },
      problems: ["bad-request"],
    },
    (context) => {
      const query = queryOf(context, receiptsQuery);
      if (query instanceof Response) return query;
      const { cluster, role, name } = principalOf(context);
      const isNamed = role === "agent" || cluster !== LOCAL_CLUSTER;
      const node = isNamed ? name : query.node;
      if (node === undefined) return badRequest("node: whose receipts are asked for is not said");
      const detail = "there are as many streams of receipts as there can be: close one";
      return manager.receipts.open(node, query.after) ?? problemResponse({ kind: "busy", detail });
    },
  );
}

function addReports(api: ApiApp, manager: Manager): void {
  api.route(
    {
      method: "put",
      path: `${NODES_PATH}/{id}`,
      tag: TAG,
      summary: "Report how a node is",
      roles: ["agent"],
      rate: { perSecond: 20, burst: 40 },
      params: z.object({ id: z.string() }),
      body: { schema: nodeReportSchema, bytesMax: REPORT_BYTES_MAX },
      answer: { type: "application/json", schema: reportAnswerSchema, says: "Taken." },
      problems: ["bad-request", "too-large"],
    },
    async (context) => {
      const body = await jsonOf(context);
      if (body instanceof Response) return body;
      const parsed = nodeReportSchema.safeParse(body.value);
      if (!parsed.success) return badRequest(describeIssues(parsed.error));
      const { cluster, name } = principalOf(context);
      const id = context.req.param("id");
      if (parsed.data.node !== id) {
        return badRequest(`the report is of ${parsed.data.node}, the path names ${id}`);
      }
      if (cluster !== LOCAL_CLUSTER && name !== id) {
        const detail = `agent ${name} reports for ${id}: each node reports for itself`;
        return problemResponse({ kind: "forbidden", detail });
      }
      return answerOf(manager.report(parsed.data));
    },
  );
}

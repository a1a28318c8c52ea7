/**
 * The schemas of the manager's API: what `api.ts` says as types, for the OpenAPI document and for whoever reads answers.
 */
import { z } from "zod";
import type {
  DeliveryPath,
  DeliveryRow,
  EpochRow,
  EventRow,
  EventState,
  InventoryRow,
  JobRow,
  LiveMessage,
  NodeRow,
  NodeState,
  Page,
  Summary,
  TicketRow,
} from "./api.ts";

const ms = z.number();
const severity = z.enum(["information", "ok", "warning", "critical", "non-recoverable"]);
const count = z.number().int().min(0);

export const nodeStateSchema: z.ZodType<NodeState> = z.enum(["alive", "late", "silent", "dead"]);
export const eventStateSchema: z.ZodType<EventState> = z.enum(["kept", "delivered", "not-relayed"]);
export const deliveryPathSchema: z.ZodType<DeliveryPath> = z.enum([
  "manager",
  "direct",
  "peer",
  "stand-in",
]);

export const nodeRowSchema: z.ZodType<NodeRow> = z.object({
  id: z.string(),
  role: z.string().nullable(),
  address: z.string().nullable(),
  state: nodeStateSchema,
  why: z.string(),
  isStreaming: z.boolean(),
  seenMs: ms.nullable(),
  reportedMs: ms.nullable(),
  epoch: z.number().nullable(),
  members: z.array(z.string()),
  isLead: z.boolean(),
  version: z.string().nullable(),
  bmcs: z.array(
    z.object({
      url: z.string(),
      system: z.string().nullable(),
      node: z.string(),
      state: z.enum(["connecting", "watched", "lost"]),
      detail: z.string(),
      sinceMs: ms,
      isPoweredOn: z.boolean().nullable(),
      faults: z.array(z.string()),
      product: z.string().nullable(),
      serial: z.string().nullable(),
      firmware: z.string().nullable(),
    }),
  ),
  outbox: z.object({ queued: count, oldestMs: ms.nullable() }).nullable(),
  paths: z.array(
    z.object({
      kind: z.enum(["manager", "direct", "peer"]),
      name: z.string(),
      state: z.enum(["unknown", "works", "broken"]),
      detail: z.string(),
      sinceMs: ms,
    }),
  ),
  worst: severity.nullable(),
  openTickets: count,
  events: count,
});

const stepShape = {
  kind: z.enum(["queued", "R1", "R2", "direct", "peer", "failed", "not-relayed"]),
  atMs: ms,
  by: z.string().nullable(),
  note: z.string().nullable(),
};

export const eventRowSchema: z.ZodType<EventRow> = z.object({
  seq: count,
  id: z.string(),
  node: z.string(),
  system: z.string(),
  severity,
  category: z.string(),
  subject: z.string(),
  text: z.string(),
  isAssertion: z.boolean(),
  seenBy: z.enum([
    "sel",
    "kcs",
    "pet",
    "redfish-push",
    "redfish-sse",
    "redfish-log",
    "hook",
    "host",
  ]),
  whenMs: ms.nullable(),
  seenMs: ms,
  signedMs: ms,
  arrivedMs: ms,
  state: eventStateSchema,
  path: deliveryPathSchema.nullable(),
  ticket: z.string().nullable(),
  steps: z.array(z.object(stepShape)),
  isSigned: z.boolean(),
});

export const ticketRowSchema: z.ZodType<TicketRow> = z.object({
  id: z.string(),
  destination: z.string(),
  node: z.string(),
  system: z.string(),
  category: z.string(),
  subject: z.string(),
  severity,
  text: z.string(),
  isOpen: z.boolean(),
  openedMs: ms,
  changedMs: ms,
  events: count,
});

export const deliveryRowSchema: z.ZodType<DeliveryRow> = z.object({
  ...stepShape,
  seq: count,
  event: z.string(),
  node: z.string(),
  severity,
  subject: z.string(),
  text: z.string(),
});

export const jobRowSchema: z.ZodType<JobRow> = z.object({
  id: z.string(),
  state: z.enum(["starting", "running", "recovering", "ended", "lost"]),
  epoch: z.number(),
  revision: count,
  ranks: count,
  placement: z.array(z.string()),
  sealed: count,
  versions: z.array(z.object({ version: count, nodes: z.array(z.string()), ranks: count })),
  rollbacks: z.array(z.object({ epoch: count, base: count })).optional(),
  exitCode: z.number().nullable(),
  verdict: z.string().nullable(),
  argv: z.array(z.string()),
  reportedBy: z.string(),
  reportedMs: ms,
});

export const epochRowSchema: z.ZodType<EpochRow> = z.object({
  epoch: z.number(),
  members: z.array(z.string()),
  joined: z.array(z.string()),
  left: z.array(z.string()),
  atMs: ms,
});

export const inventoryRowSchema: z.ZodType<InventoryRow> = z.object({
  node: z.string(),
  bmc: z.string(),
  guid: z.string().nullable(),
  device: z.string(),
  fields: z.array(z.tuple([z.string(), z.string()])),
  readMs: ms,
});

export const summarySchema: z.ZodType<Summary> = z.object({
  name: z.string(),
  cluster: z.string(),
  epoch: z.string(),
  version: z.string(),
  startedMs: ms,
  nowMs: ms,
  store: z.object({ kind: z.enum(["sqlite", "postgres"]), isUp: z.boolean() }),
  destination: z.object({
    url: z.string().nullable(),
    name: z.string().nullable(),
    canRelay: z.boolean(),
    why: z.string(),
    lastAnswerMs: ms.nullable(),
  }),
  events: z.object({ kept: count, delivered: count, "not-relayed": count }),
  nodes: z.object({ alive: count, late: count, silent: count, dead: count }),
  openTickets: count,
  clusterEpoch: z.number().nullable(),
});

export const liveMessageSchema: z.ZodType<LiveMessage> = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("hello"), summary: summarySchema }),
  z.object({ kind: z.literal("reset") }),
  z.object({ kind: z.literal("summary"), summary: summarySchema }),
  z.object({ kind: z.literal("node"), row: nodeRowSchema }),
  z.object({ kind: z.literal("event"), row: eventRowSchema }),
  z.object({ kind: z.literal("ticket"), row: ticketRowSchema }),
  z.object({ kind: z.literal("job"), row: jobRowSchema }),
  z.object({ kind: z.literal("epoch"), row: epochRowSchema }),
]);

/** Each list of the API is `pageSchema` of its row. */
export function pageSchema<Row>(row: z.ZodType<Row>): z.ZodType<Page<Row>> {
  return z.object({ rows: z.array(row), next: z.string().nullable() });
}

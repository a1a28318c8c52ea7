/**
 * The contract of a node's report to the manager: what the node is, what runs on it, its BMCs, how it can call home.
 *
 *   PUT /v1/nodes/NODE   NodeReport → ReportAnswer, by role agent and for its own name only; 4 MiB at most
 *
 * Sent at once when something changed (changes within 200 ms are one report) and each 10 s besides: after three without a
 * report a node counts as silent. `run` and `seq` order reports: of one run the higher number is newer, of two runs the one
 * with the higher `incarnation`, then the later `startedMs`. The inventory is large and rarely changes: its digest is in each
 * report, it itself only until the manager has it, and again whenever the manager's answer asks for it.
 * Fields are added, never renamed. Strings are bounded; a manager drops fields that it does not know.
 */
import { z } from "zod";
import type { BmcIdentity, FruDevice } from "../../bmc/bmc.ts";

export const NODES_PATH = "/v1/nodes";
export const REPORT_EVERY_MS = 10_000;
export const REPORT_DEBOUNCE_MS = 200;
export const REPORT_BYTES_MAX: number = 4 * 1024 * 1024;

export interface ReportedRank {
  readonly job: string;
  readonly rank: number;
  readonly epoch: number;
  /** Sealed versions of this rank on this node, newest first, the 64 newest. */
  readonly sealed: readonly number[];
}

/** A member of the cluster as this node sees it. */
export interface ReportedMember {
  readonly id: string;
  readonly address: string;
  readonly port: number;
  readonly role: "worker" | "witness";
  readonly incarnation: number;
  readonly standing: string;
  readonly reason: string;
  readonly inView: boolean;
}

/** A subset of what `GET /v1/node` of an agent answers. */
export interface ReportedStatus {
  readonly address: string;
  readonly port: number;
  readonly state: "alive" | "frozen" | "joining";
  readonly reason: string | null;
  readonly role: "worker" | "witness";
  readonly instance: string;
  readonly incarnation: number;
  readonly epoch: number;
  readonly lead: string | null;
  readonly pid: number;
  readonly version: string;
  readonly ranks: readonly ReportedRank[];
  /** Every rank of which this node holds sealed states, its own and its partners'. */
  readonly holds: readonly Omit<ReportedRank, "epoch">[];
  readonly members: readonly ReportedMember[];
  readonly load: {
    readonly cores: number;
    readonly freeMemoryBytes: number;
    readonly loadAverage: number;
  };
}

/** A job went back to the version `base` at that epoch. */
export interface ReportedRollback {
  readonly epoch: number;
  readonly base: number;
}

export interface ReportedJob {
  readonly id: string;
  readonly state: "starting" | "running" | "recovering" | "ended" | "lost";
  readonly epoch: number;
  /** Of the job's record: of two nodes' reports the higher (epoch, revision) is newer. */
  readonly revision: number;
  readonly ranks: number;
  readonly placement: readonly string[];
  /** Newest sealed version; 0 for none. */
  readonly sealed: number;
  /** Oldest first; not told by agents of before. */
  readonly rollbacks?: readonly ReportedRollback[] | undefined;
  readonly exitCode: number | null;
  readonly verdict: string | null;
  readonly argv: readonly string[];
}

export type BmcState = "connecting" | "watched" | "lost";

export interface ReportedBmc {
  /** Without user and password. */
  readonly url: string;
  /** System GUID as events have it in `system`; null before the BMC was reached for the first time. */
  readonly system: string | null;
  /** Whose BMC it is: this node's, or that of a dead one for which this node stands in. */
  readonly node: string;
  readonly state: BmcState;
  /** Why it is in that state: one line. */
  readonly detail: string;
  readonly sinceMs: number;
  /** null: not known. */
  readonly isPoweredOn: boolean | null;
  readonly faults: readonly string[];
}

/** Of the node's own BMCs. */
export interface ReportedInventory {
  readonly bmcs: readonly {
    readonly url: string;
    readonly identity: BmcIdentity | null;
    readonly fru: readonly Pick<FruDevice, "id" | "name" | "fields">[];
    readonly readMs: number;
  }[];
}

export type PathState = "unknown" | "works" | "broken";

export interface ReportedPath {
  readonly kind: "manager" | "direct" | "peer";
  /** URL or node. */
  readonly name: string;
  readonly state: PathState;
  /** What happened last: one line. */
  readonly detail: string;
  readonly sinceMs: number;
}

export interface ReportedCallhome {
  /** Events that are kept and not delivered yet. */
  readonly waiting: number;
  /** Since the agent started. */
  readonly delivered: number;
  readonly refused: number;
  readonly oldestWaitingMs: number | null;
  readonly paths: readonly ReportedPath[];
}

export interface NodeReport {
  readonly v: 1;
  readonly node: string;
  /** Drawn at each start of the agent. */
  readonly run: string;
  readonly startedMs: number;
  /** From 1, of this run. */
  readonly seq: number;
  readonly atMs: number;
  readonly status: ReportedStatus;
  readonly jobs: readonly ReportedJob[];
  readonly bmcs: readonly ReportedBmc[];
  /** SHA-256 of the JSON of the inventory, 64 hex digits. */
  readonly inventoryDigest: string;
  readonly inventory: ReportedInventory | null;
  readonly callhome: ReportedCallhome;
}

export interface ReportAnswer {
  /** The manager's name, and which start of it. */
  readonly name: string;
  readonly epoch: string;
  /** The manager does not have the inventory with that digest. */
  readonly wantsInventory: boolean;
}

const line = z.string().max(2_000);
const name = z.string().min(1).max(256);
const ms = z.number().finite().min(0);
const count = z.number().int().min(0);
const url = z.string().min(1).max(512);

const memberSchema = z.object({
  id: name,
  address: z.string().max(64),
  port: count,
  role: z.enum(["worker", "witness"]),
  incarnation: count,
  standing: z.string().max(32),
  reason: line,
  inView: z.boolean(),
});

const heldSchema = z.object({
  job: name,
  rank: count,
  sealed: z.array(count).max(64),
});

const statusSchema: z.ZodType<ReportedStatus> = z.object({
  address: z.string().max(64),
  port: count,
  state: z.enum(["alive", "frozen", "joining"]),
  reason: line.nullable(),
  role: z.enum(["worker", "witness"]),
  instance: z.string().max(64),
  incarnation: count,
  epoch: count,
  lead: name.nullable(),
  pid: count,
  version: z.string().max(64),
  ranks: z.array(heldSchema.extend({ epoch: count })).max(4_096),
  holds: z.array(heldSchema).max(16_384),
  members: z.array(memberSchema).max(4_096),
  load: z.object({
    cores: z.number().finite().min(0),
    freeMemoryBytes: z.number().finite().min(0),
    loadAverage: z.number().finite().min(0),
  }),
});

const jobSchema: z.ZodType<ReportedJob> = z.object({
  id: name,
  state: z.enum(["starting", "running", "recovering", "ended", "lost"]),
  epoch: count,
  revision: count,
  ranks: count,
  placement: z.array(name).max(65_536),
  sealed: count,
  rollbacks: z
    .array(z.object({ epoch: count, base: count }))
    .max(64)
    .optional(),
  exitCode: z.number().int().nullable(),
  verdict: z.string().max(4_096).nullable(),
  argv: z.array(z.string().max(4_096)).max(256),
});

const bmcSchema: z.ZodType<ReportedBmc> = z.object({
  url,
  system: name.nullable(),
  node: name,
  state: z.enum(["connecting", "watched", "lost"]),
  detail: line,
  sinceMs: ms,
  isPoweredOn: z.boolean().nullable(),
  faults: z.array(z.string().max(256)).max(64),
});

const identitySchema: z.ZodType<BmcIdentity> = z.object({
  guid: z.string().max(64).nullable(),
  manufacturer: z.object({ id: z.number().nullable(), name: z.string().max(256) }),
  productId: z.number().nullable(),
  productName: z.string().max(256).nullable(),
  serial: z.string().max(256).nullable(),
  firmware: z.string().max(256),
  protocolVersion: z.string().max(64),
  deviceId: z.number().nullable(),
  selfTest: z.string().max(256).nullable(),
  supports: z.array(z.string().max(64)).max(64),
});

const inventorySchema: z.ZodType<ReportedInventory> = z.object({
  bmcs: z
    .array(
      z.object({
        url,
        identity: identitySchema.nullable(),
        fru: z
          .array(
            z.object({
              id: z.number().int(),
              name: z.string().max(256),
              fields: z.array(z.tuple([z.string().max(256), z.string().max(1_024)])).max(256),
            }),
          )
          .max(256),
        readMs: ms,
      }),
    )
    .max(64),
});

const pathSchema: z.ZodType<ReportedPath> = z.object({
  kind: z.enum(["manager", "direct", "peer"]),
  name: url,
  state: z.enum(["unknown", "works", "broken"]),
  detail: line,
  sinceMs: ms,
});

export const nodeReportSchema: z.ZodType<NodeReport> = z.object({
  v: z.literal(1),
  node: name,
  run: z.string().min(1).max(64),
  startedMs: ms,
  seq: z.number().int().min(1),
  atMs: ms,
  status: statusSchema,
  jobs: z.array(jobSchema).max(4_096),
  bmcs: z.array(bmcSchema).max(256),
  inventoryDigest: z.string().regex(/^[0-9a-f]{64}$/),
  inventory: inventorySchema.nullable(),
  callhome: z.object({
    waiting: count,
    delivered: count,
    refused: count,
    oldestWaitingMs: ms.nullable(),
    paths: z.array(pathSchema).max(4_096),
  }),
});

export const reportAnswerSchema: z.ZodType<ReportAnswer> = z.object({
  name,
  epoch: z.string().max(64),
  wantsInventory: z.boolean(),
});

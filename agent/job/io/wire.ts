/**
 * The shapes of what comes over a link or a control socket, checked at the edge.
 *
 * Every message is rebuilt from its schema: unknown fields are dropped, a missing or wrong one refuses the message with one
 * line. Inside there are no unknowns. The assignments to typed constants at the end of each group make the compiler
 * notice when a contract and its schema drift apart.
 */
import { z } from "zod";
import { err, ok, type Result } from "../../../core/result.ts";
import type { Version } from "../../checkpoint/checkpoint.ts";
import type { Epoch, NodeId } from "../../membership/membership.ts";
import type { ViewMessage } from "../../membership/view-message.ts";
import type { ProxyToAgent } from "../../proxy/proxy.ts";
import type { JobMessage, JobRecord, JobSpec } from "../job.ts";

/** A job's name becomes a folder's name. */
const JOB_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const RANKS_MAX = 65_536;

const count = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
/** Sentences may quote a command line; the frame bounds them all. */
const text = z.string().max(1024 * 1024);
const job = z.string().regex(JOB_NAME);
const rank = z.number().int().min(0).max(RANKS_MAX);
const node = z.custom<NodeId>(
  (value) => typeof value === "string" && /^[a-z0-9-]{1,32}$/.test(value),
);
const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0;
const epoch = z.custom<Epoch>(isCount);
const version = z.custom<Version>(isCount);

const member = z.object({
  id: node,
  instance: z.string().max(64),
  incarnation: count,
  address: z.string().max(64),
  port: z.number().int().min(1).max(65_535),
  role: z.enum(["worker", "witness"]),
});

const view = z.object({ epoch, members: z.array(member).min(1).max(1024), reason: text });

const accepted = z.object({ ballot: count, view });
const envelope = { cluster: z.string().max(64), instance: z.string().max(64), epoch };
const instances = z.array(z.string().max(64)).max(1024);
const viewMessage = z.discriminatedUnion("kind", [
  z.object({
    ...envelope,
    kind: z.literal("poll"),
    nonce: count,
    expel: instances,
    admit: instances,
  }),
  z.object({
    ...envelope,
    kind: z.literal("opinion"),
    nonce: count,
    opinions: z.array(z.enum(["silent", "heard", "unsure"])).max(2048),
  }),
  z.object({ ...envelope, kind: z.literal("prepare"), ballot: count }),
  z.object({
    ...envelope,
    kind: z.literal("promise"),
    ballot: count,
    accepted: accepted.nullable(),
  }),
  z.object({ ...envelope, kind: z.literal("accept"), ballot: count, view }),
  z.object({ ...envelope, kind: z.literal("accepted"), ballot: count }),
  z.object({ ...envelope, kind: z.literal("reject"), ballot: count, promised: count }),
  z.object({ ...envelope, kind: z.literal("decided"), view }),
  z.object({ ...envelope, kind: z.literal("ask-view") }),
  z.object({ ...envelope, kind: z.literal("wish"), reason: text }),
  z.object({ ...envelope, kind: z.literal("turned-away"), reason: text }),
]);

const holding = z.object({
  job,
  rank,
  version,
  epoch,
  parent: version.nullable(),
  sealed: z.boolean(),
  bytes: count,
});
const nodeHoldings = z.object({ node, holdings: z.array(holding) });
const rollback = z.object({ epoch, base: version });
const selection = z.object({
  version: version.nullable(),
  inputDigest: z.string().max(256),
  explanation: z.array(text).max(1024),
});
const endpoint = z.object({
  node,
  host: z.string().max(64),
  port: z.number().int().min(1).max(65_535),
});

const spec = z.object({
  id: job,
  argv: z.array(z.string().max(131_072)).min(1).max(4096),
  cwd: z.string().startsWith("/").max(4096),
  env: z.record(z.string().max(1024), z.string().max(131_072)),
  ranks: z.number().int().min(1).max(RANKS_MAX),
  spares: z.number().int().min(0).max(RANKS_MAX),
  checkpointEveryMs: z.number().min(0).nullable(),
  key: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .exactOptional(),
  isEncrypted: z.boolean().exactOptional(),
});
const rankExit = z.object({ rank, code: z.number().int(), detail: text });
const record = z.object({
  spec,
  epoch,
  revision: count,
  state: z.enum(["starting", "running", "recovering", "ended", "lost"]),
  placement: z.array(node),
  partners: z.array(node.nullable()),
  lineage: z.array(rollback),
  poisoned: z.array(version),
  sealed: version,
  exits: z.array(rankExit),
  setbacks: count.default(0),
  exitCode: z.number().int().nullable(),
  verdict: text.nullable(),
  history: z
    .array(
      z.object({
        epoch,
        atMs: z.number(),
        what: text,
        selection: selection.exactOptional(),
      }),
    )
    .max(1024),
});

const fault = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("proxy"), job, epoch, detail: text }),
  z.object({ kind: z.literal("program"), job, epoch, rank, detail: text }),
]);

const request = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("run"), spec }),
  z.object({ kind: z.literal("resume"), job }),
  z.object({ kind: z.literal("cancel"), job }),
]);

const jobMessage = z.discriminatedUnion("kind", [
  z.object({
    kind: z.literal("report"),
    epoch,
    records: z.array(record),
    holdings: z.array(holding),
    running: z.array(z.object({ job, rank, pid: count, epoch, proxyPid: count })),
    faults: z.array(fault),
    exits: z.array(z.object({ job, epoch, exit: rankExit })),
    proxy: endpoint.nullable(),
    load: z.object({ cores: count, freeMemoryBytes: count, loadAverage: z.number() }),
  }),
  z.object({
    kind: z.literal("assign"),
    epoch,
    record,
    proxies: z.array(endpoint),
    holdings: z.array(nodeHoldings),
    shardUrls: z.array(z.object({ node, url: z.string().max(1024) })),
    nextVersion: version,
    everSealed: z.boolean(),
  }),
  z.object({ kind: z.literal("ready"), epoch, job, selection, failure: text.nullable() }),
  z.object({ kind: z.literal("settled"), epoch }),
  z.object({
    kind: z.literal("progress"),
    epoch,
    job,
    stage: z.enum(["assigned", "joined", "idle", "selected", "restoring", "restored"]),
  }),
  z.object({ kind: z.literal("resume"), epoch, record, version }),
  z.object({ kind: z.literal("resumed"), epoch, job }),
  z.object({ kind: z.literal("record"), epoch, record }),
  z.object({ kind: z.literal("recorded"), epoch, job, revision: count }),
  z.object({ kind: z.literal("durable"), epoch, job, rank, version }),
  z.object({ kind: z.literal("seal"), epoch, job, version }),
  z.object({ kind: z.literal("sealed"), epoch, job, version }),
  z.object({ kind: z.literal("exited"), epoch, job, exit: rankExit }),
  z.object({ kind: z.literal("submit"), epoch, token: z.string().max(256), request }),
  z.object({
    kind: z.literal("submitted"),
    epoch,
    token: z.string().max(256),
    refused: text.nullable(),
  }),
]);

const proxySays = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("listening"), pid: count, port: z.number().int().min(1).max(65_535) }),
  z.object({ kind: z.literal("joined"), epoch }),
  z.object({ kind: z.literal("idle"), epoch }),
  z.object({ kind: z.literal("stuck"), epoch, rank }),
  z.object({ kind: z.literal("selected"), epoch, selection }),
  z.object({ kind: z.literal("attached"), epoch, rank, pid: count }),
  z.object({
    kind: z.literal("capture"),
    epoch,
    rank,
    version,
    regions: z.array(
      z.object({ name: z.string().max(1024), path: z.string().max(4096), bytes: count }),
    ),
    mailbox: z.string().max(4096).nullable(),
  }),
  z.object({ kind: z.literal("peer-lost"), epoch, node }),
  z.object({ kind: z.literal("failed"), epoch, reason: text }),
]);

export type LinkMessage =
  | { readonly channel: "view"; readonly message: ViewMessage }
  | { readonly channel: "job"; readonly message: JobMessage };

/** Each constant says two things to the compiler: the schema gives the type, and knows every kind of it. */
type Covers<Union extends { kind: string }, Schema extends { kind: string }> =
  Exclude<Union["kind"], Schema["kind"]> extends never ? z.ZodType<Union> : never;

const viewSchema: Covers<ViewMessage, z.infer<typeof viewMessage>> = viewMessage;
const jobSchema: Covers<JobMessage, z.infer<typeof jobMessage>> = jobMessage;
const proxySchema: Covers<ProxyToAgent, z.infer<typeof proxySays>> = proxySays;
const recordSchema: z.ZodType<JobRecord> = record;
const specSchema: z.ZodType<JobSpec> = spec;

function check<T>(schema: z.ZodType<T>, value: unknown, what: string): Result<T, string> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return ok(parsed.data);
  const [issue] = parsed.error.issues;
  const where = issue?.path.join(".") ?? "";
  return err(`${what} with ${where === "" ? "a wrong shape" : where}: ${issue?.message ?? ""}`);
}

export function readLinkMessage(value: unknown): Result<LinkMessage, string> {
  const { channel, message } = (value ?? {}) as { channel?: unknown; message?: unknown };
  if (channel === "view") {
    const read = check(viewSchema, message, "a view message");
    return read.ok ? ok({ channel, message: read.value }) : read;
  }
  if (channel === "job") {
    const read = check(jobSchema, message, "a job message");
    return read.ok ? ok({ channel, message: read.value }) : read;
  }
  return err("a message of no known channel");
}

export function readProxySays(value: unknown): Result<ProxyToAgent, string> {
  return check(proxySchema, value, "a proxy's line");
}

export function readRecord(value: unknown): Result<JobRecord, string> {
  return check(recordSchema, value, "a job record");
}

export function readSpec(value: unknown): Result<JobSpec, string> {
  return check(specSchema, value, "a job");
}

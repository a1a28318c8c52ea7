/**
 * The agent's HTTP API, everything but shards and the link to peers.
 *
 *   GET  /v1/ping                        who is here; what the failure detector asks
 *   GET  /v1/node  /v1/status            this node; all nodes
 *   GET  /v1/holdings                    every shard of this node
 *   GET  /v1/jobs  /v1/jobs/:id  /v1/jobs/:id/explain
 *   POST /v1/jobs                        {argv, ranks, cwd?, env?, spares?, checkpointEveryMs?} → {job}
 *   POST /v1/jobs/:id/resume, /cancel    → {job}
 *   POST /v1/what-if                     {lose: [id, …]}
 *   GET  /v1/jobs/:id/output[?after=n1:7,n2:3]   NDJSON of `OutputEvent`; `own=1&after=7`: this node's lines only
 *   GET  /v1/decisions[?after=seq]       NDJSON of `Decision`: the newest ones, then live
 */
import { type Context, Hono } from "hono";
import { z } from "zod";
import { err, ok, type Result } from "../../../core/result.ts";
import type { Member } from "../../membership/membership.ts";
import { ndjsonResponse } from "../../net/io/ndjson.ts";
import { type Problem, problemResponse } from "../../net/problem.ts";
import { randomHex } from "../../runtime/io/clock.ts";
import type { JobRecord, JobRequest } from "../job.ts";
import type { Phase } from "../node-events.ts";
import { askWhatIf, clusterStatus, type QuerySource } from "./cluster-queries.ts";
import { explainJob } from "./explain.ts";
import { type OutputSource, parseCursor, streamOutput, streamOwnOutput } from "./output-stream.ts";
import type { Ring } from "./ring.ts";
import { summaryOf } from "./status.ts";
import { readSpec } from "./wire.ts";

export interface Decision {
  readonly node: string;
  /** Wall clock of this node, milliseconds since 1970. */
  readonly atMs: number;
  readonly epoch: number;
  readonly job: string | null;
  readonly phase: Phase;
  readonly text: string;
}

export interface ApiSource extends QuerySource, OutputSource {
  readonly decisions: Ring<Decision>;
  /** Passed to the lead of the cluster; answered when it has decided and the record is kept. */
  self(): Member;
  readonly onDefect: (detail: string) => void;
  ask(request: JobRequest): Promise<Result<string, Problem>>;
}

const READ_AT_ONCE = 256;
const KEY_BYTES = 32;

const orderSchema = z.object({
  argv: z.array(z.string()).min(1),
  cwd: z.string().default("/"),
  env: z.record(z.string(), z.string()).default({}),
  ranks: z.number().int().min(1).max(65_536),
  spares: z.number().int().min(0).max(65_536).default(0),
  checkpointEveryMs: z.number().min(0).nullable().default(null),
  isEncrypted: z.boolean().default(false),
});

const whatIfSchema = z.object({ lose: z.array(z.string()).max(1024) });

async function readBody<T>(context: Context, schema: z.ZodType<T>): Promise<Result<T, Problem>> {
  try {
    const parsed = schema.safeParse(await context.req.json());
    if (parsed.success) return ok(parsed.data);
    const [issue] = parsed.error.issues;
    const detail = `${issue?.path.join(".") || "the body"}: ${issue?.message ?? ""}`;
    return err({ kind: "bad-request", detail });
  } catch {
    return err({ kind: "bad-request", detail: "the body is not JSON" });
  }
}

function answer<T>(context: Context, result: Result<T, Problem>, status: 200 | 201 = 200) {
  return result.ok ? context.json(result.value as object, status) : problemResponse(result.error);
}

function findJob(context: Context, source: ApiSource): Result<JobRecord, Problem> {
  const id = context.req.param("id") ?? "";
  const record = source.record(id);
  if (record !== undefined) return ok(record);
  return err({ kind: "not-found", detail: `no job ${id} is known here: see holdfast job list` });
}

/** The job's key is for its nodes only. */
function withoutKey(record: JobRecord): JobRecord {
  const { key: _, ...spec } = record.spec;
  return { ...record, spec };
}

async function submit(context: Context, source: ApiSource): Promise<Response> {
  const order = await readBody(context, orderSchema);
  if (!order.ok) return problemResponse(order.error);
  const key = randomHex(KEY_BYTES);
  const spec = readSpec({ id: `j-${randomHex(4)}`, key, ...order.value });
  if (!spec.ok) return problemResponse({ kind: "bad-request", detail: spec.error });
  const job = await source.ask({ kind: "run", spec: spec.value });
  return answer(context, job.ok ? ok({ job: job.value }) : job, 201);
}

async function change(
  context: Context,
  source: ApiSource,
  kind: "resume" | "cancel",
): Promise<Response> {
  const record = findJob(context, source);
  if (!record.ok) return problemResponse(record.error);
  const job = await source.ask({ kind, job: record.value.spec.id });
  return answer(context, job.ok ? ok({ job: job.value }) : job);
}

function output(context: Context, source: ApiSource): Response {
  const record = findJob(context, source);
  if (!record.ok) return problemResponse(record.error);
  const job = record.value.spec.id;
  const after = context.req.query("after") ?? "";
  if (context.req.query("own") !== undefined) {
    const cursor = new Map([[source.own, Number(after) || 0]]);
    return ndjsonResponse((sink) => streamOwnOutput(source, job, cursor, sink), source.onDefect);
  }
  return ndjsonResponse(
    (sink) => streamOutput(source, job, parseCursor(after), sink),
    source.onDefect,
  );
}

function decisions(context: Context, source: ApiSource): Response {
  let seq = Number(context.req.query("after") ?? 0) || 0;
  return ndjsonResponse(async (sink) => {
    while (!sink.signal.aborted) {
      const { entries } = source.decisions.after(seq, READ_AT_ONCE);
      for (const entry of entries) sink.push({ seq: entry.seq, ...entry.item });
      seq = entries.at(-1)?.seq ?? seq;
      await sink.ready();
      if (entries.length === 0) await source.decisions.changed(sink.signal);
    }
  }, source.onDefect);
}

export function agentApi(source: ApiSource): Hono {
  const app = new Hono();
  app.get("/v1/ping", (context) => {
    // Asked under suspicion, with a bound of some hundred milliseconds: nothing is gathered for it.
    const { id, instance, incarnation } = source.self();
    return context.json({ id, instance, incarnation, epoch: source.view()?.epoch ?? 0 });
  });
  app.get("/v1/node", (context) => context.json(source.status()));
  app.get("/v1/status", async (context) => context.json(await clusterStatus(source)));
  app.get("/v1/holdings", (context) => context.json(source.machine.holdings()));
  app.get("/v1/jobs", (context) => context.json(source.machine.records().map(summaryOf)));
  app.post("/v1/jobs", (context) => submit(context, source));
  app.get("/v1/jobs/:id", (context) => {
    const record = findJob(context, source);
    return answer(context, record.ok ? ok(withoutKey(record.value)) : record);
  });
  app.get("/v1/jobs/:id/explain", (context) => {
    const record = findJob(context, source);
    return answer(context, record.ok ? ok(explainJob(record.value)) : record);
  });
  app.get("/v1/jobs/:id/output", (context) => output(context, source));
  app.post("/v1/jobs/:id/resume", (context) => change(context, source, "resume"));
  app.post("/v1/jobs/:id/cancel", (context) => change(context, source, "cancel"));
  app.post("/v1/what-if", async (context) => {
    const body = await readBody(context, whatIfSchema);
    return body.ok
      ? answer(context, await askWhatIf(source, body.value.lose))
      : answer(context, body);
  });
  app.get("/v1/decisions", (context) => decisions(context, source));
  return app;
}

/**
 * The shards of this node over HTTP, mounted by the agent at `/v1/shards`.
 *
 *   GET, HEAD  /:job/:rank/:version[?epoch=E]   a shard as it lies on disk; without an epoch the newest written
 *   PUT        /:job/:rank/:version?epoch=E     a shard for this node to keep; refused under a stale epoch and when its
 *                                               parent is not here, in which case the sender sends a full one
 *
 * Every part of the path is matched against its form before a path is built, so nothing outside the folder can be named.
 * The bytes a peer sends go to a temporary file; only the store decides, from digests, whether they become a shard.
 */
import { type Context, Hono } from "hono";
import type { Epoch } from "../../membership/membership.ts";
import type { Version } from "../checkpoint.ts";
import { isJobName, parseCount, type ShardName, shardPath } from "./layout.ts";
import { receiveBody } from "./shard-body.ts";
import { streamOf } from "./shard-cache.ts";
import { HEADERS, PROBLEM_STATUS, readWholeDigest } from "./shard-transfer.ts";
import type { StoreClient } from "./store-client.ts";
import type { TransferProblem } from "./store-messages.ts";

/** A whole shard comes in one request: what `Bun.serve` must be given as `maxRequestBodySize`. */
export const SHARD_REQUEST_BYTES_MAX: number = Number.MAX_SAFE_INTEGER;

interface Refusal {
  readonly problem: TransferProblem;
  readonly detail: string;
}

function problem(context: Context, { problem: kind, detail }: Refusal): Response {
  const status = PROBLEM_STATUS[kind];
  return context.body(JSON.stringify({ title: kind, status, detail }), status, {
    "content-type": "application/problem+json",
    [HEADERS.problem]: kind,
  });
}

/** null: not the name of any shard. */
function shardOf(context: Context): (Omit<ShardName, "epoch"> & { epoch: Epoch | null }) | null {
  const job = context.req.param("job") ?? "";
  const rank = parseCount(context.req.param("rank") ?? "");
  const version = parseCount(context.req.param("version") ?? "");
  const asked = context.req.query("epoch");
  const epoch = asked === undefined ? null : parseCount(asked);
  if (!isJobName(job) || rank === null || version === null || version === 0) return null;
  if (asked !== undefined && epoch === null) return null;
  return { job, rank, version: version as Version, epoch: epoch as Epoch | null };
}

const BAD_NAME: Refusal = {
  problem: "bad-request",
  detail: "a shard is named <job>/<rank>/<version>?epoch=<epoch>",
};

async function sendShard(context: Context, store: StoreClient): Promise<Response> {
  const asked = shardOf(context);
  if (asked === null) return problem(context, BAD_NAME);
  const found = store.find(asked.job, asked.rank, asked.version, asked.epoch);
  if (found === null) {
    const detail = `${asked.job} rank ${asked.rank} version ${asked.version} is not held here`;
    return problem(context, { problem: "not-found", detail });
  }
  const { holding, path } = found;
  const cached = store.cache.get(path);
  const digest = cached?.digest ?? (await readWholeDigest(path));
  if (digest === null) {
    return problem(context, { problem: "not-found", detail: `${path} cannot be read` });
  }
  return new Response(cached === null ? Bun.file(path) : streamOf(cached), {
    headers: {
      "content-type": "application/octet-stream",
      [HEADERS.shardEpoch]: String(holding.epoch),
      [HEADERS.sealed]: holding.sealed ? "1" : "0",
      [HEADERS.digest]: digest,
    },
  });
}

/** What can be told before the first byte of the body is read. */
function refusalOf(
  context: Context,
  store: StoreClient,
  asked: ReturnType<typeof shardOf>,
): Refusal | null {
  if (asked === null || asked.epoch === null) return BAD_NAME;
  const planEpoch = parseCount(context.req.header(HEADERS.planEpoch) ?? "");
  const bytes = parseCount(context.req.header("content-length") ?? "");
  if (planEpoch === null) {
    return { problem: "bad-request", detail: `header ${HEADERS.planEpoch} is missing` };
  }
  if (bytes === null) {
    return { problem: "bad-request", detail: "header content-length is missing" };
  }
  if (bytes > store.limits.shardBytesMax) {
    const most = store.limits.shardBytesMax;
    return { problem: "too-large", detail: `${bytes} bytes announced, at most ${most} are taken` };
  }
  const epoch = store.epochOf(asked.job);
  if (planEpoch < epoch) {
    return { problem: "stale-epoch", detail: `epoch ${planEpoch} is over, ${epoch} holds` };
  }
  const parent = context.req.header(HEADERS.parent);
  if (parent === undefined) return null;
  const [version, writer] = parent.split("-").map(parseCount);
  if (version == null || writer == null) {
    return { problem: "bad-request", detail: `header ${HEADERS.parent} is <version>-<epoch>` };
  }
  const found = store.find(asked.job, asked.rank, version as Version, writer as Epoch);
  return found === null
    ? { problem: "missing-parent", detail: `version ${parent} is not held here, send a full shard` }
    : null;
}

async function takeShard(context: Context, store: StoreClient): Promise<Response> {
  const asked = shardOf(context);
  const refusal = refusalOf(context, store, asked);
  const body = context.req.raw.body;
  if (refusal !== null || asked === null || asked.epoch === null) {
    // These two are part of the protocol: read on, or the sender may see a closed connection in place of the answer.
    const kind = refusal?.problem;
    if (kind === "stale-epoch" || kind === "missing-parent") {
      await receiveBody(body, { path: null, keep: false, ...store.limits });
    }
    return problem(context, refusal ?? BAD_NAME);
  }
  const path = store.arrivalPath();
  const bytes = parseCount(context.req.header("content-length") ?? "") as number;
  const keep = store.cache.canHold(bytes);
  const received = await receiveBody(body, { path, keep, ...store.limits });
  if (received.kind === "problem") return problem(context, received);
  const name: ShardName = { ...asked, epoch: asked.epoch };
  const sealed = context.req.header(HEADERS.sealed) === "1";
  const digest = context.req.header(HEADERS.digest) ?? null;
  const admission = await store.admit({ ...name, sealed, digest, path });
  if (admission.kind === "problem") return problem(context, admission);
  if (received.kept !== null && digest !== null) {
    const shard = { pieces: received.kept, bytes: received.bytes, digest };
    store.cache.put(shardPath(store.folder, name), shard);
  }
  return context.body(null, 204);
}

/** `Bun.serve` closes what is idle for 10 s, which a slow disk's sync may take; bodies have bounds of their own. */
function liftIdleTimeout(context: Context): void {
  const env: unknown = context.env;
  if (typeof env !== "object" || env === null) return;
  const server = "server" in env ? env.server : env;
  if (isServer(server)) server.timeout(context.req.raw, 0);
}

function isServer(value: unknown): value is { timeout(request: Request, seconds: number): void } {
  return (
    typeof value === "object" &&
    value !== null &&
    "timeout" in value &&
    typeof value.timeout === "function"
  );
}

/** Its `fetch` is to be given the server as second argument, as `Bun.serve({ fetch: app.fetch })` does. */
export function shardRoutes(store: StoreClient): Hono {
  const app = new Hono();
  // Hono answers HEAD from GET, without its body.
  app.get("/:job/:rank/:version", (context) => {
    liftIdleTimeout(context);
    return sendShard(context, store);
  });
  app.put("/:job/:rank/:version", (context) => {
    liftIdleTimeout(context);
    return takeShard(context, store);
  });
  return app;
}

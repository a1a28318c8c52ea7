/**
 * Shards between nodes: what a sender and a receiver say in headers, sending to a partner, asking a source.
 *
 * A node that is gone must not hold up a recovery: the answer to a read is waited for `answerWithinMs`, a transfer that
 * moves no byte fails after `stallMs`. A sender cannot see how far the kernel has come, so a PUT has its size over a slow
 * rate as its bound. Nothing is tried twice here; who asks decides that.
 */
import { stat } from "node:fs/promises";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import type { Epoch } from "../../membership/membership.ts";
import { type Pass, passFetch } from "../../net/io/pass.ts";
import type { ShardSource, Version } from "../checkpoint.ts";
import type { StoreLimits } from "../limits.ts";
import { decodeFooter, FOOTER_BYTES } from "../shard.ts";
import { detailOf } from "./io-failure.ts";
import { parseCount, type ShardName } from "./layout.ts";
import { receiveBody } from "./shard-body.ts";
import type { TransferProblem } from "./store-messages.ts";

export const HEADERS = {
  /** The view under which a shard is sent; an older one than the receiver's is refused. */
  planEpoch: "holdfast-epoch",
  /** The epoch that wrote the shard. */
  shardEpoch: "holdfast-shard-epoch",
  sealed: "holdfast-sealed",
  /** `<version>-<epoch>` of the shard that a delta needs. */
  parent: "holdfast-parent",
  /** The shard's whole digest in hexadecimal. */
  digest: "holdfast-digest",
  problem: "holdfast-problem",
} as const;

export const PROBLEM_STATUS: Readonly<Record<TransferProblem, ContentfulStatusCode>> = {
  "bad-request": 400,
  "not-found": 404,
  "stale-epoch": 409,
  "missing-parent": 409,
  "too-large": 413,
  damaged: 422,
  io: 500,
  unreachable: 502,
  "no-space": 507,
};

/** A partner that takes less than this is of no use to anyone: 256 MiB would take it 16 s. */
const SLOWEST_BYTES_PER_MS = 16_384;

export interface Problem {
  readonly kind: "problem";
  readonly problem: TransferProblem;
  readonly detail: string;
}

/** null: the footer cannot be read. */
export async function readWholeDigest(path: string): Promise<string | null> {
  try {
    // A slice counted from the end of a file that was not looked at yet is empty in Bun 1.4.5.
    const { size } = await stat(path);
    const bytes = await Bun.file(path)
      .slice(size - FOOTER_BYTES, size)
      .arrayBuffer();
    const footer = decodeFooter(new Uint8Array(bytes));
    return footer.ok ? footer.value.whole.toHex() : null;
  } catch {
    return null;
  }
}

function shardUrl(
  source: ShardSource,
  name: Omit<ShardName, "epoch">,
  epoch: Epoch | null,
): string {
  const base = `${source.url}/${name.job}/${name.rank}/${name.version}`;
  return epoch === null ? base : `${base}?epoch=${epoch}`;
}

function isProblem(text: string | null): text is TransferProblem {
  return text !== null && Object.hasOwn(PROBLEM_STATUS, text);
}

/** The receiver's own words where it has some; anything else that answers there is not a shard route. */
async function problemOf(response: Response, source: ShardSource): Promise<Problem> {
  const named = response.headers.get(HEADERS.problem);
  const problem = isProblem(named) ? named : "unreachable";
  const text = (await response.text().catch(() => "")).slice(0, 500);
  const said = /"detail":("(?:[^"\\]|\\.)*")/.exec(text)?.[1];
  const detail = said === undefined ? `answers ${response.status}` : String(JSON.parse(said));
  return { kind: "problem", problem, detail: `${source.node}: ${detail}` };
}

/** `ECONNREFUSED` says more than the sentence that comes with it. */
function reasonOf(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : null;
  return typeof code === "string" ? code : detailOf(error);
}

function unreachable(source: ShardSource, error: unknown): Problem {
  const detail = `${source.node} at ${source.url} cannot be reached: ${reasonOf(error)}`;
  return { kind: "problem", problem: "unreachable", detail };
}

export interface SendOptions {
  readonly to: ShardSource;
  readonly name: ShardName;
  readonly path: string;
  readonly bytes: number;
  readonly planEpoch: Epoch;
  readonly parent: { readonly version: Version; readonly epoch: Epoch } | null;
  readonly sealed: boolean;
  readonly digest: string;
  readonly limits: StoreLimits;
  /** null: in the clear. */
  readonly pass: Pass | null;
  readonly signal: AbortSignal;
}

export async function sendShard(options: SendOptions): Promise<{ kind: "kept" } | Problem> {
  const { to, name, parent, limits } = options;
  const withinMs = limits.answerWithinMs + limits.stallMs + options.bytes / SLOWEST_BYTES_PER_MS;
  try {
    const response = await passFetch(options.pass, shardUrl(to, name, name.epoch), {
      method: "PUT",
      body: Bun.file(options.path),
      signal: AbortSignal.any([options.signal, AbortSignal.timeout(withinMs)]),
      headers: {
        "content-type": "application/octet-stream",
        [HEADERS.planEpoch]: String(options.planEpoch),
        [HEADERS.sealed]: options.sealed ? "1" : "0",
        [HEADERS.digest]: options.digest,
        ...(parent === null ? {} : { [HEADERS.parent]: `${parent.version}-${parent.epoch}` }),
      },
    });
    if (response.status === 204) return { kind: "kept" };
    return await problemOf(response, to);
  } catch (error) {
    return unreachable(to, error);
  }
}

export interface PullOptions {
  readonly from: ShardSource;
  readonly name: Omit<ShardName, "epoch">;
  /** null: the newest one of that version. */
  readonly epoch: Epoch | null;
  /** Where the bytes go; there is no file after a problem. */
  readonly path: string;
  readonly limits: StoreLimits;
  /** null: in the clear. */
  readonly pass: Pass | null;
  readonly signal: AbortSignal;
}

export interface Pulled {
  readonly kind: "pulled";
  readonly epoch: Epoch;
  readonly sealed: boolean;
  readonly digest: string | null;
  readonly bytes: number;
}

export interface Offered {
  readonly epoch: Epoch;
  readonly sealed: boolean;
  readonly digest: string | null;
}

function offerOf(response: Response): Offered | null {
  const epoch = parseCount(response.headers.get(HEADERS.shardEpoch) ?? "");
  if (epoch === null) return null;
  const sealed = response.headers.get(HEADERS.sealed) === "1";
  return { epoch: epoch as Epoch, sealed, digest: response.headers.get(HEADERS.digest) };
}

/** `wants` looks at what is offered before its bytes are read: false if they are here already. */
export async function pullShard(
  options: PullOptions,
  wants: (offer: Offered) => boolean,
): Promise<Pulled | Problem> {
  const { from, limits } = options;
  const answer = new AbortController();
  const timer = setTimeout(
    () => answer.abort(new Error(`no answer within ${limits.answerWithinMs} ms`)),
    limits.answerWithinMs,
  );
  try {
    const url = shardUrl(from, options.name, options.epoch);
    const response = await passFetch(options.pass, url, {
      signal: AbortSignal.any([options.signal, answer.signal]),
    });
    clearTimeout(timer);
    if (response.status !== 200) return await problemOf(response, from);
    const offer = offerOf(response);
    if (offer === null) return await problemOf(response, from);
    if (!wants(offer)) {
      await response.body?.cancel();
      return { kind: "pulled", ...offer, bytes: 0 };
    }
    const target = { path: options.path, keep: false, ...limits };
    const received = await receiveBody(response.body, target);
    if (received.kind === "received") return { kind: "pulled", ...offer, bytes: received.bytes };
    return { ...received, detail: `${from.node}: ${received.detail}` };
  } catch (error) {
    return unreachable(from, error);
  } finally {
    clearTimeout(timer);
  }
}

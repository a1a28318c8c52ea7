/**
 * Parcels and digests over HTTP: one question, one answer, bounded in time and size; every failure is one of the table's kinds.
 *
 * Whoever gives the `Caller` decides about TLS, tokens and proxies. Nothing is tried twice here: the delivery machine does.
 */
import type { z } from "zod";
import { err, ok, type Result } from "../../../core/result.ts";
import type { PrincipalRole } from "../../identity/identity.ts";
import { CONNECT_LIMIT_CODE } from "../../net/io/connect-limit.ts";
import { readProblem } from "../../net/problem.ts";
import type { RequestFailure } from "../delivery-events.ts";
import {
  DIGEST_PATH,
  type DigestAnswer,
  digestAnswerSchema,
  PARCELS_BYTES_MAX,
  PARCELS_PATH,
  type Parcel,
  type ParcelsAnswer,
  parcelsAnswerSchema,
} from "../protocol.ts";

/** `fetch`, as this node speaks to one of that role. */
export type Caller = (role: PrincipalRole, url: string, init: RequestInit) => Promise<Response>;

export interface Target {
  readonly role: "agent" | "manager" | "destination";
  /** Origin, perhaps with a path that ours go behind. */
  readonly url: string;
}

export interface CallFailure {
  readonly failure: RequestFailure;
  /** One line that names the thing. */
  readonly detail: string;
  readonly retryAfterMs: number | null;
}

/** 256 receipts with their proofs are below 1 MiB. */
const ANSWER_BYTES_MAX: number = 2 * PARCELS_BYTES_MAX;
const PROBLEM_BYTES_MAX = 64 * 1024;
const RETRY_AFTER_MS_MAX = 300_000;

/** It was not taken: the connection never stood. Anything else may have been. */
const NEVER_STOOD: ReadonlyMap<string, string> = new Map([
  ["ConnectionRefused", "nothing listens there"],
  ["ECONNREFUSED", "nothing listens there"],
  ["ECONNREFUSED", "nothing listens there"],
  ["FailedToOpenSocket", "there is no way to it"],
  ["ENOTFOUND", "its name is not known"],
  ["EAI_AGAIN", "its name cannot be looked up now"],
  ["EHOSTUNREACH", "there is no way to it"],
  ["ENETUNREACH", "there is no way to it"],
  ["ConnectionTimeout", "the connection is not answered"],
]);

export function urlOf(target: Pick<Target, "url">, path: string): string {
  return `${target.url.replace(/\/+$/, "")}${path}`;
}

function failed(failure: RequestFailure, detail: string): CallFailure {
  return { failure, detail, retryAfterMs: null };
}

export function describeCause(url: string, cause: unknown): CallFailure {
  const { code, name, message } = (cause ?? {}) as {
    code?: string;
    name?: string;
    message?: string;
  };
  if (name === "TimeoutError" || name === "AbortError") {
    return failed("no-answer", `${url} does not answer in time`);
  }
  // Not `unreachable`: a connection from before may have carried it.
  if (code === CONNECT_LIMIT_CODE) return failed("no-answer", `${url}: ${message}`);
  const why = NEVER_STOOD.get(code ?? "");
  if (why !== undefined) return failed("unreachable", `${url}: ${why}`);
  if (isAboutCertificate(code ?? "", message ?? "")) {
    return failed("unreachable", `${url}: its certificate is not taken (${code ?? message})`);
  }
  return failed(
    "no-answer",
    `${url}: the connection broke (${code ?? message ?? "no reason given"})`,
  );
}

function isAboutCertificate(code: string, message: string): boolean {
  return /CERT|TLS|SSL|SIGNATURE|UNABLE_TO|SELF_SIGNED|ALTNAME/i.test(`${code} ${message}`);
}

/** Throws what reading throws; null: more than `bytesMax`. */
async function readBounded(response: Response, bytesMax: number): Promise<string | null> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > bytesMax) return null;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** Seconds, or a date; both as milliseconds from now on. */
export function retryAfterOf(header: string | null, wallMs: number): number | null {
  if (header === null) return null;
  const seconds = Number(header);
  const ms = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(header) - wallMs;
  return Number.isFinite(ms) && ms >= 0 ? Math.min(ms, RETRY_AFTER_MS_MAX) : null;
}

async function refusalOf(url: string, response: Response): Promise<CallFailure> {
  const { status, headers } = response;
  const body = (await readBounded(response, PROBLEM_BYTES_MAX).catch(() => null)) ?? "";
  const { detail } = readProblem(status, body);
  const isBusy = status === 429 || status === 503 || status === 507;
  return {
    failure: isBusy ? "busy" : "rejected",
    detail: `${url} answers ${status}: ${detail.slice(0, 500)}`,
    retryAfterMs: retryAfterOf(headers.get("retry-after"), Date.now()),
  };
}

export interface Question<Answer> {
  readonly target: Target;
  readonly path: string;
  readonly method: "GET" | "POST" | "PUT";
  /** Text of a JSON document; null: none. */
  readonly body: string | null;
  readonly schema: z.ZodType<Answer>;
  readonly timeoutMs: number;
}

/** Never rejects. */
export async function askJson<Answer>(
  caller: Caller,
  question: Question<Answer>,
): Promise<Result<Answer, CallFailure>> {
  const { target, path, method, body, schema, timeoutMs } = question;
  const url = urlOf(target, path);
  try {
    const response = await caller(target.role, url, {
      method,
      signal: AbortSignal.timeout(Math.max(1, Math.ceil(timeoutMs))),
      redirect: "error",
      ...(body === null ? {} : { body, headers: { "content-type": "application/json" } }),
    });
    if (!response.ok) return err(await refusalOf(url, response));
    const text = await readBounded(response, ANSWER_BYTES_MAX);
    if (text === null) {
      return err(failed("rejected", `${url} answers more than ${ANSWER_BYTES_MAX} bytes`));
    }
    return readAnswer(url, text, schema);
  } catch (cause) {
    return err(describeCause(url, cause));
  }
}

function readAnswer<Answer>(
  url: string,
  text: string,
  schema: z.ZodType<Answer>,
): Result<Answer, CallFailure> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return err(failed("rejected", `${url} answers what is no JSON`));
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return ok(parsed.data);
  const issue = parsed.error.issues[0];
  const where = issue?.path.join(".") || "the whole";
  return err(failed("rejected", `${url} answers what is not of the protocol: ${where}`));
}

/** At most `PARCELS_MAX` of them, and `PARCELS_BYTES_MAX` together. */
export function postParcels(
  caller: Caller,
  target: Target,
  parcels: readonly Parcel[],
  timeoutMs: number,
): Promise<Result<ParcelsAnswer, CallFailure>> {
  const body = JSON.stringify({ parcels });
  const schema = parcelsAnswerSchema;
  return askJson(caller, { target, path: PARCELS_PATH, method: "POST", body, schema, timeoutMs });
}

export function postDigest(
  caller: Caller,
  target: Target,
  ids: readonly string[],
  timeoutMs: number,
): Promise<Result<DigestAnswer, CallFailure>> {
  const body = JSON.stringify({ ids });
  const schema = digestAnswerSchema;
  return askJson(caller, { target, path: DIGEST_PATH, method: "POST", body, schema, timeoutMs });
}

/**
 * What every part of the Redfish room speaks: requests, replies, tasks of many requests, and what a status means.
 *
 * A task (`RedfishSteps`) is a generator that yields requests, several at once where they do not depend on each other, and is
 * given their replies in the same order. It does no waiting, sending or retrying of its own: the client in
 * `bmc/link/io/` does, with the limits. An error among the answers means that no reply came; a reply of any status is for
 * the task to judge.
 */
import { err, ok, type Result } from "../../core/result.ts";
import { type BmcError, type BmcErrorKind, bmcError } from "../bmc-error.ts";
import { at, cleanText, isObject, type JsonObject, listAt, textAt } from "./json.ts";

export type RedfishMethod = "GET" | "POST" | "PATCH" | "DELETE";

export interface RedfishRequest {
  readonly method: RedfishMethod;
  /** Of this service, with its query. */
  readonly path: string;
  readonly body: JsonObject | null;
  /** `If-Match`, for a PATCH: some services refuse it without (DSP0266 §7.7). */
  readonly etag: string | null;
}

export interface RedfishReply {
  readonly status: number;
  /** Parsed JSON; null where there was none. */
  readonly body: unknown;
  /** Path of what was made. */
  readonly location: string | null;
  readonly etag: string | null;
}

export type RedfishAnswer = Result<RedfishReply, BmcError>;

export type RedfishSteps<T> = Generator<
  readonly RedfishRequest[],
  Result<T, BmcError>,
  readonly RedfishAnswer[]
>;

export function getRequest(path: string): RedfishRequest {
  return { method: "GET", path, body: null, etag: null };
}

/** Tables 8 and 9 of DSP0266 §8.1: what a status is to whoever asked. */
const KINDS: Readonly<Record<number, BmcErrorKind>> = {
  401: "wrong-password",
  403: "privilege-too-low",
  404: "unsupported",
  405: "unsupported",
  410: "unsupported",
  429: "busy",
  501: "unsupported",
  503: "busy",
};

/** The service's own words: the first of its extended messages, else the plain one (DSP0266 §8.6). */
export function serviceMessage(body: unknown): string | null {
  const error = at(body, "error");
  const extended = listAt(error, "@Message.ExtendedInfo")[0];
  const text = textAt(extended, "Message") ?? textAt(error, "message");
  return text === null ? null : cleanText(text, 300);
}

export function statusError(request: RedfishRequest, reply: RedfishReply): BmcError {
  const said = serviceMessage(reply.body);
  const detail = `${request.method} ${request.path}: HTTP ${reply.status}${said === null ? "" : `, ${said}`}`;
  return bmcError(KINDS[reply.status] ?? "refused", detail);
}

export function isSuccess(reply: RedfishReply): boolean {
  return reply.status >= 200 && reply.status < 300;
}

/** A successful reply or an error, for one answer. */
export function judge(
  request: RedfishRequest,
  answer: RedfishAnswer | undefined,
): Result<RedfishReply, BmcError> {
  if (answer === undefined) {
    return err(bmcError("malformed", `${request.method} ${request.path}: no answer`));
  }
  if (!answer.ok || isSuccess(answer.value)) return answer;
  return err(statusError(request, answer.value));
}

/** One request that has to succeed. */
export function* ask(request: RedfishRequest): RedfishSteps<RedfishReply> {
  const answers = yield [request];
  return judge(request, answers[0]);
}

export interface Resource {
  readonly path: string;
  readonly body: JsonObject;
  readonly etag: string | null;
}

function resourceOf(
  request: RedfishRequest,
  answer: RedfishAnswer | undefined,
): Result<Resource, BmcError> {
  const judged = judge(request, answer);
  if (!judged.ok) return judged;
  const { body, etag } = judged.value;
  if (!isObject(body)) {
    return err(bmcError("malformed", `GET ${request.path}: the answer is not a JSON object`));
  }
  return ok({ path: request.path, body, etag: etag ?? textAt(body, "@odata.etag") });
}

export function* get(path: string): RedfishSteps<Resource> {
  const request = getRequest(path);
  const answers = yield [request];
  return resourceOf(request, answers[0]);
}

/** All of them, in the order of the paths; each by itself a resource or an error. */
export function* getEach(
  paths: readonly string[],
): Generator<
  readonly RedfishRequest[],
  readonly Result<Resource, BmcError>[],
  readonly RedfishAnswer[]
> {
  if (paths.length === 0) return [];
  const requests = paths.map(getRequest);
  const answers = yield requests;
  return requests.map((request, index) => resourceOf(request, answers[index]));
}

/**
 * Whether a resource is merely not there, so that a reader goes on without it. Any other error is of the service or of the
 * way to it, and would make a list shorter than it is.
 */
export function isAbsent(error: BmcError): boolean {
  return error.kind === "unsupported";
}

/** Those that are there; the first error that says more than absence fails all. */
export function present(
  results: readonly Result<Resource, BmcError>[],
): Result<readonly Resource[], BmcError> {
  const found: Resource[] = [];
  for (const result of results) {
    if (result.ok) found.push(result.value);
    else if (!isAbsent(result.error)) return result;
  }
  return ok(found);
}

export function* post(path: string, body: JsonObject): RedfishSteps<RedfishReply> {
  return yield* ask({ method: "POST", path, body, etag: null });
}

/** With the resource's tag where it has one. */
export function* patch(resource: Resource, body: JsonObject): RedfishSteps<RedfishReply> {
  return yield* ask({ method: "PATCH", path: resource.path, body, etag: resource.etag });
}

/**
 * Speaks with a cluster's door: joins, renews, asks for news.
 *
 * Who joins believes nobody yet. It asks the door for the authority's certificate, over a connection that proves nothing,
 * and sends nothing but that question; only if the certificate is the one whose fingerprint stands in the token does it dial
 * anew, now believing that authority and nobody else, and says its secret.
 */
import { X509Certificate } from "node:crypto";
import type { z } from "zod";
import { err, ok, type Result } from "../../../core/result.ts";
import { makeToken } from "../../net/io/bearer.ts";
import { type DialTls, dialTls } from "../../net/io/secure.ts";
import { type Problem, readProblem } from "../../net/problem.ts";
import { audienceOf, doorAudience } from "../../net/token.ts";
import type { Identity, Principal, PrincipalRole } from "../identity.ts";
import {
  AUTHORITY_PATH,
  authorityAnswerSchema,
  BUNDLE_BYTES_MAX,
  BUNDLE_PATH,
  type CredentialsAnswer,
  credentialsAnswerSchema,
  JOIN_PATH,
  type JoinRequest,
  RENEW_PATH,
  RENEWAL_TYPE,
  type RenewalStatement,
  type Requests,
} from "../join-protocol.ts";
import type { JoinToken } from "../join-token.ts";
import { DOOR_NAME } from "./authority.ts";
import { fingerprintOf, parseCertificate } from "./certificates.ts";

const LIMIT_MS = 15_000;
/** What is held back for news may take this much longer than asked. */
const HOLD_MS = 10_000;

/** Whom TLS believes; null: nobody yet, for the one question that gives nothing away. */
type Believed = readonly string[] | null;

interface Asked {
  /** `address:port`. */
  readonly door: string;
  readonly path: string;
  readonly believed: Believed;
  /** TLS of a member that asks another one; otherwise whoever is asked is a door, which wants no certificate. */
  readonly tls?: DialTls;
  readonly body?: unknown;
  readonly authorization?: string;
  readonly limitMs?: number;
  readonly signal?: AbortSignal;
}

interface Answered {
  readonly status: number;
  readonly text: string;
}

function problem(
  kind: Problem["kind"],
  detail: string,
): { readonly ok: false; readonly error: Problem } {
  return err({ kind, detail });
}

/** At most `bytesMax`: whoever answers may be anybody. */
async function readText(response: Response, bytesMax: number): Promise<string | null> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length;
    if (bytes > bytesMax) return null;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function describeFailure(door: string, cause: unknown): Problem {
  const {
    name = "",
    message = String(cause),
    code = "",
  } = cause as {
    name?: string;
    message?: string;
    code?: string;
  };
  if (name === "TimeoutError") {
    return { kind: "timeout", detail: `${door} did not answer in time` };
  }
  if (/CERT|SELF_SIGNED|ALTNAME|VERIFY|UNABLE_TO/.test(code)) {
    const what = "its certificate is not one of the cluster's door";
    return { kind: "forbidden", detail: `${door}: ${what} (${code})` };
  }
  return { kind: "unreachable", detail: `${door} cannot be reached: ${message}` };
}

function doorTls(believed: Believed): Bun.TLSOptions & { readonly serverName: string } {
  const serverName = DOOR_NAME;
  if (believed === null) return { rejectUnauthorized: false, serverName };
  return { ca: [...believed], rejectUnauthorized: true, serverName };
}

async function ask(asked: Asked): Promise<Result<Answered, Problem>> {
  const { door, body, believed, authorization } = asked;
  const headers: Record<string, string> = {};
  if (body !== undefined) headers["content-type"] = "application/json";
  if (authorization !== undefined) headers["authorization"] = authorization;
  const limit = AbortSignal.timeout(asked.limitMs ?? LIMIT_MS);
  const signals = asked.signal === undefined ? [limit] : [limit, asked.signal];
  try {
    const response = await fetch(`https://${door}${asked.path}`, {
      method: body === undefined ? "GET" : "POST",
      headers,
      redirect: "error",
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.any(signals),
      tls: asked.tls ?? doorTls(believed),
    });
    const text = await readText(response, BUNDLE_BYTES_MAX);
    if (text === null) return problem("too-large", `${door} answers more than it may`);
    return ok({ status: response.status, text });
  } catch (cause) {
    return err(describeFailure(door, cause));
  }
}

function readAnswer<T>(
  door: string,
  answered: Result<Answered, Problem>,
  schema: z.ZodType<T>,
): Result<T, Problem> {
  if (!answered.ok) return answered;
  const { status, text } = answered.value;
  if (status !== 200) return err(readProblem(status, text));
  try {
    const parsed = schema.safeParse(JSON.parse(text));
    if (parsed.success) return ok(parsed.data);
  } catch {
    // Said below.
  }
  return problem(
    "unreachable",
    `${door} answers what is no answer of a door: is it the right port?`,
  );
}

/** The certificate that the token speaks of, if the door shows it. PEM. */
async function recognise(door: string, token: JoinToken): Promise<Result<string, Problem>> {
  const asked = await ask({ door, path: AUTHORITY_PATH, believed: null });
  const answer = readAnswer(door, asked, authorityAnswerSchema);
  if (!answer.ok) return answer;
  for (const pem of answer.value.authorities) {
    const certificate = parseCertificate(pem);
    if (certificate.ok && fingerprintOf(certificate.value) === token.fingerprint) return ok(pem);
  }
  const what = "is not the authority that the token is from";
  return problem("forbidden", `${door} ${what}: wrong address, or somebody in between`);
}

export interface Joined {
  readonly answer: CredentialsAnswer;
  /** PEM of the authority that was recognised: whoever signs the bundle must be this one. */
  readonly authority: X509Certificate;
}

export async function askToJoin(
  door: string,
  token: JoinToken,
  requests: Requests,
): Promise<Result<Joined, Problem>> {
  const authority = await recognise(door, token);
  if (!authority.ok) return authority;
  const body: JoinRequest = { id: token.id, secret: token.secret, requests };
  const believed = [authority.value];
  const answered = await ask({ door, path: JOIN_PATH, believed, body });
  const answer = readAnswer(door, answered, credentialsAnswerSchema);
  if (!answer.ok) return answer;
  return ok({ answer: answer.value, authority: new X509Certificate(authority.value) });
}

/** Signed by the key that `identity` has now. */
export async function askToRenew(
  door: string,
  identity: Identity,
  requests: Requests,
  nowMs: number,
): Promise<Result<CredentialsAnswer, Problem>> {
  const statement: RenewalStatement = { v: 1, askedMs: nowMs, requests };
  const payload = new TextEncoder().encode(JSON.stringify(statement));
  const envelope = identity.signer.sign(RENEWAL_TYPE, payload);
  const believed = identity.tls()?.ca ?? [];
  const answered = await ask({ door, path: RENEW_PATH, believed, body: { envelope } });
  return readAnswer(door, answered, credentialsAnswerSchema);
}

export interface NewsQuestion {
  /** Version that is known. */
  readonly after: number;
  /** How long the door may hold the question. */
  readonly waitS: number;
  readonly nowMs: number;
  readonly signal?: AbortSignal;
}

/** null: nothing newer. What is answered is still to be checked. */
function readNews(from: string, answered: Result<Answered, Problem>): Result<unknown, Problem> {
  if (!answered.ok) return answered;
  const { status, text } = answered.value;
  if (status === 204) return ok(null);
  if (status !== 200) return err(readProblem(status, text));
  try {
    return ok(JSON.parse(text));
  } catch {
    return problem("unreachable", `${from} answers what is no bundle: is it the right port?`);
  }
}

function newsPath({ after, waitS }: NewsQuestion): string {
  return `${BUNDLE_PATH}?after=${after}&wait=${waitS}`;
}

export async function askForBundle(
  door: string,
  identity: Identity,
  question: NewsQuestion,
): Promise<Result<unknown, Problem>> {
  const audience = doorAudience(identity.principal.cluster);
  const token = makeToken(identity, audience, question.nowMs);
  const answered = await ask({
    door,
    path: newsPath(question),
    believed: identity.tls()?.ca ?? [],
    authorization: `Bearer ${token}`,
    limitMs: question.waitS * 1_000 + HOLD_MS,
    ...(question.signal === undefined ? {} : { signal: question.signal }),
  });
  return readNews(door, answered);
}

/** Another server of the cluster, which passes on what it has heard. */
export interface NewsSource {
  /** `address:port`. */
  readonly address: string;
  readonly role: PrincipalRole;
}

export async function askMemberForBundle(
  { address, role }: NewsSource,
  identity: Identity,
  question: NewsQuestion,
): Promise<Result<unknown, Problem>> {
  const tls = dialTls(identity, role);
  if (tls === undefined) return ok(null);
  const audience = audienceOf(identity.principal.cluster, role);
  const answered = await ask({
    door: address,
    path: newsPath(question),
    believed: tls.ca,
    tls,
    authorization: `Bearer ${makeToken(identity, audience, question.nowMs)}`,
    ...(question.signal === undefined ? {} : { signal: question.signal }),
  });
  return readNews(address, answered);
}

export function isSame(a: Principal, b: Principal): boolean {
  return a.cluster === b.cluster && a.role === b.role && a.name === b.name;
}

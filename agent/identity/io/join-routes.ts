/**
 * The routes of identity: at a cluster's door, where there is an authority, and the news of it at every other server.
 *
 * Whoever comes to the door shows a token, or signs with a key that has a certificate; TLS asks no certificate there. What is
 * answered to somebody unknown tells nothing but what the authority's certificate is.
 */
import { type Context, Hono } from "hono";
import type { z } from "zod";
import { err, ok, type Result } from "../../../core/result.ts";
import { bodyMax } from "../../net/io/access.ts";
import { type Problem, problemResponse } from "../../net/problem.ts";
import type { TokenError } from "../../net/token.ts";
import type { Envelope, Principal } from "../identity.ts";
import {
  AUTHORITY_PATH,
  BUNDLE_BYTES_MAX,
  BUNDLE_PATH,
  BUNDLE_WAIT_S_MAX,
  JOIN_BYTES_MAX,
  JOIN_PATH,
  joinRequestSchema,
  type PushAnswer,
  RENEW_PATH,
  RENEWAL_TYPE,
  type RenewalStatement,
  renewalStatementSchema,
  renewRequestSchema,
} from "../join-protocol.ts";
import type { Bundle, Trust } from "../trust.ts";
import { join, renew } from "./admission.ts";
import type { AuthorityOffice } from "./authority-office.ts";
import { hasClusterKeys } from "./held-identity.ts";
import { openVerifier } from "./verifier.ts";

/** Where a bundle is to be had. */
export interface BundleDesk {
  trust(): Promise<Trust>;
  /** Resolves when there may be a newer one, or `signal` is raised. */
  changed(signal: AbortSignal): Promise<void>;
  /** Who asks, by the header `Authorization`. */
  who(header: string | undefined): Result<Principal, TokenError>;
  /** null: it is not for us to take. Otherwise why it was not taken, or the version there is now. */
  readonly push: ((bundle: unknown) => Result<number, string>) | null;
}

async function bodyOf<T>(context: Context, schema: z.ZodType<T>): Promise<Result<T, Problem>> {
  let body: unknown;
  try {
    body = await context.req.json();
  } catch {
    return err({ kind: "bad-request", detail: "the body is not JSON" });
  }
  const parsed = schema.safeParse(body);
  if (parsed.success) return ok(parsed.data);
  const [issue] = parsed.error.issues;
  const where = issue === undefined ? "" : `: ${issue.path.join(".")}: ${issue.message}`;
  return err({ kind: "bad-request", detail: `the body is not what is expected here${where}` });
}

function answerOf<T>(result: Result<T, Problem>): Response {
  return result.ok ? Response.json(result.value) : problemResponse(result.error);
}

function statementOf(payload: Uint8Array): RenewalStatement | null {
  try {
    const parsed = renewalStatementSchema.safeParse(JSON.parse(new TextDecoder().decode(payload)));
    return parsed.success ? parsed.data : null;
  } catch {
    return null;
  }
}

async function renewSigned(office: AuthorityOffice, envelope: Envelope): Promise<Response> {
  const verifier = openVerifier([await office.trust()]);
  const verified = verifier.verify(envelope, RENEWAL_TYPE, office.nowMs());
  if (!verified.ok) {
    const { kind, detail } = verified.error;
    const remedy = kind === "expired" ? ": join again with a new token" : "";
    return problemResponse({ kind: "forbidden", detail: `${detail}${remedy}` });
  }
  const statement = statementOf(verified.value.payload);
  if (statement === null) {
    return problemResponse({ kind: "bad-request", detail: "what is signed is no renewal" });
  }
  return answerOf(await renew(office, verified.value.principal, statement));
}

/** Whole numbers from 0 on; anything else is the least. */
function countOf(text: string | undefined, most: number): number {
  const count = Number(text ?? "0");
  return Number.isInteger(count) && count > 0 ? Math.min(count, most) : 0;
}

async function newerThan(
  desk: BundleDesk,
  version: number,
  signal: AbortSignal,
): Promise<Trust | null> {
  for (;;) {
    const trust = await desk.trust();
    if (trust.statement.version > version) return trust;
    if (signal.aborted) return null;
    await desk.changed(signal);
  }
}

/** For any server; bounds its own bodies. */
export function bundleRoutes(desk: BundleDesk): Hono {
  const routes = new Hono();
  routes.get(BUNDLE_PATH, async (context) => {
    const version = countOf(context.req.query("after"), Number.MAX_SAFE_INTEGER);
    const waitS = countOf(context.req.query("wait"), BUNDLE_WAIT_S_MAX);
    const signal = AbortSignal.any([context.req.raw.signal, AbortSignal.timeout(waitS * 1_000)]);
    const trust = await newerThan(desk, version, signal);
    if (trust === null) return new Response(null, { status: 204 });
    // Judged by what was just learnt: who asks may be the one that is revoked.
    const asker = desk.who(context.req.header("authorization"));
    const mayHaveKeys = asker.ok && hasClusterKeys(asker.value);
    const answer: Bundle = mayHaveKeys ? trust.bundle : { ...trust.bundle, clusterKeys: [] };
    return Response.json(answer);
  });
  routes.post(BUNDLE_PATH, bodyMax(BUNDLE_BYTES_MAX), async (context) => {
    if (desk.push === null) {
      const detail = "bundles are made here: change them with holdfast identity";
      return problemResponse({ kind: "refused", detail });
    }
    let bundle: unknown;
    try {
      bundle = await context.req.json();
    } catch {
      return problemResponse({ kind: "bad-request", detail: "the body is not JSON" });
    }
    const pushed = desk.push(bundle);
    if (!pushed.ok) return problemResponse({ kind: "forbidden", detail: pushed.error });
    const answer: PushAnswer = { version: pushed.value };
    return Response.json(answer);
  });
  return routes;
}

/** For a door: who joins, who renews, and what is new. */
export function doorRoutes(office: AuthorityOffice, desk: BundleDesk): Hono {
  const routes = new Hono();
  routes.get(AUTHORITY_PATH, () => Response.json(office.authorities()));
  routes.post(JOIN_PATH, bodyMax(JOIN_BYTES_MAX), async (context) => {
    const request = await bodyOf(context, joinRequestSchema);
    return request.ok
      ? answerOf(await join(office, request.value))
      : problemResponse(request.error);
  });
  routes.post(RENEW_PATH, bodyMax(JOIN_BYTES_MAX), async (context) => {
    const request = await bodyOf(context, renewRequestSchema);
    if (!request.ok) return problemResponse(request.error);
    return await renewSigned(office, request.value.envelope);
  });
  routes.route("/", bundleRoutes(desk));
  return routes;
}

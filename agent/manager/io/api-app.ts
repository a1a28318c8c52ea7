/**
 * Routes with their description: one entry says what a route takes, gives, and who may ask it; the OpenAPI document and the
 * checks are made from that same entry, so they cannot differ.
 */
import { OpenAPIHono } from "@hono/zod-openapi";
import type { Context, Handler, MiddlewareHandler } from "hono";
import { z } from "zod";
import type { Result } from "../../../core/result.ts";
import type { PrincipalRole } from "../../identity/identity.ts";
import { bodyMax } from "../../net/io/access.ts";
import {
  PROBLEM_TYPE,
  PROBLEMS,
  type Problem,
  type ProblemKind,
  problemResponse,
} from "../../net/problem.ts";
import type { RateLimits } from "../../net/token-bucket.ts";
import type { StoreFailure } from "./database.ts";
import { storeProblem } from "./intake.ts";

export interface RouteSpec {
  readonly method: "get" | "post" | "put";
  /** As OpenAPI writes it: `/v1/events/{id}`. */
  readonly path: string;
  readonly tag: string;
  readonly summary: string;
  readonly description?: string;
  readonly roles: readonly PrincipalRole[];
  readonly rate: RateLimits;
  readonly params?: z.ZodObject;
  readonly query?: z.ZodObject;
  readonly body?: { readonly schema: z.ZodType; readonly bytesMax: number };
  /** `schema` null: a stream, or a text, as `type` says. */
  readonly answer: {
    readonly type: string;
    readonly schema: z.ZodType | null;
    readonly says: string;
  };
  readonly problems?: readonly ProblemKind[];
}

/** What stands before a route: who may ask it, and how often. */
export type Guard = (spec: RouteSpec) => readonly MiddlewareHandler[];

const problemSchema = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.number().int(),
    kind: z.enum(Object.keys(PROBLEMS) as [ProblemKind, ...ProblemKind[]]),
    detail: z.string(),
  })
  .meta({ id: "Problem", description: "RFC 9457 problem details; `kind` is ours." });

const ALWAYS: readonly ProblemKind[] = ["unauthorized", "forbidden", "busy", "unavailable"];

function responses({ answer, problems = [] }: RouteSpec): Record<string, object> {
  const schema = answer.schema ?? z.string();
  const all: Record<string, object> = {
    "200": { description: answer.says, content: { [answer.type]: { schema } } },
  };
  for (const kind of [...ALWAYS, ...problems]) {
    const { status, title } = PROBLEMS[kind];
    all[String(status)] = {
      description: title,
      content: { [PROBLEM_TYPE]: { schema: problemSchema } },
    };
  }
  return all;
}

export class ApiApp {
  readonly app: OpenAPIHono = new OpenAPIHono();
  readonly #guard: Guard;

  constructor(guard: Guard) {
    this.#guard = guard;
  }

  route(spec: RouteSpec, handler: Handler): void {
    const { method, path, tag, summary, description, roles, params, query, body } = spec;
    const who = `For ${roles.join(", ")}.`;
    this.app.openAPIRegistry.registerPath({
      method,
      path,
      tags: [tag],
      summary,
      description: description === undefined ? who : `${description} ${who}`,
      request: {
        ...(params === undefined ? {} : { params }),
        ...(query === undefined ? {} : { query }),
        ...(body === undefined
          ? {}
          : { body: { required: true, content: { "application/json": { schema: body.schema } } } }),
      },
      responses: responses(spec),
    });
    const guards = [...this.#guard(spec), ...(body === undefined ? [] : [bodyMax(body.bytesMax)])];
    const at = path.replace(/\{(\w+)\}/g, ":$1");
    this.app.on([method.toUpperCase()], [at], ...guards, handler);
  }
}

export function describeIssues(error: z.ZodError): string {
  const issue = error.issues[0];
  if (issue === undefined) return "it is not understood";
  const where = issue.path.join(".");
  return where === "" ? issue.message : `${where}: ${issue.message}`;
}

export function badRequest(detail: string): Response {
  return problemResponse({ kind: "bad-request", detail });
}

/** What the query says, or the answer that refuses it. */
export function queryOf<T>(context: Context, schema: z.ZodType<T>): T | Response {
  const parsed = schema.safeParse(context.req.query());
  return parsed.success ? parsed.data : badRequest(describeIssues(parsed.error));
}

/** The body as JSON, or the answer that refuses it. */
export async function jsonOf(context: Context): Promise<{ readonly value: unknown } | Response> {
  const text = await context.req.text();
  try {
    return { value: JSON.parse(text) as unknown };
  } catch {
    return badRequest("the body is no JSON");
  }
}

export function answerOf<T>(result: Result<T, Problem>): Response {
  return result.ok ? Response.json(result.value) : problemResponse(result.error);
}

export function storeAnswer<T>(
  result: Result<T, StoreFailure>,
  give: (value: T) => unknown = (value) => value,
): Response {
  if (!result.ok) return problemResponse(storeProblem(result.error));
  const given = give(result.value);
  return given instanceof Response ? given : Response.json(given);
}

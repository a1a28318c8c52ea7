/**
 * Who may ask a route, how often and how much: middleware for Hono, the same for agent, manager and destination.
 *
 *   app.use(identify(identity))                       who it is; whoever has a token that does not hold is refused
 *   app.get("/v1/x", allow("agent", "operator"), …)   of these roles only
 *   app.use(rateLimit({ perSecond: 100, burst: 200 }))
 *   app.post("/v1/x", bodyMax(64 * 1024), …)
 *
 *
 * A server with a table of its routes (`RouteAccess`) uses `guardRoutes`, which does all of it by the table.
 * Without TLS nobody can prove who he is: then a request without a token is one of cluster `local`, of whichever role is asked for.
 */
import type { Context, MiddlewareHandler } from "hono";
import { bodyLimit } from "hono/body-limit";
import { err, ok, type Result } from "../../../core/result.ts";
import type { Identity, Principal, PrincipalRole } from "../../identity/identity.ts";
import { type Problem, problemResponse } from "../problem.ts";
import { accessOf, type RouteAccess } from "../route-access.ts";
import type { TokenError } from "../token.ts";
import { type RateLimits, TokenBuckets } from "../token-bucket.ts";
import { checkerOf, isSecure } from "./secure.ts";

const PRINCIPAL = "principal";

/** Who asks in a cluster that proves nothing. */
export const ANYBODY: Principal = { cluster: "local", role: "operator", name: "anybody" };

interface AddressSource {
  requestIP?(request: Request): { readonly address: string } | null;
}

/** `Bun.serve` hands itself over as the environment of a request; null: asked without a socket. */
export function addressOfCaller(context: Context): string | null {
  const server = context.env as AddressSource | undefined;
  return server?.requestIP?.(context.req.raw)?.address ?? null;
}

function unauthorized({ kind, detail }: TokenError): Problem {
  const remedy =
    kind === "expired" || kind === "not-yet-valid" ? "; is the clock right on both machines?" : "";
  return { kind: "unauthorized", detail: `${detail}${remedy}` };
}

/** Who says so in the header `Authorization`. In the clear nobody is looked at: it may hold something of somebody else. */
export function whoAsks(
  identity: Identity | null,
  header: string | null | undefined,
): Result<Principal, Problem> {
  if (!isSecure(identity)) {
    if (identity === null || header == null) return ok(ANYBODY);
    const claimed = checkerOf(identity).checkHeader(header);
    return ok(claimed.ok ? claimed.value : ANYBODY);
  }
  const checked = checkerOf(identity).checkHeader(header);
  return checked.ok ? checked : err(unauthorized(checked.error));
}

/** Puts the principal into the context for what follows. */
export function identify(identity: Identity | null): MiddlewareHandler {
  return (context, next) => {
    const who = whoAsks(identity, context.req.header("authorization"));
    if (!who.ok) return Promise.resolve(problemResponse(who.error));
    context.set(PRINCIPAL, who.value);
    return next();
  };
}

/** After `identify`. */
export function principalOf(context: Context): Principal {
  return (context.get(PRINCIPAL) as Principal | undefined) ?? ANYBODY;
}

export function mayAsk(principal: Principal, roles: readonly PrincipalRole[]): Problem | null {
  if (principal.cluster === ANYBODY.cluster || roles.includes(principal.role)) return null;
  const { role, name } = principal;
  const detail = `${role} ${name} may not ask this; it is for ${roles.join(", ") || "nobody"}`;
  return { kind: "forbidden", detail };
}

export function allow(...roles: readonly PrincipalRole[]): MiddlewareHandler {
  return (context, next) => {
    const refused = mayAsk(principalOf(context), roles);
    return refused === null ? next() : Promise.resolve(problemResponse(refused));
  };
}

function callerOf(context: Context): string {
  const { cluster, role, name } = principalOf(context);
  if (cluster !== ANYBODY.cluster) return `${role} ${name}`;
  return addressOfCaller(context) ?? "";
}

/** By principal, where that is not known by address. */
export function rateLimit(
  limits: RateLimits,
  nowMs: () => number = () => performance.now(),
): MiddlewareHandler {
  const buckets = new TokenBuckets(limits);
  return (context, next) => {
    const caller = callerOf(context);
    const waitMs = buckets.take(caller, nowMs());
    if (waitMs === 0) return next();
    const detail = `${caller || "this caller"} asks more than ${limits.perSecond} times a second`;
    const response = problemResponse({ kind: "busy", detail });
    response.headers.set("retry-after", String(Math.ceil(waitMs / 1000)));
    return Promise.resolve(response);
  };
}

/** The row of each route decides; what is in none is for nobody. Puts the principal into the context. */
export function guardRoutes(
  identity: Identity | null,
  rows: readonly RouteAccess[],
): MiddlewareHandler {
  const guards = new Map(rows.map((row) => [row, guardsOf(identity, row)]));
  return (context, next) => {
    const { method, path } = context.req;
    const row = accessOf(rows, method, path);
    if (row === null) {
      const detail = `no such path: ${method} ${path}`;
      return Promise.resolve(problemResponse({ kind: "not-found", detail }));
    }
    // In turn, each the `next` of the one before; the last one's is the route itself.
    const turn = (index: number): ReturnType<MiddlewareHandler> => {
      const guard = guards.get(row)?.[index];
      return guard === undefined
        ? next()
        : guard(context, async () => {
            const response = await turn(index + 1);
            if (response instanceof Response) context.res = response;
          });
    };
    return turn(0);
  };
}

function guardsOf(identity: Identity | null, row: RouteAccess): readonly MiddlewareHandler[] {
  const { roles, rate, bodyBytesMax } = row;
  return [
    ...(roles === "member" ? [] : [identify(identity), allow(...roles)]),
    rateLimit(rate),
    ...(bodyBytesMax === null ? [] : [bodyMax(bodyBytesMax)]),
  ];
}

/** Refuses by the announced length, or, where none is, as soon as more has come. */
export function bodyMax(bytesMax: number): MiddlewareHandler {
  const detail = `a body may have ${bytesMax} bytes here`;
  return bodyLimit({
    maxSize: bytesMax,
    onError: () => problemResponse({ kind: "too-large", detail }),
  });
}

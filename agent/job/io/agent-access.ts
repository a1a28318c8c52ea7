/**
 * Who may ask an agent what: one row for each route there is, its companion's too. An agent does not start with a route that is in none.
 *
 * Agents ask each other for everything that a cluster query needs, operators ask for everything that a command shows or does, a
 * manager only reads, and a hook only tells of errors. Rates are far above what well-behaved programs of that kind do at their
 * busiest, and far below what would hold up the agent's probes.
 */
import type { Hono } from "hono";
import { type PrincipalRole, ROLES } from "../../identity/identity.ts";
import { accessOf, type RouteAccess } from "../../net/route-access.ts";
import type { RateLimits } from "../../net/token-bucket.ts";

const KIB = 1024;
/** A job's command line and environment fit many times over. */
export const BODY_BYTES_MAX: number = 1024 * KIB;
/** Of a request that has no body. */
const NO_BODY_BYTES_MAX = KIB;

const ASK: RateLimits = { perSecond: 200, burst: 500 };
/** Shards of a recovery come in thousands. */
const BULK: RateLimits = { perSecond: 5_000, burst: 20_000 };
const CHANGE: RateLimits = { perSecond: 50, burst: 200 };
/** A storm of errors is when hooks are needed most. */
const HOOK: RateLimits = { perSecond: 1_000, burst: 5_000 };

const READERS: readonly PrincipalRole[] = ["agent", "operator", "manager"];
const AGENTS: readonly PrincipalRole[] = ["agent"];
const OPERATORS: readonly PrincipalRole[] = ["operator"];
/** Root on a node, who has its agent's identity and perhaps no operator's, may look after how that node calls home. */
const OPERATORS_AND_AGENTS: readonly PrincipalRole[] = ["operator", "agent"];
const TELLERS: readonly PrincipalRole[] = ["hook", "operator", "agent"];

function get(path: string, roles: RouteAccess["roles"], rate: RateLimits = ASK): RouteAccess {
  return { method: "GET", path, roles, rate, bodyBytesMax: NO_BODY_BYTES_MAX };
}

function post(
  path: string,
  roles: RouteAccess["roles"],
  rate: RateLimits = CHANGE,
  bodyBytesMax: number | null = BODY_BYTES_MAX,
): RouteAccess {
  return { method: "POST", path, roles, rate, bodyBytesMax };
}

/** The door for hooks is so far above the agent's port, on loopback. */
export const HOOKS_PORT_OFFSET = 2;

/** Those of hooks, which a door of their own serves too. */
export const HOOK_ACCESS: readonly RouteAccess[] = [
  post("/v1/hooks/event", TELLERS, HOOK, 64 * KIB),
  // A BMC has no certificate: the secret in the path is what it shows, on the door for hooks.
  post("/v1/hooks/redfish/:secret", TELLERS, HOOK, 1024 * KIB),
];

export const AGENT_ACCESS: readonly RouteAccess[] = [
  // Asked under suspicion, when every millisecond counts; it tells nothing that a packet does not.
  get("/v1/ping", "member", BULK),
  get("/v1/node", READERS),
  get("/v1/status", READERS),
  get("/v1/holdings", READERS),
  get("/v1/jobs", READERS),
  post("/v1/jobs", OPERATORS),
  get("/v1/jobs/:id", READERS),
  get("/v1/jobs/:id/explain", READERS),
  get("/v1/jobs/:id/output", READERS),
  post("/v1/jobs/:id/resume", OPERATORS),
  post("/v1/jobs/:id/cancel", OPERATORS),
  post("/v1/what-if", READERS),
  get("/v1/decisions", READERS),
  get("/v1/events", READERS),
  get("/v1/shards/:job/:rank/:version", AGENTS, BULK),
  {
    method: "PUT",
    path: "/v1/shards/:job/:rank/:version",
    roles: AGENTS,
    rate: BULK,
    bodyBytesMax: null,
  },
  get("/v1/callhome", READERS),
  get("/v1/callhome/events", READERS),
  get("/v1/callhome/events/:id", READERS),
  get("/v1/callhome/ledger", READERS),
  post("/v1/callhome/events/:id/retry", OPERATORS_AND_AGENTS),
  post("/v1/callhome/test", OPERATORS_AND_AGENTS),
  get("/v1/callhome/way", READERS),
  get("/v1/callhome/bmc", READERS),
  post("/v1/callhome/parcels", AGENTS, BULK, 4096 * KIB),
  // Service data: a node's own for people, others' in pieces on its way (`callhome/bundle/`).
  get("/v1/callhome/service-data", OPERATORS_AND_AGENTS),
  post("/v1/callhome/service-data", OPERATORS_AND_AGENTS),
  get("/v1/callhome/service-data/:id", OPERATORS_AND_AGENTS),
  get("/v1/callhome/service-data/:id/content", OPERATORS_AND_AGENTS),
  post("/v1/callhome/service-data/:id/approve", OPERATORS_AND_AGENTS),
  post("/v1/callhome/service-data/:id/discard", OPERATORS_AND_AGENTS),
  { ...get("/v1/callhome/bundles", AGENTS), method: "OPTIONS" },
  get("/v1/callhome/bundles", AGENTS),
  post("/v1/callhome/bundles", AGENTS),
  get("/v1/callhome/bundles/:id", AGENTS),
  { ...post("/v1/callhome/bundles/:id", AGENTS, ASK), method: "PATCH" },
  { ...get("/v1/callhome/bundles/:id", AGENTS), method: "DELETE" },
  // What the authority says is signed by it, and for everybody.
  get("/v1/identity/bundle", ROLES),
  post("/v1/identity/bundle", ROLES, CHANGE, null),
  ...HOOK_ACCESS,
];

/** Routes that are in no row: nobody could ask them. Middleware is none. */
export function routesWithoutRow({ routes }: Pick<Hono, "routes">): readonly string[] {
  return routes.flatMap(({ method, path }) =>
    method === "ALL" || accessOf(AGENT_ACCESS, method, path) !== null ? [] : [`${method} ${path}`],
  );
}

/**
 * Goal: whoever sends 1 GiB where it is not wanted is answered or cut off at once, whatever port he sends it to and however he
 * announces it, and no server reads it into memory; what may be large still comes through.
 * Method: every port of holdfast in this process, real sockets, certificates where they are asked for; who sends ignores the
 * answer and sends on. Growth of memory is that of both sides.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Hono } from "hono";
import { TestDestination } from "../../agent/destination/harness/test-destination.ts";
import { testIdentities } from "../../agent/identity/harness/test-authority.ts";
import { type TestDoor, testDoor } from "../../agent/identity/harness/test-door.ts";
import type { Identity, PrincipalRole } from "../../agent/identity/identity.ts";
import { AGENT_ACCESS, HOOK_ACCESS } from "../../agent/job/io/agent-access.ts";
import {
  TestManager,
  TestDestination as ToldDestination,
} from "../../agent/manager/io/harness/test-manager.ts";
import { bearer, dialTls } from "../../agent/net/io/secure.ts";
import { startServer } from "../../agent/net/io/server.ts";
import { type Flood, type FloodOutcome, flood } from "../../agent/net/io/test-flood.ts";
import type { RouteAccess } from "../../agent/net/route-access.ts";

const MIB = 1024 * 1024;
/** What is in the buffers of sockets, the largest body that is read for once, and what a garbage collector lets stand. */
const GROWN_BYTES_MAX = 200 * MIB;
const SENT_BYTES_MAX = 64 * MIB;
const CUT_WITHIN_MS = 5_000;
const HOST = "127.0.0.1";

let node: Identity;
let manager: TestManager;
let support: TestDestination;
let door: TestDoor;
let agentPort: number;
let hooksPort: number;
const defects: string[] = [];
const ends: (() => Promise<unknown>)[] = [];

/** Routes that read what they are given, as those of an agent do: whole, or shards bit by bit. */
function agentRoutes(): Hono {
  const routes = new Hono();
  routes.post("/v1/hooks/event", async (context) => context.text(await context.req.text()));
  routes.post("/v1/callhome/parcels", async (context) => context.text(await context.req.text()));
  routes.put("/v1/shards/:job/:rank/:version", async ({ req }) => {
    if (req.param("rank") === "9") return new Response("stale", { status: 409 });
    let bytes = 0;
    for await (const piece of req.raw.body ?? []) bytes += piece.byteLength;
    return new Response(String(bytes));
  });
  return routes;
}

function serve(identity: Identity | null, access: readonly RouteAccess[]): number {
  const opened = startServer({
    ...{ address: HOST, port: 0, identity, access, routes: agentRoutes(), isLinked: true },
    accept: () => {
      throw new Error("nobody links here");
    },
    onDefect: (detail) => void defects.push(detail),
  });
  if (!opened.ok) throw new Error(opened.error.kind);
  ends.push(() => opened.value.stop());
  return opened.value.port;
}

beforeAll(async () => {
  const ids = await testIdentities("c1");
  const [agent, told, stranger] = await Promise.all([
    ids.of("agent", "n1"),
    ids.of("destination", "support"),
    ids.of("destination", "other"),
  ]);
  node = await ids.of("agent", "n2");
  agentPort = serve(agent, AGENT_ACCESS);
  hooksPort = serve(null, HOOK_ACCESS);
  manager = new TestManager(
    ids,
    await ids.of("manager", "m1"),
    new ToldDestination(told, stranger),
  );
  await manager.start();
  support = await TestDestination.start({ identity: told, takesLocal: false });
  door = await testDoor();
  ends.push(
    () => manager.remove(),
    () => support.stop(),
    () => door.close(),
  );
}, 60_000);

afterAll(async () => {
  for (const end of ends) await end();
});

type Target = Pick<Flood, "at" | "tls" | "path" | "headers"> & { readonly method?: string };

function secure(port: number, role: PrincipalRole, path: string): Target {
  const headers = { authorization: bearer(node, role), "content-type": "application/json" };
  return { at: { host: HOST, port }, tls: dialTls(node, role) ?? null, path, headers };
}

const TARGETS: Readonly<Record<string, () => Target>> = {
  "an agent, with what it bounds": () => secure(agentPort, "agent", "/v1/callhome/parcels"),
  "an agent, with a path that is not there": () => secure(agentPort, "agent", "/v1/nothing"),
  "an agent, with no word of who it is": () => ({
    ...secure(agentPort, "agent", "/v1/callhome/parcels"),
    headers: {},
  }),
  "an agent, where links are made": () => secure(agentPort, "agent", "/v1/peer"),
  "an agent, with a shard that it does not want": () => ({
    ...secure(agentPort, "agent", "/v1/shards/j-1/9/1"),
    method: "PUT",
  }),
  "the door for hooks": () => ({
    at: { host: HOST, port: hooksPort },
    ...{ tls: null, path: "/v1/hooks/event" },
  }),
  "a manager": () => secure(manager.open.port, "manager", "/v1/callhome/parcels"),
  "a manager's door for people": () => ({
    ...{ at: { host: HOST, port: manager.open.pagePort ?? 0 }, tls: null, path: "/v1/events" },
  }),
  "a destination": () => secure(support.port, "destination", "/v1/callhome/parcels"),
  "a destination, with a piece of service data": () => ({
    ...secure(support.port, "destination", `/v1/callhome/bundles/${"a".repeat(64)}`),
    method: "PATCH",
  }),
  "the door where nodes join": () => ({
    at: { host: HOST, port: Number(door.address.split(":")[1]) },
    ...{ tls: { rejectUnauthorized: false }, path: "/v1/join" },
  }),
};

function expectRefused(outcome: FloodOutcome): void {
  const { status, closedMs, sentBytes, grownBytes } = outcome;
  expect(status === null || status >= 400).toBe(true);
  expect(closedMs).not.toBeNull();
  expect(closedMs).toBeLessThan(CUT_WITHIN_MS);
  expect(sentBytes).toBeLessThan(SENT_BYTES_MAX);
  expect(grownBytes).toBeLessThan(GROWN_BYTES_MAX);
}

describe("1 GiB is refused by", () => {
  for (const [what, target] of Object.entries(TARGETS)) {
    for (const way of ["length", "chunks"] as const) {
      test(`${what}: ${way === "length" ? "announced" : "in chunks"}`, async () => {
        expectRefused(await flood({ method: "POST", ...target(), way }));
        expect(defects).toEqual([]);
      }, 30_000);
    }
  }
});

describe("a refusal", () => {
  test("of a small body leaves the connection as it is", async () => {
    const { at, tls } = secure(agentPort, "agent", "");
    const small = {
      at,
      tls,
      method: "POST",
      path: "/v1/nothing",
      way: "length",
      bytes: 1,
    } as const;
    const headers = { authorization: bearer(node, "agent") };
    const { status, closedMs } = await flood({ ...small, headers }, 1_000);
    expect([status, closedMs]).toEqual([404, null]);
  });
});

describe("a shard of 256 MiB", () => {
  for (const way of ["length", "chunks"] as const) {
    test(`comes through ${way === "length" ? "announced" : "in chunks"}, and is in memory at no time`, async () => {
      const target = { ...secure(agentPort, "agent", "/v1/shards/j-1/0/1"), method: "PUT" };
      const bytes = 256 * MIB;
      const headers = { ...target.headers, connection: "close" };
      const outcome = await flood({ ...target, headers, way, bytes }, 60_000);
      expect(outcome.status).toBe(200);
      expect(outcome.text).toEndWith(String(bytes));
      expect(outcome.grownBytes).toBeLessThan(GROWN_BYTES_MAX);
    }, 90_000);
  }
});

/**
 * Goal: each route of an agent has its row, and the row says who may ask.
 * Method: the agent's own routes are listed by the framework; then every role asks every row, over Hono without a socket.
 */
import { describe, expect, test } from "bun:test";
import { Hono } from "hono";
import { shardRoutes } from "../../checkpoint/io/shard-routes.ts";
import type { StoreClient } from "../../checkpoint/io/store-client.ts";
import { testIdentities } from "../../identity/harness/test-authority.ts";
import { ROLES } from "../../identity/identity.ts";
import { guardRoutes, principalOf } from "../../net/io/access.ts";
import { bearer } from "../../net/io/secure.ts";
import { AGENT_ACCESS, HOOK_ACCESS, routesWithoutRow } from "./agent-access.ts";
import { type ApiSource, agentApi } from "./api.ts";

/** Every row's route, answering with who asks. */
function echoing(): Hono {
  const app = new Hono();
  for (const { method, path } of AGENT_ACCESS) {
    app.on(method, path, (context) => context.text(principalOf(context).role));
  }
  return app;
}

describe("the table of an agent's routes", () => {
  test("has each route of the agent, and a forgotten one is named", () => {
    const nothing = {} as never;
    const routes = agentApi(nothing as ApiSource);
    routes.route("/v1/shards", shardRoutes(nothing as StoreClient));
    expect(routes.routes.length).toBeGreaterThan(12);
    expect(routesWithoutRow(routes)).toEqual([]);
    routes.delete("/v1/jobs/:id", (context) => context.text("gone"));
    expect(routesWithoutRow(routes)).toEqual(["DELETE /v1/jobs/:id"]);
  });

  test("names no route twice", () => {
    const names = AGENT_ACCESS.map(({ method, path }) => `${method} ${path}`);
    expect(new Set(names).size).toBe(names.length);
  });

  test("lets exactly the roles of its row ask a route, each by its own token", async () => {
    const ids = await testIdentities("c1");
    const own = await ids.of("agent", "n1");
    const app = new Hono().use(guardRoutes(own, AGENT_ACCESS)).route("/", echoing());
    for (const role of ROLES) {
      const authorization = bearer(await ids.of(role, "x"), "agent");
      for (const row of AGENT_ACCESS) {
        const path = row.path.replaceAll(/:\w+/g, "a");
        const request = new Request(`http://agent${path}`, {
          method: row.method,
          headers: { authorization },
        });
        const { status } = await app.fetch(request);
        const may = row.roles === "member" || row.roles.includes(role);
        expect([role, row.method, path, status]).toEqual([role, row.method, path, may ? 200 : 403]);
      }
    }
  });

  test("gives a hook nothing but hooks and what the authority says", () => {
    const paths = AGENT_ACCESS.filter(({ roles }) => roles !== "member" && roles.includes("hook"));
    expect(paths.map(({ path }) => path).sort()).toEqual(
      [...HOOK_ACCESS.map(({ path }) => path), "/v1/identity/bundle", "/v1/identity/bundle"].sort(),
    );
  });
});

/**
 * Goal: who may not ask is refused, each time with its own words, and nobody asks too often or sends too much.
 * Method: tokens of a real authority against Hono without a socket; the clock by hand.
 */
import { describe, expect, test } from "bun:test";
import { Hono } from "hono";
import { testIdentities } from "../../identity/harness/test-authority.ts";
import type { Identity } from "../../identity/identity.ts";
import { allow, bodyMax, guardRoutes, identify, principalOf, rateLimit } from "./access.ts";
import { makeToken } from "./bearer.ts";
import { bearer } from "./secure.ts";

interface Answer {
  readonly status: number;
  readonly detail: string;
}

async function answerOf(response: Response): Promise<Answer> {
  const text = await response.text();
  if (response.ok) return { status: response.status, detail: text };
  return { status: response.status, detail: (JSON.parse(text) as { detail: string }).detail };
}

function appOf(identity: Identity | null): Hono {
  return new Hono()
    .use(identify(identity))
    .get("/x", allow("agent", "operator"), (context) => context.text(principalOf(context).name));
}

async function ask(app: Hono, authorization: string | null, path = "/x"): Promise<Answer> {
  const headers = authorization === null ? {} : { authorization };
  return answerOf(await app.request(path, { headers }));
}

describe("a route with TLS", () => {
  test("knows who asks by the token, and refuses other roles", async () => {
    const ids = await testIdentities("c1");
    const app = appOf(await ids.of("agent", "n1"));
    expect(await ask(app, bearer(await ids.of("agent", "n2"), "agent"))).toEqual({
      ...{ status: 200, detail: "n2" },
    });
    expect(await ask(app, bearer(await ids.of("hook", "cron"), "agent"))).toEqual({
      ...{ status: 403, detail: "hook cron may not ask this; it is for agent, operator" },
    });
  });

  test("refuses every other token, each with its own reason", async () => {
    const ids = await testIdentities("c1");
    const app = appOf(await ids.of("agent", "n1"));
    const n2 = await ids.of("agent", "n2");
    const out = await ids.of("agent", "n3");
    const outs = bearer(out, "agent");
    await ids.revoke("agent", "n3");
    const foreign = await (await testIdentities("c2")).of("agent", "n1");
    const hour = 3_600_000;
    const good = bearer(n2, "agent");
    const cases: readonly (readonly [string | null, string])[] = [
      [null, "Authorization: Bearer is missing"],
      ["Basic eDp5", "Authorization: Bearer is missing"],
      ["Bearer AAAA", "the token is not one of holdfast"],
      [`${good.slice(0, -30)}${"A".repeat(30)}`, ""],
      [bearer(n2, "manager"), "the token is for spiffe://c1/manager/*"],
      [outs, "is revoked"],
      [bearer(foreign, "agent"), "known is c1 only"],
      [`Bearer ${makeToken(n2, "spiffe://c1/agent/*", Date.now() - hour)}`, "the token ended"],
      [`Bearer ${"A".repeat(20_000)}`, "too long"],
    ];
    const details = new Set<string>();
    for (const [authorization, part] of cases) {
      const { status, detail } = await ask(app, authorization);
      expect([part, status]).toEqual([part, 401]);
      expect(detail).toContain(part);
      details.add(detail);
    }
    // The first two, and the two that are no tokens at all, are told the same.
    expect(details.size).toBeGreaterThanOrEqual(cases.length - 2);
    expect((await ask(app, good)).status).toBe(200);
  });
});

test("in the clear everybody may ask, also with a header that means something else", async () => {
  const app = appOf(null);
  expect(await ask(app, null)).toEqual({ status: 200, detail: "anybody" });
  expect(await ask(app, "Bearer a-token-of-hooks")).toEqual({ status: 200, detail: "anybody" });
});

describe("a limit", () => {
  test("of rate answers 429 with the time to wait, for each principal alone", async () => {
    const ids = await testIdentities("c1");
    let nowMs = 0;
    const app = new Hono()
      .use(identify(await ids.of("agent", "n1")))
      .use(rateLimit({ perSecond: 0.5, burst: 2 }, () => nowMs))
      .get("/x", (context) => context.text("ok"));
    const two = bearer(await ids.of("agent", "n2"), "agent");
    const three = bearer(await ids.of("agent", "n3"), "agent");
    expect((await ask(app, two)).status).toBe(200);
    expect((await ask(app, two)).status).toBe(200);
    const refused = await app.request("/x", { headers: { authorization: two } });
    expect([refused.status, refused.headers.get("retry-after")]).toEqual([429, "2"]);
    expect((await answerOf(refused)).detail).toBe("agent n2 asks more than 0.5 times a second");
    expect((await ask(app, three)).status).toBe(200);
    nowMs = 2_000;
    expect((await ask(app, two)).status).toBe(200);
    expect((await ask(app, two)).status).toBe(429);
  });

  test("of a body refuses by its announced length, and by what comes when none is announced", async () => {
    const app = new Hono().post("/x", bodyMax(100), async (context) =>
      context.text(String((await context.req.text()).length)),
    );
    const send = async (
      body: string | ReadableStream,
      headers: Record<string, string> = {},
    ): Promise<Answer> => answerOf(await app.request("/x", { method: "POST", body, headers }));
    expect(await send("y".repeat(100))).toEqual({ status: 200, detail: "100" });
    const tooMuch = { status: 413, detail: "a body may have 100 bytes here" };
    expect(await send("y".repeat(101))).toEqual(tooMuch);
    expect(await send("y", { "content-length": "1073741824" })).toEqual(tooMuch);
    const endless = new ReadableStream({ pull: (one) => one.enqueue(new Uint8Array(60)) });
    expect(await send(endless)).toEqual(tooMuch);
  });
});

test("a route that is in no row of a table is not there, with whatever token", async () => {
  const ids = await testIdentities("c1");
  const rate = { perSecond: 10, burst: 10 };
  const rows = [{ method: "GET", path: "/x", roles: ["agent"], rate, bodyBytesMax: 10 }] as const;
  const app = new Hono()
    .use(guardRoutes(await ids.of("agent", "n1"), rows))
    .get("/x", (context) => context.text("ok"))
    .get("/forgotten", (context) => context.text("open"));
  const own = bearer(await ids.of("agent", "n2"), "agent");
  expect(await ask(app, own)).toEqual({ status: 200, detail: "ok" });
  expect(await ask(app, own, "/forgotten")).toEqual({
    ...{ status: 404, detail: "no such path: GET /forgotten" },
  });
});

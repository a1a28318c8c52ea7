/**
 * Goal: whatever comes to a TLS port, nobody without a certificate that holds gets an answer, the asker reads why where he can know
 * it, and the server lives on.
 * Method: real sockets on loopback; certificates of real authorities that are wrong in one way each.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Hono } from "hono";
import { type TestIdentities, testIdentities } from "../../identity/harness/test-authority.ts";
import type { Identity } from "../../identity/identity.ts";
import { askAgent } from "./http-client.ts";
import type { Listener } from "./listener.ts";
import { bearer, dialTls } from "./secure.ts";
import { startServer } from "./server.ts";
import { checkTcp } from "./tcp-check.ts";

const ADDRESS = "127.0.83.3";
const HOUR_MS = 3_600_000;
const RATE = { perSecond: 1_000, burst: 1_000 } as const;

let ids: TestIdentities;
let others: TestIdentities;
let friend: Identity;
const defects: string[] = [];
const servers: Listener[] = [];

async function serve(identity: Identity | null): Promise<number> {
  const routes = new Hono();
  routes.get("/v1/ping", (context) => context.json({ id: "n1", instance: "i" }));
  routes.post("/v1/say", async (context) => context.json((await context.req.text()).length));
  const server = startServer({
    ...{ address: ADDRESS, port: 0, identity, routes, isLinked: false },
    access: [
      { method: "GET", path: "/v1/ping", roles: "member", rate: RATE, bodyBytesMax: 0 },
      { method: "POST", path: "/v1/say", roles: ["agent"], rate: RATE, bodyBytesMax: 1_000 },
    ],
    accept: () => {
      throw new Error("nobody links here");
    },
    onDefect: (detail) => void defects.push(detail),
  });
  if (!server.ok) throw new Error(server.error.detail);
  servers.push(server.value);
  return server.value.port;
}

let port: number;
beforeAll(async () => {
  ids = await testIdentities("c1");
  others = await testIdentities("c2");
  friend = await ids.of("agent", "n2");
  port = await serve(await ids.of("agent", "n1"));
});
afterAll(async () => {
  await Promise.all(servers.map((server) => server.stop()));
});

async function ping(identity: Identity | null, at = port): Promise<string> {
  const answer = await askAgent<{ readonly id: string }>({
    ...{ at: `${ADDRESS}:${at}`, path: "/v1/ping", timeoutMs: 5_000, identity },
  });
  return answer.ok ? answer.value.id : `${answer.error.kind}: ${answer.error.detail}`;
}

/** What came back for those bytes until the connection ended; null: it was not ended in time. */
function raw(bytes: Uint8Array | string, withinMs: number): Promise<string | null> {
  return new Promise((resolve) => {
    let heard = "";
    const timer = setTimeout(() => resolve(null), withinMs);
    const over = (): void => {
      clearTimeout(timer);
      resolve(heard);
    };
    void Bun.connect({
      ...{ hostname: ADDRESS, port },
      socket: {
        open: (socket) => void socket.write(bytes),
        data: (_socket, chunk) => {
          heard += chunk.toString("latin1");
        },
        close: over,
        error: over,
      },
    });
  });
}

describe("a TLS port answers", () => {
  test("an agent of its cluster, and nobody whose certificate does not hold", async () => {
    const now = Date.now();
    const old = { notBeforeMs: now - 10 * HOUR_MS, notAfterMs: now - HOUR_MS };
    const soon = { notBeforeMs: now + HOUR_MS, notAfterMs: now + 10 * HOUR_MS };
    const out = await ids.of("agent", "n9");
    await ids.revoke("agent", "n9");
    const at = `${ADDRESS}:${port}`;
    expect(await ping(friend)).toBe("n1");
    const expired = await ping(await ids.of("agent", "n7", old));
    expect(expired).toContain(`unauthorized: ${at} refuses this identity: the certificate`);
    expect(expired).toContain("ended");
    expect(await ping(await ids.of("agent", "n8", soon))).toContain("holds from");
    expect(await ping(out)).toContain("is revoked");
    expect(await ping(await others.of("agent", "n2"))).toBe(
      `unauthorized: ${at} is of another cluster than c2, which this identity is of`,
    );
    expect(await ping(null)).toContain(`unauthorized: ${at} speaks TLS, and there is no identity`);
    expect(await ping(friend)).toBe("n1");
  });

  test("nothing to who is asked and is not what was meant", async () => {
    expect(await ping(friend, await serve(null))).toContain("does not speak TLS");
    expect(await ping(friend, await serve(await ids.of("manager", "m1")))).toContain(
      "has a certificate of another role",
    );
    const now = Date.now();
    const old = { notBeforeMs: now - 10 * HOUR_MS, notAfterMs: now - HOUR_MS };
    expect(await ping(friend, await serve(await ids.of("agent", "n6", old)))).toContain(
      "has a certificate that has ended",
    );
  });

  test("garbage, half a handshake and a request in the clear with an end, never with a word of HTTP", async () => {
    const random = crypto.getRandomValues(new Uint8Array(4_096));
    // A TLS record that announces a client hello and stops in it.
    const half = new Uint8Array([22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3]);
    const answers = await Promise.all([
      raw("GET /v1/ping HTTP/1.1\r\nHost: x\r\n\r\n", 20_000),
      raw(random, 20_000),
      raw(half, 20_000),
      raw("", 20_000),
    ]);
    for (const answer of answers) {
      expect(answer).not.toBeNull();
      expect(answer).not.toContain("HTTP");
    }
    expect(await ping(friend)).toBe("n1");
  }, 30_000);

  test("a body of 1 GiB with a refusal long before its end", async () => {
    const url = `https://${ADDRESS}:${port}/v1/say`;
    const headers = { authorization: bearer(friend, "agent") };
    const tls = dialTls(friend, "agent");
    const ask = (body: string | ReadableStream, more: Record<string, string> = {}) =>
      fetch(url, { method: "POST", body, headers: { ...headers, ...more }, tls } as RequestInit);
    expect(await (await ask("x".repeat(1_000))).text()).toBe("1000");
    const piece = new Uint8Array(64 * 1024);
    let sent = 0;
    const large = new ReadableStream({
      pull: (controller) => {
        sent += piece.byteLength;
        controller.enqueue(piece);
        if (sent >= 2 ** 30) controller.close();
      },
    });
    // Refused while it comes, or cut off for going on: never read to its end.
    const status = await ask(large).then(
      (response) => response.status,
      () => 413,
    );
    expect(status).toBe(413);
    expect(sent).toBeLessThan(2 ** 30);
    expect(await ping(friend)).toBe("n1");
    expect(defects).toEqual([]);
  }, 30_000);
});

describe("the failure detector's question", () => {
  const check = (at: number, identity: Identity | null) =>
    checkTcp({
      to: { address: ADDRESS, port: at },
      id: "n1",
      instance: "i",
      timeoutMs: 3_000,
      identity,
    });

  test("is answered by the agent that is meant, and by nobody who only has its address", async () => {
    expect(await check(port, friend)).toBe("answered");
    expect(await check(await serve(await others.of("agent", "n1")), friend)).toBe("refused");
    expect(await check(await serve(await ids.of("hook", "n1")), friend)).toBe("refused");
    expect(await check(await serve(null), friend)).toBe("refused");
    expect(await check(port, await others.of("agent", "n2"))).toBe("refused");
  });

  test("tells an agent that is stalled from one that is gone", async () => {
    const stalled = Bun.listen({ hostname: ADDRESS, port: 0, socket: { data: () => undefined } });
    const outcome = await checkTcp({
      ...{ to: { address: ADDRESS, port: stalled.port }, id: "n1", instance: "i" },
      ...{ timeoutMs: 300, identity: friend },
    });
    expect(outcome).toBe("accepted");
    const { port: gone } = stalled;
    stalled.stop(true);
    expect(await check(gone, friend)).toBe("refused");
  });
});

/**
 * Goal: whatever a far end does, the destination learns what to do next, within its time and without a secret in a log. Method: a
 * webhook to real servers that answer, redirect, stall, drop, lie and flood; through a real proxy; with its signature checked.
 */
import { afterEach, describe, expect, test } from "bun:test";
import { createServer, type Server, type Socket } from "node:net";
import type { AdapterFailure } from "../../adapter.ts";
import type { Adapter } from "../../io/adapter.ts";
import { change } from "../harness/change.ts";
import { farEnd } from "../harness/far-end.ts";
import { opened, secretFolder } from "../harness/secrets.ts";
import { webhookSecret } from "../standard-webhook.ts";

const NEW = `whsec_${btoa("the new secret of 32 bytes, yes!")}`;
const OLD = `whsec_${btoa("the old secret of 32 bytes, yes!")}`;
const stops: (() => unknown)[] = [];

afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

function serve(answer: Parameters<typeof farEnd>[0]["answer"]): ReturnType<typeof farEnd> {
  const server = farEnd({ answer });
  stops.push(server.stop);
  return server;
}

function folder(): ReturnType<typeof secretFolder> {
  const made = secretFolder();
  stops.push(() => made.remove());
  return made;
}

function webhook(url: string, more = ""): Adapter {
  const secret = folder().write("secret", NEW);
  return opened(`webhook+${url}/hook/p4th-token?secret-file=${secret}${more}`);
}

async function failureOf(adapter: Adapter): Promise<AdapterFailure> {
  const told = await adapter.deliver(change());
  if (told.ok) throw new Error("it was delivered");
  expect(told.error.detail).not.toMatch(/p4th-token|whsec|\n/);
  return told.error;
}

/** A TCP server that does what it is told with each connection. */
async function raw(serveSocket: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    serveSocket(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  stops.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}

describe("a webhook", () => {
  test("is signed with each secret, and has the same id at each attempt", async () => {
    const server = serve((_, nth) => new Response(null, { status: nth === 1 ? 503 : 200 }));
    const secrets = folder();
    const files = [secrets.write("new", NEW), secrets.write("old", OLD)];
    const adapter = opened(
      `webhook+${server.url}/hook?${files.map((file) => `secret-file=${file}`).join("&")}`,
    );
    await failureOf(adapter);
    expect((await adapter.deliver(change())).ok).toBe(true);
    const ids = server.heard.map(({ headers }) => headers.get("webhook-id"));
    expect(new Set(ids).size).toBe(1);
    for (const { headers, text } of server.heard) {
      const timestamp = headers.get("webhook-timestamp");
      expect(Math.abs(Number(timestamp) - Date.now() / 1000)).toBeLessThan(300);
      const expected = [NEW, OLD].map((secret) => {
        const key = webhookSecret(secret);
        if (!key.ok) throw new Error(key.error);
        const hasher = new Bun.CryptoHasher("sha256", key.value);
        return `v1,${hasher.update(`${ids[0]}.${timestamp}.${text}`).digest("base64")}`;
      });
      expect(headers.get("webhook-signature")).toBe(expected.join(" "));
    }
  });

  test("reads its secret anew, so that a rotation needs no restart", async () => {
    const server = serve(() => new Response(null, { status: 204 }));
    const secrets = folder();
    const file = secrets.write("secret", OLD);
    const adapter = opened(`webhook+${server.url}/hook?secret-file=${file}`);
    await adapter.deliver(change());
    secrets.write("secret", NEW);
    await adapter.deliver(change());
    const [first, second] = server.heard.map(({ headers }) => headers.get("webhook-signature"));
    expect(first).not.toBe(second);
    secrets.write("secret", NEW, 0o644);
    expect(await failureOf(adapter)).toMatchObject({ kind: "misconfigured", isPermanent: false });
  });

  test("whose address is a secret has it in a file", async () => {
    const server = serve(() => new Response(null, { status: 500 }));
    const url = folder().write("url", `${server.url}/hook/p4th-token?sig=s1g`);
    const adapter = opened(`webhook:?url-file=${url}&unsigned=yes&name=chat`);
    const failure = await failureOf(adapter);
    expect(failure.detail).toContain("webhook chat answered 500");
    expect(server.heard[0]).toMatchObject({ path: "/hook/p4th-token", query: { sig: "s1g" } });
    expect(server.heard[0]?.headers.get("webhook-signature")).toBeNull();
  });
});

describe("a far end", () => {
  test("that wants to be left alone says for how long", async () => {
    const headers = { "retry-after": "90" };
    const limited = serve(() => new Response(null, { status: 429, headers }));
    expect(await failureOf(webhook(limited.url))).toMatchObject({
      kind: "rate-limited",
      isPermanent: false,
      retryAfterMs: 90_000,
    });
    const date = new Date(Date.now() + 60_000).toUTCString();
    const busy = serve(() => new Response(null, { status: 503, headers: { "retry-after": date } }));
    const { retryAfterMs } = await failureOf(webhook(busy.url));
    expect(retryAfterMs).toBeGreaterThan(50_000);
    expect(retryAfterMs).toBeLessThan(61_000);
  });

  test("that redirects is not followed, whether elsewhere or to itself", async () => {
    const elsewhere = serve(() => new Response(null, { status: 200 }));
    for (const [status, location] of [
      [307, `${elsewhere.url}/stolen`],
      [301, "/moved"],
    ] as const) {
      const server = serve(() => new Response(null, { status, headers: { location } }));
      const failure = await failureOf(webhook(server.url));
      expect(failure).toMatchObject({ kind: "misconfigured", isPermanent: false });
      expect(failure.detail).toContain("a redirect to 127.0.0.1");
      expect(server.heard).toHaveLength(1);
    }
    expect(elsewhere.heard).toHaveLength(0);
  });

  test("that never answers is given up after its time", async () => {
    const port = await raw(() => undefined);
    const began = performance.now();
    const failure = await failureOf(webhook(`http://127.0.0.1:${port}`, "&timeout=300ms"));
    expect(failure).toMatchObject({ kind: "unreachable", isPermanent: false });
    expect(failure.detail).toContain("does not answer in time");
    expect(performance.now() - began).toBeLessThan(5_000);
  });

  test("that drips its answer is given up after its time too", async () => {
    const port = await raw((socket) => {
      socket.write("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n");
      const drip = setInterval(() => socket.write("x"), 50);
      socket.on("close", () => clearInterval(drip));
    });
    const failure = await failureOf(webhook(`http://127.0.0.1:${port}`, "&timeout=400ms"));
    expect(failure.detail).toContain("does not answer in time");
  });

  test("that hangs up, talks nonsense or is not there is tried again later", async () => {
    const hangs = await raw((socket) => socket.destroy());
    const nonsense = await raw((socket) => socket.end("SSH-2.0-OpenSSH_9.2\r\n"));
    const nobody = await raw(() => undefined);
    await stops.pop()?.();
    for (const port of [hangs, nonsense, nobody]) {
      const failure = await failureOf(webhook(`http://127.0.0.1:${port}`, "&timeout=2s"));
      expect(failure).toMatchObject({ kind: "unreachable", isPermanent: false });
    }
  });

  test("whose name does not exist is tried again later", async () => {
    const adapter = opened("webhook+https://nobody.invalid/x?unsigned=yes&timeout=5s");
    expect(await failureOf(adapter)).toMatchObject({ kind: "unreachable", isPermanent: false });
  });

  test("that answers with a flood is read no further than a bound", async () => {
    const chunk = new Uint8Array(64 * 1024);
    let sent = 0;
    const server = serve(() => {
      const body = new ReadableStream({
        pull: (controller) => {
          sent += chunk.length;
          if (sent > 64 * 1024 * 1024) controller.close();
          else controller.enqueue(chunk);
        },
      });
      return new Response(body, { status: 200 });
    });
    expect((await webhook(server.url).deliver(change())).ok).toBe(true);
    expect(sent).toBeLessThan(32 * 1024 * 1024);
  });

  test("that repeats what it was sent does not bring a secret into the log", async () => {
    const server = serve(({ headers }) =>
      Response.json({ message: `bad ${headers.get("authorization")}` }, { status: 422 }),
    );
    const key = folder().write("key", "very-secret-key");
    const adapter = opened(`opsgenie:?key-file=${key}&url=${server.url}`);
    const told = await adapter.deliver(change());
    expect(told).toMatchObject({ ok: false, error: { kind: "refused", isPermanent: true } });
    expect(JSON.stringify(told)).toContain("bad GenieKey [secret]");
  });
});

describe("a proxy", () => {
  test("is gone through, with its password from a file", async () => {
    const asked: { url: string; authorization: string | null }[] = [];
    const proxy = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: (request) => {
        const authorization = request.headers.get("proxy-authorization");
        asked.push({ url: request.url, authorization });
        return new Response(null, { status: authorization === null ? 407 : 200 });
      },
    });
    stops.push(() => proxy.stop(true));
    const password = folder().write("password", "pr0xy-word");
    const at = `proxy=http://bob@127.0.0.1:${proxy.port}`;
    const target = "webhook+http://support.example.com/hook?unsigned=yes&allow-http=yes";
    const adapter = opened(`${target}&${at}&proxy-password-file=${password}`);
    expect((await adapter.deliver(change())).ok).toBe(true);
    expect(asked[0]).toEqual({
      url: "http://support.example.com/hook",
      authorization: `Basic ${btoa("bob:pr0xy-word")}`,
    });
    // The one of the destination holds where the adapter's URL names none.
    const refused = await opened(target, `http://127.0.0.1:${proxy.port}`).deliver(change());
    expect(refused).toMatchObject({ ok: false, error: { kind: "misconfigured" } });
    expect(asked).toHaveLength(2);
  });

  test("that is not there is said to be in the way", async () => {
    const port = await raw(() => undefined);
    await stops.pop()?.();
    const adapter = opened(
      `webhook+https://support.example.com/hook?unsigned=yes&proxy=http://127.0.0.1:${port}`,
    );
    const failure = await failureOf(adapter);
    expect(failure.detail).toContain("through the proxy");
  });
});

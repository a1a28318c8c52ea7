/**
 * Goal: certificates change under requests that run, and nobody notices.
 * Method: a real authority, real sockets; new connections without pause while the certificates change again and again.
 */
import { afterEach, describe, expect, test } from "bun:test";
import { testIdentities } from "../../identity/harness/test-authority.ts";
import type { Identity } from "../../identity/identity.ts";
import { type Listener, openListener, preferNewest } from "./listener.ts";
import { dialTls, secureFetch } from "./secure.ts";

const opened: Listener[] = [];
/** Servers that the listeners of this test have made. */
let servers = 0;
afterEach(async () => {
  servers = 0;
  await Promise.all(opened.splice(0).map((listener) => listener.stop()));
});

function listen(identity: Identity | null, port = 0): ReturnType<typeof openListener> {
  const listener = openListener({
    at: { hostname: "127.0.0.1", port },
    identity,
    serve: (options) => {
      servers++;
      return Bun.serve({
        ...options,
        fetch: (request, server) => {
          if (server.upgrade(request)) return undefined;
          return new Response("here");
        },
        websocket: { message: (socket, message) => void socket.send(message) },
      });
    },
    onComplaint: (detail) => {
      throw new Error(detail);
    },
  });
  if (listener.ok) opened.push(listener.value);
  return listener;
}

function portOf(listener: ReturnType<typeof openListener>): number {
  if (!listener.ok) throw new Error(listener.error.detail);
  return listener.value.port;
}

async function condition(holds: () => boolean, what: string): Promise<void> {
  const untilMs = performance.now() + 10_000;
  while (!holds()) {
    if (performance.now() > untilMs) throw new Error(`not in time: ${what}`);
    await Bun.sleep(10);
  }
}

describe("a listener", () => {
  test("takes new certificates while connections come without pause, and none is refused or cut", async () => {
    const ids = await testIdentities("c1");
    const server = await ids.of("agent", "n1");
    const client = await ids.of("agent", "n2");
    const port = portOf(listen(server));
    expect(preferNewest(port)).toBe(true);
    const url = `https://127.0.0.1:${port}/`;
    const ask = secureFetch(client, "agent");
    const failures: string[] = [];
    let count = 0;
    let isOver = false;
    const hammer = async (): Promise<void> => {
      while (!isOver) {
        await ask(url, { keepalive: false }).then(
          async (response) => {
            await response.text();
            count++;
          },
          (cause: { code?: string }) => failures.push(String(cause.code ?? cause)),
        );
      }
    };
    const hammers = [hammer(), hammer(), hammer()];
    for (let round = 1; round <= 8; round++) {
      const before = count;
      // A revocation of somebody else changes the list that TLS is given: two in a row, the second while the first is taken.
      for (const name of [`gone-${round}`, `late-${round}`]) {
        await ids.of("agent", name);
        await ids.revoke("agent", name);
      }
      await condition(() => count > before + 20, "20 more answers");
      await condition(() => servers > round, "a server with the new list");
    }
    isOver = true;
    await Promise.all(hammers);
    expect(failures).toEqual([]);
  }, 60_000);

  test("cuts no WebSocket by new certificates, and refuses who was revoked from then on", async () => {
    const ids = await testIdentities("c1");
    const server = await ids.of("agent", "n1");
    const client = await ids.of("agent", "n2");
    const other = await ids.of("agent", "n3");
    const port = portOf(listen(server));
    const heard: string[] = [];
    const options = { tls: dialTls(other, "agent") };
    const socket = new WebSocket(`wss://127.0.0.1:${port}/`, options as unknown as string[]);
    socket.onmessage = (event) => void heard.push(String(event.data));
    socket.onclose = (event) => void heard.push(`closed ${event.code}`);
    await condition(() => socket.readyState === WebSocket.OPEN, "open");
    const url = `https://127.0.0.1:${port}/`;
    const ask = secureFetch(client, "agent");
    expect(await (await ask(url)).text()).toBe("here");
    await ids.revoke("agent", "n2");
    const answer = ask(url, { keepalive: false });
    expect(await answer.then(String, () => "refused")).toBe("refused");
    expect(await (await secureFetch(other, "agent")(url)).text()).toBe("here");
    // Longer than the old listener lives.
    await Bun.sleep(700);
    socket.send("still");
    await condition(() => heard.length > 0, "an answer");
    expect(heard).toEqual(["still"]);
  }, 20_000);

  test("takes a change that comes while another is taken, right after it", async () => {
    const ids = await testIdentities("c1");
    const server = await ids.of("agent", "n1");
    const names = ["n2", "n3", "n4"];
    const clients = await Promise.all(names.map((name) => ids.of("agent", name)));
    const url = `https://127.0.0.1:${portOf(listen(server))}/`;
    for (const name of names) await ids.revoke("agent", name);
    for (const client of clients) {
      const ask = secureFetch(client, "agent");
      const isRefused = (): Promise<boolean> =>
        ask(url, { keepalive: false }).then(
          () => false,
          () => true,
        );
      const untilMs = performance.now() + 10_000;
      while (!(await isRefused())) {
        if (performance.now() > untilMs) throw new Error("a revoked one is still taken");
        await Bun.sleep(20);
      }
    }
    const other = await ids.of("agent", "n5");
    expect(await (await secureFetch(other, "agent")(url)).text()).toBe("here");
  }, 20_000);

  test("on a port that is in use says so, although ports may be shared", async () => {
    const ids = await testIdentities("c1");
    const server = await ids.of("agent", "n1");
    const port = portOf(listen(server));
    const second = listen(server, port);
    expect(second.ok ? "open" : second.error.kind).toBe("in-use");
    const clear = listen(null, port);
    expect(clear.ok ? "open" : clear.error.kind).toBe("in-use");
  });
});

/**
 * Goal: whoever cannot even be connected to is given up soon, and nobody else is, however long an answer takes.
 * Method: real sockets; a process that is stopped, with its queue of connections full, drops packets as a pulled cable does.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  CONNECT_LIMIT_CODE,
  type ConnectLimits,
  isReached,
  withConnectLimit,
} from "./connect-limit.ts";

setDefaultTimeout(30_000);

const HOST = "127.0.0.1";
const LIMITS: ConnectLimits = { watchAfterMs: 50, connectMs: 400 };
const LISTEN = `const server = require("node:net").createServer();
server.listen({ port: 0, host: "${HOST}", backlog: 1 }, () => console.log(server.address().port));`;

let child: Bun.Subprocess<"ignore", "pipe", "inherit">;
let droppingPort = 0;
const held: Promise<Bun.Socket | null>[] = [];

beforeAll(async () => {
  child = Bun.spawn({
    cmd: [process.execPath, "-e", LISTEN],
    stdio: ["ignore", "pipe", "inherit"],
  });
  const { value } = await child.stdout.getReader().read();
  droppingPort = Number(new TextDecoder().decode(value));
  child.kill("SIGSTOP");
  // Until its queue is full: then packets that open connections are dropped.
  const url = new URL(`http://${HOST}:${droppingPort}`);
  for (let count = 0; await isReached(url, 300); count++) {
    if (count > 5_000) throw new Error("the queue of connections has no end");
    const socket = { data: () => undefined };
    // Not waited for: it may be the one that is dropped.
    held.push(Bun.connect({ hostname: HOST, port: droppingPort, socket }).catch(() => null));
  }
});

afterAll(async () => {
  child.kill("SIGKILL");
  await child.exited;
  for (const socket of await Promise.all(held)) socket?.terminate();
});

function get(port: number, timeoutMs = 20_000): Promise<string> {
  const url = `http://${HOST}:${port}/`;
  const ask = (signal: AbortSignal): Promise<Response> => fetch(url, { signal });
  return withConnectLimit(url, AbortSignal.timeout(timeoutMs), ask, LIMITS).then(
    (response) => response.text(),
    (cause: { code?: unknown; name: string; message: string }) => {
      if (cause.code === CONNECT_LIMIT_CODE) return cause.message;
      return typeof cause.code === "string" ? cause.code : cause.name;
    },
  );
}

function serve(answer: () => Response | Promise<Response>): Bun.Server<undefined> {
  return Bun.serve({ hostname: HOST, port: 0, fetch: answer });
}

describe("a request", () => {
  test("to a host that drops packets is given up when the limit for connecting is over", async () => {
    const begunMs = performance.now();
    expect(await get(droppingPort)).toBe(
      `${HOST}:${droppingPort} takes no connection within 400 ms`,
    );
    expect(performance.now() - begunMs).toBeLessThan(5_000);
  });

  test("to one that thinks longer than that is answered, and so is one whose body comes late", async () => {
    const slow = serve(() => Bun.sleep(1_200).then(() => new Response("thought")));
    expect(await get(slow.port ?? 0)).toBe("thought");
    await slow.stop(true);
    const late = serve(
      () =>
        new Response(
          new ReadableStream({
            start: async (controller) => {
              controller.enqueue(new TextEncoder().encode("first "));
              await Bun.sleep(1_200);
              controller.enqueue(new TextEncoder().encode("last"));
              controller.close();
            },
          }),
        ),
    );
    expect(await get(late.port ?? 0)).toBe("first last");
    await late.stop(true);
  });

  test("ends by its own limit, or by a refusal, as without", async () => {
    const mute = serve(() => new Promise<Response>(() => undefined));
    expect(await get(mute.port ?? 0, 700)).toBe("TimeoutError");
    const { port = 0 } = mute;
    await mute.stop(true);
    expect(await get(port)).toMatch(/^(ConnectionRefused|ECONNREFUSED)$/);
  });

  test("that is answered at once makes one connection", async () => {
    let count = 0;
    const listener = Bun.listen({
      ...{ hostname: HOST, port: 0 },
      socket: {
        open: () => void count++,
        data: (socket) => void socket.end("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"),
      },
    });
    expect(await get(listener.port)).toBe("ok");
    await Bun.sleep(2 * LIMITS.watchAfterMs);
    expect(count).toBe(1);
    listener.stop(true);
  });
});

/**
 * Goal: two agents keep exactly one link whoever dials, hear of its loss and of a refusal, and queue what is sent before it.
 * Method: real servers on loopback; both sides dial at once, one side is stopped, started anew, or was never there.
 */
import { afterEach, describe, expect, test } from "bun:test";
import { Hono } from "hono";
import { ok } from "../../../core/result.ts";
import type { Identity } from "../../identity/identity.ts";
import { LINK_PROTOCOL, linkCodec } from "../frames.ts";
import type { Listener } from "./listener.ts";
import { PeerLinks } from "./peer-links.ts";
import { startServer } from "./server.ts";

const ADDRESS = "127.0.83.1";

interface End {
  readonly links: PeerLinks<unknown>;
  readonly server: Listener;
  readonly events: string[];
  readonly at: { readonly address: string; readonly port: number };
}

const ends: End[] = [];

interface StartOptions {
  readonly incarnation?: number;
  readonly port?: number;
  readonly identity?: Identity | null;
}

function start(node: string, options: StartOptions = {}): End {
  const { incarnation = 1, port = 0, identity = null } = options;
  const events: string[] = [];
  const links = new PeerLinks<unknown>({
    identity,
    hello: () => ({ protocol: LINK_PROTOCOL, node, instance: `i-${node}`, incarnation }),
    codec: linkCodec((value) => ok(value)),
    compareIds: (a, b) => (a < b ? -1 : 1),
    handler: {
      onOpen: (peer) => events.push(`open ${peer}`),
      onMessage: (peer, message) => events.push(`${peer} says ${JSON.stringify(message)}`),
      onClose: (peer, _detail, isRefused) =>
        events.push(isRefused === true ? `refused ${peer}` : `close ${peer}`),
      onComplaint: (detail) => events.push(`complaint ${detail}`),
    },
  });
  const server = startServer({
    address: ADDRESS,
    port,
    identity,
    access: [],
    isLinked: true,
    routes: new Hono(),
    accept: (connection, from) => links.accept(connection, from),
    onDefect: (detail) => events.push(`defect ${detail}`),
  });
  if (!server.ok) throw new Error(server.error.detail);
  const end = {
    links,
    server: server.value,
    events,
    at: { address: ADDRESS, port: server.value.port },
  };
  ends.push(end);
  return end;
}

async function stop(end: End): Promise<void> {
  end.links.closeAll();
  await end.server.stop();
}

afterEach(async () => {
  for (const end of ends.splice(0)) await stop(end);
});

async function until(what: string, isTrue: () => boolean): Promise<void> {
  const giveUpMs = performance.now() + 5_000;
  while (!isTrue()) {
    if (performance.now() > giveUpMs) throw new Error(`not within 5 s: ${what}`);
    await Bun.sleep(2);
  }
}

const count = (events: readonly string[], event: string): number =>
  events.filter((one) => one === event).length;

describe("two agents", () => {
  test("that dial each other at once open one link and lose nothing", async () => {
    for (let round = 0; round < 10; round++) {
      const a = start("a");
      const b = start("b");
      a.links.keep(new Map([["b", b.at]]));
      b.links.keep(new Map([["a", a.at]]));
      for (let i = 0; i < 50; i++) {
        a.links.send("b", b.at, i);
        b.links.send("a", a.at, i);
        if (i % 10 === 0) await Bun.sleep(0);
      }
      await until("all is heard", () => [a, b].every(({ events }) => events.length >= 51));
      for (const [end, peer] of [
        [a, "b"],
        [b, "a"],
      ] as const) {
        expect(count(end.events, `open ${peer}`)).toBe(1);
        expect(count(end.events, `close ${peer}`)).toBe(0);
        const said = end.events.filter((event) => event.startsWith(`${peer} says `));
        expect(new Set(said).size).toBe(50);
        expect(said.length).toBe(50);
      }
      await stop(a);
      await stop(b);
    }
  }, 20_000);

  test("hear at once when the other ends, then that nobody listens there", async () => {
    const a = start("a");
    const b = start("b");
    a.links.keep(new Map([["b", b.at]]));
    await until("a link", () => a.events.includes("open b"));
    const endedMs = performance.now();
    await stop(b);
    await until("refused", () => a.events.includes("refused b"));
    expect(performance.now() - endedMs).toBeLessThan(1_000);
    expect(a.events.indexOf("close b")).toBeLessThan(a.events.indexOf("refused b"));
  });

  test("link again when one was started anew, and the old run is refused", async () => {
    const a = start("a");
    const b = start("b", { incarnation: 2 });
    a.links.keep(new Map([["b", b.at]]));
    await until("a link", () => a.events.includes("open b"));
    await stop(b);
    await until("a refusal", () => a.events.includes("refused b"));
    start("b", { incarnation: 3, port: b.at.port });
    await until("another link", () => count(a.events, "open b") === 2);
    const stale = start("b", { incarnation: 1 });
    stale.links.send("a", a.at, "from the past");
    await until("it is refused", () => stale.events.some((event) => event.startsWith("close a")));
    expect(a.events).not.toContain('b says "from the past"');
    expect(a.links.isOpen("b")).toBe(true);
  });

  test("of the same id do not link", async () => {
    const a = start("a");
    const twin = start("a");
    twin.links.open("b", a.at);
    await until("a complaint", () => a.events.some((event) => event.startsWith("complaint")));
    expect(a.events.join()).toContain("two nodes must not share an id");
  });
});

describe("a link", () => {
  test("to nobody drops what waited for it, and says refused", async () => {
    const a = start("a");
    const gone = start("b");
    await stop(gone);
    expect(a.links.send("b", gone.at, "hello")).toBe(true);
    await until("refused", () => a.events.includes("refused b"));
    expect(a.links.isOpen("b")).toBe(false);
  });

  test("carries a message of some megabytes, and refuses one over the bound", async () => {
    const a = start("a");
    const b = start("b");
    const large = "x".repeat(6 * 1024 * 1024);
    a.links.send("b", b.at, large);
    await until("it is there", () => b.events.some((event) => event.length > large.length));
    expect(a.links.send("b", b.at, "x".repeat(9 * 1024 * 1024))).toBe(false);
    a.links.send("b", b.at, "and on");
    await until("the link lives", () => b.events.includes('a says "and on"'));
  });
});

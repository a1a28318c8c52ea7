/**
 * Goal: with identities a link is made only between agents of one cluster that each prove the name they say.
 * Method: real servers on loopback with certificates of a real authority; one side lies, is of elsewhere, or is put out.
 */
import { afterEach, describe, expect, test } from "bun:test";
import { Hono } from "hono";
import { ok } from "../../../core/result.ts";
import { type TestIdentities, testIdentities } from "../../identity/harness/test-authority.ts";
import type { Identity } from "../../identity/identity.ts";
import { encodeHello, LINK_PROTOCOL, linkCodec } from "../frames.ts";
import { dial } from "./connection.ts";
import type { Listener } from "./listener.ts";
import { PEER_PATH, PeerLinks } from "./peer-links.ts";
import { bearer, dialTls } from "./secure.ts";
import { startServer } from "./server.ts";

const ADDRESS = "127.0.83.2";

interface End {
  readonly links: PeerLinks<unknown>;
  readonly server: Listener;
  readonly events: string[];
  readonly at: { readonly address: string; readonly port: number };
}

const ends: End[] = [];

function start(node: string, identity: Identity | null): End {
  const events: string[] = [];
  const links = new PeerLinks<unknown>({
    identity,
    hello: () => ({ protocol: LINK_PROTOCOL, node, instance: `i-${node}`, incarnation: 1 }),
    codec: linkCodec((value) => ok(value)),
    compareIds: (a, b) => (a < b ? -1 : 1),
    handler: {
      onOpen: (peer) => void events.push(`open ${peer}`),
      onMessage: (peer, message) => void events.push(`${peer} says ${JSON.stringify(message)}`),
      onClose: (peer, detail) => void events.push(`close ${peer}: ${detail}`),
      onComplaint: (detail) => void events.push(`complaint ${detail}`),
    },
  });
  const server = startServer({
    ...{ address: ADDRESS, port: 0, identity, access: [], routes: new Hono(), isLinked: true },
    accept: (connection, from) => links.accept(connection, from),
    onDefect: (detail) => void events.push(`defect ${detail}`),
  });
  if (!server.ok) throw new Error(server.error.detail);
  const at = { address: ADDRESS, port: server.value.port };
  const end = { links, server: server.value, events, at };
  ends.push(end);
  return end;
}

afterEach(async () => {
  for (const { links, server } of ends.splice(0)) {
    links.closeAll();
    await server.stop();
  }
});

async function until(what: string, isTrue: () => boolean): Promise<void> {
  const giveUpMs = performance.now() + 5_000;
  while (!isTrue()) {
    if (performance.now() > giveUpMs) throw new Error(`not within 5 s: ${what}`);
    await Bun.sleep(2);
  }
}

function has(end: End, part: string): boolean {
  return end.events.some((event) => event.includes(part));
}

/** Dials as that agent and says that hello; what it is cut off with. */
function say(
  to: End,
  identity: Identity,
  hello: { readonly node: string; readonly proof?: string },
): Promise<string> {
  const tls = dialTls(identity, "agent");
  if (tls === undefined) throw new Error("an identity with certificates");
  return new Promise((resolve) => {
    const credentials = { tls, authorization: bearer(identity, "agent") };
    const connection = dial(`wss://${ADDRESS}:${to.at.port}${PEER_PATH}`, credentials, {
      onOpen: () => {
        const run = { protocol: LINK_PROTOCOL, instance: "i-liar", incarnation: 9 };
        connection.send(encodeHello({ ...run, ...hello }));
      },
      onFrame: () => undefined,
      onClose: (code, reason) => resolve(`${code} ${reason}`),
    });
  });
}

async function pair(ids: TestIdentities): Promise<readonly [End, End]> {
  const a = start("a", await ids.of("agent", "a"));
  const b = start("b", await ids.of("agent", "b"));
  a.links.send("b", b.at, "over TLS");
  await until("a message", () => has(b, 'a says "over TLS"'));
  return [a, b];
}

describe("two agents with identities", () => {
  test("link by TLS, and know each other by name", async () => {
    const [a, b] = await pair(await testIdentities("c1"));
    await until("both open", () => has(a, "open b") && has(b, "open a"));
    b.links.send("a", a.at, { back: true });
    await until("an answer", () => has(a, 'b says {"back":true}'));
    expect([...a.events, ...b.events].filter((event) => event.startsWith("complaint"))).toEqual([]);
  });

  test("do not link when one is of another cluster, or in the clear", async () => {
    const a = start("a", await (await testIdentities("c1")).of("agent", "a"));
    const b = start("b", await (await testIdentities("c2")).of("agent", "b"));
    const clear = start("d", null);
    a.links.open("b", b.at);
    b.links.open("a", a.at);
    clear.links.open("a", a.at);
    a.links.open("d", clear.at);
    await until("refusals", () => [a, b, clear].every((end) => has(end, "cannot be linked")));
    await until("both of a's", () => has(a, "close b") && has(a, "close d"));
    expect([a, b, clear].some((end) => has(end, "open "))).toBe(false);
  });

  test("end their link when one of them is revoked, and do not make another", async () => {
    const ids = await testIdentities("c1");
    const [a, b] = await pair(ids);
    await ids.revoke("agent", "b");
    await until("b is put out", () => has(a, "complaint b is put out"));
    expect(a.links.isOpen("b")).toBe(false);
    await until("b knows", () => has(b, "close a"));
    b.links.open("a", a.at);
    await until("b is refused", () => has(b, "close a: cannot be linked"));
    expect(a.links.isOpen("b")).toBe(false);
  });

  test("keep their link while certificates of others are revoked", async () => {
    const ids = await testIdentities("c1");
    const [a, b] = await pair(ids);
    await ids.of("agent", "z");
    await ids.revoke("agent", "z");
    a.links.send("b", b.at, "still here");
    await until("a message", () => has(b, 'a says "still here"'));
    expect(has(a, "close b")).toBe(false);
  });
});

describe("an agent with an identity", () => {
  test("cuts off who names a node that it is not, with one line", async () => {
    const ids = await testIdentities("c1");
    const a = start("a", await ids.of("agent", "a"));
    const liar = await ids.of("agent", "liar");
    expect(await say(a, liar, { node: "b" })).toBe("4000 it says it is b and proves nothing");
    const own = bearer(liar, "agent").replace("Bearer ", "");
    expect(await say(a, liar, { node: "b", proof: own })).toBe(
      "4000 it says it is b and proves to be agent liar",
    );
    expect(await say(a, liar, { node: "b", proof: "x".repeat(100) })).toContain(
      "4000 it says it is b:",
    );
    expect(a.events.filter((event) => event.startsWith("complaint"))).toHaveLength(3);
    expect(has(a, "open")).toBe(false);
  });

  test("cannot be deceived by what somebody else has said to a third", async () => {
    const ids = await testIdentities("c1");
    const a = start("a", await ids.of("agent", "a"));
    const b = await ids.of("agent", "b");
    const liar = await ids.of("agent", "liar");
    const { makeToken } = await import("./bearer.ts");
    const saidToLiar = makeToken(b, "spiffe://c1/agent/liar", Date.now());
    expect(await say(a, liar, { node: "b", proof: saidToLiar })).toContain(
      "the token is for spiffe://c1/agent/liar, this is spiffe://c1/agent/a",
    );
  });

  test("upgrades nobody but agents", async () => {
    const ids = await testIdentities("c1");
    const a = start("a", await ids.of("agent", "a"));
    const operator = await ids.of("operator", "eve");
    expect(await say(a, operator, { node: "b" })).toContain("403");
    const url = `https://${ADDRESS}:${a.at.port}${PEER_PATH}`;
    const init = (authorization: string) =>
      ({ headers: { authorization }, tls: dialTls(operator, "agent") }) as RequestInit;
    const refused = await fetch(url, init(bearer(operator, "agent")));
    expect([refused.status, ((await refused.json()) as { detail: string }).detail]).toEqual([
      403,
      "operator eve may not ask this; it is for agent",
    ]);
    const nobody = await fetch(url, init(""));
    expect(nobody.status).toBe(401);
  });
});

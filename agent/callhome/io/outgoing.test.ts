/**
 * Goal: an event that is in the book gets one ticket, whatever manager and destination do, and nothing that was kept is lost.
 * Method: one node's sending side against a manager and a destination over real HTTP that answer as the test says.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { openLocalIdentity } from "../../identity/io/open-identity.ts";
import {
  eventOf,
  FakeDestination,
  FakeManager,
  FakePeer,
  type Instead,
  TestFolder,
  TestNode,
  until,
} from "./test-away.ts";

let folder: TestFolder;
let destination: FakeDestination;
let manager: FakeManager;
let node: TestNode;

beforeEach(() => {
  folder = new TestFolder();
  const identity = openLocalIdentity(join(folder.path, "d"), "destination", "d");
  destination = new FakeDestination(identity);
  manager = new FakeManager(destination);
  node = new TestNode(join(folder.path, "n1"));
});
afterEach(async () => {
  await node.stop();
  await manager.stop();
  await destination.stop();
  folder.remove();
});

const waits = (): number => node.outgoing?.report().waiting ?? -1;

async function start(more: { readonly destination?: string | null } = {}): Promise<void> {
  await node.start({ managers: [manager.url], destination: destination.url, ...more });
  await until("the manager lives", () => manager.beats === false || isUp());
}

function isUp(): boolean {
  return node.outgoing?.report().paths.find(({ kind }) => kind === "manager")?.state === "works";
}

/** From the event until its ticket is known here, in milliseconds. */
async function deliver(key: string): Promise<number> {
  const startMs = performance.now();
  const id = await node.take(eventOf(key));
  await until(`a ticket for ${key}`, () => destination.tickets.has(id));
  const tookMs = performance.now() - startMs;
  await until(`${key} is closed`, () => waits() === 0);
  return tookMs;
}

describe("an event", () => {
  test("goes by the manager, once, and is closed by its receipt", async () => {
    await start();
    await deliver("a");
    expect([...destination.sent.values()]).toEqual([1]);
    expect(manager.kept.size).toBe(1);
    expect(destination.parcels[0]?.trail.map(({ kind }) => kind)).toEqual(["origin"]);
    expect(node.said.join("\n")).toContain("is delivered by manager");
  });

  test("of less than the least severity stays, and the end of a fault goes", async () => {
    await start();
    await node.take(eventOf("small", "information"));
    const strange = { ...eventOf("strange", "ok"), subject: "never told", isAssertion: false };
    await node.take(strange);
    await deliver("big");
    const over = await node.take({ ...eventOf("over", "ok"), isAssertion: false });
    await until("its end is told", () => destination.tickets.has(over));
    expect(destination.tickets.size).toBe(2);
  });

  test("goes straight to the destination where the manager is known dead", async () => {
    await start();
    await manager.stop();
    await until("the manager is known dead", () => !isUp());
    const tookMs = await deliver("a");
    expect(tookMs).toBeLessThan(1_500);
    expect([...destination.sent.values()]).toEqual([1]);
  });

  test("gets one ticket where R1, or R2, does not come", async () => {
    // Accepts and says nothing; keeps and does not relay: 3 s and 10 s, side by side.
    const other = new FakeManager(destination);
    const second = new TestNode(join(folder.path, "n2"));
    manager.instead = () => new Promise(() => undefined);
    other.relays = false;
    await start();
    await second.start({ managers: [other.url], destination: destination.url });
    await until("lives", () => second.outgoing?.report().paths[0]?.state === "works");
    const r1 = deliver("r1");
    const startMs = performance.now();
    const id = await second.take(eventOf("r2"));
    await until("a ticket", () => destination.tickets.has(id));
    const r2Ms = performance.now() - startMs;
    const r1Ms = await r1;
    await second.stop();
    await other.stop();
    expect(r1Ms).toBeGreaterThan(2_500);
    expect(r1Ms).toBeLessThan(4_500);
    expect(r2Ms).toBeGreaterThan(9_000);
    expect(r2Ms).toBeLessThan(11_000);
    expect([...destination.sent.values()]).toEqual([1, 1]);
  }, 30_000);
});

/** Beats as it should, and breaks off each answer to a POST. */
async function cuttingManager(): Promise<{
  readonly url: string;
  readonly cuts: () => number;
  readonly stop: () => void;
}> {
  let cuts = 0;
  const beat = JSON.stringify({ kind: "beat", epoch: "m", seq: 0, canRelay: true });
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.once("data", (chunk) => {
      if (chunk.toString().startsWith("GET")) {
        socket.write("HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\n\r\n");
        socket.write(`${beat}\n`);
        const timer = setInterval(() => socket.write(`${beat}\n`), 200);
        socket.on("close", () => clearInterval(timer));
        return;
      }
      cuts++;
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 4000\r\n\r\n{"name":"m","epo');
      socket.end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, cuts: () => cuts, stop: () => server.close() };
}

/** What a manager may do wrong; each time the event is to reach the destination around it. */
const WRONG: readonly (readonly [string, Instead])[] = [
  ["answers 500", () => new Response("oops", { status: 500 })],
  ["answers what is no JSON", () => new Response("{", { status: 200 })],
  ["answers what is not of the protocol", () => Response.json({ results: "none" })],
  ["says nothing of the event", () => Response.json({ name: "m", epoch: "m1", results: [] })],
  [
    "refuses it",
    (parcels) =>
      Response.json({
        ...{ name: "m", epoch: "m1" },
        results: parcels.map(({ id }) => {
          return { id, kind: "refused", reason: "not for me", isPermanent: true };
        }),
      }),
  ],
  [
    "answers of another event",
    () =>
      Response.json({
        ...{ name: "m", epoch: "m1" },
        results: [{ id: "f".repeat(64), kind: "kept" }],
      }),
  ],
];

describe("a manager that", () => {
  for (const [what, instead] of WRONG) {
    test(`${what} is gone around at once`, async () => {
      manager.instead = instead;
      await start();
      const tookMs = await deliver("a");
      expect(tookMs).toBeLessThan(2_500);
      expect([...destination.sent.values()]).toEqual([1]);
    });
  }

  test("closes in the middle of its answer is gone around at once", async () => {
    const cutting = await cuttingManager();
    await node.start({ managers: [cutting.url], destination: destination.url });
    await until("it lives", () => node.outgoing?.report().paths[0]?.state === "works");
    const tookMs = await deliver("a");
    expect(tookMs).toBeLessThan(2_500);
    expect(cutting.cuts()).toBe(1);
    cutting.stop();
  });

  test("comes back is told what went around it", async () => {
    await start();
    const { port } = manager;
    await manager.stop();
    await until("the manager is known dead", () => !isUp());
    await deliver("a");
    manager = new FakeManager(destination, port);
    await until("the manager lives again", () => isUp());
    await until("it is told", () => manager.around.length === 1);
    expect(manager.around[0]?.around?.path).toBe("direct");
    expect([...destination.sent.values()]).toEqual([1]);
  });
});

describe("a destination that", () => {
  test("answers 503 at first is asked again, and not too soon", async () => {
    let asked = 0;
    destination.instead = () => {
      asked++;
      if (asked > 2) return null;
      return new Response("", { status: 503, headers: { "retry-after": "1" } });
    };
    await node.start({ destination: destination.url });
    const tookMs = await deliver("a");
    expect(asked).toBe(3);
    expect(tookMs).toBeGreaterThan(1_500);
  });

  test("is slow gets the event once", async () => {
    destination.instead = async () => {
      await Bun.sleep(1_500);
      return null;
    };
    await node.start({ destination: destination.url });
    await deliver("a");
    expect([...destination.sent.values()]).toEqual([1]);
  });

  test("took it and closed before it answered is asked again, and answers with the first receipt", async () => {
    let asked = 0;
    destination.instead = (parcels) => {
      asked++;
      if (asked > 1) return null;
      destination.take(parcels);
      return new Response("not ours", { status: 502 });
    };
    await node.start({ destination: destination.url });
    await deliver("a");
    expect(destination.tickets.size).toBe(1);
    expect([...destination.sent.values()].every((count) => count <= 2)).toBe(true);
  });

  test("refuses for good ends it, and retry sends it again", async () => {
    destination.instead = (parcels) =>
      Response.json({
        ...{ name: "d", epoch: "1" },
        results: parcels.map(({ id }) => {
          return { id, kind: "refused", reason: "of no contract", isPermanent: true };
        }),
      });
    await node.start({ destination: destination.url });
    const id = await node.take(eventOf("a"));
    await until("it is refused", () => node.said.some((line) => line.includes("refused for good")));
    const shown = await node.outgoing?.routes.request(`/v1/callhome/events/${id.slice(0, 12)}`);
    expect(await shown?.json()).toMatchObject({ id, state: "refused" });
    destination.instead = () => null;
    const again = await node.outgoing?.routes.request(`/v1/callhome/events/${id}/retry`, {
      method: "POST",
    });
    expect(again?.status).toBe(200);
    await until("a ticket", () => destination.tickets.has(id));
  });
});

describe("a node without a way of its own", () => {
  test("gives its events to a peer that has one", async () => {
    const peer = new FakePeer("n2", destination.url, node.identity);
    node.cluster.members = [peer.member];
    await node.start({ destination: "http://127.0.0.1:1" });
    await deliver("a");
    expect(destination.parcels[0]?.trail.map(({ name }) => name)).toEqual(["n1", "n2"]);
    await peer.stop();
  });

  test("keeps them while there is none, and sends when one comes", async () => {
    const { port } = destination;
    await destination.stop();
    await node.start({ destination: `http://127.0.0.1:${port}` });
    const id = await node.take(eventOf("a"));
    await until("it was tried", () => node.outgoing?.report().paths[0]?.state === "broken");
    expect(waits()).toBe(1);
    const identity = openLocalIdentity(join(folder.path, "d"), "destination", "d");
    destination = new FakeDestination(identity, port);
    await until("a ticket", () => destination.tickets.has(id));
  });
});

describe("after a restart", () => {
  test("what was kept is asked about, then sent, and nothing twice", async () => {
    const { port } = destination;
    await destination.stop();
    await node.start({ destination: `http://127.0.0.1:${port}` });
    const ids = await Promise.all(["a", "b", "c"].map((key) => node.take(eventOf(key))));
    await until("they wait", () => waits() === 3);
    await node.stop();
    const identity = openLocalIdentity(join(folder.path, "d"), "destination", "d");
    destination = new FakeDestination(identity, port);
    node = new TestNode(join(folder.path, "n1"));
    await node.start({ destination: destination.url });
    await until("all have tickets", () => ids.every((id) => destination.tickets.has(id)));
    await until("all are closed", () => waits() === 0);
    expect(destination.digestCount).toBeGreaterThan(0);
    expect([...destination.sent.values()]).toEqual([1, 1, 1]);
  });

  test("what the book had but the outbox had not is taken", async () => {
    await node.start({ destination: destination.url });
    await deliver("a");
    await node.stop();
    // The agent was killed between the book's flush and the outbox's.
    node = new TestNode(join(folder.path, "n1"));
    const { openEventKeeper } = await import("./event-keeper.ts");
    const keeper = await openEventKeeper(join(folder.path, "n1"), { say: () => undefined });
    const taken = await keeper.take(eventOf("b"));
    await keeper.close();
    await node.start({ destination: destination.url });
    await until("it has a ticket", () => taken.ok && destination.tickets.has(taken.value.id));
    expect([...destination.sent.values()]).toEqual([1, 1]);
  });
});

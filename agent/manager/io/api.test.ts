/**
 * What people and scripts read of a manager: lists, live updates, the description, metrics, and the door for people.
 */
import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { statSync } from "node:fs";
import { join } from "node:path";
import { hasCommand, realPart } from "../../../test/real-part.ts";
import type { NodeReport } from "../../callhome/report.ts";
import type { EventRow, JobRow, LiveMessage, NodeRow, Page, Summary, TicketRow } from "../api.ts";
import * as schemas from "../api-schemas.ts";
import { parcelOf, testEvent } from "./harness/signed-events.ts";
import { type TestAgent, type TestManager, testManager, until } from "./harness/test-manager.ts";
import { testReport } from "./harness/test-report.ts";
import { makeLoginToken, readSecret } from "./page-access.ts";
import { peopleDoor } from "./people-door.ts";

setDefaultTimeout(30_000);

let world: TestManager;
let n1: TestAgent;

beforeEach(async () => {
  world = await testManager();
  n1 = await world.agent("n1");
  await world.start();
});

afterEach(async () => {
  await world.remove();
});

async function read<T>(path: string): Promise<T> {
  const response = await fetch(`${world.pageUrl}${path}`);
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  return (await response.json()) as T;
}

function report(over: Partial<NodeReport> = {}): Promise<Response> {
  const given = testReport({ node: "n1", ...over });
  return n1.postJson(`/v1/nodes/${given.node}`, given, "PUT");
}

async function deliver(count: number): Promise<readonly string[]> {
  const parcels = Array.from({ length: count }, () => parcelOf(n1.identity.signer));
  await n1.give(...parcels);
  const ids = parcels.map(({ id }) => id);
  await until(async () => {
    const page = await read<Page<EventRow>>("/v1/events?state=delivered&limit=500");
    return ids.every((id) => page.rows.some((row) => row.id === id));
  }, "delivered");
  return ids;
}

describe("the lists of a manager", () => {
  test("are what their schemas say, page after page", async () => {
    await report();
    await deliver(5);
    const page = await read<Page<EventRow>>("/v1/events?limit=2");
    expect(schemas.pageSchema(schemas.eventRowSchema).parse(page)).toEqual(page);
    expect(page.rows).toHaveLength(2);
    const next = await read<Page<EventRow>>(`/v1/events?limit=500&cursor=${page.next}`);
    expect(next.rows).toHaveLength(3);
    expect(next.next).toBeNull();
    const [event] = page.rows;
    const detail = await read<{ envelope: object; receipt: object }>(`/v1/events/${event?.id}`);
    expect(detail).toMatchObject({
      receipt: { id: event?.id },
      envelope: { payloadType: expect.any(String) },
    });
    const tickets = await read<Page<TicketRow>>("/v1/tickets?open=true");
    expect(schemas.pageSchema(schemas.ticketRowSchema).parse(tickets)).toEqual(tickets);
    expect(tickets.rows).toHaveLength(5);
    expect(await read(`/v1/tickets/${tickets.rows[0]?.id}`)).toMatchObject({
      row: { events: 1, isOpen: true },
      atDestination: null,
    });
    const steps = schemas.pageSchema(schemas.deliveryRowSchema).parse(await read("/v1/deliveries"));
    expect(steps.rows.map(({ kind }) => kind).slice(0, 3)).toEqual(["R2", "R1", "queued"]);
    const summary = schemas.summarySchema.parse(await read<Summary>("/v1/summary"));
    expect(summary.store).toEqual({ kind: "sqlite", isUp: true });
    expect(summary.destination).toMatchObject({ canRelay: true, name: "d1" });
  });

  test("show nodes, jobs with their versions, views and inventory as they were reported", async () => {
    const first = await (await report()).json();
    expect(first).toMatchObject({ name: "m1", wantsInventory: false });
    const nodes = await read<Page<NodeRow>>("/v1/nodes");
    expect(schemas.pageSchema(schemas.nodeRowSchema).parse(nodes)).toEqual(nodes);
    expect(nodes.rows[0]).toMatchObject({
      id: "n1",
      state: "alive",
      role: "worker",
      epoch: 7,
      members: ["n1", "n2"],
      bmcs: [{ product: "Server 9000", firmware: "1.2" }],
    });
    const jobs = schemas
      .pageSchema(schemas.jobRowSchema)
      .parse(await read<Page<JobRow>>("/v1/jobs"));
    expect(jobs.rows[0]).toMatchObject({
      id: "j1",
      versions: [
        { version: 9, nodes: ["n1"], ranks: 2 },
        { version: 8, nodes: ["n1"], ranks: 1 },
      ],
    });
    await until(async () => (await read<Page<object>>("/v1/epochs")).rows.length === 1, "the view");
    const views = schemas.pageSchema(schemas.epochRowSchema).parse(await read("/v1/epochs"));
    expect(views.rows[0]).toMatchObject({ epoch: 7, members: ["n1", "n2"], left: [] });
    const inventory = schemas
      .pageSchema(schemas.inventoryRowSchema)
      .parse(await read("/v1/inventory"));
    expect(inventory.rows[0]).toMatchObject({ node: "n1", fields: [["board.serial", "S1"]] });
    expect((await read<{ inventory: object[] }>("/v1/nodes/n1")).inventory).toHaveLength(1);
  });

  test("take the newer of two reports, and only a node's own", async () => {
    await report({ seq: 5, callhome: { ...testReport().callhome, waiting: 5 } });
    await report({ seq: 4, callhome: { ...testReport().callhome, waiting: 4 } });
    const [row] = (await read<Page<NodeRow>>("/v1/nodes")).rows;
    expect(row?.outbox?.queued).toBe(5);
    const foreign = await n1.postJson("/v1/nodes/n2", testReport({ node: "n2" }), "PUT");
    expect(foreign.status).toBe(403);
    const mixed = await n1.postJson("/v1/nodes/n1", testReport({ node: "n2" }), "PUT");
    expect(mixed.status).toBe(400);
    expect((await n1.postJson("/v1/nodes/n1", { v: 1 }, "PUT")).status).toBe(400);
    const bare = {
      ...testReport({ node: "n1", seq: 9 }),
      inventory: null,
      inventoryDigest: "b".repeat(64),
    };
    expect(await (await n1.postJson("/v1/nodes/n1", bare, "PUT")).json()).toMatchObject({
      wantsInventory: true,
    });
  });

  test("are there again after a restart of the manager", async () => {
    await report();
    await deliver(1);
    await world.stop();
    await world.start();
    expect((await read<Page<NodeRow>>("/v1/nodes")).rows[0]).toMatchObject({
      id: "n1",
      epoch: 7,
      events: 1,
    });
    expect((await read<Page<JobRow>>("/v1/jobs")).rows).toHaveLength(1);
    expect((await read<Page<object>>("/v1/epochs")).rows).toHaveLength(1);
  });

  test("refuse what they do not understand, with what is wrong", async () => {
    const status = async (path: string): Promise<number> =>
      (await fetch(`${world.pageUrl}${path}`)).status;
    expect(await status("/v1/events?limit=0")).toBe(400);
    expect(await status("/v1/events?limit=501")).toBe(400);
    expect(await status("/v1/events?cursor=x")).toBe(400);
    expect(await status("/v1/events?least=terrible")).toBe(400);
    expect(await status("/v1/tickets?open=maybe")).toBe(400);
    expect(await status(`/v1/events/${"0".repeat(64)}`)).toBe(404);
    expect(await status("/v1/nodes/nobody")).toBe(404);
    expect(await status("/v1/tickets/T-0")).toBe(404);
    expect(await status("/v1/callhome/parcels")).toBe(404);
  });
});

async function follow(lastId: string | null): Promise<{
  readonly messages: LiveMessage[];
  readonly ids: string[];
  stop(): void;
}> {
  const abort = new AbortController();
  const headers: Record<string, string> = lastId === null ? {} : { "last-event-id": lastId };
  const response = await fetch(`${world.pageUrl}/v1/stream`, { headers, signal: abort.signal });
  const messages: LiveMessage[] = [];
  const ids: string[] = [];
  void (async () => {
    let text = "";
    const decoder = new TextDecoder();
    for await (const chunk of response.body ?? []) {
      text += decoder.decode(chunk, { stream: true });
      const frames = text.split("\n\n");
      text = frames.pop() ?? "";
      for (const frame of frames) {
        const id = /^id: (.*)$/m.exec(frame)?.[1];
        const data = /^data: (.*)$/m.exec(frame)?.[1];
        if (id !== undefined) ids.push(id);
        if (data !== undefined) messages.push(schemas.liveMessageSchema.parse(JSON.parse(data)));
      }
    }
  })().catch(() => undefined);
  return { messages, ids, stop: () => abort.abort() };
}

describe("live updates", () => {
  test("begin with how everything is, and tell each change as a row", async () => {
    const live = await follow(null);
    await until(() => live.messages.length > 0, "hello");
    expect(live.messages[0]?.kind).toBe("hello");
    await report();
    const [id] = await deliver(1);
    const told = (kind: LiveMessage["kind"]): boolean =>
      live.messages.some((one) => one.kind === kind);
    await until(
      () =>
        ["event", "ticket", "node", "job", "epoch", "summary"].every((kind) => told(kind as never)),
      "a row of each kind",
    );
    const rows = live.messages.flatMap((one) =>
      one.kind === "event" && one.row.id === id ? [one.row] : [],
    );
    expect(rows.at(-1)?.state).toBe("delivered");
    live.stop();
  });

  test("go on after a break where they were, also after a restart of the manager", async () => {
    const live = await follow(null);
    const [first] = await deliver(1);
    await until(
      () => live.messages.some((one) => one.kind === "event" && one.row.state === "delivered"),
      "told",
    );
    await until(() => live.ids.length > 1, "a number");
    live.stop();
    const lastId = live.ids.at(-1) ?? "";
    const [missed] = await deliver(1);
    await world.stop();
    await world.start();
    const again = await follow(lastId);
    const eventIds = (): readonly string[] =>
      again.messages.flatMap((one) => (one.kind === "event" ? [one.row.id] : []));
    await until(() => eventIds().includes(missed ?? ""), "what was missed");
    expect(eventIds()).not.toContain(first ?? "");
    expect(again.messages.some(({ kind }) => kind === "reset")).toBe(false);
    again.stop();
  });

  test("say `reset` to a number of another store", async () => {
    const live = await follow("999999999");
    await until(() => live.messages.some(({ kind }) => kind === "reset"), "reset");
    live.stop();
  });

  test("say `reset` when more was missed than is told", async () => {
    const events = Array.from({ length: 251 }, () => parcelOf(n1.identity.signer));
    for (let n = 0; n < 3; n++) await n1.give(...events.map(() => parcelOf(n1.identity.signer)));
    const live = await follow("0");
    await until(() => live.messages.some(({ kind }) => kind === "reset"), "reset");
    live.stop();
  });
});

describe("what describes a manager", () => {
  test("is an OpenAPI document with every route, and a page made of it that loads nothing", async () => {
    const document = await read<{ openapi: string; paths: Record<string, object> }>(
      "/openapi.json",
    );
    expect(document.openapi).toBe("3.1.0");
    expect(Object.keys(document.paths)).toContain("/v1/events/{id}");
    expect(Object.keys(document.paths)).not.toContain("/v1/callhome/parcels");
    const cluster = await n1.fetch("/openapi.json");
    const all = (await cluster.json()) as { paths: Record<string, object> };
    expect(Object.keys(all.paths)).toContain("/v1/callhome/parcels");
    const readable = Object.entries(all.paths).filter(([, one]) => "get" in one);
    for (const [path] of readable.filter(([one]) => !one.includes("{"))) {
      expect((await n1.fetch(path, { method: "HEAD" })).status).not.toBe(404);
    }
    const docs = await fetch(`${world.pageUrl}/docs`);
    expect(docs.headers.get("content-security-policy")).toContain("default-src 'none'");
    const html = await docs.text();
    expect(html).toContain("/v1/events");
    expect(html).not.toMatch(/<script|src=|href="http/);
  });

  const promtool = realPart("promtool", () => hasCommand("promtool"), "apt-get install prometheus");
  promtool("is metrics that Prometheus's own tool finds nothing wrong with", async () => {
    await report();
    await deliver(3);
    let text = "";
    await until(async () => {
      text = await (await fetch(`${world.pageUrl}/metrics`)).text();
      return text.includes('holdfast_manager_events{state="delivered",severity="critical"} 3');
    }, "the sums are read");
    expect(text).toContain('holdfast_manager_parcels_total{result="kept"} 3');
    expect(text).toContain('holdfast_manager_relayed_total{outcome="delivered"} 3');
    expect(text).toContain("holdfast_manager_can_relay 1");
    expect(text).toContain('holdfast_manager_nodes{state="alive"} 1');
    const tool = Bun.spawn(["promtool", "check", "metrics"], {
      stdin: Buffer.from(text),
      stderr: "pipe",
      stdout: "pipe",
    });
    const [said, complained] = await Promise.all([tool.stdout.text(), tool.stderr.text()]);
    expect({ code: await tool.exited, said, complained }).toEqual({
      code: 0,
      said: "",
      complained: "",
    });
  });
});

describe("the door for people", () => {
  test("answers on loopback only who asks by a name of this machine", async () => {
    const ask = (host: string): Promise<Response> =>
      fetch(`${world.pageUrl}/v1/summary`, { headers: { host } });
    expect((await ask("localhost:7480")).status).toBe(200);
    expect((await ask("[::1]:7480")).status).toBe(200);
    expect((await ask("127.0.0.1.evil.example")).status).toBe(403);
    expect((await ask("evil.example:7480")).status).toBe(403);
  });

  test("elsewhere wants a token, gives a session in a cookie, and nothing to a forged one", async () => {
    const secret = readSecret(join(world.folder, "page-secret"));
    expect(statSync(join(world.folder, "page-secret")).mode & 0o777).toBe(0o600);
    let nowMs = Date.now();
    const app = peopleDoor({
      ...{ manager: world.open.manager, page: null, secret, isTls: true, nowMs: () => nowMs },
      onDefect: () => undefined,
    });
    const token = makeLoginToken(secret, nowMs, 1);
    const read = (headers: Record<string, string>) => app.request("/v1/summary", { headers });
    expect((await read({})).status).toBe(401);
    expect((await app.request("/metrics")).status).toBe(401);
    expect((await app.request("/docs")).status).toBe(401);
    expect((await read({ authorization: `Bearer ${token}` })).status).toBe(200);
    const forged = `${token.slice(0, -1)}${token.endsWith("0") ? "1" : "0"}`;
    const logIn = (text: string) =>
      app.request("/login", { method: "POST", body: new URLSearchParams({ token: text }) });
    expect((await logIn(forged)).status).toBe(401);
    expect((await logIn("hft.9.a.b")).status).toBe(401);
    const entered = await logIn(token);
    expect(entered.status).toBe(303);
    const cookie = entered.headers.get("set-cookie") ?? "";
    for (const word of ["HttpOnly", "SameSite=Strict", "Secure", "Path=/"])
      expect(cookie).toContain(word);
    const session = cookie.split(";")[0] ?? "";
    expect((await read({ cookie: `other=1; ${session}` })).status).toBe(200);
    // A session is no token, and a token no session.
    expect((await read({ authorization: `Bearer ${session.split("=")[1]}` })).status).toBe(401);
    expect((await read({ cookie: `holdfast-session=${token}` })).status).toBe(401);
    nowMs += 3_600_001;
    expect((await read({ cookie: session })).status).toBe(401);
    expect((await read({ authorization: `Bearer ${token}` })).status).toBe(401);
    expect((await logIn(token)).status).toBe(401);
  });

  test("lets nobody guess tokens without end", async () => {
    const secret = readSecret(join(world.folder, "page-secret"));
    const app = peopleDoor({
      ...{ manager: world.open.manager, page: null, secret, isTls: true, nowMs: Date.now },
      onDefect: () => undefined,
    });
    const statuses = new Set<number>();
    for (let n = 0; n < 15; n++) {
      const body = new URLSearchParams({ token: `hft.${n}` });
      statuses.add((await app.request("/login", { method: "POST", body })).status);
    }
    expect([...statuses].sort()).toEqual([401, 429]);
  });
});

test("events of nodes that never reported make their node known", async () => {
  await n1.give(parcelOf(n1.identity.signer, testEvent({ severity: "warning" })));
  await until(async () => {
    const [row] = (await read<Page<NodeRow>>("/v1/nodes")).rows;
    return row?.id === "n1" && row.events === 1;
  }, "the node is listed");
});

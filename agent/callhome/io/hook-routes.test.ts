/**
 * Goal: a hook is taken from whoever may call it, however it sends its fields; it is acknowledged once it is kept; bad input is a
 * problem that names the field.
 * Method: the routes by `app.request()`, with a server of the test's own that says who asks.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Hono } from "hono";
import { readNdjson } from "../../net/io/ndjson.ts";
import type { BookLine } from "../event-book.ts";
import { EventBook } from "../event-book.ts";
import { EventJournal } from "./event-journal.ts";
import { EventKeeper, openEventKeeper } from "./event-keeper.ts";
import { readToken } from "./hook-access.ts";
import { hookRoutes } from "./hook-routes.ts";
import { PushDoors } from "./push-doors.ts";

const TOKEN = "a-token-of-some-length";
let folder = "";
let keeper: EventKeeper;
let doors: PushDoors;
let app: Hono;

function routesOf(kept: EventKeeper, token: string | null = TOKEN): Hono {
  return hookRoutes({
    keeper: kept,
    doors,
    access: { address: "10.0.0.1", token },
    ownSystem: () => "node:n1",
    nowMs: () => Date.UTC(2026, 10, 22),
    onDefect: (detail) => {
      throw new Error(detail);
    },
  });
}

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "holdfast-hooks-"));
  keeper = await openEventKeeper(folder, { say: () => undefined });
  doors = new PushDoors("http://10.0.0.1:7400");
  app = routesOf(keeper);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

interface Call {
  readonly body?: string;
  readonly type?: string;
  readonly from?: string;
  readonly headers?: Record<string, string>;
  readonly path?: string;
}

async function post({ body = "", type, from = "127.0.0.1", headers = {}, path }: Call) {
  const all = type === undefined ? headers : { ...headers, "content-type": type };
  const response = await app.request(
    path ?? "/v1/hooks/event",
    { method: "POST", body, headers: all },
    { requestIP: () => ({ address: from }) },
  );
  const text = await response.text();
  return { status: response.status, answer: text === "" ? null : JSON.parse(text) };
}

async function lines(query = "?wait=no"): Promise<readonly BookLine[]> {
  const response = await app.request(`/v1/events${query}`);
  const all: BookLine[] = [];
  for await (const line of readNdjson(response)) all.push(line as BookLine);
  return all;
}

async function events(): Promise<readonly Record<string, unknown>[]> {
  return (await lines()).flatMap((line) => (line.kind === "event" ? [{ ...line.event }] : []));
}

const FORM = "application/x-www-form-urlencoded";

describe("a hook", () => {
  test("may be JSON, a form, a query or a line of text", async () => {
    const calls: readonly Call[] = [
      { body: '{"text":"a b","severity":"critical"}', type: "application/json" },
      // As `curl -d '{…}'` sends it without a header.
      { body: '{"text":"a b","severity":"critical"}', type: FORM },
      { body: "text=a+b&severity=critical", type: FORM },
      { body: "text=a%20b&severity=critical" },
      { path: "/v1/hooks/event?severity=critical", body: "a b\n", type: "text/plain" },
      // As `curl -d 'a b'` sends it.
      { path: "/v1/hooks/event?severity=critical", body: "a b", type: FORM },
      { path: "/v1/hooks/event?severity=critical&text=a+b" },
    ];
    for (const [index, call] of calls.entries()) {
      expect(await post(call)).toMatchObject({ status: 202, answer: { new: index === 0 } });
    }
    expect(await events()).toMatchObject([
      { text: "a b", severity: "critical", way: "hook", system: "node:n1" },
    ]);
  });

  test("that comes again with the same key is the same event", async () => {
    const first = await post({ body: "text=x&key=disk-7" });
    const again = await post({ body: "text=y&key=disk-7" });
    const other = await post({ body: "text=y&key=disk-8" });
    expect(again.answer).toEqual({ id: first.answer.id, new: false });
    expect(other.answer).toMatchObject({ new: true });
    expect(first.answer.id).toMatch(/^[0-9a-f]{64}$/);
  });

  test("is kept when it is acknowledged", async () => {
    const { answer } = await post({ body: "text=x" });
    const again = await openEventKeeper(folder, { say: () => undefined });
    expect(again.after(0, 10)).toMatchObject([{ kind: "event", event: { id: answer.id } }]);
  });

  test("that cannot be kept is not acknowledged", async () => {
    app = routesOf(
      new EventKeeper(new EventBook(), new EventJournal("/dev/full", 0), { say: () => undefined }),
    );
    expect(await post({ body: "text=x" })).toMatchObject({
      status: 507,
      answer: { kind: "not-kept" },
    });
    expect(await lines()).toEqual([]);
  });

  const bad: readonly (readonly [string, Call, number, string])[] = [
    ["no body", {}, 400, "text is missing"],
    ["broken JSON", { body: '{"text":', type: "application/json" }, 400, "not JSON"],
    ["a JSON list", { body: "[1]", type: "application/json" }, 400, "no object"],
    ["an unknown severity", { body: "text=x&severity=bad" }, 400, "severity: must be"],
    ["a record that is short", { body: "record=0011" }, 400, "record: must be the 16 bytes"],
    ["a time that is none", { body: "text=x&time=soon" }, 400, "time: must be"],
    ["too much", { body: `text=${"x".repeat(70_000)}` }, 413, "65536 bytes"],
  ];
  for (const [what, call, status, detail] of bad) {
    test(`with ${what} is a problem that says so`, async () => {
      const answered = await post(call);
      expect(answered.status).toBe(status);
      expect(answered.answer.detail).toContain(detail);
      expect(await events()).toEqual([]);
    });
  }
});

describe("a hook from another machine", () => {
  const from = "10.0.0.9";

  test("needs the token, by either header", async () => {
    expect(await post({ body: "text=x", from })).toMatchObject({
      status: 403,
      answer: { kind: "forbidden" },
    });
    const wrong = { authorization: "Bearer another-token-of-length" };
    expect((await post({ body: "text=x", from, headers: wrong })).status).toBe(403);
    expect(await events()).toEqual([]);
    for (const headers of [{ authorization: `Bearer ${TOKEN}` }, { "x-holdfast-token": TOKEN }]) {
      expect((await post({ body: "text=x", from, headers })).status).toBe(202);
    }
    expect(await events()).toMatchObject([{ system: from }]);
  });

  test("is refused by an agent without a token, which says how to give it one", async () => {
    app = routesOf(keeper, null);
    const answered = await post({ body: "text=x", from, headers: { authorization: "Bearer x" } });
    expect(answered).toMatchObject({ status: 403 });
    expect(answered.answer.detail).toContain("--hooks-token-file");
  });

  test("is none when it comes from the agent's own address", async () => {
    for (const own of ["10.0.0.1", "::ffff:10.0.0.1", "::1", "::ffff:127.0.0.1", "127.8.8.8"]) {
      expect((await post({ body: `text=${own}`, from: own })).status).toBe(202);
    }
  });

  test("has its token in a file that others cannot read", () => {
    const path = join(folder, "token");
    writeFileSync(path, `${TOKEN}\n`, { mode: 0o600 });
    expect(readToken(path)).toEqual({ ok: true, value: TOKEN });
    chmodSync(path, 0o640);
    expect(readToken(path)).toMatchObject({
      ok: false,
      error: expect.stringContaining("chmod 600"),
    });
    writeFileSync(path, "short", { mode: 0o600 });
    chmodSync(path, 0o600);
    expect(readToken(path)).toMatchObject({
      ok: false,
      error: expect.stringContaining("16 to 512"),
    });
    expect(readToken(join(folder, "none"))).toMatchObject({ ok: false });
  });
});

describe("a push of Redfish", () => {
  test("goes to the watch that made the address, and to nobody else", async () => {
    const door = doors.make();
    const bodies: string[] = [];
    const path = new URL(door.url).pathname;
    expect((await post({ path, body: "early" })).status).toBe(404);
    const close = door.open((body) => {
      bodies.push(body);
      return body === "bad" ? 400 : 204;
    });
    expect(await post({ path, body: "good", from: "10.0.0.5" })).toEqual({
      status: 204,
      answer: null,
    });
    expect((await post({ path, body: "bad" })).status).toBe(400);
    expect((await post({ path: `${path}0`, body: "good" })).status).toBe(404);
    close();
    expect((await post({ path, body: "late" })).status).toBe(404);
    expect(bodies).toEqual(["good", "bad"]);
  });
});

describe("the stream of events", () => {
  test("begins after a number, and goes on live", async () => {
    for (const key of ["a", "b", "c"]) await post({ body: `text=${key}&key=${key}` });
    expect((await lines("?wait=no&after=1")).map(({ seq }) => seq)).toEqual([2, 3]);
    const response = await app.request("/v1/events?after=2");
    const reader = readNdjson(response);
    expect((await reader.next()).value).toMatchObject({ seq: 3, event: { text: "c" } });
    const next = reader.next();
    await post({ body: "text=d&key=d" });
    expect((await next).value).toMatchObject({ seq: 4, event: { text: "d" } });
    await reader.return(undefined);
  });

  test("refuses a number that is none", async () => {
    expect((await app.request("/v1/events?after=x")).status).toBe(400);
  });
});

/**
 * A whole manager over mutual TLS: what agents give and hear, relay with every mood of a destination, and what is refused.
 */
import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import {
  DIGEST_PATH,
  PARCELS_PATH,
  RECEIPTS_PATH,
  type ReceiptLine,
} from "../../callhome/protocol.ts";
import { openDestination } from "../../destination/io/open-destination.ts";
import { readTrusted } from "../../destination/io/trusted.ts";
import { testIdentities } from "../../identity/harness/test-authority.ts";
import { readNdjson } from "../../net/io/ndjson.ts";
import { clientOptions, secureFetch } from "../../net/io/secure.ts";
import { parcelOf, testEvent } from "./harness/signed-events.ts";
import { good } from "./harness/store-cases.ts";
import { type TestAgent, type TestManager, testManager, until } from "./harness/test-manager.ts";

setDefaultTimeout(30_000);

let world: TestManager;
let n1: TestAgent;

beforeEach(async () => {
  world = await testManager();
  n1 = await world.agent("n1");
});

afterEach(async () => {
  await world.remove();
});

/** Lines of a stream until `stop`. */
function follow(agent: TestAgent, after = 0) {
  const lines: ReceiptLine[] = [];
  const abort = new AbortController();
  const done = (async () => {
    try {
      const path = `${RECEIPTS_PATH}?after=${after}`;
      const response = await agent.fetch(path, { signal: abort.signal });
      for await (const line of readNdjson(response)) lines.push(line as ReceiptLine);
    } catch (cause) {
      if (!abort.signal.aborted) throw cause;
    }
  })();
  const stop = async () => {
    abort.abort();
    await done.catch(() => undefined);
  };
  return { lines, stop, done };
}

function receiptsIn(lines: readonly ReceiptLine[]): readonly string[] {
  return lines.flatMap((line) => (line.kind === "receipt" ? [line.receipt.id] : []));
}

async function stateOf(id: string): Promise<string | undefined> {
  return (await good(world.open.manager.store.states([id]))).get(id)?.state;
}

async function relays(): Promise<void> {
  await until(
    async () => (await world.open.manager.summary())?.destination.canRelay === true,
    "the destination answers",
  );
}

describe("a manager", () => {
  test("keeps an event, relays it, and pushes the receipt to its node at once", async () => {
    await world.start();
    await relays();
    const stream = follow(n1);
    await until(() => stream.lines.some(({ kind }) => kind === "beat"), "a beat");
    const parcel = parcelOf(n1.identity.signer);
    const beganMs = Date.now();
    expect(await n1.give(parcel)).toEqual([{ id: parcel.id, kind: "kept" }]);
    await until(() => receiptsIn(stream.lines).includes(parcel.id), "its receipt");
    expect(Date.now() - beganMs).toBeLessThan(2_000);
    expect(stream.lines.some((line) => line.kind === "beat" && line.canRelay)).toBe(true);
    const [again] = await n1.give(parcel);
    expect(again).toMatchObject({
      kind: "delivered",
      isDuplicate: true,
      receipt: { ticket: "T-1" },
    });
    expect(world.destination.came.get(parcel.id)).toBe(1);
    await stream.stop();
    const rest = follow(n1, 0);
    await until(() => receiptsIn(rest.lines).length === 1, "the receipt once more");
    const seq = rest.lines.find(({ kind }) => kind === "receipt")?.seq ?? 0;
    await rest.stop();
    const later = follow(n1, seq);
    await until(() => later.lines.length > 1, "beats");
    expect(receiptsIn(later.lines)).toEqual([]);
    expect(later.lines[0]).toMatchObject({ kind: "beat", seq });
    await later.stop();
  });

  test("tells each node of its own receipts only, and who brought an event too", async () => {
    await world.start();
    await relays();
    const n2 = await world.agent("n2");
    const [own, brought] = [follow(n1), follow(n2)];
    const parcel = parcelOf(n1.identity.signer);
    const theirs = parcelOf(n2.identity.signer);
    await n2.give(parcel, theirs);
    await until(() => receiptsIn(brought.lines).length === 2, "both at the one that brought them");
    await until(() => receiptsIn(own.lines).length === 1, "its own at n1");
    expect(receiptsIn(own.lines)).toEqual([parcel.id]);
    await Promise.all([own.stop(), brought.stop()]);
  });

  test("refuses each bad parcel for its own reason, and keeps the others of the request", async () => {
    await world.start();
    const n2 = await world.agent("n2");
    const fine = parcelOf(n1.identity.signer);
    const other = await (await testIdentities("c2")).of("agent", "n1");
    const copied = await (await testIdentities("c1")).of("agent", "n1");
    const old = await world.ids.of("agent", "n1", { notBeforeMs: 0, notAfterMs: 1_000 });
    const forged = parcelOf(n1.identity.signer);
    const envelope = { ...forged.envelope, payload: fine.envelope.payload };
    const manager = await world.ids.of("manager", "m9");
    const cases = [
      [{ ...forged, envelope: { ...envelope } }, "bad-signature"],
      [parcelOf(n2.identity.signer, testEvent(), { node: "n1" }), "signed by n2"],
      [parcelOf(other.signer), "wrong-cluster"],
      [parcelOf(copied.signer), "unknown-authority"],
      [parcelOf(old.signer), "expired"],
      [parcelOf(manager.signer), "no agent"],
      [{ ...parcelOf(n1.identity.signer), id: "f".repeat(64) }, "of another event"],
      [
        parcelOf(n1.identity.signer, testEvent(), { signedMs: Date.now() + 3_600_000 }),
        "in the future",
      ],
      [{ id: "a".repeat(64) }, "malformed"],
    ] as const;
    const given = cases.map(([parcel]) => parcel as never);
    const results = await n1.give(...given, fine);
    cases.forEach(([, reason], index) => {
      expect(results[index]).toMatchObject({ kind: "refused" });
      expect((results[index] as { reason: string }).reason).toContain(reason);
    });
    expect(results.at(-1)).toEqual({ id: fine.id, kind: "kept" });
    const kept = await good(world.open.manager.store.events({}, { cursor: null, limit: 50 }));
    expect(kept.rows.map(({ id }) => id)).toEqual([fine.id]);
  });

  test("refuses a body that is no JSON, too large, or of another shape", async () => {
    await world.start();
    const headers = { "content-type": "application/json" };
    const post = (body: string) => n1.fetch(PARCELS_PATH, { method: "POST", headers, body });
    expect((await post("{")).status).toBe(400);
    expect((await post('{"parcels":[]}')).status).toBe(400);
    expect((await post(`{"parcels":["${"x".repeat(5 * 1024 * 1024)}"]}`)).status).toBe(413);
    expect((await n1.postJson(DIGEST_PATH, { ids: ["nonsense"] })).status).toBe(400);
    expect((await n1.fetch(`${RECEIPTS_PATH}?after=-1`)).status).toBe(400);
    expect((await n1.fetch("/v1/nothing")).status).toBe(404);
  });

  test("answers only those who have a certificate, and each role only what is for it", async () => {
    await world.start();
    const bare = fetch(`${world.url}/v1/summary`, { tls: { rejectUnauthorized: false } } as never);
    expect(await bare.catch(() => "refused")).toBe("refused");
    const options = clientOptions(n1.identity, "manager");
    const unnamed = await fetch(`${world.url}/v1/summary`, options as never);
    expect(unnamed.status).toBe(401);
    const metrics = await fetch(`${world.url}/metrics`, options as never);
    expect(metrics.status).toBe(200);
    expect((await n1.fetch("/v1/summary")).status).toBe(403);
    const operator = await world.ids.of("operator", "o1");
    const { TestAgent: Caller } = await import("./harness/test-manager.ts");
    const person = new Caller(operator, world);
    expect((await person.fetch("/v1/summary")).status).toBe(200);
    expect((await person.postJson(PARCELS_PATH, { parcels: [{}] })).status).toBe(403);
    const stranger = await (await testIdentities("c1")).of("agent", "n1");
    const foreign = new Caller(stranger, world).fetch("/v1/summary");
    expect(await foreign.catch(() => "refused")).toBe("refused");
  });

  test("says in the digest what it has", async () => {
    await world.start({ destination: null });
    const parcel = parcelOf(n1.identity.signer);
    await n1.give(parcel);
    const answer = await n1.postJson(DIGEST_PATH, { ids: [parcel.id, "0".repeat(64)] });
    expect(await answer.json()).toEqual({
      states: [
        { id: parcel.id, state: "kept", receipt: null },
        { id: "0".repeat(64), state: "unknown", receipt: null },
      ],
    });
  });

  test("tells the node what the destination will not have", async () => {
    await world.start();
    await relays();
    const stream = follow(n1);
    const parcel = parcelOf(n1.identity.signer);
    world.destination.refuses.set(parcel.id, "no contract");
    await n1.give(parcel);
    const told = () => stream.lines.find(({ kind }) => kind === "not-relayed");
    await until(() => told() !== undefined, "that it was not relayed");
    expect(told()).toMatchObject({ id: parcel.id, reason: "no contract" });
    expect(await n1.give(parcel)).toMatchObject([{ kind: "refused", isPermanent: true }]);
    await stream.stop();
  });
});

describe("a manager and its destination", () => {
  test("keeps while it cannot be reached, says so, and relays when it is back", async () => {
    await world.destination.stop();
    await world.start();
    const stream = follow(n1);
    await until(() => stream.lines.length > 0, "a beat");
    expect(stream.lines[0]).toMatchObject({ kind: "beat", canRelay: false });
    const parcels = Array.from({ length: 100 }, () => parcelOf(n1.identity.signer));
    await n1.give(...parcels);
    expect(await stateOf(parcels[0]?.id ?? "")).toBe("kept");
    world.destination.start();
    await until(() => receiptsIn(stream.lines).length === 100, "all receipts", 20_000);
    expect([...world.destination.came.values()].every((count) => count === 1)).toBe(true);
    expect(world.said.join("\n")).toContain("nothing can be relayed");
    await stream.stop();
  });

  test("never relays what the destination already has when it comes back", async () => {
    await world.start({ destination: null });
    const parcels = Array.from({ length: 10 }, () => parcelOf(n1.identity.signer));
    await n1.give(...parcels);
    await world.stop();
    // Meanwhile half of them went around.
    const around = parcels.slice(0, 5).map(({ id }) => id);
    for (const id of around) world.destination.has(id);
    await world.start();
    await until(async () => (await stateOf(parcels[9]?.id ?? "")) === "delivered", "all are there");
    for (const { id } of parcels) expect(await stateOf(id)).toBe("delivered");
    expect([...world.destination.came.keys()].sort()).toEqual(
      parcels
        .slice(5)
        .map(({ id }) => id)
        .sort(),
    );
  });

  test("is told by nodes of what went around it, and relays none of it", async () => {
    await world.destination.stop();
    await world.start();
    const [direct, waits] = [parcelOf(n1.identity.signer), parcelOf(n1.identity.signer)];
    await n1.give(waits);
    const tell = (parcel: typeof direct, path: "direct" | "peer") => ({
      ...parcel,
      around: { path, receipt: world.destination.has(parcel.id) },
    });
    const results = await n1.give(tell(direct, "direct"), tell(waits, "peer"));
    expect(results).toMatchObject([{ kind: "delivered" }, { kind: "delivered" }]);
    const forged = tell(parcelOf(n1.identity.signer), "direct");
    const [refused] = await n1.give({
      ...forged,
      around: { path: "direct", receipt: { ...forged.around.receipt, ticket: "T-999" } },
    });
    expect(refused).toMatchObject({ kind: "refused" });
    world.destination.start();
    await relays();
    const { rows } = await good(world.open.manager.store.events({}, { cursor: null, limit: 9 }));
    expect(rows.map(({ path, state }) => [path, state])).toEqual([
      ["direct", "delivered"],
      ["peer", "delivered"],
    ]);
    expect(world.destination.came.size).toBe(0);
  });

  test("makes one ticket though answers are lost", async () => {
    await world.start();
    await relays();
    world.destination.mood = "deaf";
    const parcel = parcelOf(n1.identity.signer);
    await n1.give(parcel);
    await until(() => world.destination.came.get(parcel.id) === 1, "it came");
    world.destination.mood = "fine";
    await until(async () => (await stateOf(parcel.id)) === "delivered", "it is settled", 20_000);
    expect(world.destination.came.get(parcel.id)).toBe(1);
    expect(world.destination.receipts.size).toBe(1);
  });

  test("does not believe receipts that are not the destination's", async () => {
    await world.start();
    await relays();
    world.destination.mood = "forges";
    const parcel = parcelOf(n1.identity.signer);
    await n1.give(parcel);
    await until(() => (world.destination.came.get(parcel.id) ?? 0) > 0, "it came");
    expect(await stateOf(parcel.id)).toBe("kept");
    world.destination.mood = "fine";
    await until(async () => (await stateOf(parcel.id)) === "delivered", "it is settled", 20_000);
    expect((await good(world.open.manager.store.event(parcel.id)))?.row.ticket).toBe("T-1");
  });

  test("says that it cannot relay when the destination is broken, and stops in order meanwhile", async () => {
    await world.start();
    await relays();
    world.destination.mood = "broken";
    const stream = follow(n1);
    const parcel = parcelOf(n1.identity.signer);
    await n1.give(parcel);
    const last = () => stream.lines.at(-1);
    await until(() => {
      const line = last();
      return line?.kind === "beat" && !line.canRelay;
    }, "a beat that says so");
    await world.stop();
    await stream.done;
    expect(await n1.give(parcel).catch(() => "gone")).toBe("gone");
    world.destination.mood = "fine";
    await world.start();
    await until(async () => (await stateOf(parcel.id)) === "delivered", "it is settled");
  });

  test("tells callers to go around when it holds as many as it may", async () => {
    await world.destination.stop();
    await world.start({ keptMax: 5 });
    await n1.give(...Array.from({ length: 5 }, () => parcelOf(n1.identity.signer)));
    await until(async () => {
      const [result] = await n1.give(parcelOf(n1.identity.signer));
      return (
        result?.kind === "refused" && !result.isPermanent && result.reason.includes("go around")
      );
    }, "it is full");
  });
});

test("a manager shows what a real destination says of its tickets", async () => {
  const trusted = readTrusted([], "c1");
  if (!trusted.ok) throw new Error(trusted.error);
  const opened = openDestination({
    identity: await world.ids.of("destination", "d2"),
    ...{ address: "127.0.0.1", port: 0, dataFolder: join(world.folder, "d2"), version: "test" },
    ...{ trusted: trusted.value, takesLocal: false, adapters: [], publicUrl: null },
    log: { say: () => undefined },
  });
  if (!opened.ok) throw new Error(opened.error);
  const url = `https://127.0.0.1:${opened.value.port}`;
  await world.start({ destination: url });
  await relays();
  const parcel = parcelOf(n1.identity.signer);
  await n1.give(parcel);
  await until(async () => (await stateOf(parcel.id)) === "delivered", "it is delivered");
  const { manager } = world.open;
  const ticket = (await good(manager.store.event(parcel.id)))?.row.ticket ?? "";
  const read = async () => (await fetch(`${world.pageUrl}/v1/tickets/${ticket}`)).json();
  expect(await read()).toMatchObject({
    row: { id: ticket, isOpen: true },
    atDestination: { destination: "d2", ticket: { id: ticket, state: "open", eventCount: 1 } },
  });
  const person = secureFetch(await world.ids.of("operator", "o1"), "destination");
  const closed = await person(`${url}/v1/tickets/${ticket}/close`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ reason: "part replaced" }),
  });
  expect(closed.status).toBe(200);
  await manager.summary();
  await until(async () => {
    await manager.tickets?.look();
    return (await good(manager.store.ticket(ticket)))?.isOpen === false;
  }, "the manager learns of it");
  expect(await read()).toMatchObject({ atDestination: { ticket: { state: "closed" } } });
  await world.stop();
  await opened.value.stop();
});

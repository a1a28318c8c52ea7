/**
 * Goal: what a destination answers over HTTP: receipts that prove themselves, refusals that name their reason, tickets for people.
 * Method: a whole destination on loopback, with TLS and a real authority where roles matter; senders that behave and that do not.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "node:tls";
import {
  type DigestAnswer,
  type Parcel,
  type ParcelResult,
  type ParcelsAnswer,
  parcelsAnswerSchema,
  RECEIPT_TYPE,
  receiptStatementSchema,
} from "../../callhome/protocol.ts";
import { type TestIdentities, testIdentities } from "../../identity/harness/test-authority.ts";
import type { Identity, PrincipalRole } from "../../identity/identity.ts";
import { openLocalIdentity } from "../../identity/io/open-identity.ts";
import { pack } from "../../net/frames.ts";
import { clientOptions, secureFetch } from "../../net/io/secure.ts";
import type { DestinationStatus, TicketAnswer, TicketsAnswer } from "../api.ts";
import { TestDestination } from "../harness/test-destination.ts";
import { testEvent, testParcel, threshold } from "../harness/test-events.ts";
import { REPLAY_HORIZON_MS } from "../judge.ts";

const folder = mkdtempSync(join(tmpdir(), "holdfast-destination-test-"));
let ids: TestIdentities;
let node: Identity;
let manager: Identity;
let operator: Identity;
let support: TestDestination;

beforeAll(async () => {
  ids = await testIdentities("c1");
  [node, manager, operator] = await Promise.all([
    ids.of("agent", "n1"),
    ids.of("manager", "m1"),
    ids.of("operator", "alice"),
  ]);
  support = await TestDestination.start({
    identity: await ids.of("destination", "support"),
    takesLocal: false,
  });
});

afterAll(async () => {
  await support.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function ask(from: Identity, path: string, init: RequestInit = {}): Promise<Response> {
  return secureFetch(from, "destination")(`${support.url}${path}`, init);
}

async function get<Answer>(from: Identity, path: string): Promise<Answer> {
  const response = await ask(from, path);
  expect(response.status).toBe(200);
  return (await response.json()) as Answer;
}

async function post(parcels: readonly unknown[], from: Identity = node): Promise<ParcelsAnswer> {
  const response = await ask(from, "/v1/callhome/parcels", {
    method: "POST",
    body: JSON.stringify({ parcels }),
  });
  expect(response.status).toBe(200);
  return parcelsAnswerSchema.parse(await response.json());
}

async function postOne(parcel: unknown): Promise<ParcelResult> {
  const { results } = await post([parcel]);
  expect(results).toHaveLength(1);
  return results[0] as ParcelResult;
}

function deliveredOf(
  result: ParcelResult | undefined,
): Extract<ParcelResult, { kind: "delivered" }> {
  if (result?.kind !== "delivered") throw new Error(`not delivered: ${JSON.stringify(result)}`);
  return result;
}

/** A gibibyte in chunks, whose length nobody announces; how much of it was sent before the other side had enough. */
function endlessBody(port: number): Promise<{ readonly head: string; readonly sentBytes: number }> {
  const { tls } = clientOptions(node, "destination");
  const data = Buffer.alloc(65_536, 0x20);
  const chunk = Buffer.concat([Buffer.from("10000\r\n"), data, Buffer.from("\r\n")]);
  return new Promise((resolve, reject) => {
    let head = "";
    let sentBytes = 0;
    const socket = connect({ host: "127.0.0.1", port, ...tls, servername: tls?.serverName ?? "" });
    const send = (): void => {
      while (head === "" && sentBytes < 1024 ** 3) {
        sentBytes += data.length;
        if (!socket.write(chunk)) return;
      }
      socket.end();
    };
    socket.on("secureConnect", () => {
      const path =
        "POST /v1/callhome/parcels HTTP/1.1\r\nhost: x\r\ncontent-type: application/json";
      socket.write(`${path}\r\ntransfer-encoding: chunked\r\n\r\n`);
      send();
    });
    socket.on("drain", send);
    socket.on("data", (bytes: Buffer) => {
      head += bytes.toString("latin1");
      socket.destroy();
    });
    socket.on("error", (error) => (sentBytes > 0 ? resolve({ head, sentBytes }) : reject(error)));
    socket.on("close", () => resolve({ head, sentBytes }));
  });
}

async function problemOf(response: Promise<Response>): Promise<readonly [number, string, string]> {
  const answer = await response;
  const { kind, detail } = (await answer.json()) as { kind: string; detail: string };
  return [answer.status, kind, detail];
}

describe("a parcel", () => {
  test("is answered with a receipt that the destination signed, and again with the same one by whichever path", async () => {
    const parcel = testParcel(node.signer, testEvent({ subject: "receipts" }));
    const first = deliveredOf(await postOne(parcel));
    expect(first.isDuplicate).toBe(false);
    const proof = first.receipt.proof;
    if (proof === null) throw new Error("no proof");
    const verified = manager.verifier.verify(proof, RECEIPT_TYPE, Date.now());
    if (!verified.ok) throw new Error(verified.error.detail);
    expect(verified.value.principal).toEqual({
      cluster: "c1",
      role: "destination",
      name: "support",
    });
    const statement = receiptStatementSchema.parse(
      JSON.parse(new TextDecoder().decode(verified.value.payload)),
    );
    const { proof: _, ...receipt } = first.receipt;
    expect(statement).toEqual({ v: 1, ...receipt });
    const hop = { kind: "manager", name: "m1", atMs: 5 } as const;
    const { results } = await post([{ ...parcel, trail: [...parcel.trail, hop] }], manager);
    expect(deliveredOf(results[0])).toEqual({ ...first, isDuplicate: true });
  });

  test("that is bad is refused for its own reason, and the others of the request are taken", async () => {
    const good = testParcel(node.signer, testEvent({ subject: "mixed" }));
    const forged = { ...good, id: testEvent().id };
    const old = testParcel(node.signer, testEvent(), { signedMs: Date.now() - 31 * 86_400_000 });
    const { results } = await post([forged, { id: 5 }, null, good, old]);
    expect(
      results.map((one) => (one.kind === "refused" ? one.reason.split(":")[0] : one.kind)),
    ).toEqual(["wrong-id", "delivered", "not-yet-valid"]);
    expect(
      support.lines.filter((line) => line.startsWith("fault refused a parcel")).length,
    ).toBeGreaterThan(3);
  });

  test("that is too old is refused, but if it came in time before it is answered with its first receipt", async () => {
    let nowMs = Date.now();
    const times = { notBeforeMs: nowMs - 86_400_000, notAfterMs: nowMs + 400 * 86_400_000 };
    const local = await ids.of("agent", "n9", times);
    const one = await TestDestination.start({ identity: support.identity, nowMs: () => nowMs });
    const early = testParcel(local.signer, testEvent());
    const late = testParcel(local.signer, testEvent({ subject: "late" }));
    const send = async (parcel: Parcel): Promise<ParcelResult | undefined> => {
      const init = { method: "POST", body: JSON.stringify({ parcels: [parcel] }) };
      const answer = await secureFetch(local, "destination")(
        `${one.url}/v1/callhome/parcels`,
        init,
      );
      return ((await answer.json()) as ParcelsAnswer).results[0];
    };
    const first = deliveredOf(await send(early));
    nowMs += REPLAY_HORIZON_MS + 60_000;
    expect(deliveredOf(await send(early)).receipt.ticket).toBe(first.receipt.ticket);
    expect(await send(late)).toMatchObject({ kind: "refused", isPermanent: true });
    expect(one.tickets()).toHaveLength(1);
    await one.stop();
  });

  test("in MessagePack is taken as in JSON", async () => {
    const parcel = testParcel(node.signer, testEvent({ subject: "packed" }));
    const response = await ask(node, "/v1/callhome/parcels", {
      method: "POST",
      body: pack({ parcels: [parcel] }) as Uint8Array<ArrayBuffer>,
      headers: { "content-type": "application/msgpack" },
    });
    const answer = parcelsAnswerSchema.parse(await response.json());
    expect(deliveredOf(answer.results[0]).isDuplicate).toBe(false);
  });

  test("by two paths at once is one event on one ticket", async () => {
    const parcels = Array.from({ length: 40 }, (_, index) =>
      testParcel(node.signer, testEvent({ subject: `twice ${index % 4}` })),
    );
    const answers = await Promise.all([
      post(parcels),
      post([...parcels].reverse(), manager),
      post(parcels),
    ]);
    const tickets = new Map<string, Set<string>>();
    let firsts = 0;
    for (const { results } of answers) {
      for (const result of results) {
        const { receipt, isDuplicate } = deliveredOf(result);
        tickets.set(receipt.id, (tickets.get(receipt.id) ?? new Set()).add(receipt.ticket));
        if (!isDuplicate) firsts++;
      }
    }
    expect(firsts).toBe(40);
    expect([...tickets.values()].every((one) => one.size === 1)).toBe(true);
    const counts = support
      .tickets()
      .filter(({ component }) => component.subject.startsWith("twice"));
    expect(counts.map(({ eventCount }) => eventCount)).toEqual([10, 10, 10, 10]);
  });
});

describe("a request", () => {
  test("that is no JSON, no MessagePack, no parcels or too many of them is refused in a sentence", async () => {
    const to = (
      body: string | Uint8Array<ArrayBuffer>,
      type = "application/json",
    ): Promise<readonly [number, string, string]> =>
      problemOf(
        ask(node, "/v1/callhome/parcels", {
          method: "POST",
          body,
          headers: { "content-type": type },
        }),
      );
    expect((await to("{"))[2]).toContain("not JSON");
    expect((await to(new Uint8Array([0xc1, 0, 1]), "application/msgpack"))[2]).toContain(
      "not msgpack",
    );
    for (const body of [
      "[]",
      "{}",
      '{"parcels":[]}',
      JSON.stringify({ parcels: Array(257).fill({}) }),
    ]) {
      const [status, kind, detail] = await to(body);
      expect([status, kind]).toEqual([400, "bad-request"]);
      expect(detail).toContain("1 to 256");
    }
  });

  test("of a gibibyte is refused by the length it announces, one that announces none as soon as more has come", async () => {
    const [status, kind] = await problemOf(
      ask(node, "/v1/callhome/parcels", {
        method: "POST",
        body: "x".repeat(4 * 1024 * 1024 + 1),
      }),
    );
    expect([status, kind]).toEqual([413, "too-large"]);
    const answer = await endlessBody(support.port);
    expect(answer.head).toMatch(/^(?:HTTP\/1\.1 413 |$)/);
    expect(answer.sentBytes).toBeLessThan(256 * 1024 * 1024);
    expect((await get<DestinationStatus>(operator, "/v1/destination")).isWriting).toBe(true);
  });

  test("of whoever has no certificate of the cluster is not heard; of a wrong role it is forbidden", async () => {
    const stranger = await (await testIdentities("c2")).of("agent", "n1");
    const cut = await secureFetch(
      stranger,
      "destination",
    )(`${support.url}/v1/tickets`).then(
      () => "answered",
      () => "cut",
    );
    expect(cut).toBe("cut");
    const statusOf = async (role: PrincipalRole): Promise<number> =>
      (await ask(await ids.of(role, "x"), "/v1/tickets")).status;
    expect([
      await statusOf("operator"),
      await statusOf("manager"),
      await statusOf("agent"),
    ]).toEqual([200, 200, 403]);
    const bare = await fetch(
      `${support.url}/v1/tickets`,
      clientOptions(node, "destination") as RequestInit,
    );
    expect(bare.status).toBe(401);
  });
});

describe("a digest", () => {
  test("says of each id whether it is here, in order, with its receipt", async () => {
    const parcel = testParcel(node.signer, testEvent({ subject: "digest" }));
    const { receipt } = deliveredOf(await postOne(parcel));
    const unknown = testEvent().id;
    const body = JSON.stringify({ ids: [unknown, parcel.id] });
    const answer = await ask(manager, "/v1/callhome/digest", { method: "POST", body });
    expect((await answer.json()) as DigestAnswer).toEqual({
      states: [
        { id: unknown, state: "unknown", receipt: null },
        { id: parcel.id, state: "delivered", receipt },
      ],
    });
    expect(
      (
        await problemOf(ask(node, "/v1/callhome/digest", { method: "POST", body: '{"ids":["x"]}' }))
      )[0],
    ).toBe(400);
  });
});

describe("tickets", () => {
  test("are listed by state and node, page by page, and shown with every event, its way, and its signature", async () => {
    const far = await ids.of("agent", "n5");
    const nowMs = Date.now();
    const events = [threshold(7, true, nowMs - 3_000), threshold(7, false, nowMs - 2_000)];
    await post(
      events.map((event) => testParcel(far.signer, event)),
      far,
    );
    await post([testParcel(far.signer, testEvent({ subject: "listed" }))], far);
    const all = await get<TicketsAnswer>(operator, "/v1/tickets?node=n5");
    expect(all.tickets.map(({ state }) => state)).toEqual(["open", "closed"]);
    expect(all.next).toBeNull();
    const page = await get<TicketsAnswer>(operator, "/v1/tickets?node=n5&limit=1");
    const rest = await get<TicketsAnswer>(
      operator,
      `/v1/tickets?node=n5&limit=1&before=${page.next}`,
    );
    expect([...page.tickets, ...rest.tickets]).toEqual([...all.tickets]);
    const id = all.tickets[1]?.id ?? "";
    const shown = await get<TicketAnswer>(operator, `/v1/tickets/${id}`);
    expect(shown.events.map(({ event }) => event)).toEqual(events);
    expect(shown.events[0]).toMatchObject({ n: 1, signer: "agent n5", isMerged: false, copies: 0 });
    expect(shown.events[0]?.trail[0]).toMatchObject({ kind: "origin", name: "n5" });
    const envelope = shown.events[1]?.envelope;
    if (envelope === undefined) throw new Error("no envelope");
    expect(manager.verifier.verify(envelope, "application/vnd.holdfast.event+json", nowMs).ok).toBe(
      true,
    );
  });

  test("that are asked for wrongly are answered with what is right", async () => {
    const asked = [
      ["/v1/tickets?state=old", 400, "open, closed or any"],
      ["/v1/tickets?limit=0", 400, "1 to 1000"],
      ["/v1/tickets?before=5", 400, "T-2026-000123"],
      ["/v1/tickets/5", 400, "T-2026-000123"],
      ["/v1/tickets/T-2026-999999", 404, "no ticket T-2026-999999"],
      ["/v1/tickets/T-2020-000001", 404, "no ticket"],
      ["/v1/else", 404, "/v1/else"],
    ] as const;
    for (const [path, status, words] of asked) {
      const [got, , detail] = await problemOf(ask(operator, path));
      expect([path, got]).toEqual([path, status]);
      expect(detail).toContain(words);
    }
  });

  test("are closed by an operator with a reason, once", async () => {
    const { receipt } = deliveredOf(
      await postOne(testParcel(node.signer, testEvent({ subject: "by hand" }))),
    );
    const path = `/v1/tickets/${receipt.ticket}/close`;
    const close = (from: Identity, body: unknown): Promise<Response> =>
      ask(from, path, { method: "POST", body: JSON.stringify(body) });
    expect((await close(node, { reason: "x" })).status).toBe(403);
    expect((await close(operator, { reason: " " })).status).toBe(400);
    const closed = await close(operator, { reason: "DIMM\u001b[31m replaced" });
    expect(await closed.json()).toMatchObject({
      state: "closed",
      closeReason: "DIMM [31m replaced (operator alice)",
    });
    expect((await close(operator, { reason: "again" })).status).toBe(409);
  });

  test("are told live as they change", async () => {
    const gone = new AbortController();
    const response = await ask(operator, "/v1/tickets/stream", { signal: gone.signal });
    expect(response.headers.get("content-type")).toBe("text/event-stream");
    const parcel = testParcel(node.signer, testEvent({ subject: "live" }));
    const { receipt } = deliveredOf(await postOne(parcel));
    let text = "";
    for await (const chunk of response.body ?? []) {
      text += new TextDecoder().decode(chunk);
      if (text.includes(`id: ${receipt.ticket}.1\n`) && text.endsWith("\n\n")) break;
    }
    gone.abort();
    expect(text).toContain('event: change\ndata: {"key"');
    expect(text).toContain('"kind":"opened"');
  });
});

describe("health and metrics", () => {
  test("say what the destination has done", async () => {
    const parcel = testParcel(node.signer, testEvent({ subject: "counted" }));
    deliveredOf(await postOne(parcel));
    deliveredOf(await postOne(parcel));
    const health = await fetch(
      `${support.url}/healthz`,
      clientOptions(node, "destination") as RequestInit,
    );
    expect([health.status, await health.json()]).toMatchObject([
      200,
      { isWriting: true, complaint: null },
    ]);
    const text = await (await ask(operator, "/metrics")).text();
    expect(text).toMatch(/holdfast_destination_events_total\{result="accepted"\} [1-9]/);
    expect(text).toMatch(/holdfast_destination_events_total\{result="duplicate"\} [1-9]/);
    expect(text).toMatch(/holdfast_destination_tickets\{state="open"\} [1-9]/);
  });
});

describe("whom it takes", () => {
  test("nodes without an authority each by the first key it saw, over restarts; nobody of the kind unless it is asked to", async () => {
    const first = openLocalIdentity(join(folder, "a"), "agent", "n1");
    const impostor = openLocalIdentity(join(folder, "b"), "agent", "n1");
    const other = openLocalIdentity(join(folder, "c"), "agent", "n2");
    const open = await TestDestination.start();
    const to = async (from: Identity): Promise<string> => {
      const body = JSON.stringify({ parcels: [testParcel(from.signer, testEvent())] });
      const answer = await fetch(`${open.url}/v1/callhome/parcels`, { method: "POST", body });
      const [result] = ((await answer.json()) as ParcelsAnswer).results;
      return result?.kind === "refused" ? result.reason : (result?.kind ?? "none");
    };
    expect(await to(first)).toBe("delivered");
    expect(await to(impostor)).toContain("came first with key");
    expect(await to(other)).toBe("delivered");
    await open.restart();
    expect(await to(impostor)).toContain("unknown-authority");
    expect(await to(first)).toBe("delivered");
    await open.stop();
    const refused = await postOne(testParcel(first.signer, testEvent()));
    expect(refused).toMatchObject({ kind: "refused", isPermanent: true });
  });

  test("clusters whose authority it was given, over TLS too", async () => {
    const others = await testIdentities("c2");
    const pem = join(folder, "c2.pem");
    writeFileSync(pem, others.authority.cert);
    const both = await TestDestination.start({ identity: support.identity, trust: [pem] });
    const foreign = await others.of("agent", "n1");
    const { crl: _, ...own } = clientOptions(foreign, "destination").tls ?? { crl: [] };
    const tls = { ...own, ca: [ids.authority.cert] };
    const body = JSON.stringify({ parcels: [testParcel(foreign.signer, testEvent())] });
    const init = { method: "POST", body, tls } as RequestInit;
    const answer = await fetch(`${both.url}/v1/callhome/parcels`, init);
    expect(deliveredOf(((await answer.json()) as ParcelsAnswer).results[0]).isDuplicate).toBe(
      false,
    );
    expect(both.tickets()[0]).toMatchObject({ cluster: "c2", node: "n1" });
    await both.stop();
  });
});

describe("a destination whose database was damaged", () => {
  test("goes on, and opens a ticket about itself that adapters are told of", async () => {
    const one = await TestDestination.start();
    await one.pause();
    writeFileSync(join(one.folder, "tickets.sqlite"), "no database ".repeat(1_000));
    await one.resume();
    const giveUpMs = performance.now() + 5_000;
    while (one.changes.length === 0 && performance.now() < giveUpMs) await Bun.sleep(5);
    expect(one.changes).toMatchObject([{ kind: "opened", severity: "critical", node: "support" }]);
    expect(one.changes[0]?.text).toContain("was damaged");
    const health = await fetch(`${one.url}/healthz`);
    expect([health.status, await health.json()]).toMatchObject([
      200,
      { isWriting: true, openTickets: 1 },
    ]);
    const status = (await (await fetch(`${one.url}/v1/destination`)).json()) as DestinationStatus;
    expect(status.complaint).toContain("was damaged");
    await one.stop();
  });
});

describe("certificates", () => {
  test("change under a running destination, and a revoked node is not taken any more", async () => {
    const gone = await ids.of("agent", "n77");
    const parcel = testParcel(gone.signer, testEvent({ subject: "revoked" }));
    expect((await post([parcel], gone)).results).toHaveLength(1);
    await ids.revoke("agent", "n77");
    const late = testParcel(gone.signer, testEvent({ subject: "revoked" }));
    const { results } = await post([late], manager);
    expect(results[0]).toMatchObject({ kind: "refused", isPermanent: true });
  });
});

/**
 * Goal: service data reaches the ticket of its event, from whoever may give it, and whoever may look can have it.
 * Method: a whole destination with TLS and roles, the same client that nodes use, a small bundle that is one.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { ParcelsAnswer } from "../../callhome/protocol.ts";
import { type TestIdentities, testIdentities } from "../../identity/harness/test-authority.ts";
import type { Identity } from "../../identity/identity.ts";
import { secureFetch } from "../../net/io/secure.ts";
import type { TicketAnswer } from "../api.ts";
import { TestDestination } from "../harness/test-destination.ts";
import { testEvent, testParcel } from "../harness/test-events.ts";

const PATH = "/v1/callhome/bundles";

let ids: TestIdentities;
let node: Identity;
let operator: Identity;
let support: TestDestination;

beforeAll(async () => {
  ids = await testIdentities("c1");
  [node, operator] = await Promise.all([ids.of("agent", "n1"), ids.of("operator", "alice")]);
  support = await TestDestination.start({ identity: await ids.of("destination", "support") });
});

afterAll(() => support.stop());

function ask(from: Identity, path: string, init: RequestInit = {}): Promise<Response> {
  return secureFetch(from, "destination")(`${support.url}${path}`, init);
}

function base64(text: string): string {
  return Buffer.from(text).toString("base64");
}

function offer(from: Identity, event: string, digest: string, bytes: number): Promise<Response> {
  const metadata = [
    ["event", event],
    ["node", "n1"],
    ["cluster", "c1"],
    ["digest", digest],
  ]
    .map(([name = "", value = ""]) => `${name} ${base64(value)}`)
    .join(",");
  const headers = {
    "tus-resumable": "1.0.0",
    "upload-length": String(bytes),
    "upload-metadata": metadata,
  };
  return ask(from, PATH, { method: "POST", headers });
}

describe("service data", () => {
  test("is offered by nodes and managers only, and looked at by operators and managers only", async () => {
    const digest = "ab".repeat(32);
    const event = testEvent().id;
    expect((await offer(operator, event, digest, 100)).status).toBe(403);
    const offered = await offer(node, event, digest, 100);
    expect(offered.status).toBe(201);
    const look = (from: Identity, method: string): Promise<Response> =>
      ask(from, `${PATH}/${digest}`, { method, headers: { "tus-resumable": "1.0.0" } });
    expect((await look(node, "HEAD")).headers.get("upload-offset")).toBe("0");
    expect((await look(node, "GET")).status).toBe(403);
    expect((await look(operator, "GET")).status).toBe(404);
    expect((await ask(operator, PATH)).status).toBe(200);
    expect((await ask(node, PATH)).status).toBe(403);
  });

  test("that is no bundle is not taken, and a ticket without any shows none", async () => {
    const event = testEvent();
    const body = JSON.stringify({ parcels: [testParcel(node.signer, event)] });
    const posted = await ask(node, "/v1/callhome/parcels", { method: "POST", body });
    const [result] = ((await posted.json()) as ParcelsAnswer).results;
    const ticket = result?.kind === "delivered" ? result.receipt.ticket : "";
    const junk = Buffer.from("no bundle at all");
    const digest = new Bun.CryptoHasher("sha256").update(junk).digest("hex");
    expect((await offer(node, event.id, digest, junk.length)).status).toBe(201);
    const checksum = new Bun.CryptoHasher("sha256").update(junk).digest("base64");
    const piece = await ask(node, `${PATH}/${digest}`, {
      method: "PATCH",
      body: junk,
      headers: {
        "tus-resumable": "1.0.0",
        "upload-offset": "0",
        "upload-checksum": `sha256 ${checksum}`,
        "content-type": "application/offset+octet-stream",
      },
    });
    expect(piece.status).toBe(422);
    const shown = (await (await ask(operator, `/v1/tickets/${ticket}`)).json()) as TicketAnswer;
    expect(shown.bundles).toEqual([]);
  });
});

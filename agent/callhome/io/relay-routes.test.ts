/**
 * Goal: a peer passes on what agents of the cluster signed, says when it cannot, and believes nobody else.
 * Method: the routes over real HTTP in front of a destination that does as it is told; identities of a real authority.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { testIdentities } from "../../identity/harness/test-authority.ts";
import type { Identity } from "../../identity/identity.ts";
import { realClock } from "../../runtime/io/clock.ts";
import type { Parcel, ParcelsAnswer } from "../protocol.ts";
import { relayRoutes } from "./relay-routes.ts";
import { signEvent } from "./sender-intake.ts";
import { eventOf, FakeDestination, plainCaller, until } from "./test-away.ts";

let node: Identity;
let stranger: Identity;
let manager: Identity;
let destination: FakeDestination;

beforeEach(async () => {
  const ids = await testIdentities("c1");
  node = await ids.of("agent", "n1");
  manager = await ids.of("manager", "m");
  stranger = await (await testIdentities("c2")).of("agent", "n1");
  destination = new FakeDestination(await ids.of("destination", "d"));
});
afterEach(() => destination.stop());

function routesOf(to: string | null = destination.url): ReturnType<typeof relayRoutes> {
  return relayRoutes({
    ...{ node: "n2", destination: to, caller: plainCaller, verifier: node.verifier },
    ...{ clock: realClock(), epoch: "e" },
    way: () => ({ direct: "works", waiting: 3, standsInFor: [] }),
    bmcs: () => [{ url: "lan://bmc", system: null, memory: null }],
  });
}

function parcelOf(key: string, signer: Identity = node): Parcel {
  const event = eventOf(key);
  const envelope = signEvent(event, signer.signer, Date.now());
  return { id: event.id, envelope, trail: [{ kind: "origin", name: "n1", atMs: 1 }] };
}

async function post(
  parcels: readonly unknown[],
  routes = routesOf(),
): Promise<{ readonly status: number; readonly answer: ParcelsAnswer }> {
  const body = JSON.stringify({ parcels });
  const response = await routes.request("/v1/callhome/parcels", { method: "POST", body });
  return { status: response.status, answer: (await response.json()) as ParcelsAnswer };
}

describe("a peer", () => {
  test("passes parcels on, and is on their trail", async () => {
    const { answer } = await post([parcelOf("a"), parcelOf("b")]);
    expect(answer.results.map(({ kind }) => kind)).toEqual(["delivered", "delivered"]);
    expect(destination.parcels[0]?.trail.map(({ kind, name }) => `${kind} ${name}`)).toEqual([
      ...["origin n1", "peer n2"],
    ]);
  });

  test("refuses what is no parcel, forged, or of strangers, and passes the rest on", async () => {
    const good = parcelOf("good");
    const forged = { ...parcelOf("forged"), id: good.id.replace(/^./, "0") };
    const { envelope } = parcelOf("changed");
    const changed = { ...good, envelope: { ...envelope, signatures: good.envelope.signatures } };
    const strange = [parcelOf("stranger", stranger), parcelOf("manager", manager)];
    const { status, answer } = await post([good, { id: 1 }, forged, changed, ...strange]);
    expect(status).toBe(200);
    const kinds = answer.results.map(({ kind }) => kind);
    expect(kinds.filter((kind) => kind === "refused").length).toBe(5);
    expect(answer.results.every((one) => one.kind !== "refused" || !one.isPermanent)).toBe(true);
    expect(destination.parcels.map(({ id }) => id)).toEqual([good.id]);
  });

  test("without a way of its own says so", async () => {
    const { status } = await post([parcelOf("a")], routesOf(null));
    expect(status).toBe(409);
    const way = await routesOf(null).request("/v1/callhome/way");
    expect(await way.json()).toMatchObject({ node: "n2", hasDirect: false, waiting: 3 });
  });

  test("says what kept the destination from answering", async () => {
    expect((await post([parcelOf("a")], routesOf("http://127.0.0.1:1"))).status).toBe(502);
    destination.instead = () => new Response("", { status: 503 });
    expect((await post([parcelOf("a")])).status).toBe(429);
  });

  test("takes some requests at a time, and asks others to come again", async () => {
    let release = (): void => undefined;
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    let waiting = 0;
    destination.instead = async () => {
      waiting++;
      await gate;
      return null;
    };
    const routes = routesOf();
    const under = Array.from({ length: 8 }, (_, i) => post([parcelOf(`k${i}`)], routes));
    await until("all are under way", () => waiting === 8);
    const body = JSON.stringify({ parcels: [parcelOf("more")] });
    const refused = await routes.request("/v1/callhome/parcels", { method: "POST", body });
    expect([refused.status, refused.headers.get("retry-after")]).toEqual([429, "1"]);
    release();
    expect((await Promise.all(under)).every(({ status }) => status === 200)).toBe(true);
  });

  test("says how its BMC is reached, once for each change", async () => {
    const routes = routesOf();
    const first = (await (await routes.request("/v1/callhome/bmc")).json()) as { digest: string };
    const again = await routes.request(`/v1/callhome/bmc?not=${first.digest}`);
    expect(await again.json()).toMatchObject({ node: "n2", bmcs: null });
  });

  test("is not moved by a body that is none", async () => {
    const routes = routesOf();
    for (const body of ["", "{", "[]", '{"parcels":[]}', '{"parcels":{}}']) {
      const answer = await routes.request("/v1/callhome/parcels", { method: "POST", body });
      expect(answer.status).toBe(400);
    }
  });
});

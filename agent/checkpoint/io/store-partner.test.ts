/**
 * Goal: a shard gets to the partner and back whole, over real HTTP, whatever the partner has or lacks; what is stale, torn,
 * too large or badly named is refused with a reason. Method: two stores in their Workers, each behind a server on loopback.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { Hono } from "hono";
import { realPart } from "../../../test/real-part.ts";
import type { RegionFile, ShardSource } from "../checkpoint.ts";
import type { StoreLimits } from "../limits.ts";
import { SHARD_REQUEST_BYTES_MAX, shardRoutes } from "./shard-routes.ts";
import { HEADERS } from "./shard-transfer.ts";
import { openStore, type StoreClient } from "./store-client.ts";
import {
  type Answer,
  type Ask,
  canMount,
  epoch,
  noise,
  Regions,
  StoreAsker,
  smallDisk,
  sourceAt,
  TemporaryFolder,
  until,
  version,
} from "./store-harness.ts";

const mount = realPart("leave to mount a tmpfs", canMount, "run the tests as root");

const JOB = "j-0000000a";

interface Node {
  readonly name: string;
  readonly store: StoreClient;
  readonly asker: StoreAsker;
  readonly regions: Regions;
  readonly source: ShardSource;
  readonly server: Bun.Server<undefined>;
  readonly folder: string;
}

async function startNode(
  parent: string,
  name: string,
  limits: Partial<StoreLimits> = {},
): Promise<Node> {
  const folder = join(parent, name);
  const store = await openStore({ dataFolder: folder, limits });
  const asker = new StoreAsker(store);
  store.onEvent((event) => asker.hear(event));
  const app = new Hono().route("/v1/shards", shardRoutes(store));
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    maxRequestBodySize: SHARD_REQUEST_BYTES_MAX,
    fetch: app.fetch,
  });
  const source = sourceAt(name, `http://127.0.0.1:${server.port}/v1/shards`);
  return {
    name,
    store,
    asker,
    regions: new Regions(join(folder, "regions")),
    source,
    server,
    folder,
  };
}

async function stopNode(node: Node): Promise<void> {
  await node.server.stop(true);
  await node.store.close();
}

let folder: TemporaryFolder;
let own: Node;
let partner: Node;
beforeEach(async () => {
  folder = new TemporaryFolder();
  own = await startNode(folder.path, "n1");
  partner = await startNode(folder.path, "n2", { shardBytesMax: 64 * 2 ** 20 });
});
afterEach(async () => {
  await stopNode(own);
  await stopNode(partner);
  folder.remove();
});

function capture(
  at: number,
  regions: readonly RegionFile[],
  to: ShardSource | null,
  under = 1,
): Ask {
  return {
    kind: "capture",
    job: JOB,
    rank: 0,
    version: version(at),
    epoch: epoch(under),
    regions,
    mailbox: null,
    partner: to,
  };
}

function seal(at: number, under = 1): Ask {
  return { kind: "seal", job: JOB, version: version(at), epoch: epoch(under) };
}

function fetching(at: number, sources: readonly ShardSource[], under = 1): Ask {
  return { kind: "fetch", job: JOB, rank: 0, version: version(at), epoch: epoch(under), sources };
}

function restoring(at: number, on: Node, under = 1): Ask {
  return {
    kind: "restore",
    job: JOB,
    rank: 0,
    version: version(at),
    epoch: epoch(under),
    regionsFolder: on.regions.folder,
    mailboxPath: join(on.folder, "mailbox"),
  };
}

function replicating(at: number, to: Node, under = 1): Ask {
  const target = { partner: to.source, version: version(at), epoch: epoch(under) };
  return { kind: "replicate", job: JOB, rank: 0, ...target };
}

function held(node: Node): readonly string[] {
  return node.store.holdings(JOB).map((h) => {
    const parent = h.parent === null ? "" : `<${h.parent}`;
    return `${h.version}-${h.epoch}${parent}${h.sealed ? " sealed" : ""}`;
  });
}

/** Version 1 in full and deltas above it, sealed on both nodes. Gives the contents of the newest. */
async function saveChain(upTo: number): Promise<Uint8Array> {
  const weights = noise(300_000, 1);
  for (let at = 1; at <= upTo; at++) {
    weights[at * 5000] = at;
    await own.asker.must(capture(at, own.regions.write({ weights }), partner.source));
    await own.asker.must(seal(at));
    await partner.asker.must(seal(at));
  }
  return weights;
}

describe("a partner", () => {
  test("has what the owner has, delta for delta, once a capture is done", async () => {
    await saveChain(3);
    expect(held(own)).toEqual(["1-1 sealed", "2-1<1 sealed", "3-1<2 sealed"]);
    expect(held(partner)).toEqual(held(own));
    for (const name of readdirSync(join(own.folder, "checkpoints", JOB, "0"))) {
      const at = join("checkpoints", JOB, "0", name);
      expect(readFileSync(join(partner.folder, at))).toEqual(readFileSync(join(own.folder, at)));
    }
  });

  test("that lacks the parent is sent the version in full", async () => {
    const weights = await saveChain(2);
    await partner.asker.must({ kind: "collect", job: JOB, keepFrom: null, lineage: [] });
    weights[0] = 77;
    await own.asker.must(capture(3, own.regions.write({ weights }), partner.source));
    expect(held(partner)).toEqual(["3-1"]);
    expect(held(own)).toEqual(["1-1 sealed", "2-1<1 sealed", "3-1<2"]);
    await partner.asker.must(seal(3));
    await partner.asker.must(restoring(3, partner));
    expect(partner.regions.read("weights")).toEqual(weights);
  });

  test("under a later plan refuses a copy of an older one, which then counts as failed", async () => {
    partner.store.raiseEpoch(JOB, epoch(5));
    const files = own.regions.write({ weights: noise(5_000_000, 1) });
    expect(await own.asker.ask(capture(1, files, partner.source))).toMatchObject({
      kind: "failed",
      failure: "refused",
      detail: expect.stringContaining("epoch 1 is over, 5 holds"),
    });
    expect(held(partner)).toEqual([]);
  });

  test("that is gone makes the capture fail, after captured, and leaves the own copy unsealed", async () => {
    const files = own.regions.write({ weights: noise(5000, 1) });
    const begun = own.asker.begin(
      capture(1, files, sourceAt("n9", "http://127.0.0.1:1/v1/shards")),
    );
    await begun.captured;
    expect(await begun.answer).toMatchObject({ kind: "failed", failure: "unreachable" });
    expect(held(own)).toEqual(["1-1"]);
  });

  test("that never answers is given up as soon as a later epoch holds", async () => {
    const mute = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Promise(() => {}) });
    const files = own.regions.write({ weights: noise(5000, 1) });
    const begun = own.asker.begin(capture(1, files, sourceAt("n9", String(mute.url))));
    await begun.captured;
    own.store.raiseEpoch(JOB, epoch(2));
    expect(await begun.answer).toMatchObject({ kind: "failed", failure: "refused" });
    expect(held(own)).toEqual([]);
    await mute.stop(true);
  });

  mount("whose disk is full says so", async () => {
    const disk = smallDisk(join(folder.path, "disk"));
    const third = await startNode(join(folder.path, "disk"), "n3");
    try {
      const files = own.regions.write({ weights: noise(9_000_000, 1) });
      expect(await own.asker.ask(capture(1, files, third.source))).toMatchObject({
        kind: "failed",
        failure: "no-space",
        detail: expect.stringContaining("n3: "),
      });
      expect(held(own)).toEqual(["1-1"]);
      expect(held(third)).toEqual([]);
      expect(readdirSync(join(third.folder, "checkpoints", "tmp"))).toEqual([]);
    } finally {
      await stopNode(third);
      disk?.unmount();
    }
  });

  test("gets an existing version by replicate, sealed", async () => {
    const weights = await saveChain(3);
    await partner.asker.must({ kind: "collect", job: JOB, keepFrom: null, lineage: [] });
    await own.asker.must(replicating(3, partner, 2));
    expect(held(partner)).toEqual(["3-1 sealed"]);
    await partner.asker.must(restoring(3, partner, 2));
    expect(partner.regions.read("weights")).toEqual(weights);
  });
});

describe("a fetch", () => {
  test("brings the whole chain from the partner, and it restores", async () => {
    const weights = await saveChain(3);
    await own.asker.must({ kind: "collect", job: JOB, keepFrom: null, lineage: [] });
    expect(held(own)).toEqual([]);
    await own.asker.must(fetching(3, [partner.source], 2));
    expect(held(own)).toEqual(["1-1 sealed", "2-1<1 sealed", "3-1<2 sealed"]);
    own.regions.write({ weights: noise(300_000, 9) });
    await own.asker.must(restoring(3, own, 2));
    expect(own.regions.read("weights")).toEqual(weights);
  });

  test("reads from the partner's memory when its disk has lost the file", async () => {
    await saveChain(1);
    await own.asker.must({ kind: "collect", job: JOB, keepFrom: null, lineage: [] });
    rmSync(join(partner.folder, "checkpoints", JOB, "0", "1-1.shard"));
    await own.asker.must(fetching(1, [partner.source]));
    expect(held(own)).toEqual(["1-1 sealed"]);
  });

  test("goes on to the next source past one that is gone and one whose copy is damaged", async () => {
    await saveChain(2);
    const third = await startNode(folder.path, "n3", { partnerCacheBytes: 0 });
    await own.asker.must(replicating(1, third));
    await own.asker.must(replicating(2, third));
    const path = join(third.folder, "checkpoints", JOB, "0", "2-1.shard");
    const bytes = readFileSync(path);
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] as number) ^ 1;
    writeFileSync(path, bytes);
    await own.asker.must({ kind: "collect", job: JOB, keepFrom: null, lineage: [] });
    const gone = sourceAt("n9", "http://127.0.0.1:1/v1/shards");
    expect(await own.asker.ask(fetching(2, [gone, third.source]))).toMatchObject({
      kind: "failed",
      failure: "damaged",
    });
    expect(readdirSync(join(own.folder, "checkpoints", "tmp"))).toEqual([]);
    await own.asker.must(fetching(2, [gone, third.source, partner.source]));
    expect(held(own)).toEqual(["1-1 sealed", "2-1<1 sealed"]);
    await stopNode(third);
  });

  test("of a version nobody holds finds nothing", async () => {
    const answer: Answer = await own.asker.ask(fetching(1, [partner.source]));
    expect(answer).toMatchObject({ kind: "failed", failure: "not-found" });
  });

  test("comes from a source that missed the seal, and is sealed here: it was asked for by name", async () => {
    const files = own.regions.write({ weights: noise(5000, 1) });
    await own.asker.must(capture(1, files, partner.source));
    await own.asker.must({ kind: "collect", job: JOB, keepFrom: null, lineage: [] });
    await own.asker.must(fetching(1, [partner.source]));
    expect(held(own)).toEqual(["1-1 sealed"]);
  });

  test("of what is here, but not known to be sealed, only marks it", async () => {
    const files = own.regions.write({ weights: noise(5000, 1) });
    await own.asker.must(capture(1, files, partner.source));
    await partner.asker.must(seal(1));
    expect(await own.asker.must(fetching(1, [partner.source]))).toBe(0);
    expect(held(own)).toEqual(["1-1 sealed"]);
  });
});

describe("the routes", () => {
  function put(
    path: string,
    body: string,
    headers: Record<string, string> = {},
  ): Promise<Response> {
    return fetch(`${partner.source.url}/${path}`, {
      method: "PUT",
      body,
      headers: { [HEADERS.planEpoch]: "1", ...headers },
    });
  }

  test("tell of a shard by HEAD without sending it", async () => {
    await saveChain(2);
    const url = `${partner.source.url}/${JOB}/0/2`;
    const response = await fetch(url, { method: "HEAD" });
    expect(response.status).toBe(200);
    expect(response.headers.get(HEADERS.sealed)).toBe("1");
    expect(response.headers.get(HEADERS.shardEpoch)).toBe("1");
    const bytes = new Uint8Array(await (await fetch(`${url}?epoch=1`)).arrayBuffer());
    const file = join(own.folder, "checkpoints", JOB, "0", "2-1.shard");
    expect(bytes).toEqual(new Uint8Array(readFileSync(file)));
    expect((await fetch(`${url}?epoch=2`)).status).toBe(404);
  });

  test("refuse every name that is not a shard's", async () => {
    for (const path of [
      "..%2F..%2Fetc/0/1",
      "%2e%2e/0/1",
      "tmp/0/1",
      `${JOB}/-1/1`,
      `${JOB}/0/0`,
      `${JOB}/0/01`,
      `${JOB}/0/1e3`,
      `${JOB}/0%2F..%2F1/1`,
      `${JOB}/0/99999999999999999`,
      `${JOB}/0/1?epoch=..%2F1`,
    ]) {
      const { status } = await fetch(`${partner.source.url}/${path}`);
      expect([path, status === 400 || status === 404]).toEqual([path, true]);
      expect((await put(path, "x")).status).not.toBe(204);
    }
    const rest = readdirSync(join(partner.folder, "checkpoints")).sort();
    expect(rest).toEqual(["format", "tmp"]);
  });

  test("refuse garbage, and keep nothing of it", async () => {
    const response = await put(`${JOB}/0/1?epoch=1`, "garbage ".repeat(1000));
    expect(response.status).toBe(422);
    expect(await response.json()).toMatchObject({ title: "damaged", status: 422 });
    expect((await put(`${JOB}/0/1?epoch=1`, "")).status).not.toBe(204);
    expect((await put(`${JOB}/0/1`, "no epoch")).status).toBe(400);
    const noPlan = await put(`${JOB}/0/1?epoch=1`, "x", { [HEADERS.planEpoch]: "soon" });
    expect(noPlan.status).toBe(400);
    expect(readdirSync(join(partner.folder, "checkpoints", "tmp"))).toEqual([]);
    expect(held(partner)).toEqual([]);
  });

  test("refuse a shard that is announced as another, or sent under another name", async () => {
    const files = own.regions.write({ weights: noise(5000, 1) });
    await own.asker.must(capture(1, files, null));
    const body = readFileSync(join(own.folder, "checkpoints", JOB, "0", "1-1.shard"));
    for (const path of [`${JOB}/1/1?epoch=1`, `${JOB}/0/2?epoch=1`, `${JOB}/0/1?epoch=2`]) {
      const url = `${partner.source.url}/${path}`;
      const headers = { [HEADERS.planEpoch]: "1" };
      expect((await fetch(url, { method: "PUT", body, headers })).status).toBe(422);
    }
    expect(held(partner)).toEqual([]);
  });

  test("keep nothing of a shard whose sender dies on the way", async () => {
    const files = own.regions.write({ weights: noise(5_000_000, 1) });
    await own.asker.must(capture(1, files, null));
    const body = readFileSync(join(own.folder, "checkpoints", JOB, "0", "1-1.shard"));
    const { hostname, port } = partner.server;
    const temporary = join(partner.folder, "checkpoints", "tmp");
    const socket = connect(port as number, hostname);
    socket.write(
      `PUT /v1/shards/${JOB}/0/1?epoch=1 HTTP/1.1\r\nhost: x\r\n${HEADERS.planEpoch}: 1\r\n` +
        `content-length: ${body.length}\r\n\r\n`,
    );
    socket.write(body.subarray(0, body.length >> 1));
    await until("the shard begins to arrive", () => readdirSync(temporary).length === 1);
    socket.destroy();
    await until("its file is gone", () => readdirSync(temporary).length === 0);
    expect(held(partner)).toEqual([]);
  });

  test("refuse a length of 4 GiB before its first byte", async () => {
    const { hostname, port } = partner.server;
    const socket = connect(port as number, hostname);
    socket.write(
      `PUT /v1/shards/${JOB}/0/1?epoch=1 HTTP/1.1\r\nhost: x\r\n${HEADERS.planEpoch}: 1\r\n` +
        `content-length: ${2 ** 32}\r\n\r\n`,
    );
    const { promise, resolve } = Promise.withResolvers<string>();
    socket.once("data", (bytes) => resolve(bytes.toString("latin1")));
    expect(await promise).toStartWith("HTTP/1.1 413");
    socket.destroy();
    expect(readdirSync(join(partner.folder, "checkpoints", "tmp"))).toEqual([]);
  });
});

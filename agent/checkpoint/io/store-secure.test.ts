/**
 * Goal: shards travel between nodes by mutual TLS only, and nobody without a certificate of the cluster is sent or sends one.
 * Method: real stores behind servers with certificates of a real authority.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { Hono } from "hono";
import { testIdentities } from "../../identity/harness/test-authority.ts";
import type { Identity } from "../../identity/identity.ts";
import { allow, identify } from "../../net/io/access.ts";
import { keepPass } from "../../net/io/pass.ts";
import { serveTls } from "../../net/io/secure.ts";
import { shardRoutes } from "./shard-routes.ts";
import { openStore, type StoreClient } from "./store-client.ts";
import {
  type Ask,
  epoch,
  noise,
  Regions,
  StoreAsker,
  sourceAt,
  TemporaryFolder,
  version,
} from "./store-harness.ts";

const JOB = "j-0000000b";

interface Node {
  readonly store: StoreClient;
  readonly asker: StoreAsker;
  readonly regions: Regions;
  readonly server: Bun.Server<undefined>;
  readonly endPass: () => void;
}

let folder: TemporaryFolder;
const nodes: Node[] = [];
beforeEach(() => {
  folder = new TemporaryFolder();
});
afterEach(async () => {
  for (const node of nodes.splice(0)) {
    node.endPass();
    await node.server.stop(true);
    await node.store.close();
  }
  folder.remove();
});

async function startNode(name: string, identity: Identity | null): Promise<Node> {
  const at = join(folder.path, name);
  const store = await openStore({ dataFolder: at });
  const asker = new StoreAsker(store);
  store.onEvent((event) => asker.hear(event));
  const app = new Hono().use(identify(identity), allow("agent"));
  const tls = serveTls(identity);
  const server = Bun.serve({
    ...{ hostname: "127.0.0.1", port: 0, fetch: app.route("/v1/shards", shardRoutes(store)).fetch },
    ...(tls === undefined ? {} : { tls }),
  });
  const endPass = keepPass(identity, "agent", (pass) => store.usePass(pass));
  const node = { store, asker, regions: new Regions(join(at, "regions")), server, endPass };
  nodes.push(node);
  return node;
}

/** As the decision code names it, whatever is spoken there. */
function sourceOf(name: string, node: Node) {
  return sourceAt(name, `http://127.0.0.1:${node.server.port}/v1/shards`);
}

function capture(own: Node, to: Node): Ask {
  return {
    ...{ kind: "capture", job: JOB, rank: 0, version: version(1), epoch: epoch(1) },
    ...{ regions: own.regions.write({ weights: noise(300_000, 1) }), mailbox: null },
    partner: sourceOf("n2", to),
  };
}

describe("a shard", () => {
  test("is sent to a partner and fetched from it by mutual TLS", async () => {
    const ids = await testIdentities("c1");
    const own = await startNode("n1", await ids.of("agent", "n1"));
    const partner = await startNode("n2", await ids.of("agent", "n2"));
    const third = await startNode("n3", await ids.of("agent", "n3"));
    await own.asker.must(capture(own, partner));
    const sealing: Ask = { kind: "seal", job: JOB, version: version(1), epoch: epoch(1) };
    await partner.asker.must(sealing);
    const bytes = await third.asker.must({
      ...{ kind: "fetch", job: JOB, rank: 0, version: version(1), epoch: epoch(1) },
      sources: [sourceOf("n2", partner)],
    });
    expect(bytes).toBeGreaterThan(300_000);
  });

  test("is not taken from a node of another cluster, from one in the clear, nor from one that was revoked", async () => {
    const ids = await testIdentities("c1");
    const partner = await startNode("n2", await ids.of("agent", "n2"));
    const foreign = await (await testIdentities("c2")).of("agent", "n5");
    const put = await ids.of("agent", "n6");
    for (const [name, identity] of [
      ["n5", foreign],
      ["n7", null],
    ] as const) {
      const own = await startNode(name, identity);
      expect(await own.asker.ask(capture(own, partner))).toMatchObject({
        ...{ kind: "failed", failure: "unreachable" },
      });
    }
    const own = await startNode("n6", put);
    await ids.revoke("agent", "n6");
    const answer = await own.asker.ask(capture(own, partner));
    expect(answer).toMatchObject({ kind: "failed", failure: "unreachable" });
    expect(partner.store.holdings(JOB)).toEqual([]);
  });
});

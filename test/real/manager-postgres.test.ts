/**
 * The manager's store over a real PostgreSQL: the suite that SQLite runs too; then the server is killed, stopped and started
 * again under it, and two managers share it.
 */
import { afterAll, beforeAll, describe, expect } from "bun:test";
import { PARCELS_PATH, RECEIPTS_PATH } from "../../agent/callhome/protocol.ts";
import { parcelOf, testEvent } from "../../agent/manager/io/harness/signed-events.ts";
import { good, incoming, keeperOf } from "../../agent/manager/io/harness/store-cases.ts";
import { storeSuite } from "../../agent/manager/io/harness/store-suite.ts";
import {
  type TestAgent,
  type TestManager,
  testManager,
  until,
} from "../../agent/manager/io/harness/test-manager.ts";
import { hasPostgres, TestPostgres } from "../../agent/manager/io/harness/test-postgres.ts";
import type { Manager } from "../../agent/manager/io/manager.ts";
import { type OpenManager, openManager } from "../../agent/manager/io/open-manager.ts";
import { openPostgres, type Store } from "../../agent/manager/io/store.ts";
import { readNdjson } from "../../agent/net/io/ndjson.ts";
import { secureFetch } from "../../agent/net/io/secure.ts";
import { realPart } from "../real-part.ts";

const postgres = realPart("PostgreSQL", hasPostgres, "apt-get install postgresql");

let server: TestPostgres | null = null;

function running(): TestPostgres {
  if (server === null) throw new Error("PostgreSQL was not started");
  return server;
}

beforeAll(async () => {
  if (!hasPostgres()) return;
  server = new TestPostgres();
  await server.start();
}, 60_000);

afterAll(async () => {
  await server?.remove();
});

async function opened(url: string, failures: string[] = []): Promise<Store> {
  const result = await openPostgres(url, {
    onUse: () => undefined,
    onFailure: (failure) => failures.push(failure?.kind ?? "well"),
  });
  if (!result.ok) throw new Error(result.error);
  return result.value.store;
}

/** As a client does: again until it is taken. */
async function keepAtLast(store: Store, id: string, limitMs: number): Promise<number> {
  const beganMs = Date.now();
  for (;;) {
    const kept = await store.keep([incoming(testEvent({ id }))], keeperOf());
    if (kept.ok) return Date.now() - beganMs;
    if (Date.now() - beganMs > limitMs) throw new Error(kept.error.detail);
    await Bun.sleep(100);
  }
}

describe("a store over PostgreSQL", () => {
  let shared: string | null = null;
  storeSuite(async () => {
    if (shared !== null) await running().empty(shared);
    shared ??= await running().database();
    return opened(shared);
  }, postgres);

  postgres("is brought to its version by several managers that start at once", async () => {
    const url = await running().database();
    const stores = await Promise.all([1, 2, 3, 4].map(() => opened(url)));
    expect(stores.every(({ isUp }) => isUp)).toBe(true);
    await Promise.all(stores.map((store) => good(store.keep([incoming()], keeperOf()))));
    const [first] = stores;
    expect((await good(first?.sums() ?? Promise.reject())).tallies[0]?.count).toBe(4);
    await Promise.all(stores.map((store) => store.close()));
  });

  postgres("shared by two managers gives numbers in the order of their commits", async () => {
    const url = await running().database();
    const stores = [await opened(url), await opened(url)];
    const seen: number[] = [];
    let last = 0;
    let isOver = false;
    const reader = (async () => {
      const store = await opened(url);
      while (!isOver || (await good(store.clock())) > last) {
        const { upTo, changes } = await good(store.changes(last, 10_000));
        seen.push(...(changes?.events.map(({ seq }) => seq) ?? []));
        last = upTo;
      }
      await store.close();
    })();
    const writes = stores.map(async (store) => {
      for (let n = 0; n < 40; n++) {
        await good(store.keep([incoming(), incoming(), incoming()], keeperOf()));
      }
    });
    await Promise.all(writes);
    isOver = true;
    await reader;
    // Nobody who reads on from a number misses what was committed below it.
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
    expect(new Set(seen).size).toBe(240);
    await Promise.all(stores.map((store) => store.close()));
  });

  postgres(
    "loses nothing that it acknowledged when the server is killed, and goes on when it is back",
    async () => {
      const failures: string[] = [];
      const url = await running().database();
      const store = await opened(url, failures);
      const acknowledged: string[] = [];
      let isOver = false;
      const client = (async () => {
        while (!isOver) {
          const event = testEvent();
          const kept = await store.keep([incoming(event)], keeperOf());
          if (kept.ok) acknowledged.push(event.id);
          else await Bun.sleep(20);
        }
      })();
      while (acknowledged.length < 50) await Bun.sleep(10);
      await running().kill();
      const refused = await store.keep([incoming()], keeperOf());
      expect(refused).toMatchObject({ ok: false, error: { kind: "away" } });
      await running().start();
      const count = acknowledged.length;
      while (acknowledged.length < count + 20) await Bun.sleep(10);
      isOver = true;
      await client;
      expect((await good(store.states(acknowledged))).size).toBe(acknowledged.length);
      expect(failures.slice(0, 2)).toEqual(["away", "well"]);
      await store.close();
    },
    60_000,
  );

  postgres(
    "gives up on a server that stands still, and uses it again when it goes on",
    async () => {
      const store = await opened(await running().database());
      await good(store.keep([incoming()], keeperOf()));
      running().signal("SIGSTOP");
      const beganMs = Date.now();
      const refused = await store.keep([incoming()], keeperOf());
      expect(refused).toMatchObject({ ok: false, error: { kind: "away" } });
      expect(Date.now() - beganMs).toBeLessThan(8_000);
      running().signal("SIGCONT");
      const { id } = testEvent();
      await keepAtLast(store, id, 20_000);
      expect((await good(store.states([id]))).size).toBe(1);
      await store.close();
    },
    60_000,
  );

  postgres(
    "can be away when the manager starts",
    async () => {
      const url = await running().database();
      await running().kill();
      const result = await openPostgres(url);
      if (!result.ok) throw new Error(result.error);
      expect(result.value.complaints.join()).toContain("cannot be used yet");
      await running().start();
      await keepAtLast(result.value.store, testEvent().id, 20_000);
      await result.value.store.close();
    },
    60_000,
  );

  postgres("never shows its password", async () => {
    const url = "postgres://holdfast:secret-word@127.0.0.1:1/none";
    const result = await openPostgres(url);
    if (!result.ok) throw new Error(result.error);
    expect(result.value.store.name).toBe("127.0.0.1:1/none");
    expect(JSON.stringify(result.value.complaints)).not.toContain("secret-word");
    const refused = await result.value.store.clock();
    expect(JSON.stringify(refused)).not.toContain("secret-word");
    await result.value.store.close();
  });
});

async function sharing(
  body: (world: TestManager, second: OpenManager, agent: TestAgent) => Promise<void>,
): Promise<void> {
  const store = await running().database();
  const world = await testManager();
  const identity = await world.ids.of("manager", "m2");
  await world.start({ store });
  const log = { say: () => undefined };
  const second = await openManager({
    ...{ identity, service: null, listen: { address: "127.0.0.1", port: 0 }, pageListen: null },
    ...{ dataFolder: world.folder, store, destination: world.destination.url, page: null, log },
    caller: (role, url, init) => secureFetch(identity, role)(url, init),
    ...{ retentionDays: 90, version: "test" },
  });
  if (!second.ok) throw new Error(second.error);
  try {
    await body(world, second.value, await world.agent("n1"));
  } finally {
    await second.value.stop();
    await world.remove();
  }
}

async function allDelivered(manager: Manager, ids: readonly string[]): Promise<boolean> {
  const states = await manager.store.states(ids);
  return states.ok && ids.every((id) => states.value.get(id)?.state === "delivered");
}

describe("two managers on one PostgreSQL", () => {
  postgres(
    "relay each event once between them, and either tells its node",
    async () => {
      await sharing(async (world, second, agent) => {
        const parcels = Array.from({ length: 300 }, () => parcelOf(agent.identity.signer));
        const stream = await secureFetch(
          agent.identity,
          "manager",
        )(`https://127.0.0.1:${second.port}${RECEIPTS_PATH}?after=0`);
        const heard = new Set<string>();
        void (async () => {
          for await (const line of readNdjson(stream)) {
            const { kind, receipt } = line as { kind: string; receipt: { id: string } };
            if (kind === "receipt") heard.add(receipt.id);
          }
        })().catch(() => undefined);
        for (let from = 0; from < 300; from += 30)
          await agent.give(...parcels.slice(from, from + 30));
        await until(
          () => heard.size === 300,
          "every receipt, at the manager that was not asked",
          30_000,
        );
        expect([...world.destination.came.values()].every((count) => count === 1)).toBe(true);
        expect(world.destination.came.size).toBe(300);
      });
    },
    60_000,
  );

  postgres(
    "take over what one of them held when it died",
    async () => {
      const store = await running().database();
      const dead = await opened(store);
      const world = await testManager();
      const agent = await world.agent("n1");
      const given = Array.from({ length: 20 }, () => parcelOf(agent.identity.signer));
      const kept = given.map((parcel) => ({
        ...incoming(testEvent({ id: parcel.id })),
        envelope: JSON.stringify(parcel.envelope),
      }));
      // Its lease has two seconds left, and nobody renews it.
      await good(dead.keep(kept, keeperOf({ owner: "m9/x", takes: 20, leaseMs: 2_000 })));
      await dead.close();
      await world.start({ store });
      const ids = given.map(({ id }) => id);
      await until(() => allDelivered(world.open.manager, ids), "all delivered", 30_000);
      expect(world.destination.came.size).toBe(20);
      await world.remove();
    },
    60_000,
  );

  postgres(
    "answer 503 while it is away, lose nothing that they acknowledged, and go on",
    async () => {
      await sharing(async (world, _second, agent) => {
        const parcels = Array.from({ length: 20 }, () => parcelOf(agent.identity.signer));
        await agent.give(...parcels);
        await running().kill();
        const refused = await agent.postJson(PARCELS_PATH, {
          parcels: [parcelOf(agent.identity.signer)],
        });
        expect(refused.status).toBe(503);
        expect(await refused.json()).toMatchObject({ kind: "unavailable" });
        expect((await world.open.manager.summary())?.store.isUp).toBe(false);
        await running().start();
        const ids = parcels.map(({ id }) => id);
        await until(() => allDelivered(world.open.manager, ids), "all delivered", 40_000);
        expect(world.said.join("\n")).toContain("the store works again");
      });
    },
    90_000,
  );
});

/**
 * The manager's store over a real PostgreSQL: the suite that SQLite runs too; then the server is killed, stopped and started
 * again under it, and two managers share it.
 */
import { afterAll, beforeAll, describe, expect } from "bun:test";
import { testEvent } from "../../agent/manager/io/harness/signed-events.ts";
import { good, incoming, keeperOf } from "../../agent/manager/io/harness/store-cases.ts";
import { storeSuite } from "../../agent/manager/io/harness/store-suite.ts";
import { hasPostgres, TestPostgres } from "../../agent/manager/io/harness/test-postgres.ts";
import { openPostgres, type Store } from "../../agent/manager/io/store.ts";
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

/**
 * The store over SQLite: the suite that PostgreSQL runs too, and what only a file has.
 */
import { describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { removeFolder } from "../../runtime/io/remove-folder.ts";
import { BunDatabase, sqliteDriver } from "./database.ts";
import { SQLITE } from "./dialect.ts";
import { testEvent } from "./harness/signed-events.ts";
import { good, incoming, keeperOf } from "./harness/store-cases.ts";
import { storeSuite } from "./harness/store-suite.ts";
import { SCHEMA_VERSION } from "./migrations.ts";
import { openSqlite, Store } from "./store.ts";

async function inFolder(body: (path: string, folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-store-"));
  try {
    await body(join(folder, "data", "manager.sqlite"), folder);
  } finally {
    await removeFolder(folder);
  }
}

async function opened(path: string): Promise<Store> {
  const result = await openSqlite(path);
  if (!result.ok) throw new Error(result.error);
  return result.value.store;
}

describe("a store over SQLite", () => {
  storeSuite(
    async () => {
      const folder = mkdtempSync(join(tmpdir(), "holdfast-store-"));
      const store = await opened(join(folder, "manager.sqlite"));
      const close = store.close.bind(store);
      store.close = async () => {
        await close();
        await removeFolder(folder);
      };
      return store;
    },
    (name, body) => test(name, body),
  );

  test("is of its user only, flushes at each commit, and is there again after a close", async () => {
    await inFolder(async (path) => {
      const store = await opened(path);
      const event = testEvent();
      await good(store.keep([incoming(event)], keeperOf()));
      await store.close();
      expect(statSync(path).mode & 0o777).toBe(0o600);
      const again = await opened(path);
      expect((await good(again.event(event.id)))?.row.id).toBe(event.id);
      await again.close();
      expect(await again.keep([incoming()], keeperOf())).toMatchObject({ error: { kind: "away" } });
      const db = new BunDatabase(sqliteDriver(SQLITE, path));
      const pragmas = await db.read(async (s) => [
        ...(await s.rows("pragma synchronous")),
        ...(await s.rows("pragma journal_mode")),
      ]);
      await db.close();
      expect(pragmas).toMatchObject({ value: [{ synchronous: 2 }, { journal_mode: "wal" }] });
    });
  });

  test("is one manager's: a second one is told who has it", async () => {
    await inFolder(async (path) => {
      const store = await opened(path);
      const second = await openSqlite(path);
      expect(second).toMatchObject({ ok: false });
      if (!second.ok) expect(second.error).toContain("used by another manager");
      await good(store.keep([incoming()], keeperOf()));
      await store.close();
    });
  });

  test("that is damaged is set aside, and a new one is begun", async () => {
    await inFolder(async (path, folder) => {
      const store = await opened(path);
      await store.close();
      writeFileSync(
        path,
        "this is no database, it is a text that is long enough for a header ".repeat(20),
      );
      const result = await openSqlite(path);
      if (!result.ok) throw new Error(result.error);
      expect(result.value.complaints.join()).toContain("is damaged");
      await good(result.value.store.keep([incoming()], keeperOf()));
      await result.value.store.close();
      expect(readdirSync(join(folder, "data")).some((name) => name.includes(".damaged-"))).toBe(
        true,
      );
    });
  });

  test("of a newer version is refused and left as it is", async () => {
    await inFolder(async (path) => {
      await (await opened(path)).close();
      const db = new BunDatabase(sqliteDriver(SQLITE, path));
      await db.write((s) =>
        s.rows("insert into migrations (version, at_ms) values (?, 0)", [SCHEMA_VERSION + 1]),
      );
      await db.close();
      const result = await openSqlite(path);
      expect(result).toMatchObject({ ok: false });
      if (!result.ok) expect(result.error).toContain("newer holdfast");
    });
  });

  test("that is full says so, loses nothing, and works again when there is room", async () => {
    await inFolder(async (path) => {
      const db = new BunDatabase(sqliteDriver(SQLITE, path));
      await (await opened(path)).close();
      const failures: (string | null)[] = [];
      const store = new Store(db, {
        onUse: () => undefined,
        onFailure: (failure) => failures.push(failure?.kind ?? null),
      });
      await db.read((s) => s.rows("pragma max_page_count = 60"));
      const kept: string[] = [];
      for (;;) {
        const batch = Array.from({ length: 20 }, () =>
          incoming(testEvent({ text: "x".repeat(2_000) })),
        );
        const result = await store.keep(batch, keeperOf());
        if (!result.ok) {
          expect(result.error.kind).toBe("full");
          break;
        }
        kept.push(...batch.map(({ id }) => id));
      }
      const states = await good(store.states(kept));
      expect(states.size).toBe(kept.length);
      await db.read((s) => s.rows("pragma max_page_count = 100000"));
      await good(store.keep([incoming()], keeperOf()));
      expect(failures).toEqual(["full", null]);
      await store.close();
    });
  });
});

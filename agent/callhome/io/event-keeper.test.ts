/**
 * Goal: what was acknowledged is there after any end of the agent, and what is damaged is told, not guessed.
 * Method: real files in temporary folders; a torn end, damage and a full disk are made by hand.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { BmcEvent } from "../../../bmc/bmc.ts";
import { realCrypto } from "../../../bmc/ipmi/io/crypto.ts";
import type { Log } from "../../runtime/log.ts";
import { EventBook } from "../event-book.ts";
import { hookEvent, RecentHooks, readHookFields } from "../hook-fields.ts";
import { EventJournal } from "./event-journal.ts";
import { EventKeeper, openEventKeeper } from "./event-keeper.ts";

let folder = "";
let said: string[] = [];
const log: Log = { say: (level, text) => said.push(`${level} ${text}`) };

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "holdfast-events-"));
  said = [];
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function eventOf(key: string, more: Record<string, string> = {}): BmcEvent {
  const fields = readHookFields({ text: `event ${key}`, key, ...more });
  if (!fields.ok) throw new Error(fields.error);
  const setting = { system: "s", nowMs: 1, sha256: realCrypto.sha256, recent: new RecentHooks() };
  return hookEvent(fields.value, setting);
}

function textsOf(keeper: EventKeeper): readonly string[] {
  return keeper
    .after(0, 100_000)
    .flatMap((line) => (line.kind === "event" ? [line.event.text] : []));
}

const journal = (): string => join(folder, "events", "journal");

describe("events that are kept", () => {
  test("are there after the agent was killed, with their numbers", async () => {
    const first = await openEventKeeper(folder, log);
    // Never closed, as after SIGKILL.
    for (const key of ["a", "b", "a"]) expect((await first.take(eventOf(key))).ok).toBe(true);
    const second = await openEventKeeper(folder, log);
    expect(second.after(0, 10)).toEqual(first.after(0, 10));
    expect(await second.take(eventOf("b"))).toMatchObject({ ok: true, value: { isNew: false } });
    expect(await second.take(eventOf("c"))).toMatchObject({ ok: true, value: { isNew: true } });
    expect(second.after(2, 10).map(({ seq }) => seq)).toEqual([3]);
    expect(said.filter((line) => line.includes("event c"))).toHaveLength(1);
  });

  test("that come at once cost few flushes and are all kept, each told once", async () => {
    const keeper = await openEventKeeper(folder, log);
    const keys = Array.from({ length: 500 }, (_, index) => String(index));
    const taken = await Promise.all([...keys, ...keys].map((key) => keeper.take(eventOf(key))));
    expect(taken.every(({ ok }) => ok)).toBe(true);
    expect(taken.filter((one) => one.ok && one.value.isNew)).toHaveLength(500);
    expect(said.filter((line) => line.includes(": event "))).toHaveLength(500);
    expect(textsOf(await openEventKeeper(folder, log))).toHaveLength(500);
  });

  test("survive a torn end, which is cut", async () => {
    const keeper = await openEventKeeper(folder, log);
    for (const key of ["a", "b"]) await keeper.take(eventOf(key));
    const whole = readFileSync(journal());
    for (let bytes = whole.indexOf("\n") + 1; bytes < whole.length; bytes += 7) {
      writeFileSync(journal(), whole.subarray(0, bytes));
      const again = await openEventKeeper(folder, log);
      expect(textsOf(again)).toEqual(["event a"]);
      await again.take(eventOf("c"));
      await again.close();
      expect(textsOf(await openEventKeeper(folder, log))).toEqual(["event a", "event c"]);
    }
  });

  test("around a damaged one are kept, the damage is told and set aside", async () => {
    const keeper = await openEventKeeper(folder, log);
    for (const key of ["a", "b", "c"]) await keeper.take(eventOf(key));
    const bad = readFileSync(journal(), "utf8").replace("event b", "event x");
    writeFileSync(journal(), bad);
    const again = await openEventKeeper(folder, log);
    expect(textsOf(again)).toEqual(["event a", "event c"]);
    expect(said.at(-1)).toContain("1 of 3 lines");
    expect(readFileSync(`${journal()}.damaged`, "utf8")).toBe(bad);
    await again.close();
    said = [];
    expect(textsOf(await openEventKeeper(folder, log))).toEqual(["event a", "event c"]);
    expect(said).toEqual([]);
  });

  test("do not let the file grow without bound", async () => {
    const keeper = await openEventKeeper(folder, log, 100);
    for (let index = 0; index < 3_000; index += 100) {
      const keys = Array.from({ length: 100 }, (_, more) => String(index + more));
      await Promise.all(keys.map((key) => keeper.take(eventOf(key))));
    }
    await keeper.close();
    const lines = readFileSync(journal(), "utf8").trimEnd().split("\n");
    expect(lines.length).toBeLessThan(1_500);
    const again = await openEventKeeper(folder, log, 100);
    expect(textsOf(again).length).toBeLessThan(1_500);
    expect(textsOf(again).at(-1)).toBe("event 2999");
    expect(again.lastSeq).toBe(3_000);
    expect(existsSync(`${journal()}.tmp`)).toBe(false);
  });

  test("from lines of an older reader are followed live", async () => {
    const keeper = await openEventKeeper(folder, log);
    const gone = new AbortController();
    const waits = keeper.changed(gone.signal);
    await keeper.take(eventOf("a"));
    await waits;
    expect(keeper.after(0, 10)).toHaveLength(1);
    const idle = keeper.changed(gone.signal);
    gone.abort();
    await idle;
  });
});

describe("an event that cannot be kept", () => {
  test("is not acknowledged, however often it comes", async () => {
    const bad = new EventKeeper(new EventBook(), new EventJournal("/dev/full", 0), log);
    const refused = await bad.take(eventOf("b"));
    expect(refused).toMatchObject({ ok: false, error: { kind: "no-space" } });
    expect(bad.after(0, 10)).toEqual([]);
    // The same again: not "known already", since it is on no disk.
    expect((await bad.take(eventOf("b"))).ok).toBe(false);
    expect(said.filter((line) => line.includes("cannot be kept"))).toHaveLength(1);
  });
});

/**
 * Goal: a BMC that cannot be reached is tried again, one that can is watched from where the last watch ended, and its events are
 * on disk before what was told is remembered.
 * Method: a BMC made of a script, real folders, and a clock whose timers the test lets go.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Bmc, BmcEvent, WatchHandlers, WatchOptions } from "../../../bmc/bmc.ts";
import { type BmcError, bmcError } from "../../../bmc/bmc-error.ts";
import { realCrypto } from "../../../bmc/ipmi/io/crypto.ts";
import { err, ok, type Result } from "../../../core/result.ts";
import type { Clock } from "../../runtime/clock.ts";
import type { Disk } from "../../runtime/disk.ts";
import { folderDisk } from "../../runtime/io/disk.ts";
import { hookEvent, RecentHooks, readHookFields } from "../hook-fields.ts";
import { BmcWatcher } from "./bmc-watcher.ts";
import { type EventKeeper, openEventKeeper } from "./event-keeper.ts";

let folder = "";
let said: string[] = [];
let keeper: EventKeeper;
const log = { say: (level: string, text: string): number => said.push(`${level} ${text}`) };

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "holdfast-watcher-"));
  mkdirSync(join(folder, "state"));
  said = [];
  keeper = await openEventKeeper(folder, log);
});
afterEach(async () => {
  await until("all is written", () => writesUnderWay === 0);
  rmSync(folder, { recursive: true, force: true });
});

/** Watchers do not wait for the disk when they stop; the folder must stay that long. */
let writesUnderWay = 0;
function disk(): Disk {
  const real = folderDisk(join(folder, "state"));
  return {
    write: (name, document, done) => {
      writesUnderWay++;
      real.write(name, document, (failure) => {
        writesUnderWay--;
        done(failure);
      });
    },
    remove: (name, done) => real.remove(name, done),
    read: (name) => real.read(name),
    list: (prefix) => real.list(prefix),
  };
}

async function until(what: string, isTrue: () => boolean): Promise<void> {
  const giveUpMs = performance.now() + 5_000;
  while (!isTrue()) {
    if (performance.now() > giveUpMs) throw new Error(`not within 5 s: ${what}`);
    await Bun.sleep(1);
  }
}

function eventOf(key: string): BmcEvent {
  const fields = readHookFields({ text: key, key });
  if (!fields.ok) throw new Error(fields.error);
  const setting = { system: "s", nowMs: 1, sha256: realCrypto.sha256, recent: new RecentHooks() };
  return { ...hookEvent(fields.value, setting), way: "sel" };
}

class Scene {
  readonly watched: { readonly options: WatchOptions; readonly handlers: WatchHandlers }[] = [];
  readonly delaysMs: number[] = [];
  closedCount = 0;
  #answers: BmcError[] = [];
  readonly watcher: BmcWatcher;

  constructor(answers: readonly BmcError[] = []) {
    this.#answers = [...answers];
    const clock: Clock = {
      nowMs: () => 0,
      wallMs: () => 0,
      after: (delayMs, run) => {
        this.delaysMs.push(delayMs);
        const timer = setTimeout(run, 0);
        return { end: () => clearTimeout(timer) };
      },
    };
    this.watcher = new BmcWatcher({
      ...{
        name: "lan://bmc",
        pollMs: 5_000,
        keeper,
        door: null,
        clock,
        log,
      },
      open: () => Promise.resolve(this.#open()),
      disk: disk(),
    });
  }

  #open(): Result<Bmc, BmcError> {
    const error = this.#answers.shift();
    if (error !== undefined) return err(error);
    const bmc: Partial<Bmc> = {
      url: "lan://bmc",
      identity: () => Promise.resolve(ok({ guid: "ab".repeat(16) } as never)),
      watch: (options, handlers) => {
        this.watched.push({ options, handlers });
        return { stop: () => Promise.resolve() };
      },
      close: () => {
        this.closedCount++;
        return Promise.resolve();
      },
    };
    return ok(bmc as Bmc);
  }
}

describe("the watch of a BMC", () => {
  test("tries again, ever slower, and says each kind of failure once", async () => {
    const unreachable = bmcError("unreachable", "no route");
    const failures = Array.from({ length: 8 }, () => unreachable);
    const scene = new Scene([...failures, bmcError("wrong-password", "user admin")]);
    scene.watcher.begin();
    await until("it is watched", () => scene.watched.length === 1);
    expect(scene.delaysMs.slice(0, 3)).toEqual([1_000, 2_000, 4_000]);
    expect(Math.max(...scene.delaysMs)).toBe(60_000);
    expect(said.filter((line) => line.startsWith("fault"))).toEqual([
      "fault bmc lan://bmc: the BMC cannot be reached: no route; trying again",
      "fault bmc lan://bmc: user or password is wrong: user admin; trying again",
    ]);
    await scene.watcher.stop();
    expect(scene.closedCount).toBe(1);
  });

  test("remembers what was told, after it is on disk, and whose BMC it is", async () => {
    const first = new Scene();
    expect(first.watcher.guid).toBeNull();
    first.watcher.begin();
    await until("it is watched", () => first.watched.length === 1);
    const { handlers, options } = first.watched[0] ?? { handlers: null, options: null };
    expect(options).toMatchObject({ pollMs: 5_000, memory: null, tellsOld: false });
    handlers?.onEvent(eventOf("a"));
    handlers?.onMemory({ told: 1 });
    const state = disk();
    const memory = (): unknown => {
      const [name] = state.list("watch/");
      const read = name === undefined ? null : state.read(name);
      return read?.kind === "document" ? (read.document as { memory: unknown }).memory : null;
    };
    await until("it is kept", () => memory() !== null);
    expect(keeper.after(0, 10)).toHaveLength(1);
    // Killed: never stopped.
    const second = new Scene();
    expect(second.watcher.guid).toBe("ab".repeat(16));
    second.watcher.begin();
    await until("it is watched again", () => second.watched.length === 1);
    expect(second.watched[0]?.options.memory).toEqual({ told: 1 });
    await Promise.all([first.watcher.stop(), second.watcher.stop()]);
  });

  test("says what it notices, and ends while it waits", async () => {
    const scene = new Scene();
    scene.watcher.begin();
    await until("it is watched", () => scene.watched.length === 1);
    scene.watched[0]?.handlers.onNotice({ kind: "overflowed" });
    scene.watched[0]?.handlers.onNotice({ kind: "back" });
    expect(said.slice(-2)).toEqual([
      "fault bmc lan://bmc: its event log has overflowed: events were lost; keep what matters and clear it",
      "event bmc lan://bmc: answers again",
    ]);
    await scene.watcher.stop();
    const waiting = new Scene([bmcError("timeout", "silent"), bmcError("timeout", "silent")]);
    waiting.watcher.begin();
    await until("it waits", () => waiting.delaysMs.length > 0);
    await waiting.watcher.stop();
  });
});

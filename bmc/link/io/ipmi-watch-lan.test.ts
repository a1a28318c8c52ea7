/**
 * The watch over a real LAN session, on the emulated BMC: events, a clear, a reset in the middle, a full log. What it tells must
 * be what the log has, each event once.
 */
import { afterEach, expect, test } from "bun:test";
import type { Bmc, BmcEvent, Watch, WatchNotice } from "../../bmc.ts";
import type { BmcConfig } from "../../emulator/config.ts";
import { type Emulator, startEmulator } from "../../emulator/io/emulator.ts";
import { openBmc } from "./open-bmc.ts";
import { PASSWORD_VARIABLE } from "./password.ts";

const POLL_MS = 100;
const LIMIT_MS = 20_000;

interface Rig {
  readonly emulator: Emulator;
  readonly bmc: Bmc;
  readonly events: BmcEvent[];
  readonly notices: WatchNotice[];
  readonly watch: Watch;
  remembered: number;
}

const rigs: Rig[] = [];

afterEach(async () => {
  for (const { watch, bmc, emulator } of rigs.splice(0)) {
    await watch.stop();
    await bmc.close();
    await emulator.stop();
  }
});

async function until(what: string, isSo: () => boolean): Promise<void> {
  const limitMs = performance.now() + LIMIT_MS;
  while (!isSo()) {
    if (performance.now() > limitMs) throw new Error(`not within ${LIMIT_MS} ms: ${what}`);
    await Bun.sleep(5);
  }
}

async function start(bmcConfig: Partial<BmcConfig> = {}, selFill = 0): Promise<Rig> {
  const lan = { host: "127.0.0.1", port: 0 };
  const emulator = await startEmulator({ lan, pty: null, bmc: bmcConfig, selFill });
  const opened = await openBmc(`lan://admin@127.0.0.1:${emulator.lanPort}?cipher=17`, {
    environment: { [PASSWORD_VARIABLE]: "emulated" },
  });
  if (!opened.ok) throw new Error(opened.error.detail);
  const bmc = opened.value;
  const events: BmcEvent[] = [];
  const notices: WatchNotice[] = [];
  const watch = bmc.watch(
    { pollMs: POLL_MS, memory: null, tellsOld: false },
    {
      onEvent: (event) => events.push(event),
      onMemory: () => {
        rig.remembered++;
      },
      onNotice: (notice) => notices.push(notice),
    },
  );
  const rig: Rig = { emulator, bmc, events, notices, watch, remembered: 0 };
  rigs.push(rig);
  await until("the first look", () => rig.remembered > 0);
  return rig;
}

/** A memory error, told apart by its number. */
function raise({ emulator }: Rig, number: number): void {
  const tail = Uint8Array.of(0x20, 0, 4, 0x0c, 0x30, 0x6f, 0x31, 0xff, number);
  expect(emulator.control(`event raw 000002${"00".repeat(4)}${tail.toHex()}`)).toContain("ok");
}

function numbers({ events }: Rig): readonly number[] {
  return events.map(({ extra }) => Number(extra["data3"]));
}

function kinds({ notices }: Rig): readonly string[] {
  return notices.map(({ kind }) => kind);
}

test("each event is told within a poll and a second, under the id of the log", async () => {
  const rig = await start({}, 200);
  const delaysMs: number[] = [];
  for (let number = 1; number <= 10; number++) {
    raise(rig, number);
    const atMs = performance.now();
    await until(`event ${number}`, () => rig.events.length >= number);
    delaysMs.push(performance.now() - atMs);
  }
  expect(Math.max(...delaysMs)).toBeLessThan(POLL_MS + 1000);
  expect(numbers(rig)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  const log = await rig.bmc.log();
  if (!log.ok) throw new Error(log.error.detail);
  const newest = log.value.entries.slice(-10).map(({ event }) => event.id);
  expect(rig.events.map(({ id }) => id)).toEqual(newest);
});

test("a cleared log is said, and what comes after it told", async () => {
  const rig = await start({}, 20);
  raise(rig, 1);
  await until("the first event", () => rig.events.length === 1);
  const cleared = await rig.bmc.clearLog();
  expect(cleared.ok).toBe(true);
  raise(rig, 2);
  await until("the second event", () => numbers(rig).includes(2));
  expect(kinds(rig)).toContain("cleared");
  expect(numbers(rig).filter((number) => number === 1 || number === 2)).toEqual([1, 2]);
});

test("a BMC that starts anew is lost and back, and what it logged meanwhile is told once", async () => {
  const rig = await start();
  raise(rig, 1);
  await until("the first event", () => rig.events.length === 1);
  rig.emulator.control("reset");
  raise(rig, 2);
  await until("the second event", () => rig.events.length === 2);
  raise(rig, 3);
  await until("the third event", () => rig.events.length === 3);
  expect(numbers(rig)).toEqual([1, 2, 3]);
}, 30_000);

test.each([
  "sel-ids-sparse",
  "sel-ids-reordered",
  "sel-ids-duplicate",
  "sel-ids-cyclic",
  "sel-ids-reused",
  "sel-renumbers",
  "sel-delete-moves-erase-time",
  "sel-free-wraps",
  "one-outstanding",
  "out-of-order",
  "duplicate",
  "busy",
])(
  "each event is told once by a BMC with the fault %s",
  async (fault) => {
    const rig = await start();
    expect(rig.emulator.control(`fault ${fault} on`)).toContain("ok");
    for (let number = 1; number <= 12; number++) {
      raise(rig, number);
      if (number % 4 === 0) await until(`event ${number}`, () => rig.events.length >= number);
    }
    await Bun.sleep(POLL_MS * 3);
    expect([...numbers(rig)].sort((a, b) => a - b)).toEqual([
      1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
    ]);
  },
  30_000,
);

/**
 * Goal: what was acknowledged is there again, whatever became of the file; no ticket number is given twice; what is bounded says so.
 * Method: real database files that are filled up, damaged, deleted, held by another process, and opened again.
 */
import { afterEach, describe, expect, test } from "bun:test";
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { BmcEvent } from "../../../bmc/bmc.ts";
import type { Parcel } from "../../callhome/protocol.ts";
import { arrivalOf, testEvent } from "../harness/test-events.ts";
import { type Judged, REPLAY_HORIZON_MS } from "../judge.ts";
import { DATABASE_FILE } from "./database.ts";
import { Intake, type Taken } from "./intake.ts";
import { openStore, type Store, type StoreLimits } from "./store.ts";

const folders: string[] = [];
const stores: Store[] = [];
const lines: string[] = [];
const log = { say: (_level: string, text: string): void => void lines.push(text) };

afterEach(() => {
  for (const store of stores.splice(0)) store.close();
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
  lines.length = 0;
});

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-store-"));
  folders.push(folder);
  return folder;
}

function open(folder: string, limits: Partial<StoreLimits> = {}): Store {
  const opened = openStore(folder, log, limits);
  if (!opened.ok) throw new Error(opened.error);
  stores.push(opened.value);
  return opened.value;
}

function close(store: Store): void {
  stores.splice(stores.indexOf(store), 1);
  store.close();
}

function judged(event: BmcEvent, receivedMs: number): Judged {
  const envelope = {
    payloadType: "",
    payload: Buffer.from(JSON.stringify(event).padEnd(2_000)).toString("base64"),
    signatures: [],
  };
  const parcel: Parcel = { id: event.id, envelope, trail: [] };
  return { parcel, arrival: arrivalOf(event, { receivedMs }), tooOld: null };
}

function intakeOf(store: Store): Intake {
  return new Intake({ store, destination: "support", adapters: [], log, onTold: () => undefined });
}

async function take(store: Store, events: readonly BmcEvent[], receivedMs = Date.now()) {
  return intakeOf(store).take(events.map((event) => judged(event, receivedMs)));
}

async function taken(
  store: Store,
  events: readonly BmcEvent[],
  receivedMs = Date.now(),
): Promise<readonly Taken[]> {
  const result = await take(store, events, receivedMs);
  if (!result.ok) throw new Error(result.error.detail);
  return result.value;
}

function ticketOf(one: Taken | undefined): string {
  return one?.kind === "receipted" ? one.ticketId : "none";
}

function events(count: number, subject?: (index: number) => string): readonly BmcEvent[] {
  return Array.from({ length: count }, (_, index) =>
    testEvent({ subject: subject?.(index) ?? `DIMM ${index}` }),
  );
}

function overwrite(path: string, from: number, bytes: number): void {
  const file = openSync(path, "r+");
  writeSync(file, Buffer.alloc(bytes, 0xa5), 0, bytes, from);
  closeSync(file);
}

describe("a store", () => {
  test("opened again has every receipt and ticket, and goes on with the next number", async () => {
    const folder = newFolder();
    const store = open(folder);
    const all = events(20);
    const first = await taken(store, all);
    close(store);
    const again = open(folder);
    const second = await taken(again, all);
    expect(second.map(ticketOf)).toEqual(first.map(ticketOf));
    expect(second.every((one) => one.kind === "receipted" && one.isDuplicate)).toBe(true);
    expect(
      ticketOf(
        (
          await taken(
            again,
            events(1, () => "new"),
          )
        )[0],
      ),
    ).toEndWith("-000021");
    expect(again.complaint).toBeNull();
  });

  test("takes one of the same id in one batch, and answers the others with its receipt", async () => {
    const store = open(newFolder());
    const event = testEvent();
    const answers = await taken(store, [event, event, event]);
    expect(answers.map((one) => one.kind === "receipted" && one.isDuplicate)).toEqual([
      false,
      true,
      true,
    ]);
    expect(new Set(answers.map(ticketOf)).size).toBe(1);
    expect(store.tickets.get(1)?.eventCount).toBe(1);
    expect(store.samples.of(1)).toMatchObject([{ n: 1, copies: 2 }]);
  });

  test("keeps of a storm the first events whole and the newest, and counts all", async () => {
    const store = open(newFolder());
    await taken(
      store,
      events(1_000, () => "DIMM A1"),
    );
    const kept = store.samples.of(1).map(({ n }) => n);
    expect(store.tickets.get(1)?.eventCount).toBe(1_000);
    expect(kept).toHaveLength(256);
    expect([kept[63], kept[64], kept.at(-1)]).toEqual([64, 809, 1_000]);
  });

  test("is for one process: a second one is told so in one line", () => {
    const folder = newFolder();
    open(folder);
    const second = openStore(folder, log);
    expect(second.ok ? "" : second.error).toContain("is in use by another process");
  }, 15_000);
});

describe("a full disk", () => {
  test("keeps nothing of a batch, loses nothing from before, and takes all once there is room", async () => {
    const folder = newFolder();
    const store = open(folder, { pagesMax: 60 });
    const before = events(5);
    const receipts = await taken(store, before);
    const many = events(2_000, (index) => `fan ${index}`);
    const refused = await take(store, many);
    expect(refused.ok ? null : refused.error.kind).toBe("no-space");
    expect((await taken(store, before)).map(ticketOf)).toEqual(receipts.map(ticketOf));
    expect(store.tickets.counts().all).toBe(5);
    expect(many.some(({ id }) => store.receipt(id) !== null)).toBe(false);
    close(store);
    const roomy = open(folder);
    expect(roomy.complaint).toBeNull();
    const answers = await taken(roomy, many);
    expect(ticketOf(answers[0])).toEndWith("-000006");
    expect(answers.every((one) => one.kind === "receipted" && !one.isDuplicate)).toBe(true);
  });
});

describe("a damaged database", () => {
  test("is set aside, what can be read is taken over, it is said loudly, and no number is given twice", async () => {
    const folder = newFolder();
    const store = open(folder);
    const all = events(600);
    await taken(store, all);
    close(store);
    const path = join(folder, DATABASE_FILE);
    overwrite(path, Math.floor(statSync(path).size / 2), 64 * 1024);
    const again = open(folder);
    expect(again.complaint).toContain("damaged");
    expect(lines.join("\n")).toContain("may open second tickets");
    expect(readdirSync(folder).some((name) => name.includes(".damaged-"))).toBe(true);
    const known = all.filter(({ id }) => again.receipt(id) !== null).length;
    expect(known).toBeGreaterThan(100);
    const fresh = await taken(
      again,
      events(1, () => "new"),
    );
    expect(Number(ticketOf(fresh[0]).slice(-6))).toBeGreaterThan(600);
    expect((await taken(again, all)).length).toBe(600);
  });

  test("that is no database at all is set aside too", async () => {
    const folder = newFolder();
    const store = open(folder);
    await taken(store, events(3));
    close(store);
    const path = join(folder, DATABASE_FILE);
    overwrite(path, 0, statSync(path).size);
    const again = open(folder);
    expect(again.complaint).toContain("nothing could be read back");
    expect(Number(ticketOf((await taken(again, events(1)))[0]).slice(-6))).toBeGreaterThan(3);
  });

  test("of a newer holdfast is left alone", () => {
    const folder = newFolder();
    const store = open(folder);
    store.transact(() => store.setMeta("a", "b"));
    close(store);
    const path = join(folder, DATABASE_FILE);
    overwrite(path, 60, 4);
    const again = openStore(folder, log);
    expect(again.ok ? "" : again.error).toContain("of a newer holdfast");
    expect(existsSync(path)).toBe(true);
  });

  test("that is deleted under the running process is written again whole, and nothing is forgotten", async () => {
    const folder = newFolder();
    const store = open(folder);
    const all = events(50);
    const receipts = await taken(store, all);
    for (const name of readdirSync(folder)) {
      if (name.startsWith(DATABASE_FILE)) rmSync(join(folder, name));
    }
    const more = await taken(
      store,
      events(1, () => "after"),
    );
    expect(ticketOf(more[0])).toEndWith("-000051");
    expect(lines.join("\n")).toContain("taken away while it was open");
    close(store);
    const again = open(folder);
    expect((await taken(again, all)).map(ticketOf)).toEqual(receipts.map(ticketOf));
    expect(again.tickets.counts().all).toBe(51);
  });
});

describe("bounds", () => {
  test("ids are kept for ever while they are few; of more, those are forgotten that would be refused as too old", async () => {
    const store = open(newFolder(), { idsKept: 10 });
    const oldMs = 1_000_000_000_000;
    const old = events(20).map((event) => ({ ...event, seenMs: oldMs, whenMs: oldMs }));
    await taken(store, old, oldMs);
    const fresh = events(5, (index) => `new ${index}`);
    await taken(store, fresh);
    const nowMs = oldMs + 5 + REPLAY_HORIZON_MS;
    expect(store.transact(() => store.prune(nowMs)).ok).toBe(true);
    expect(store.idCount).toBe(25);
    store.transact(() => store.prune(Date.now()));
    expect(store.idCount).toBe(10);
    expect(fresh.every(({ id }) => store.receipt(id) !== null)).toBe(true);
    expect(store.floorMs).toBe(0);
  });

  test("above the hard bound the floor rises to what was forgotten, and stays after a restart", async () => {
    const folder = newFolder();
    const store = open(folder, { idsKept: 5, idsMax: 10 });
    const nowMs = Date.now();
    for (let index = 0; index < 15; index++) {
      await taken(
        store,
        events(1, () => `DIMM ${index}`),
        nowMs + index * 1_000,
      );
    }
    store.transact(() => store.prune(nowMs));
    expect(store.idCount).toBe(10);
    const floorMs = nowMs + 4_000 + REPLAY_HORIZON_MS;
    expect(store.floorMs).toBe(floorMs);
    close(store);
    expect(open(folder).floorMs).toBe(floorMs);
  });

  test("the oldest closed tickets go first, open ones never, and their ids keep their receipts", async () => {
    const store = open(newFolder(), { ticketsMax: 3 });
    const all = events(6);
    await taken(store, all);
    const intake = intakeOf(store);
    for (const number of [2, 3, 4]) expect(intake.close(number, "done", Date.now()).ok).toBe(true);
    store.transact(() => store.prune(Date.now()));
    const left = [1, 2, 3, 4, 5, 6].filter((number) => store.tickets.get(number) !== null);
    expect(left).toEqual([1, 5, 6]);
    const again = await taken(store, all);
    expect(again.map(ticketOf).map((id) => Number(id.slice(-6)))).toEqual([1, 2, 3, 4, 5, 6]);
  });
});

/**
 * Goal: each fault shows what its name says, and nothing of it is left when it is off. Method: the console of the tests against the
 * machine, one fault at a time; a list that no fault escapes from.
 */
import { describe, expect, test } from "bun:test";
import type { IpmiReply } from "../ipmi/ipmi.ts";
import { FAULT_NAMES, FAULTS, type FaultName, FaultTable, isFaultName } from "./faults.ts";
import { datagrams, loggedIn, machineOf, TestClient } from "./test-client.ts";

const APP = 0x06;
const CHASSIS = 0x00;
const STORAGE = 0x0a;

function set(client: TestClient, name: FaultName, value: number | null = null): void {
  expect(client.machine.model.setFault(name, value)).toBe(null);
}

function fill(client: TestClient, count: number): void {
  for (let index = 0; index < count; index++) {
    const record = new Uint8Array(16);
    record[2] = 0x02;
    record[13] = index;
    client.machine.model.addRecord(record, client.nowMs);
  }
}

/** Handles in the order of the chain, at most `most` of them, and the id inside each record. */
function chain(client: TestClient, most = 100) {
  const asked: number[] = [];
  const shown: number[] = [];
  let id = 0;
  while (id !== 0xffff && asked.length < most) {
    const reply = client.ask(STORAGE, 0x43, [0, 0, id & 0xff, id >> 8, 0, 0xff]);
    if (reply?.completionCode !== 0) break;
    asked.push(id);
    shown.push((reply.data[2] ?? 0) | ((reply.data[3] ?? 0) << 8));
    id = (reply.data[0] ?? 0) | ((reply.data[1] ?? 0) << 8);
  }
  return { asked, shown, isEnded: id === 0xffff };
}

function reserved(client: TestClient): readonly number[] {
  return [...(client.ask(STORAGE, 0x42)?.data ?? [])];
}

function clear(client: TestClient): IpmiReply | null {
  return client.ask(STORAGE, 0x47, [...reserved(client), 0x43, 0x4c, 0x52, 0xaa]);
}

describe("the list of faults", () => {
  test("says of each what it is and where it was seen, and no name is doubled", () => {
    expect(FAULT_NAMES.length).toBeGreaterThan(40);
    expect(new Set(FAULT_NAMES).size).toBe(FAULT_NAMES.length);
    for (const name of FAULT_NAMES) {
      const { what, source } = FAULTS[name];
      expect([name, what.length > 10, source.length > 5]).toEqual([name, true, true]);
    }
    expect(isFaultName("toString")).toBe(false);
  });

  test("takes values in their range only", () => {
    const table = new FaultTable();
    expect(table.setOn("drop", 101).ok).toBe(false);
    expect(table.setOn("drop", 1.5).ok).toBe(false);
    expect(table.setOn("rakp2-tag-zero", 3).ok).toBe(false);
    expect(table.setOn("drop", 0).ok).toBe(true);
    expect(table.valueOf("drop")).toBe(0);
    table.setOff("drop");
    expect(table.valueOf("drop")).toBe(null);
  });
});

describe("faults of the session", () => {
  test("rakp2-tag-zero, rakp2-wrong-check, rakp4-wrong-check", () => {
    const client = new TestClient(machineOf());
    expect(client.logIn().rakp2.tag).toBe(7);
    set(client, "rakp2-tag-zero");
    const { rakp2, rakp4 } = client.logIn();
    expect([rakp2.tag, rakp4?.tag, client.isProved]).toEqual([0, 0, true]);
    client.machine.model.endFault("rakp2-tag-zero");
    set(client, "rakp2-wrong-check");
    client.logIn();
    expect(client.isProved).toBe(false);
    client.machine.model.endFault("rakp2-wrong-check");
    set(client, "rakp4-wrong-check");
    client.logIn();
    expect(client.isProved).toBe(false);
  });

  test("session-expiry: silent after so many requests; a new session works", () => {
    const client = loggedIn();
    set(client, "session-expiry", 4);
    for (let n = 0; n < 3; n++) expect(client.ask(APP, 0x01)).not.toBe(null);
    expect(client.ask(APP, 0x01)).toBe(null);
    client.sequence = 0;
    client.logIn();
    expect(client.ask(APP, 0x01)).not.toBe(null);
  });

  test("stops-after: then nothing is answered at all, until it is off", () => {
    const client = loggedIn();
    set(client, "stops-after", 2);
    expect(client.ask(APP, 0x01)).not.toBe(null);
    expect(client.ask(APP, 0x01)).not.toBe(null);
    expect(client.ask(APP, 0x01)).toBe(null);
    expect(client.askPlain(APP, 0x37)).toBe(null);
    expect(client.open([3, 4, 1])).toBe(null);
    client.machine.model.endFault("stops-after");
    expect(client.ask(APP, 0x01)).not.toBe(null);
  });

  test("reset-after: in the middle of a read the sessions are gone, and with a second fault the GUID", () => {
    const client = loggedIn();
    fill(client, 10);
    const before = client.askPlain(APP, 0x37)?.data.toHex();
    set(client, "reset-after", 3);
    set(client, "reset-changes-guid");
    expect(chain(client).asked).toHaveLength(2);
    expect(client.askPlain(APP, 0x37)).toBe(null);
    client.nowMs += 1_000;
    expect(client.askPlain(APP, 0x37)?.data.toHex()).not.toBe(before);
    expect(client.ask(APP, 0x01)).toBe(null);
    client.sequence = 0;
    client.logIn();
    expect(chain(client).asked).toHaveLength(10);
  });
});

describe("faults of the network", () => {
  test("drop, duplicate, garbage and delay at 100 percent", () => {
    const client = loggedIn();
    const request = { netFn: APP, lun: 0, command: 0x01, data: new Uint8Array(0) };
    const sent = (): readonly { readonly delayMs: number; readonly bytes: Uint8Array }[] =>
      client.send(client.seal(request, ++client.sequence));
    set(client, "delay", 7);
    expect(sent().map(({ delayMs }) => delayMs)).toEqual([7]);
    set(client, "duplicate", 100);
    const [first, second] = sent();
    expect(second?.bytes.toHex()).toBe(first?.bytes.toHex() ?? "");
    set(client, "garbage", 100);
    expect(sent()).toHaveLength(3);
    set(client, "drop", 100);
    expect(sent()).toHaveLength(0);
  });

  test("the same seed loses the same datagrams", () => {
    const run = (): string => {
      const client = loggedIn();
      set(client, "drop", 30);
      const got = Array.from({ length: 60 }, () => (client.ask(APP, 0x01) === null ? "-" : "+"));
      return got.join("");
    };
    const once = run();
    expect(once).toContain("-");
    expect(once).toContain("+");
    expect(run()).toBe(once);
  });

  test("out-of-order: the last of those that came together leaves first", () => {
    const client = loggedIn();
    set(client, "out-of-order");
    const request = { netFn: APP, lun: 0, command: 0x01, data: new Uint8Array(0) };
    const delays = [1, 2, 3, 4].map(
      (n) => client.send(client.seal(request, client.sequence + n))[0]?.delayMs ?? -1,
    );
    expect(delays).toEqual([...delays].sort((a, b) => b - a));
    expect(new Set(delays).size).toBe(4);
  });

  test("one-outstanding: what comes while a request is worked on is lost", () => {
    const client = loggedIn();
    set(client, "one-outstanding", 5);
    expect(client.ask(APP, 0x01)).not.toBe(null);
    client.nowMs += 4;
    expect(client.ask(APP, 0x01)).toBe(null);
    client.nowMs += 1;
    expect(client.ask(APP, 0x01)).not.toBe(null);
  });
});

describe("faults of single answers", () => {
  test("busy codes: C0h by chance, D0h D1h D2h for so many requests", () => {
    const client = loggedIn();
    const code = (netFn: number, command: number): number | undefined =>
      client.ask(netFn, command)?.completionCode;
    set(client, "busy", 100);
    expect(code(APP, 0x01)).toBe(0xc0);
    client.machine.model.endFault("busy");
    set(client, "sdr-updating", 2);
    expect([1, 2, 3].map(() => code(STORAGE, 0x20))).toEqual([0xd0, 0xd0, 0]);
    set(client, "firmware-updating", 1);
    expect([1, 2].map(() => code(APP, 0x01))).toEqual([0xd1, 0]);
    set(client, "initialising", 1);
    expect([code(APP, 0x01), code(STORAGE, 0x40), code(STORAGE, 0x40)]).toEqual([0, 0xd2, 0]);
  });

  test("long-read-ca and long-read-ff refuse long reads of log, SDR and FRU, not short ones", () => {
    const client = loggedIn();
    fill(client, 1);
    const codes = (bytes: number): readonly (number | undefined)[] => [
      client.ask(STORAGE, 0x43, [...reserved(client), 0, 0, 0, bytes])?.completionCode,
      client.ask(STORAGE, 0x23, [0, 0, 0, 0, 0, bytes])?.completionCode,
      client.ask(STORAGE, 0x11, [0, 0, 0, bytes])?.completionCode,
    ];
    set(client, "long-read-ca", 8);
    expect(codes(8)).toEqual([0, 0, 0]);
    expect(codes(9)).toEqual([0xca, 0xca, 0xca]);
    client.machine.model.endFault("long-read-ca");
    set(client, "long-read-ff", 8);
    expect(codes(9)).toEqual([0xff, 0xff, 0xff]);
  });

  test("fru-words counts in words; fru-bad-checksum changes one byte", () => {
    const client = loggedIn();
    const plain = client.ask(STORAGE, 0x11, [0, 16, 0, 16])?.data;
    set(client, "fru-words");
    expect(client.ask(STORAGE, 0x10, [0])?.data[2]).toBe(1);
    const words = client.ask(STORAGE, 0x11, [0, 8, 0, 8])?.data;
    expect(words?.[0]).toBe(8);
    expect(words?.subarray(1).toHex()).toBe(plain?.subarray(1).toHex() ?? "");
    client.machine.model.endFault("fru-words");
    const whole = (): Uint8Array =>
      client.ask(STORAGE, 0x11, [0, 0, 0, 240])?.data ?? plain ?? new Uint8Array(0);
    const sound = whole();
    set(client, "fru-bad-checksum");
    const spoiled = whole();
    expect(sound.filter((byte, index) => byte !== spoiled[index])).toHaveLength(1);
  });

  test("sdr-truncated: the last record ends before it says", () => {
    const client = loggedIn();
    set(client, "sdr-truncated");
    const reply = client.ask(STORAGE, 0x23, [0, 0, 0xff, 0xff, 0, 0xff]);
    const record = reply?.data.subarray(2) ?? new Uint8Array(0);
    expect(record.length).toBeLessThan(5 + (record[4] ?? 0));
  });
});

describe("faults of the log", () => {
  test("ids: sparse, reordered, duplicate, cyclic, reused", () => {
    const client = loggedIn();
    fill(client, 20);
    expect(chain(client).shown).toEqual(Array.from({ length: 20 }, (_, n) => n + 1));
    const model = client.machine.model;
    set(client, "sel-ids-sparse");
    const sparse = chain(client).shown;
    expect(sparse).toHaveLength(20);
    expect(sparse.at(-1)).toBeGreaterThan(25);
    model.endFault("sel-ids-sparse");
    set(client, "sel-ids-reordered");
    const mixed = chain(client).shown;
    expect(mixed).not.toEqual([...mixed].sort((a, b) => a - b));
    expect(new Set(mixed).size).toBe(20);
    model.endFault("sel-ids-reordered");
    set(client, "sel-ids-duplicate");
    const doubled = chain(client);
    expect([doubled.shown.length, new Set(doubled.shown).size, doubled.isEnded]).toEqual([
      20,
      19,
      true,
    ]);
    model.endFault("sel-ids-duplicate");
    set(client, "sel-ids-cyclic");
    const cyclic = chain(client, 50);
    expect([cyclic.asked.length, cyclic.isEnded]).toEqual([50, false]);
    model.endFault("sel-ids-cyclic");
    set(client, "sel-ids-reused");
    expect(client.ask(STORAGE, 0x46, [...reserved(client), 3, 0])?.completionCode).toBe(0);
    fill(client, 1);
    expect(chain(client).shown.at(-1)).toBe(3);
  });

  test("sel-renumbers and sel-delete-moves-erase-time show in a deletion", () => {
    const client = loggedIn();
    fill(client, 4);
    const eraseTime = (): string => client.ask(STORAGE, 0x40)?.data.subarray(9, 13).toHex() ?? "";
    client.ask(STORAGE, 0x46, [...reserved(client), 2, 0]);
    expect([chain(client).shown, eraseTime()]).toEqual([[1, 3, 4], "ffffffff"]);
    set(client, "sel-renumbers");
    set(client, "sel-delete-moves-erase-time");
    client.ask(STORAGE, 0x46, [...reserved(client), 1, 0]);
    expect(chain(client).shown).toEqual([1, 2]);
    expect(eraseTime()).not.toBe("ffffffff");
  });

  test("sel-full drops events, says so, and takes them again when it is off", () => {
    const client = loggedIn();
    fill(client, 2);
    set(client, "sel-full");
    fill(client, 1);
    const info = client.ask(STORAGE, 0x40)?.data;
    expect([info?.[1], info?.[3], (info?.[13] ?? 0) & 0x80]).toEqual([2, 0, 0x80]);
    const record = [0, 0, 2, 0, 0, 0, 0, 0x41, 0, 4, 0x0c, 2, 0x6f, 1, 0xff, 0xff];
    expect(client.ask(STORAGE, 0x44, record)?.completionCode).toBe(0xc4);
    client.machine.model.endFault("sel-full");
    expect(client.ask(STORAGE, 0x44, record)?.completionCode).toBe(0);
  });

  test("sel-slow-erase: 81h while it lasts, progress by Clear SEL's status, then empty", () => {
    const client = loggedIn();
    fill(client, 3);
    set(client, "sel-slow-erase", 500);
    expect(clear(client)?.data[0]).toBe(0);
    expect(client.ask(STORAGE, 0x40)?.completionCode).toBe(0x81);
    const status = [0, 0, 0x43, 0x4c, 0x52, 0];
    expect(client.ask(STORAGE, 0x47, status)?.data[0]).toBe(0);
    client.nowMs += 501;
    expect(client.ask(STORAGE, 0x47, status)?.data[0]).toBe(1);
    expect(client.ask(STORAGE, 0x40)?.data[1]).toBe(0);
  });

  test("sel-event-before-clear cancels every reservation; without it clearing works", () => {
    const client = loggedIn();
    fill(client, 3);
    set(client, "sel-event-before-clear");
    expect(clear(client)?.completionCode).toBe(0xc5);
    expect(chain(client).shown).toHaveLength(4);
    client.machine.model.endFault("sel-event-before-clear");
    expect(clear(client)?.completionCode).toBe(0);
    expect(chain(client).shown).toHaveLength(0);
  });

  test("sel-delete-unsupported, sel-free-wraps", () => {
    const client = loggedIn({ selEntriesMax: 20_000 });
    fill(client, 1);
    set(client, "sel-delete-unsupported");
    expect(client.ask(STORAGE, 0x46, [...reserved(client), 1, 0])?.completionCode).toBe(0xc1);
    const free = (): number => {
      const data = client.ask(STORAGE, 0x40)?.data;
      return (data?.[3] ?? 0) | ((data?.[4] ?? 0) << 8);
    };
    expect(free()).toBe(0xffff);
    set(client, "sel-free-wraps");
    expect(free()).toBe((19_999 * 16) & 0xffff);
  });
});

describe("faults of the power", () => {
  const isOn = (client: TestClient): boolean =>
    ((client.ask(CHASSIS, 0x01)?.data[0] ?? 0) & 1) === 1;

  test("power-late acts that much after the reply, power-never not at all", () => {
    const client = loggedIn({ powerDelayMs: 10 });
    set(client, "power-late", 3_000);
    expect(client.ask(CHASSIS, 0x02, [0])?.completionCode).toBe(0);
    client.passTime(2_900);
    expect(isOn(client)).toBe(true);
    client.passTime(200);
    expect(isOn(client)).toBe(false);
    client.machine.model.endFault("power-late");
    set(client, "power-never");
    expect(client.ask(CHASSIS, 0x02, [1])?.completionCode).toBe(0);
    client.passTime(20_000);
    expect(isOn(client)).toBe(false);
  });

  test("cycle-when-off: D5h while off; a cycle while on is off for a second", () => {
    const client = loggedIn({ powerDelayMs: 10 });
    set(client, "cycle-when-off");
    expect(client.ask(CHASSIS, 0x02, [2])?.completionCode).toBe(0);
    client.passTime(50);
    expect(isOn(client)).toBe(false);
    expect(client.ask(CHASSIS, 0x02, [2])?.completionCode).toBe(0xd5);
    expect(datagrams(client.passTime(1_000))).toHaveLength(0);
    expect(isOn(client)).toBe(true);
  });
});

/**
 * Reading the SDR repository against a scripted BMC that refuses, forgets, cuts short and runs in circles.
 *
 * The goal of each: every sound record once, or an error that says what is wrong; never a shorter list that looks whole.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { DeviceId } from "../app/get-device-id.ts";
import {
  errorOfRun,
  type Handler,
  LOST_WIRE,
  reply,
  replyData,
  runSteps,
  type StepsRun,
  UNKNOWN_COMMAND,
  valueOfRun,
} from "../harness/scripted-bmc.ts";
import {
  ScriptedSdrs,
  type ScriptedSdrsOptions,
  sdrOf,
  temperatureSdr,
} from "../harness/scripted-sdrs.ts";
import { readRepository, readSdrs, type SdrList } from "./read-sdrs.ts";
import type { WireLimits } from "./sdr-record-reader.ts";

const LAN: WireLimits = { replyBytesMax: 255, windowMax: 8 };
const SERIAL: WireLimits = { replyBytesMax: 32, windowMax: 1 };

function temperatures(count: number, firstId = 1): Uint8Array[] {
  return Array.from({ length: count }, (_, index) =>
    temperatureSdr(firstId + index, index, `Temp ${index}`),
  );
}

function read(
  records: readonly Uint8Array[],
  options: ScriptedSdrsOptions = {},
  limits: WireLimits = LAN,
): StepsRun<SdrList> {
  const sdrs = new ScriptedSdrs(records, options);
  return runSteps(readRepository(limits), (request) => sdrs.handle(request));
}

function namesOf(run: StepsRun<SdrList>): string[] {
  return valueOfRun(run).records.map((record) => ("name" in record ? record.name : record.kind));
}

const NAMES_20 = Array.from({ length: 20 }, (_, index) => `Temp ${index}`);

describe("a repository whose ids count up", () => {
  test("is read with several records a round", () => {
    const run = read(temperatures(20));
    expect(namesOf(run)).toEqual(NAMES_20);
    expect(valueOfRun(run).problems).toEqual([]);
    // Info, reserve, 1 + 2 + 4 + 8 + 5 records, info.
    expect(run.roundCount).toBe(8);
    expect(run.progress.at(-1)).toEqual({ done: 20, total: 20 });
  });

  test("is read in pieces where the wire is narrow, one after the other", () => {
    const run = read(temperatures(20), {}, SERIAL);
    expect(namesOf(run)).toEqual(NAMES_20);
    for (const { data, command } of run.requests) {
      if (command === 0x23) expect(data[5]).toBeLessThanOrEqual(30);
    }
  });

  test("is read in ever shorter pieces where the BMC refuses long ones", () => {
    for (const tooMuch of [0xca, 0xff]) {
      const run = read(temperatures(20), { replyBytesMax: 20, tooMuch });
      expect(namesOf(run)).toEqual(NAMES_20);
      // Refused once as a whole, then 64 and 32 bytes of the first record; no other record pays for it.
      expect(run.requests.length).toBeLessThan(20 * 6 + 12);
    }
  });
});

describe("ids that do not count up", () => {
  test("are followed along the chain, each record once", () => {
    const ids = [0x10, 0x300, 0x11, 0x12, 0x13, 0x7f, 0x7e, 0xfffe];
    const run = read(ids.map((id, index) => temperatureSdr(id, index, `T${id}`)));
    expect(namesOf(run)).toEqual(ids.map((id) => `T${id}`));
  });

  test("that lead back end the reading, and what is missing is said", () => {
    const run = read(temperatures(9), { next: new Map([[4, 2]]) });
    expect(namesOf(run)).toEqual(["Temp 0", "Temp 1", "Temp 2", "Temp 3"]);
    expect(valueOfRun(run).problems).toEqual([
      {
        kind: "malformed",
        detail: "SDR: the chain of ids leads back to 0002h after 4 records, of which it has 9",
      },
    ]);
  });

  test("that lead back after the last record are whole", () => {
    const run = read(temperatures(4), { next: new Map([[4, 1]]) });
    expect(namesOf(run)).toHaveLength(4);
    expect(valueOfRun(run).problems).toEqual([]);
  });

  test("that never end are left at a bound", () => {
    const endless: Handler = (request) => {
      if (request.command === 0x20) return replyData(new Uint8Array(14).fill(1));
      if (request.command === 0x22) return reply(0, 1, 0);
      const id = (request.data[2] ?? 0) | ((request.data[3] ?? 0) << 8);
      const next = (id + 1) % 0xffff;
      return reply(0, next & 0xff, next >> 8, ...sdrOf(id, 0xc1, []));
    };
    const list = valueOfRun(runSteps(readRepository(LAN), endless));
    expect(list.problems.at(-1)?.detail).toContain("does not end");
  });

  test("of any order give every record once, whatever the sizes", () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.integer({ min: 1, max: 0xfffe }), { minLength: 1, maxLength: 40 }),
        fc.integer({ min: 7, max: 80 }),
        fc.integer({ min: 1, max: 16 }),
        (ids, replyBytesMax, windowMax) => {
          const records = ids.map((id, index) => temperatureSdr(id, index & 0xff, `T${id}`));
          const run = read(records, { replyBytesMax }, { replyBytesMax: 255, windowMax });
          expect(namesOf(run)).toEqual(ids.map((id) => `T${id}`));
          expect(valueOfRun(run).problems).toEqual([]);
        },
      ),
      { numRuns: 60 },
    );
  });
});

describe("a reservation that is lost", () => {
  test("is taken anew, and the record read again", () => {
    let requestCount = 0;
    const before = (sdrs: ScriptedSdrs): void => {
      requestCount++;
      if (requestCount % 9 === 0) sdrs.cancel();
    };
    const run = read(temperatures(20), { before, replyBytesMax: 40 });
    expect(namesOf(run)).toEqual(NAMES_20);
  });

  test("again and again ends with an error that names the remedy", () => {
    const before = (sdrs: ScriptedSdrs, request: { command: number }): void => {
      if (request.command === 0x23) sdrs.cancel();
    };
    const error = errorOfRun(read(temperatures(20), { before }));
    expect(error.kind).toBe("changed-while-read");
    expect(error.detail).toContain("end other tools");
  });

  test("does not matter to a BMC that has none", () => {
    const sdrs = new ScriptedSdrs(temperatures(5));
    const run = runSteps(readRepository(LAN), (request) =>
      request.command === 0x22 ? UNKNOWN_COMMAND : sdrs.handle(request),
    );
    expect(namesOf(run)).toHaveLength(5);
  });
});

describe("records that change while they are read", () => {
  test("are read anew", () => {
    let isChanged = false;
    const before = (sdrs: ScriptedSdrs, request: { data: Uint8Array }): void => {
      if (isChanged || request.data[2] !== 3) return;
      isChanged = true;
      sdrs.lastAdd++;
      sdrs.cancel();
      sdrs.records.set(77, temperatureSdr(77, 77, "New"));
    };
    expect(namesOf(read(temperatures(6), { before }))).toEqual([...NAMES_20.slice(0, 6), "New"]);
  });

  test("each time are an error, not a list", () => {
    const before = (sdrs: ScriptedSdrs): void => {
      sdrs.lastAdd++;
    };
    expect(errorOfRun(read(temperatures(3), { before })).kind).toBe("changed-while-read");
  });

  test("so that an id of the chain is gone are read anew", () => {
    let isDone = false;
    const before = (sdrs: ScriptedSdrs, request: { data: Uint8Array }): void => {
      if (isDone || request.data[2] !== 4) return;
      isDone = true;
      sdrs.lastErase++;
      sdrs.records.delete(4);
    };
    const limits = { ...LAN, windowMax: 1 };
    expect(namesOf(read(temperatures(5), { before }, limits))).toEqual([
      "Temp 0",
      "Temp 1",
      "Temp 2",
      "Temp 4",
    ]);
  });
});

describe("a truncated record", () => {
  test("is a problem that names it; the others are read", () => {
    const records = temperatures(5);
    records[2] = (records[2] ?? new Uint8Array(0)).slice(0, 30);
    for (const limits of [LAN, SERIAL]) {
      const run = read(records, {}, limits);
      expect(namesOf(run)).toEqual(["Temp 0", "Temp 1", "Temp 3", "Temp 4"]);
      expect(valueOfRun(run).problems).toEqual([
        { kind: "truncated-record", detail: "SDR 0003h: the BMC gives 30 of its 54 bytes" },
      ]);
    }
  });

  test("too short for its type is one too", () => {
    const short = sdrOf(2, 0x01, new Array<number>(20).fill(0));
    const list = valueOfRun(read([...temperatures(1), short]));
    expect(list.records).toHaveLength(1);
    expect(list.problems[0]?.kind).toBe("truncated-record");
    expect(list.problems[0]?.detail).toStartWith("SDR 0002h: full sensor record: 48 bytes");
  });

  test("of less than a header does not end the reading", () => {
    const list = valueOfRun(read([Uint8Array.of(1, 0, 0x51), ...temperatures(2, 2)]));
    expect(list.records).toHaveLength(2);
    expect(list.problems).toHaveLength(1);
  });
});

describe("other ends", () => {
  test("an empty repository is an empty list", () => {
    expect(namesOf(read([]))).toEqual([]);
  });

  test("a BMC that stops answering half way is an error", () => {
    const sdrs = new ScriptedSdrs(temperatures(9));
    const run = runSteps(readRepository(LAN), (request, index) =>
      index > 6 ? LOST_WIRE : sdrs.handle(request),
    );
    expect(errorOfRun(run)).toEqual(LOST_WIRE);
  });

  test("a busy BMC is waited for, up to a limit", () => {
    const sdrs = new ScriptedSdrs(temperatures(4));
    const patient = runSteps(readRepository(LAN), (request, index) =>
      index % 3 === 0 ? reply(0xc0) : sdrs.handle(request),
    );
    expect(namesOf(patient)).toHaveLength(4);
    expect(patient.waitedMs).toBeGreaterThan(0);
    const stuck = runSteps(readRepository(LAN), () => reply(0xd0));
    expect(errorOfRun(stuck).kind).toBe("busy");
    expect(stuck.requests.length).toBe(7);
  });
});

describe("where the records are", () => {
  const device: DeviceId = {
    deviceId: 0x20,
    revision: 1,
    hasDeviceSdrs: true,
    isBusy: false,
    firmwareMajor: 1,
    firmwareMinor: 0,
    firmware: "1.00",
    ipmiVersion: "2.0",
    supports: ["sensors"],
    manufacturerId: 0,
    productId: 0,
    auxiliaryFirmware: null,
  };

  /** A controller with its records behind the Device SDR commands, the same ones at both of its LUNs. */
  function deviceHandler(records: readonly Uint8Array[]): Handler {
    const sdrs = new ScriptedSdrs(records);
    return (request) => {
      if (request.netFn !== 4) return UNKNOWN_COMMAND;
      if (request.command === 0x20) return reply(0, records.length, 0x83, 1, 2, 3, 4);
      const command = request.command === 0x21 ? 0x23 : 0x22;
      return sdrs.handle({ ...request, netFn: 0x0a, command });
    };
  }

  test("is the device where there is no repository; records of two LUNs are taken once", () => {
    const list = valueOfRun(runSteps(readSdrs(device, LAN), deviceHandler(temperatures(7))));
    expect(list.source).toBe("device");
    expect(list.records).toHaveLength(7);
  });

  test("is nowhere on a controller that says so", () => {
    const bare = { ...device, hasDeviceSdrs: false };
    expect(errorOfRun(runSteps(readSdrs(bare, LAN), () => UNKNOWN_COMMAND)).kind).toBe(
      "unsupported",
    );
  });

  test("is the repository where there is one", () => {
    const sdrs = new ScriptedSdrs(temperatures(3));
    const steps = readSdrs({ ...device, supports: ["sdr"] }, LAN);
    const list = valueOfRun(runSteps(steps, (request) => sdrs.handle(request)));
    expect(list.source).toBe("repository");
    expect(list.info?.recordCount).toBe(3);
  });
});

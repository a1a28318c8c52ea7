/**
 * The contract over a scripted connection: which question leads to which messages, and how refusals are told.
 *
 * The wire is a function; what real BMCs answer is in `test/real/sensors.test.ts`. Each test has a GUID of its own, since
 * records of sensors are kept for the whole process.
 */
import { describe, expect, test } from "bun:test";
import { err, ok, type Result } from "../../../core/result.ts";
import { type BmcError, bmcError } from "../../bmc-error.ts";
import { reply, UNKNOWN_COMMAND } from "../../ipmi/harness/scripted-bmc.ts";
import { fruArea, fruHandler, fruImage, textField } from "../../ipmi/harness/scripted-fru.ts";
import { ScriptedSdrs, temperatureSdr } from "../../ipmi/harness/scripted-sdrs.ts";
import type { IpmiReply, IpmiRequest } from "../../ipmi/ipmi.ts";
import { readSel } from "../../ipmi/sel/sel-reader.ts";
import type { IpmiConnection } from "./connection.ts";
import { IpmiBmc } from "./ipmi-bmc.ts";

let guidCount = 0;

/** A BMC whose parts a test may bend. */
class ScriptedBmc {
  readonly requests: IpmiRequest[] = [];
  readonly sdrs: ScriptedSdrs;
  readonly fru = fruHandler(
    fruImage({
      product: fruArea([1, 0, 25], ["ACME", "Server", "PPN", "1.0", "S1"].map(textField)),
    }),
  );
  readonly guid = [...new Uint8Array(14), 0x5a, ++guidCount];
  /** By `netFn command`, before anything else. */
  readonly replies = new Map<string, IpmiReply>();
  isOn = false;
  selRecords: number[][] = [];

  constructor(records: readonly Uint8Array[] = [temperatureSdr(1, 7, "CPU Temp")]) {
    this.sdrs = new ScriptedSdrs(records);
  }

  connection(): IpmiConnection {
    return {
      url: "lan://bmc.test",
      requestBytesMax: 40,
      replyBytesMax: 200,
      windowMax: 8,
      request: (request) => {
        this.requests.push(request);
        return Promise.resolve(ok(this.#answer(request)));
      },
      enableEvents: () => Promise.resolve(ok(false)),
      onUnsolicited: () => undefined,
      close: () => Promise.resolve(),
    };
  }

  bmc(): IpmiBmc {
    const open = (): Promise<Result<IpmiConnection, BmcError>> =>
      Promise.resolve(err(bmcError("unreachable", "not in this test")));
    return new IpmiBmc({ url: "lan://bmc.test", connection: this.connection(), open, readSel });
  }

  /** Data of the requests of one command so far, in hex. */
  sent(netFn: number, command: number): string[] {
    const found = this.requests.filter((one) => one.netFn === netFn && one.command === command);
    return found.map(({ data }) => data.toHex());
  }

  #answer(request: IpmiRequest): IpmiReply {
    const bent = this.replies.get(`${request.netFn} ${request.command}`);
    if (bent !== undefined) return bent;
    if (request.netFn === 0x00) return this.#chassis(request);
    if (request.netFn === 0x04) return this.#sensor(request);
    if (request.netFn === 0x06) return this.#app(request);
    if (request.command >= 0x40) return this.#sel(request);
    return request.command < 0x20 ? this.fru(request) : this.sdrs.handle(request);
  }

  #app({ command }: IpmiRequest): IpmiReply {
    if (command === 0x01) {
      return reply(0, 0x20, 1, 2, 0x10, 2, 0x8f, 0xa2, 0x02, 0, 0x34, 0x12);
    }
    if (command === 0x37) return reply(0, ...this.guid);
    if (command === 0x25) return reply(0, 0x44, 0x01, 0, 0, 0x58, 0x02, 0x2c, 0x01);
    return command === 0x22 || command === 0x24 ? reply(0) : UNKNOWN_COMMAND;
  }

  #chassis({ command, data }: IpmiRequest): IpmiReply {
    if (command === 0x01) return reply(0, this.isOn ? 0x21 : 0x20, 0x10, 0);
    if (command === 0x04) return reply(0);
    if (command !== 0x02) return UNKNOWN_COMMAND;
    const wantsOn = data[0] !== 1;
    if (wantsOn !== this.isOn) return reply(0xd5);
    this.isOn = data[0] !== 0 && data[0] !== 5;
    return reply(0);
  }

  #sensor({ command, data }: IpmiRequest): IpmiReply {
    if (command === 0x2d) return data[0] === 7 ? reply(0, 48, 0xc0, 0xc0) : reply(0xcb);
    if (command === 0x27) return reply(0, 0x38, 0, 0, 0, 0x70, 0x80, 0x90);
    return UNKNOWN_COMMAND;
  }

  #sel({ command, data }: IpmiRequest): IpmiReply {
    const count = this.selRecords.length;
    if (command === 0x40) return reply(0, 0x51, count, 0, 0, 1, 1, 0, 0, 0, 2, 0, 0, 0, 0x02);
    if (command === 0x42) return reply(0, 1, 0);
    if (command === 0x47) {
      this.selRecords = [];
      return reply(0, 1);
    }
    if (command !== 0x43) return UNKNOWN_COMMAND;
    const index = Math.max(0, (data[2] ?? 0) - 1);
    const record = this.selRecords[index];
    if (record === undefined) return reply(0xcb);
    const next = index + 2 > count ? [0xff, 0xff] : [index + 2, 0];
    return reply(0, ...next, ...record);
  }
}

function must<T>(result: Result<T, BmcError>): T {
  if (!result.ok) throw new Error(`${result.error.kind}: ${result.error.detail}`);
  return result.value;
}

function errorOf<T>(result: Result<T, BmcError>): BmcError {
  if (result.ok) throw new Error(`it succeeded: ${JSON.stringify(result.value)}`);
  return result.error;
}

/** An event of sensor 7: upper critical going high at 133, threshold 128. */
const EVENT = [1, 0, 2, 0, 0, 0, 0x66, 0x20, 0, 4, 1, 7, 0x01, 0x59, 0x85, 0x80];

describe("identity", () => {
  test("is what the BMC has; what it has not is null", async () => {
    const scripted = new ScriptedBmc();
    expect(must(await scripted.bmc().identity())).toEqual({
      guid: Uint8Array.from(scripted.guid).toHex(),
      manufacturer: { id: 674, name: "Dell" },
      productId: 0x1234,
      productName: "Server",
      serial: "S1",
      firmware: "2.10",
      protocolVersion: "2.0",
      deviceId: 0x20,
      selfTest: null,
      supports: ["sensors", "sdr", "sel", "fru", "chassis"],
    });
  });

  test("has no GUID where all its bytes are the same", async () => {
    const scripted = new ScriptedBmc();
    scripted.replies.set("6 55", reply(0, ...new Uint8Array(16)));
    expect(must(await scripted.bmc().identity()).guid).toBeNull();
  });
});

describe("sensors", () => {
  test("come with what their records say", async () => {
    const [reading] = must(await new ScriptedBmc().bmc().sensors());
    expect(reading).toMatchObject({
      name: "CPU Temp",
      value: 48,
      unit: "°C",
      status: "ok",
      thresholds: { unc: 0x70, uc: 0x80, unr: 0x90 },
    });
  });

  test("need their records once, whoever asks, until these change", async () => {
    const scripted = new ScriptedBmc();
    must(await scripted.bmc().sensors());
    expect(scripted.sent(0x0a, 0x23)).toHaveLength(1);
    must(await scripted.bmc().sensors());
    expect(scripted.sent(0x0a, 0x23)).toHaveLength(1);
    scripted.sdrs.records.set(2, temperatureSdr(2, 8, "New"));
    scripted.sdrs.lastAdd++;
    const names = must(await scripted.bmc().sensors()).map(({ name }) => name);
    expect(names).toEqual(["CPU Temp", "New"]);
  });

  test("with a truncated record are an error that names it, never a shorter list", async () => {
    const broken = temperatureSdr(2, 8, "Broken").slice(0, 20);
    const scripted = new ScriptedBmc([temperatureSdr(1, 7, "CPU Temp"), broken]);
    const error = errorOf(await scripted.bmc().sensors());
    expect(error.kind).toBe("truncated-record");
    expect(error.detail).toContain("SDR 0002h: the BMC gives 20 of its");
  });
});

describe("the inventory", () => {
  test("says where a record that cannot be read may have named a device", async () => {
    const broken = temperatureSdr(2, 8, "Broken").slice(0, 20);
    const [device] = must(await new ScriptedBmc([broken]).bmc().fru());
    expect(device?.fields).toContainEqual(["product.serial", "S1"]);
    expect(device?.problems.map(({ kind }) => kind)).toEqual(["truncated-record"]);
  });
});

describe("the log", () => {
  test("names its sensors and converts their readings", async () => {
    const scripted = new ScriptedBmc();
    scripted.selRecords = [EVENT];
    const log = must(await scripted.bmc().log());
    expect(log.entries).toHaveLength(1);
    expect(log.entries[0]?.event).toMatchObject({
      system: Uint8Array.from(scripted.guid).toHex(),
      subject: "CPU Temp",
      category: "temperature",
      severity: "critical",
    });
    expect(log.entries[0]?.event.text).toContain("133 °C");
  });

  test("is read where the records of its sensors cannot be", async () => {
    const scripted = new ScriptedBmc();
    scripted.selRecords = [EVENT];
    scripted.replies.set("10 35", reply(0xff));
    const [entry] = must(await scripted.bmc().log()).entries;
    expect(entry?.event.severity).toBe("critical");
    expect(entry?.event.subject).not.toBe("CPU Temp");
  });

  test("is cleared", async () => {
    const scripted = new ScriptedBmc();
    scripted.selRecords = [EVENT];
    must(await scripted.bmc().clearLog());
    expect(must(await scripted.bmc().log()).entries).toEqual([]);
  });
});

describe("power", () => {
  test("is told with its policy and why it last changed", async () => {
    const scripted = new ScriptedBmc();
    scripted.isOn = true;
    expect(must(await scripted.bmc().power())).toEqual({
      isOn: true,
      restorePolicy: "previous",
      lastCause: "switched on by IPMI",
      faults: [],
    });
  });

  test("cycled while it is off is refused, with the remedy", async () => {
    const error = errorOf(await new ScriptedBmc().bmc().control("cycle"));
    expect(error.kind).toBe("refused");
    expect(error.detail).toBe(
      "the BMC refuses cycle while the system is off; switch it on by `on` instead",
    );
    expect(error.completionCode).toBe(0xd5);
  });

  test("asked to be what it is already is done", async () => {
    const scripted = new ScriptedBmc();
    must(await scripted.bmc().control("off"));
    scripted.isOn = true;
    must(await scripted.bmc().control("on"));
    must(await scripted.bmc().control("off"));
    expect(scripted.isOn).toBe(false);
  });
});

describe("the watchdog", () => {
  test("is told in milliseconds", async () => {
    expect(must(await new ScriptedBmc().bmc().watchdog())).toEqual({
      isRunning: true,
      use: "sms-os",
      action: "reset",
      initialMs: 60_000,
      presentMs: 30_000,
    });
  });

  test("is set, then started; times are rounded up", async () => {
    const scripted = new ScriptedBmc();
    must(await scripted.bmc().setWatchdog({ action: "cycle", timeoutMs: 1_001 }));
    expect(scripted.sent(0x06, 0x24)).toEqual(["040300100b00"]);
    expect(scripted.sent(0x06, 0x22)).toEqual([""]);
  });

  test("is not set to what would act at once, or never ends", async () => {
    const scripted = new ScriptedBmc();
    for (const timeoutMs of [0, -1, Number.NaN, 6_553_501]) {
      const error = errorOf(await scripted.bmc().setWatchdog({ action: "reset", timeoutMs }));
      expect(error.kind).toBe("bad-request");
    }
    expect(scripted.requests).toEqual([]);
  });

  test("is stopped by being set, without an action", async () => {
    const scripted = new ScriptedBmc();
    must(await scripted.bmc().stopWatchdog());
    expect(scripted.sent(0x06, 0x24)).toEqual(["040000005802"]);
    expect(scripted.sent(0x06, 0x22)).toEqual([]);
  });

  test("that was not set says so when it is fed", async () => {
    const scripted = new ScriptedBmc();
    scripted.replies.set("6 34", reply(0x80));
    expect(errorOf(await scripted.bmc().resetWatchdog()).detail).toContain("set it first");
  });
});

describe("what cannot be sent", () => {
  test("is refused before it is", async () => {
    const scripted = new ScriptedBmc();
    const bmc = scripted.bmc();
    const nothing = new Uint8Array(0);
    for (const result of [
      await bmc.identify(256),
      await bmc.identify(0.5),
      await bmc.raw(7, 1, nothing),
      await bmc.raw(0x40, 1, nothing),
      await bmc.raw(6, 256, nothing),
      await bmc.raw(6, 1, new Uint8Array(41)),
    ]) {
      expect(errorOf<unknown>(result).kind).toBe("bad-request");
    }
    expect(scripted.requests).toEqual([]);
  });

  test("and what can comes back with its completion code first", async () => {
    const scripted = new ScriptedBmc();
    const bmc = scripted.bmc();
    must(await bmc.identify("on"));
    expect(scripted.sent(0x00, 0x04)).toEqual(["0001"]);
    expect(must(await bmc.raw(0x2e, 0x99, new Uint8Array(0))).toHex()).toBe("c1");
  });
});

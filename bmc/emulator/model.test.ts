/**
 * Goal: the emulated BMC behaves as one: sensors cross thresholds, the watchdog acts, events take the whole way. Method: the
 * model with time by hand; thresholds against a plain restatement of the rule by property.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { decodeSelRecord } from "../ipmi/sel/sel-record.ts";
import type { ThresholdSensorConfig } from "./config.ts";
import { bmcConfig, DEFAULT_BMC } from "./default-bmc.ts";
import { BmcModel } from "./model.ts";
import { SensorBank } from "./sensors.ts";
import { loggedIn, START_MS } from "./test-client.ts";

const APP = 0x06;
const SENSOR = 0x04;
const SYSTEM_INTERFACE = { channel: 0x0f, level: 5 } as const;

function modelOf(): BmcModel {
  return new BmcModel(bmcConfig({ powerDelayMs: 10 }), 1, START_MS);
}

function sensor(model: BmcModel, name: string) {
  const found = model.state.sensors.find(name);
  if (found === null) throw new Error(name);
  return found;
}

/** `what` and direction of each record, oldest first. */
function eventsOf(model: BmcModel): readonly string[] {
  return model.records().map((bytes) => {
    const record = decodeSelRecord(bytes);
    if (!record.ok || record.value.kind !== "event") throw new Error("no event");
    const { sensorNumber, data1, isAssertion } = record.value;
    return `${sensorNumber}:${data1 & 0x0f}${isAssertion ? "+" : "-"}`;
  });
}

function told(offset: number, isAssertion: boolean): string {
  return `${offset}${isAssertion ? "+" : "-"}`;
}

/** Offset of the event, raw value, whether an upper one: of P12V. */
const LIMITS = [
  [0, 190, false],
  [2, 180, false],
  [7, 210, true],
  [9, 220, true],
] as const;

/** The rule of §35.1 in other words; keeps in `crossed` what is asserted. */
function changeOf(
  [offset, limit, isUpper]: (typeof LIMITS)[number],
  crossed: Set<number>,
  raw: number,
  hysteresis: number,
): readonly string[] {
  const past = isUpper ? raw - limit : limit - raw;
  if (!crossed.has(offset) && past >= 0) {
    crossed.add(offset);
    return [told(offset, true)];
  }
  if (crossed.has(offset) && past < -hysteresis) {
    crossed.delete(offset);
    return [told(offset, false)];
  }
  return [];
}

describe("a sensor that is driven", () => {
  test("logs each threshold as it is crossed, and its return beyond the hysteresis only", () => {
    const model = modelOf();
    const temperature = sensor(model, "cpu0 temp");
    for (const value of [79, 80, 79, 78, 77, 92, 88, 87, 40]) {
      model.setSensor(temperature, value, START_MS);
    }
    // Thresholds 80, 90, hysteresis 2: the return is seen below 78 and 88.
    expect(eventsOf(model)).toEqual(["1:7+", "1:7-", "1:7+", "1:9+", "1:9-", "1:7-"]);
    const [first] = model.records();
    expect([...(first ?? []).slice(13)]).toEqual([0x57, 80, 80]);
  });

  test("any values, any hysteresis: as the rule says, restated", () => {
    const base = DEFAULT_BMC.sensors.find(({ name }) => name === "P12V") as ThresholdSensorConfig;
    const values = fc.array(fc.integer({ min: 0, max: 255 }), { maxLength: 40 });
    fc.assert(
      fc.property(values, fc.integer({ min: 0, max: 20 }), (raws, hysteresis) => {
        const bank = new SensorBank([{ ...base, hysteresis, value: 12 }]);
        const crossed = new Set<number>();
        for (const raw of raws) {
          const expected = LIMITS.flatMap((limit) => changeOf(limit, crossed, raw, hysteresis));
          const events = bank.setValue(4, raw * 0.06);
          const got = events.map(({ data, isAssertion }) => told(data[0] & 15, isAssertion));
          expect(got.sort()).toEqual(expected.sort());
        }
      }),
    );
  });

  test("of states: only changes are events, and only of states that it has", () => {
    const model = modelOf();
    const memory = sensor(model, "DIMM A1");
    model.setSensor(memory, 0x21, START_MS);
    model.setSensor(memory, 0x21, START_MS);
    model.setSensor(memory, 0x20, START_MS);
    model.setSensorState(memory, 14, true, START_MS);
    expect(eventsOf(model)).toEqual(["16:0+", "16:5+", "16:0-"]);
    const reading = model.request(
      { netFn: SENSOR, lun: 0, command: 0x2d, data: Uint8Array.of(16) },
      SYSTEM_INTERFACE,
      START_MS,
      null,
    );
    expect([...(reading?.data ?? [])]).toEqual([0, 0xc0, 0x20, 0x80]);
  });

  test("says nothing once its events are switched off, and compares anew when a threshold is set", () => {
    const client = loggedIn();
    const { model } = client.machine;
    expect(client.ask(SENSOR, 0x28, [1, 0x40])?.completionCode).toBe(0);
    model.setSensor(sensor(model, "1"), 95, client.nowMs);
    expect(eventsOf(model)).toEqual([]);
    expect(client.ask(SENSOR, 0x28, [1, 0xc0])?.completionCode).toBe(0);
    model.setSensor(sensor(model, "1"), 50, client.nowMs);
    client.ask(SENSOR, 0x26, [1, 0x08, 0, 0, 0, 45, 0, 0]);
    expect(eventsOf(model).at(-1)).toBe("1:7+");
    expect(client.ask(SENSOR, 0x26, [1, 0x02, 0, 1, 0, 0, 0, 0])?.completionCode).toBe(0xcc);
  });
});

describe("the watchdog", () => {
  const setting = [0x04, 0x01, 0, 0, 20, 0];

  test("is to be set before it is fed; runs out, logs, resets the node, and keeps its flag", () => {
    const client = loggedIn();
    const { model } = client.machine;
    expect(client.ask(APP, 0x22)?.completionCode).toBe(0x80);
    expect(client.ask(APP, 0x24, setting)?.completionCode).toBe(0);
    expect(client.ask(APP, 0x25)?.data[0]).toBe(0x04);
    expect(client.ask(APP, 0x22)?.completionCode).toBe(0);
    client.passTime(1_500);
    expect([...(client.ask(APP, 0x25)?.data ?? [])]).toEqual([0x44, 0x01, 0, 0, 20, 0, 5, 0]);
    client.ask(APP, 0x22);
    client.passTime(1_999);
    expect(eventsOf(model)).toEqual([]);
    client.passTime(1);
    client.passTime(1_000);
    expect(eventsOf(model)).toEqual(["32:1+"]);
    expect([...(model.records()[0] ?? []).slice(10)]).toEqual([0x23, 32, 0x6f, 0xc1, 0x04, 0xff]);
    expect(client.ask(APP, 0x25)?.data[3]).toBe(0x10);
    expect(client.ask(0x00, 0x07)?.data[0]).toBe(4);
    client.ask(APP, 0x24, [0x04, 0, 0, 0x10, 20, 0]);
    expect(client.ask(APP, 0x25)?.data[3]).toBe(0);
  });

  test("a count of 0 acts at once; off is off; no log where none is wanted", () => {
    const client = loggedIn();
    client.ask(APP, 0x24, [0x84, 0x02, 0, 0, 0, 0]);
    client.ask(APP, 0x22);
    client.passTime(1_000);
    expect(client.machine.model.state.chassis.isOn).toBe(false);
    expect(eventsOf(client.machine.model)).toEqual([]);
  });

  test("gives notice before its end, and forgets everything when the BMC resets", () => {
    const client = loggedIn();
    client.ask(APP, 0x24, [0x04, 0x11, 1, 0, 20, 0]);
    client.ask(APP, 0x22);
    client.passTime(1_000);
    expect(eventsOf(client.machine.model)).toEqual(["32:8+"]);
    client.machine.model.reset(client.nowMs);
    client.passTime(5_000);
    expect(eventsOf(client.machine.model)).toEqual(["32:8+"]);
    client.sequence = 0;
    client.logIn();
    client.ask(APP, 0x3b, [4]);
    expect(client.ask(APP, 0x22)?.completionCode).toBe(0x80);
  });
});

describe("events", () => {
  test("a Platform Event is taken in seven bytes from outside and eight from the system", () => {
    const client = loggedIn();
    const event = [0x04, 0x0c, 0x10, 0x6f, 0x01, 0xff, 0xff];
    expect(client.ask(SENSOR, 0x02, event)?.completionCode).toBe(0);
    const { model } = client.machine;
    const data = Uint8Array.of(0x41, ...event);
    const request = { netFn: SENSOR, lun: 0, command: 0x02, data };
    model.request(request, SYSTEM_INTERFACE, client.nowMs, null);
    const generators = model.records().map((record) => [record[7], record[10], record[13]]);
    expect(generators).toEqual([
      [0x81, 0x0c, 1],
      [0x41, 0x0c, 1],
    ]);
  });

  test("go to the event buffer once it is enabled, in their order, then 80h", () => {
    const client = loggedIn();
    const { model } = client.machine;
    model.raiseFor(sensor(model, "PCIe"), [4, 0xff, 0xff], true, client.nowMs);
    expect(client.ask(APP, 0x35)?.completionCode).toBe(0x80);
    client.ask(APP, 0x2e, [0x0c]);
    model.raiseFor(sensor(model, "PCIe"), [5, 0xff, 0xff], true, client.nowMs);
    model.raiseFor(sensor(model, "PCIe"), [4, 0xff, 0xff], false, client.nowMs);
    expect(client.ask(APP, 0x31)?.data[0]).toBe(0x02);
    const offsets = [1, 2].map(() => client.ask(APP, 0x35)?.data[13]);
    expect(offsets).toEqual([5, 4]);
    expect(client.ask(APP, 0x35)?.completionCode).toBe(0x80);
  });

  test("carry the log's clock, which can be set", () => {
    const client = loggedIn();
    const seconds = 1_234_567_890;
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, seconds, true);
    client.ask(0x0a, 0x49, [...bytes]);
    client.nowMs += 5_000;
    const { model } = client.machine;
    model.raiseFor(sensor(model, "PCIe"), [4, 0xff, 0xff], true, client.nowMs);
    const record = model.records()[0] ?? new Uint8Array(16);
    const stamp = new DataView(record.buffer).getUint32(3, true);
    expect([0, 1]).toContain(stamp - seconds - 5);
  });
});

describe("any request", () => {
  test("gets an answer or none, never an exception, whatever its bytes", () => {
    const model = modelOf();
    const data = fc.uint8Array({ maxLength: 24 });
    const number = (max: number): fc.Arbitrary<number> => fc.integer({ min: 0, max });
    const netFns = fc.constantFrom(0x00, 0x04, 0x06, 0x0a, 0x0c, 0x2c, 0x30);
    let nowMs = START_MS;
    fc.assert(
      fc.property(netFns, number(0x60), data, (netFn, command, bytes) => {
        nowMs += 40;
        const reply = model.request(
          { netFn, lun: 0, command, data: bytes },
          SYSTEM_INTERFACE,
          nowMs,
          null,
        );
        if (reply !== null) expect(reply.completionCode).toBeGreaterThanOrEqual(0);
        model.tick(nowMs);
      }),
      { numRuns: 5_000 },
    );
  });
});

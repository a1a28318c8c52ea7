/**
 * Reading sensors against a scripted BMC, and the bytes of the commands that read and set them.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { SensorReading } from "../../bmc.ts";
import {
  errorOfRun,
  type Handler,
  LOST_WIRE,
  reply,
  runSteps,
  type StepsRun,
  UNKNOWN_COMMAND,
  valueOfRun,
} from "../harness/scripted-bmc.ts";
import { sdrOf, temperatureSdr } from "../harness/scripted-sdrs.ts";
import type { IpmiCommand } from "../ipmi.ts";
import { decodeSdr } from "../sdr/decode-sdr.ts";
import { sensorsOf } from "../sdr/sensor-index.ts";
import type { FullSensorRecord, SensorRecord } from "../sdr/sensor-record.ts";
import { getSensorReading } from "./get-sensor-reading.ts";
import { getSensorReadingFactors } from "./get-sensor-reading-factors.ts";
import { nameSensors } from "./name-sensors.ts";
import { readSensors } from "./read-sensors.ts";
import { getSensorEventEnable, setSensorEventEnable } from "./sensor-event-enable.ts";
import { getSensorEventStatus, rearmSensorEvents } from "./sensor-event-status.ts";
import { getSensorHysteresis, setSensorHysteresis } from "./sensor-hysteresis.ts";
import { getSensorThresholds, setSensorThresholds } from "./sensor-thresholds.ts";
import { getSensorType, setSensorType } from "./sensor-type.ts";

function sensorOf(bytes: Uint8Array): SensorRecord {
  const record = decodeSdr(bytes);
  const [sensor] = record.ok ? sensorsOf([record.value]) : [];
  if (sensor === undefined) throw new Error("no sensor");
  return sensor;
}

function temperature(number: number, change: Partial<FullSensorRecord> = {}): FullSensorRecord {
  const sensor = sensorOf(temperatureSdr(number, number, `Temp ${number}`));
  if (sensor.kind !== "full") throw new Error(sensor.kind);
  return { ...sensor, ...change };
}

/** A memory module's sensor: states, no numbers. */
function memory(number: number): SensorRecord {
  const body = new Array<number>(27).fill(0);
  body[0] = 0x20;
  body[2] = number;
  body[3] = 0x08;
  body[4] = 0x02;
  body[7] = 0x0c;
  body[8] = 0x6f;
  body[15] = 0xc0;
  body[26] = 0xc4;
  return sensorOf(sdrOf(number, 0x02, [...body, 0x44, 0x49, 0x4d, 0x4d]));
}

/** Readings by sensor number; thresholds 30h … 60h for whoever asks. */
function readings(byNumber: Readonly<Record<number, readonly number[]>>): Handler {
  return ({ command, data }) => {
    const [number = 0] = data;
    if (command === 0x2d) {
      const bytes = byNumber[number];
      return bytes === undefined ? reply(0xcb) : reply(0, ...bytes);
    }
    if (command === 0x27) return reply(0, 0x3f, 0x0a, 0x08, 0x05, 0x46, 0x50, 0x60);
    return UNKNOWN_COMMAND;
  };
}

function read(
  sensors: readonly SensorRecord[],
  handler: Handler,
): StepsRun<readonly SensorReading[]> {
  return runSteps(readSensors(sensors), handler);
}

function one(sensor: SensorRecord, ...bytes: readonly number[]): SensorReading {
  const [reading] = valueOfRun(read([sensor], readings({ [sensor.number]: bytes })));
  if (reading === undefined) throw new Error("no reading");
  return reading;
}

describe("a threshold sensor", () => {
  test("is read with its thresholds and its unit", () => {
    expect(one(temperature(7), 0x30, 0xc0, 0xc0)).toEqual({
      name: "Temp 7",
      number: 7,
      category: "temperature",
      entity: "system board 1",
      value: 48,
      unit: "°C",
      status: "ok",
      states: [],
      thresholds: { lnc: 10, lc: 8, lnr: 5, unc: 70, uc: 80, unr: 96 },
    });
  });

  test.each([
    [0x01, "lower-non-critical"],
    [0x03, "lower-critical"],
    [0x07, "lower-non-recoverable"],
    [0x08, "upper-non-critical"],
    [0x18, "upper-critical"],
    [0x38, "upper-non-recoverable"],
    [0xc0, "ok"],
  ])("with threshold bits %d is %s", (bits, status) => {
    expect(one(temperature(1), 0x30, 0xc0, bits).status).toBe(status);
  });

  test("that is not scanned, or unavailable, or absent has no value", () => {
    expect(one(temperature(1), 0x30, 0x80, 0xc0)).toMatchObject({
      value: null,
      status: "disabled",
    });
    expect(one(temperature(1), 0x30, 0xe0, 0xc0)).toMatchObject({
      value: null,
      status: "unavailable",
    });
    const [absent] = valueOfRun(read([temperature(1)], readings({})));
    expect(absent).toMatchObject({ value: null, status: "unavailable" });
  });

  test("without the third byte is ok", () => {
    expect(one(temperature(1), 0x30, 0xc0).status).toBe("ok");
  });

  test("whose thresholds cannot be asked has those of its record", () => {
    const handler: Handler = ({ command }) =>
      command === 0x2d ? reply(0, 0x30, 0xc0, 0xc0) : reply(0xcd);
    const [reading] = valueOfRun(read([temperature(1)], handler));
    expect(reading?.thresholds).toEqual({ lnc: 0, lc: 0, lnr: 0, unc: 70, uc: 80, unr: 96 });
    const { capabilities } = temperature(1);
    const fixed = temperature(1, { capabilities: { ...capabilities, thresholds: "fixed" } });
    const run = read([fixed], readings({ 1: [0x30, 0xc0, 0xc0] }));
    expect(valueOfRun(run)[0]?.thresholds.uc).toBe(80);
    expect(run.requests).toHaveLength(1);
  });

  test("of an inverse formula has upper and lower the other way round", () => {
    const inverse = temperature(1, { linearization: 7 });
    const reading = one(inverse, 0x08, 0xc0, 0x01);
    expect(reading.value).toBe(0.125);
    expect(reading.status).toBe("upper-non-critical");
    expect(reading.thresholds.unc).toBe(0.1);
    expect(reading.thresholds.lc).toBe(1 / 80);
  });

  test("that is not linear is converted with factors of each raw value", () => {
    const sensor = temperature(1, { linearization: 0x72 });
    const handler: Handler = (request, index) => {
      if (request.command !== 0x23) return readings({ 1: [0x30, 0xc0, 0xc0] })(request, index);
      const [, raw = 0] = request.data;
      return reply(0, raw, raw === 0x30 ? 2 : 3, 0, 0, 0, 0, 0);
    };
    const [reading] = valueOfRun(read([sensor], handler));
    expect(reading?.value).toBe(96);
    expect(reading?.thresholds.uc).toBe(240);
  });
});

describe("a discrete sensor", () => {
  test("tells the texts of its states", () => {
    const reading = one(memory(2), 0x00, 0xc0, 0x03, 0x80);
    expect(reading).toMatchObject({
      name: "DIMM",
      category: "memory",
      entity: "memory module 2",
      value: null,
      unit: "",
      status: "states",
    });
    expect(reading.states).toHaveLength(2);
    expect(reading.states[0]?.toLowerCase()).toContain("correctable");
  });

  test("numbers a state that the standard does not name", () => {
    expect(one(memory(2), 0x00, 0xc0, 0x00, 0xc0).states).toEqual(["state 14"]);
  });
});

describe("many sensors", () => {
  test("are asked at once, and answered in their order", () => {
    const sensors = Array.from({ length: 70 }, (_, index) => temperature(index));
    const byNumber = Object.fromEntries(
      sensors.map(({ number }) => [number, [number, 0xc0, 0xc0]]),
    );
    const run = read(sensors, readings(byNumber));
    expect(valueOfRun(run).map(({ value }) => value)).toEqual(sensors.map(({ number }) => number));
    expect(run.roundCount).toBe(3);
    expect(run.progress.at(-1)).toEqual({ done: 70, total: 70 });
  });

  test("leave out those that only make events, and list those elsewhere", () => {
    const eventOnly = sensorOf(
      sdrOf(6, 0x03, [0x20, 0, 7, 8, 1, 0x0c, 0x6f, 1, 0, 0, 0, 0xc1, 0x4d]),
    );
    const elsewhere = temperature(2, { owner: { address: 0x82, channel: 7, lun: 0 } });
    const run = read([eventOnly, elsewhere], readings({}));
    expect(valueOfRun(run)).toMatchObject([{ name: "Temp 2", status: "unavailable" }]);
    expect(run.requests).toHaveLength(0);
  });

  test("are an error where one is not answered, busy, or not allowed", () => {
    const sensors = [temperature(1), temperature(2)];
    const failing = (answer: ReturnType<Handler>): Handler => {
      const good = readings({ 1: [1, 0xc0, 0xc0] });
      return (request, index) => (request.data[0] === 2 ? answer : good(request, index));
    };
    const lost = errorOfRun(read(sensors, failing(LOST_WIRE)));
    expect(lost.kind).toBe("timeout");
    expect(lost.detail).toContain("Temp 2");
    expect(errorOfRun(read(sensors, failing(reply(0xc0)))).kind).toBe("busy");
    expect(errorOfRun(read(sensors, failing(reply(0xd4)))).kind).toBe("privilege-too-low");
    expect(errorOfRun(read(sensors, failing(reply(0)))).kind).toBe("malformed");
  });
});

describe("names for events", () => {
  test("come with entity and readings", () => {
    const nameOf = nameSensors([temperature(1), memory(2)]);
    const named = nameOf(0x20, 0, 1);
    expect([named?.name, named?.entity, named?.reading?.(85)]).toEqual([
      "Temp 1",
      "system board 1",
      "85 °C",
    ]);
    expect(nameOf(0x20, 0, 2)?.reading?.(85)).toBeNull();
    expect(nameOf(0x20, 0, 9)).toBeNull();
  });
});

describe("the commands", () => {
  function decoded<T>(command: IpmiCommand<never, T>, hex: string): T {
    const value = command.decode(Uint8Array.fromHex(hex));
    if (!value.ok) throw new Error(JSON.stringify(value.error));
    return value.value;
  }

  test("are sent as the standard says", () => {
    const masks = { assertion: 0x0a80, deassertion: 0x7a95 };
    const sent: readonly [Uint8Array, string][] = [
      [getSensorReading.encode(5), "05"],
      [getSensorReadingFactors.encode({ sensorNumber: 5, raw: 0x30 }), "0530"],
      [setSensorHysteresis.encode({ sensorNumber: 5, positive: 2, negative: 3 }), "05ff0203"],
      [getSensorHysteresis.encode(5), "05ff"],
      [
        setSensorThresholds.encode({ sensorNumber: 5, thresholds: { lc: 1, unr: 9 } }),
        "0522000100000009",
      ],
      [
        setSensorEventEnable.encode({
          sensorNumber: 5,
          areEventsOn: true,
          isScanned: true,
          change: "disable",
          ...masks,
        }),
        "05e0800a957a",
      ],
      [rearmSensorEvents.encode({ sensorNumber: 5, events: null }), "0500"],
      [rearmSensorEvents.encode({ sensorNumber: 5, events: masks }), "0580800a957a"],
      [setSensorType.encode({ sensorNumber: 5, sensorType: 1, eventType: 0x6f }), "05016f"],
    ];
    for (const [bytes, hex] of sent) expect(bytes.toHex()).toBe(hex);
  });

  test("read their replies, with bytes missing at the end", () => {
    expect(decoded(getSensorThresholds, "22010203040506")).toEqual({ lc: 2, unr: 6 });
    expect(decoded(getSensorHysteresis, "0203")).toEqual({ positive: 2, negative: 3 });
    const masks = { assertion: 0x0a80, deassertion: 0x7a95 };
    const on = { areEventsOn: true, isScanned: true };
    expect(decoded(getSensorEventEnable, "c0800a957a")).toEqual({ ...on, ...masks });
    expect(decoded(getSensorEventEnable, "c080")).toEqual({
      ...on,
      assertion: 0x80,
      deassertion: 0,
    });
    expect(decoded(getSensorEventStatus, "e0800a957a")).toEqual({
      ...on,
      ...masks,
      isUnavailable: true,
    });
    expect(decoded(getSensorType, "01ef")).toEqual({ sensorType: 1, eventType: 0x6f });
    expect(decoded(getSensorReading, "30c00180").states).toBe(1);
  });

  test("never throw, on any bytes", () => {
    const commands = [
      getSensorReading,
      getSensorReadingFactors,
      getSensorHysteresis,
      getSensorThresholds,
      getSensorEventEnable,
      getSensorEventStatus,
      getSensorType,
    ];
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 12 }), (bytes) => {
        for (const command of commands) command.decode(bytes);
      }),
    );
  });
});

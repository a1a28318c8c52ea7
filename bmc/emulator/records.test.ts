/**
 * Goal: the records and inventories that the emulator builds mean what was put in. Method: the decoders of `bmc/ipmi/`, written
 * apart from these encoders, read them back; values over their whole range by property.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { decodeFru } from "../ipmi/fru/decode-fru.ts";
import { convertReading } from "../ipmi/sdr/convert-reading.ts";
import { decodeSdr, type SdrRecord } from "../ipmi/sdr/decode-sdr.ts";
import type { ThresholdSensorConfig } from "./config.ts";
import { DEFAULT_BMC } from "./default-bmc.ts";
import { buildFru } from "./fru-build.ts";
import { controllerLocator, fruLocator, rawOf, realOf, sensorRecord } from "./sdr-build.ts";

function decoded(bytes: Uint8Array): SdrRecord {
  const record = decodeSdr(bytes);
  if (!record.ok) throw new Error(JSON.stringify(record.error));
  return record.value;
}

function thresholdSensor(name: string): ThresholdSensorConfig {
  const sensor = DEFAULT_BMC.sensors.find((one) => one.name === name);
  if (sensor?.kind !== "threshold") throw new Error(name);
  return sensor;
}

describe("a sensor's record", () => {
  test("of a threshold sensor holds its name, place, unit, masks, factors and thresholds", () => {
    expect(decoded(sensorRecord(thresholdSensor("P12V")))).toMatchObject({
      kind: "full",
      name: "P12V",
      number: 4,
      sensorType: 0x02,
      eventType: 0x01,
      entity: { id: 7, instance: 1, isLogical: false },
      owner: { address: 0x20, channel: 0, lun: 0 },
      format: "unsigned",
      linearization: 0,
      factors: { m: 6, b: 0, rExponent: -2, bExponent: 0 },
      capabilities: { doesRearmItself: true, hysteresis: "settable", thresholds: "settable" },
      // LNC and LC going low are offsets 0 and 2; UNC and UC going high 7 and 9; comparisons in bits 14:12.
      masks: { assertion: 0x3285, deassertion: 0x3285, reading: 0x1b1b },
      thresholds: { lnc: 190, lc: 180, unc: 210, uc: 220 },
      hysteresis: { positive: 1, negative: 1 },
      nominal: 200,
    });
  });

  test("of a signed sensor is read as signed", () => {
    const record = decoded(sensorRecord(thresholdSensor("PCH Margin")));
    if (record.kind !== "full") throw new Error(record.kind);
    expect(record.format).toBe("twos-complement");
    expect(convertReading(record, rawOf(thresholdSensor("PCH Margin"), -38))).toBe(-38);
  });

  test("of discrete and event-only sensors and locators says what they are", () => {
    const of = (name: string): SdrRecord => {
      const sensor = DEFAULT_BMC.sensors.find((one) => one.name === name);
      if (sensor === undefined) throw new Error(name);
      return decoded(sensorRecord(sensor));
    };
    expect(of("DIMM A1")).toMatchObject({
      ...{ kind: "compact", name: "DIMM A1", sensorType: 0x0c, eventType: 0x6f },
      ...{ masks: { assertion: 0x27, deassertion: 0x27, reading: 0x27 }, sharing: { count: 1 } },
    });
    expect(of("Watchdog")).toMatchObject({ kind: "event-only", sensorType: 0x23, number: 32 });
    const fru = { id: 1, name: "PSU1" };
    expect(decoded(fruLocator(fru))).toMatchObject({
      ...{ kind: "fru-locator", fruId: 1, isLogical: true, name: "PSU1" },
    });
    expect(decoded(controllerLocator("BMC", 0xaf))).toMatchObject({
      ...{ kind: "controller-locator", address: 0x20, name: "BMC" },
      supports: expect.arrayContaining(["sel", "sdr", "fru", "chassis"]),
    });
  });

  test("any factors, any raw byte: both sides compute the same value", () => {
    const factors = fc.record({
      m: fc.integer({ min: -512, max: 511 }).filter((m) => m !== 0),
      b: fc.integer({ min: -512, max: 511 }),
      bExp: fc.integer({ min: -8, max: 7 }),
      rExp: fc.integer({ min: -8, max: 7 }),
      isSigned: fc.boolean(),
    });
    fc.assert(
      fc.property(factors, fc.integer({ min: 0, max: 255 }), (given, raw) => {
        const sensor = { ...thresholdSensor("CPU0 Temp"), ...given };
        const record = decoded(sensorRecord(sensor));
        if (record.kind !== "full") throw new Error(record.kind);
        const value = convertReading(record, raw) ?? Number.NaN;
        expect(Math.abs(value - realOf(sensor, raw))).toBeLessThanOrEqual(Math.abs(value) * 1e-9);
        expect(rawOf(sensor, realOf(sensor, raw))).toBe(raw);
      }),
    );
  });
});

describe("an inventory", () => {
  test("is read back field by field, without a problem", () => {
    const { fields, problems } = decodeFru(
      buildFru(DEFAULT_BMC.frus[0] ?? { id: 0, name: "" }).bytes,
      "FRU 0",
    );
    expect(problems).toEqual([]);
    expect(Object.fromEntries(fields)).toMatchObject({
      "chassis.serial": "CHS-0001",
      "board.manufacturer": "ACME",
      "board.serial": "BSN-0001",
      "board.custom1": "rack 7",
      "product.name": "Emulated Server",
      "product.serial": "PSN-0001",
    });
  });

  test("of any texts is sound, and one wrong byte in the board area is found", () => {
    const text = fc.stringMatching(/^[A-Za-z0-9 .-]{2,40}$/).filter((one) => one.trim() === one);
    fc.assert(
      fc.property(fc.tuple(text, text, text, text), ([maker, product, serial, part]) => {
        const board = { dateMinutes: 1, maker, product, serial, part };
        const image = buildFru({ id: 0, name: "x", board });
        const read = decodeFru(image.bytes, "FRU 0");
        expect(read.problems).toEqual([]);
        expect(Object.fromEntries(read.fields)).toMatchObject({ "board.serial": serial });
        const at = image.boardChecksumOffset ?? -1;
        image.bytes[at] = (image.bytes[at] ?? 0) ^ 0x55;
        const kinds = decodeFru(image.bytes, "FRU 0").problems.map(({ kind }) => kind);
        expect(kinds).toContain("bad-checksum");
      }),
    );
  });
});

/**
 * Records of the SDR repository: real ones, ones after the tables of the standard, and any bytes; and what raw readings mean.
 *
 * Real records are from ipmi-rs (`ipmi-rs-core/src/tests/dell_r630.rs`, a Dell R630) and gebn/bmc
 * (`pkg/ipmi/full_sensor_record_test.go`, `conversion_factors_test.go`), retyped with what they must read as.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { sdrOf, temperatureSdr } from "../harness/scripted-sdrs.ts";
import {
  convertDifference,
  convertReading,
  convertWithFactors,
  isInverse,
  isNonLinear,
  nearestRaw,
} from "./convert-reading.ts";
import { decodeSdr, type SdrRecord } from "./decode-sdr.ts";
import { entityName, entityText } from "./entity.ts";
import { SensorIndex, sensorsOf } from "./sensor-index.ts";
import { expandSensors, type FullSensorRecord } from "./sensor-record.ts";
import { decodeName } from "./type-length.ts";
import { decodeUnits, unitText } from "./unit.ts";

function decoded(bytes: Uint8Array): SdrRecord {
  const record = decodeSdr(bytes);
  if (!record.ok) throw new Error(JSON.stringify(record.error));
  return record.value;
}

function full(bytes: Uint8Array): FullSensorRecord {
  const record = decoded(bytes);
  if (record.kind !== "full") throw new Error(record.kind);
  return record;
}

function ofHex(hex: string): Uint8Array {
  return Uint8Array.fromHex(hex.replaceAll(/\s/g, ""));
}

/** With the next-record id in front taken off. */
const FAN_2A =
  ofHex(`0d00 5101 30 2000 3207 017f d404 01 0530 0500 0300 00 12 00 00 78 02 00 02 30 00
  07 54c5 8bff 00ff ffff 0005 0701 0100 0000 c546 616e 3241`);
const INLET_TEMP =
  ofHex(`1200 5101 35 2000 0407 017f 6801 01 8532 8532 1b09 00 01 00 00 01 02 80 c2 30 00
  07 97c5 8bff 00ff afaa 0079 8301 0100 0000 ca49 6e6c 6574 2054 656d 70`);

describe("a full record", () => {
  test("of a fan of a Dell R630 converts as its maker meant", () => {
    const fan = full(FAN_2A);
    expect(fan.name).toBe("Fan2A");
    expect(fan.number).toBe(0x32);
    expect(entityText(fan.entity)).toBe("system board 1");
    expect(convertReading(fan, 0x2c)).toBe(5280);
    expect(unitText(fan.units)).toBe("RPM");
    expect(fan.capabilities).toEqual({
      isIgnoredIfEntityAbsent: true,
      doesRearmItself: true,
      hysteresis: "readable",
      thresholds: "readable",
      events: "by-bit",
    });
    expect(fan.thresholds).toEqual({ unr: 0xff, uc: 0xff, unc: 0xff, lnr: 0, lc: 5, lnc: 7 });
    expect(fan.hysteresis).toEqual({ positive: 1, negative: 1 });
  });

  test("of a temperature of a Dell R630 has a B that is negative", () => {
    const temperature = full(INLET_TEMP);
    expect(temperature.name).toBe("Inlet Temp");
    expect(temperature.factors.b).toBe(-128);
    expect(convertReading(temperature, 0x99)).toBe(25);
    expect(unitText(temperature.units)).toBe("°C");
    // A hysteresis is a difference: B plays no part in it.
    expect(convertDifference(temperature, 2)).toBe(2);
  });

  test("with every bit of its factors reads as the table says", () => {
    const body =
      ofHex(`305e 160a e07f e803 0100 7200 723f 3f2d 050e 05ff b5f0 6aad a5aa 0811 3a7b 8064
      645f 0000 0002 02ff ffff 8900`);
    const record = full(sdrOf(7, 0x01, [...body]));
    expect(record.owner).toEqual({ address: 0x30, channel: 5, lun: 2 });
    expect(record.entity).toEqual({ id: 0x0a, instance: 0x60, isLogical: true });
    expect(record.factors).toEqual({
      m: -257,
      tolerance: 53,
      b: 496,
      accuracy: 682_000,
      rExponent: -6,
      bExponent: 5,
    });
    expect(record.linearization).toBe(5);
    expect(record.units).toEqual({
      isPercent: true,
      base: 5,
      modifier: 14,
      modifierUse: "multiplies",
      rate: 5,
    });
    expect([record.nominal, record.normalMax, record.normalMin]).toEqual([null, 0x11, null]);
  });
});

describe("a linear reading", () => {
  const base = full(temperatureSdr(1, 1, "T"));

  test.each([
    [1, 0, 0, 0, 40, 40],
    [100, 0, 0, 0, 128, 12_800],
    [9, 171, 0, -3, 181, 1.8],
    [7, 137, 0, -3, 184, 1.425],
    [51, 219, 0, -3, 231, 12],
    [31, 71, 0, -3, 159, 5],
    [15, 179, 0, -3, 208, 3.299],
    [1, 2, 3, 4, 40, 20_400_000],
    [2, 5, -2, -1, 100, 20.005],
  ])("of M %d, B %d·10^%d, R %d at %d is %d", (...row) => {
    const [m, b, bExponent, rExponent, raw, value] = row;
    const factors = { ...base.factors, m, b, bExponent, rExponent };
    expect(convertWithFactors(base, factors, raw)).toBe(value);
  });

  test("knows the three formats of numbers", () => {
    const ones = { ...base, format: "ones-complement" as const };
    const twos = { ...base, format: "twos-complement" as const };
    expect([0x00, 0x7f, 0x80, 0xfe, 0xff].map((raw) => convertReading(ones, raw))).toEqual([
      0, 127, -127, -1, 0,
    ]);
    expect([0x00, 0x7f, 0x80, 0xfe, 0xff].map((raw) => convertReading(twos, raw))).toEqual([
      0, 127, -128, -2, -1,
    ]);
    expect(convertReading(base, 0xff)).toBe(255);
    expect(convertReading({ ...base, format: "none" }, 5)).toBeNull();
  });

  test("is found again from its number", () => {
    const record = { ...base, factors: { ...base.factors, m: 3, b: -7 } };
    fc.assert(
      fc.property(fc.nat(255), (raw) => {
        expect(nearestRaw(record, convertReading(record, raw) ?? 0)).toBe(raw);
      }),
    );
    expect(nearestRaw({ ...base, format: "none" }, 5)).toBeNull();
  });
});

describe("the formulas", () => {
  const base = full(temperatureSdr(1, 1, "T"));

  test.each([
    [0, 8, 8],
    [1, 8, Math.log(8)],
    [2, 100, 2],
    [3, 8, 3],
    [4, 2, Math.exp(2)],
    [5, 3, 1000],
    [6, 10, 1024],
    [7, 8, 0.125],
    [8, 12, 144],
    [9, 3, 27],
    [10, 81, 9],
    [11, 27, 3],
  ])("number %d makes of %d %d", (linearization, raw, value) => {
    expect(convertReading({ ...base, linearization }, raw)).toBeCloseTo(value, 12);
  });

  test("give no number where there is none", () => {
    for (const linearization of [1, 2, 3, 7]) {
      expect(convertReading({ ...base, linearization }, 0)).toBeNull();
    }
    expect(convertReading({ ...base, linearization: 12 }, 1)).toBeNull();
    expect(convertReading({ ...base, linearization: 5 }, 208)).toBe(1e208);
  });

  test("of a sensor that is not linear need its factors", () => {
    const record = { ...base, linearization: 0x70 };
    expect(isNonLinear(record)).toBe(true);
    expect(convertReading(record, 5)).toBeNull();
    expect(convertDifference(record, 5)).toBeNull();
    expect(convertWithFactors(record, { ...record.factors, m: 7 }, 5)).toBe(35);
    expect(isInverse({ ...base, linearization: 7 })).toBe(true);
  });
});

describe("shared records", () => {
  /** Compact: three sensors from number 10 on. */
  function compact(sharing: readonly [number, number], name: string): Uint8Array {
    const body = new Array<number>(27).fill(0);
    body[0] = 0x20;
    body[2] = 10;
    body[3] = 0x08;
    body[4] = 0x01;
    body[7] = 0x0c;
    body[8] = 0x6f;
    body[15] = 0xc0;
    [body[18], body[19]] = sharing;
    body[26] = 0xc0 | name.length;
    return sdrOf(5, 0x02, [...body, ...new TextEncoder().encode(name)]);
  }

  test("stand for sensors in a row, numbered from the offset", () => {
    const sensors = sensorsOf([decoded(compact([0x03, 0x05], "Temp "))]);
    expect(sensors.map(({ name, number }) => `${number} ${name}`)).toEqual([
      "10 Temp 5",
      "11 Temp 6",
      "12 Temp 7",
    ]);
    expect(sensors.map(({ entity }) => entity.instance)).toEqual([1, 1, 1]);
  });

  test("count in letters, and their entities too, where they say so", () => {
    const sensors = sensorsOf([decoded(compact([0x13, 0x80 | 25], "DIMM_"))]);
    expect(sensors.map(({ name }) => name)).toEqual(["DIMM_Z", "DIMM_AA", "DIMM_AB"]);
    expect(sensors.map(({ entity }) => entity.instance)).toEqual([1, 2, 3]);
  });

  test("of one sensor keep its name", () => {
    for (const count of [0, 1]) {
      const [sensor] = sensorsOf([decoded(compact([count, 0x05], "CPU "))]);
      expect(sensor?.name).toBe("CPU");
    }
  });

  test("of events only are expanded as well", () => {
    const body = [0x20, 0, 7, 0x08, 1, 0x0c, 0x6f, 0x02, 0x00, 0, 0, 0xc1, 0x4d];
    const record = decoded(sdrOf(6, 0x03, body));
    if (record.kind !== "event-only") throw new Error(record.kind);
    expect(expandSensors(record).map(({ name, number }) => `${number} ${name}`)).toEqual([
      "7 M 0",
      "8 M 1",
    ]);
  });
});

describe("names", () => {
  test.each([
    ["c5 46 61 6e 32 41", "Fan2A"],
    ["83 29 dc a6", "IPMI"],
    ["42 12 3b", "123-"],
    ["04 46 00 f6 00", "Fö"],
    ["04 46 61 6e 31", "Fan1"],
    ["c4 41 07 1b 42", "AB"],
    ["c9 41 42", "AB"],
    ["c0", ""],
  ])("of %s are %s", (hex, name) => {
    expect(decodeName(ofHex(hex), 0)).toBe(name);
  });

  test("beyond the record are empty", () => {
    expect(decodeName(new Uint8Array(3), 3)).toBe("");
  });
});

describe("units", () => {
  test.each([
    [0x00, 1, 0, "°C"],
    [0x00, 18, 0, "RPM"],
    [0x01, 0, 0, "%"],
    [0x01, 6, 0, "% W"],
    [0x18, 85, 0, "packets/s"],
    [0x02, 70, 22, "byte/s"],
    [0x04, 4, 5, "V·A"],
    [0x00, 0, 0, ""],
    [0x00, 92, 0, "gram"],
    [0x00, 200, 0, "unit 200"],
  ])("%d %d %d are %s", (units1, base, modifier, text) => {
    expect(unitText(decodeUnits(units1, base, modifier))).toBe(text);
  });
});

describe("other records", () => {
  const name = [0xc3, 0x50, 0x53, 0x55];

  test("of FRU devices and controllers say where they are", () => {
    const body = [0x20, 0x03, 0x88, 0x70, 0, 0x10, 0x01, 0x0a, 0x02, 0, ...name];
    expect(decoded(sdrOf(9, 0x11, body))).toEqual({
      kind: "fru-locator",
      recordId: 9,
      accessAddress: 0x20,
      fruId: 3,
      isLogical: true,
      lun: 1,
      busId: 0,
      channel: 7,
      deviceType: 0x10,
      typeModifier: 1,
      entity: { id: 0x0a, instance: 2, isLogical: false },
      name: "PSU",
    });
    const controller = [0x20, 0x05, 0x01, 0xbf, 0, 0, 0, 0x07, 0x01, 0, ...name];
    expect(decoded(sdrOf(8, 0x12, controller))).toMatchObject({
      kind: "controller-locator",
      address: 0x20,
      channel: 5,
      supports: ["sensors", "sdr", "sel", "fru", "event-receiver", "event-generator", "chassis"],
    });
  });

  test("of other devices have their channel in two places", () => {
    const body = [0x20, 0xa1, 0x53, 0x02, 0, 0x0b, 0, 0x20, 0x01, 0, ...name];
    expect(decoded(sdrOf(7, 0x10, body))).toMatchObject({
      kind: "device-locator",
      address: 0xa0,
      channel: 0x0a,
      lun: 2,
      busId: 3,
      addressSpan: 2,
    });
  });

  test("of confirmations hold firmware, maker and GUID", () => {
    const guid = Array.from({ length: 16 }, (_, index) => index);
    const body = [0x20, 0x11, 0x71, 0x82, 0x34, 0x02, 0xa2, 0x02, 0x00, 0x00, 0x01, ...guid];
    expect(decoded(sdrOf(4, 0x13, body))).toEqual({
      kind: "controller-confirmation",
      recordId: 4,
      address: 0x20,
      deviceId: 0x11,
      channel: 7,
      firmware: "2.34",
      manufacturerId: 674,
      productId: 0x0100,
      guid: Uint8Array.from(guid),
    });
  });

  test("of entities list what is contained, or ranges of it", () => {
    const pairs = [0x08, 1, 0x08, 4, 0, 0, 0, 0];
    const list = decoded(sdrOf(3, 0x08, [0x17, 1, 0x60, ...pairs]));
    if (list.kind !== "entity-association") throw new Error(list.kind);
    expect([list.isLinked, list.isPresenceAlwaysReadable]).toEqual([true, true]);
    expect(list.contained).toMatchObject({ kind: "list", entities: [{ id: 8 }, { id: 8 }] });
    const ranges = decoded(sdrOf(3, 0x08, [0x17, 1, 0x80, ...pairs]));
    if (ranges.kind !== "entity-association") throw new Error(ranges.kind);
    expect(ranges.contained).toMatchObject({
      kind: "ranges",
      ranges: [[{ instance: 1 }, { instance: 4 }]],
    });
  });

  test("of entities on other controllers say on which", () => {
    const four = [0x82, 0x70, 0x0a, 1, ...new Array<number>(12).fill(0)];
    const record = decoded(sdrOf(2, 0x09, [0x13, 1, 0x20, 0x00, 0x00, ...four]));
    if (record.kind !== "entity-association") throw new Error(record.kind);
    expect(record.container.address).toBe(0x20);
    expect(record.contained).toMatchObject({
      kind: "list",
      entities: [{ id: 0x0a, instance: 1, address: 0x82, channel: 7 }],
    });
  });

  test("of makers and of other types stay as bytes", () => {
    expect(decoded(sdrOf(1, 0xc0, [0x57, 1, 0, 0xaa, 0xbb]))).toEqual({
      kind: "oem",
      recordId: 1,
      manufacturerId: 343,
      data: Uint8Array.of(0xaa, 0xbb),
    });
    expect(decoded(sdrOf(1, 0x14, [1, 2]))).toEqual({
      kind: "other",
      recordId: 1,
      type: 0x14,
      data: Uint8Array.of(1, 2),
    });
  });
});

describe("any bytes", () => {
  test("make a record or an error, never an exception", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(1, 2, 3, 8, 9, 0x10, 0x11, 0x12, 0x13, 0x14, 0xc0),
        fc.uint8Array({ maxLength: 70 }),
        (type, body) => {
          const record = decodeSdr(sdrOf(1, type, [...body]));
          if (record.ok) sensorsOf([record.value]).map((one) => convertReading(one, 0x80));
        },
      ),
      { numRuns: 500 },
    );
  });

  test("that are fewer than the header says are an error, whatever the type", () => {
    for (let bytes = 0; bytes < FAN_2A.byteLength; bytes++) {
      const record = decodeSdr(FAN_2A.subarray(0, bytes));
      expect(record.ok ? null : record.error.kind).toBe("too-short");
    }
  });
});

describe("finding a sensor", () => {
  test("goes by owner, LUN and number; the first of two wins", () => {
    const sensors = sensorsOf([
      decoded(temperatureSdr(1, 4, "A")),
      decoded(temperatureSdr(2, 4, "B")),
    ]);
    const index = new SensorIndex(sensors);
    expect(index.find(0x20, 0, 4)?.name).toBe("A");
    expect(index.find(0x20, 1, 4)).toBeNull();
    expect(index.find(0x21, 0, 4)).toBeNull();
  });
});

describe("entities", () => {
  test("have names, and numbers where the standard has none", () => {
    expect(entityName(0x0a)).toBe("power supply");
    expect(entityName(0x36)).toBe("entity 0x36");
    expect(entityName(0xd0)).toBe("entity 0xd0");
    expect(entityName(0x41)).toBe("processor");
  });
});

/**
 * Events in words: records whose meaning is known, every offset of the standard, and no 16 bytes that make it throw.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { decodeSelRecord, type SystemEventRecord } from "../sel/sel-record.ts";
import { type NameOf, wordsOf } from "./event-text.ts";
import { GENERIC_EVENTS } from "./generic-events.ts";
import { SENSOR_SPECIFIC_EVENTS } from "./sensor-specific-events.ts";
import { sensorTypeName } from "./sensor-type.ts";
import { severityOf } from "./severity.ts";

function event(changes: Partial<SystemEventRecord>): SystemEventRecord {
  return {
    kind: "event",
    recordId: 1,
    timestamp: 1_700_000_000,
    generatorId: 0x20,
    revision: 4,
    sensorType: 0x0c,
    sensorNumber: 0x30,
    isAssertion: true,
    eventType: 0x6f,
    data1: 0,
    data2: 0xff,
    data3: 0xff,
    ...changes,
  };
}

const textOf = (changes: Partial<SystemEventRecord>): string => wordsOf(event(changes)).text;

describe("a record in words", () => {
  test("go-ipmi's power unit is not redundant any more", () => {
    const record = decodeSelRecord(Uint8Array.fromHex("4d150290b3c66741000409010b03ffff"));
    if (!record.ok) throw new Error("16 bytes");
    expect(wordsOf(record.value)).toMatchObject({
      category: "power-unit",
      subject: "sensor 0x01",
      text: "power unit sensor 0x01: non-redundant, sufficient resources from redundant",
      severity: "critical",
      isAssertion: true,
    });
  });

  test("memory: which module, and that it is over", () => {
    expect(textOf({ data1: 0x31, data3: 7 })).toBe(
      "memory sensor 0x30: uncorrectable memory error (ECC), memory module 7",
    );
    const over = wordsOf(event({ data1: 0x01, isAssertion: false }));
    expect(over.text).toBe("memory sensor 0x30: uncorrectable memory error (ECC) (deasserted)");
    expect(over.severity).toBe("ok");
  });

  test("a threshold with reading, limit and unit as the SDR has them", () => {
    const nameOf: NameOf = (generator, lun, number) =>
      generator === 0x20 && lun === 0 && number === 0x30
        ? { name: "CPU0 Temp", entity: "processor 1", reading: (raw) => `${raw - 100} °C` }
        : null;
    const hot = event({ sensorType: 1, eventType: 1, data1: 0x59, data2: 200, data3: 190 });
    expect(wordsOf(hot, nameOf)).toMatchObject({
      category: "temperature",
      subject: "CPU0 Temp",
      text: "temperature CPU0 Temp: upper critical threshold crossed going high, reading 100 °C, threshold 90 °C",
      severity: "critical",
      extra: { entity: "processor 1", sensorNumber: 0x30, data2: 200 },
    });
    expect(wordsOf({ ...hot, generatorId: 0x0120 }, nameOf).text).toContain("reading raw 0xc8");
    expect(wordsOf({ ...hot, data1: 0x09 }, nameOf).text).toBe(
      "temperature CPU0 Temp: upper critical threshold crossed going high",
    );
  });

  test.each([
    [
      { sensorType: 0x0f, data1: 0xc0, data2: 0x02 },
      "system firmware error (POST error), no usable system memory",
    ],
    [
      { sensorType: 0x0f, data1: 0xc2, data2: 0x07 },
      "system firmware progress, PCI resource configuration",
    ],
    [{ sensorType: 0x0f, data1: 0xc2, data2: 0x15 }, "system firmware progress, phase 0x15"],
    [{ sensorType: 0x12, data1: 0xc4, data2: 0x03 }, "PEF action, alert and power off"],
    [
      { sensorType: 0x12, data1: 0xc5, data2: 0x80 },
      "timestamp clock synchronized, second of pair, SEL clock",
    ],
    [
      { sensorType: 0x12, data1: 0xc3, data2: 0x30 },
      "entry added to auxiliary log, log cleared (MCA log)",
    ],
    [
      { sensorType: 0x23, data1: 0xc1, data2: 0x24 },
      "hard reset by the watchdog, timer use SMS/OS, NMI",
    ],
    [
      { sensorType: 0x23, data1: 0xc0, data2: 0xf1 },
      "timer expired, status only, timer use BIOS FRB2",
    ],
    [
      { sensorType: 0x2a, data1: 0xf1, data2: 0x02, data3: 0x21 },
      "session deactivated, user 2, by timeout, channel 1",
    ],
    [
      { sensorType: 0x2a, data1: 0xf0, data2: 0x02, data3: 0x01 },
      "session activated, user 2, channel 1",
    ],
    [
      { sensorType: 0x2b, data1: 0xc7, data2: 0x09 },
      "detected software or firmware change was successful, system firmware (EFI/BIOS)",
    ],
    [
      { sensorType: 0x08, data1: 0x36, data3: 0x03 },
      "configuration error, power supply rating mismatch",
    ],
    [{ sensorType: 0x10, data1: 0x35, data3: 80 }, "event log almost full, 80 % full"],
    [
      { sensorType: 0x10, data1: 0xf1, data2: 0x01, data3: 0x19 },
      "event type logging disabled, event type 0x01, assertion of offset 9",
    ],
    [
      { sensorType: 0x10, data1: 0xf6, data2: 2, data3: 0x80 },
      "correctable machine check error logging disabled, processor 2 by the vendor's count",
    ],
    [
      { sensorType: 0x19, data1: 0xf0, data2: 0, data3: 5 },
      "soft power control failure, requested S0/G0, working, at the time in S5/G2, soft-off",
    ],
    [
      { sensorType: 0x1d, data1: 0xf7, data2: 4, data3: 1 },
      "system restart, cause watchdog, channel 1",
    ],
    [
      { sensorType: 0x21, data1: 0xf0, data2: 9, data3: 3 },
      "fault status asserted, PCI Express slot, slot 3",
    ],
    [{ sensorType: 0x28, data1: 0xc4, data2: 0x31 }, "sensor failure, failed sensor 0x31"],
    [
      { sensorType: 0x28, data1: 0xf5, data2: 0x80, data3: 2 },
      "FRU failure, logical FRU device, FRU id or address 0x02",
    ],
    [
      { sensorType: 0x2c, data1: 0xc7, data2: 0x54 },
      "FRU communication lost, before: FRU active, communication lost",
    ],
    [
      { sensorType: 0x05, data1: 0xc4, data2: 1 },
      "LAN leash lost, the system was unplugged from the LAN, network controller 1",
    ],
    [
      { sensorType: 0x08, eventType: 0x0b, data1: 0x42, data2: 0xf0 },
      "redundancy degraded, before: fully redundant",
    ],
    [
      { sensorType: 0x0c, data1: 0xa1, data2: 0x12, data3: 0x34 },
      "uncorrectable memory error (ECC), data 2 0x12, data 3 0x34",
    ],
    [{ sensorType: 0x07, data1: 0x0e }, "event type 0x6f, offset 14"],
    [{ sensorType: 0xc5, eventType: 0x72, data1: 0x03 }, "OEM event type 0x72, offset 3"],
  ])("what event data adds, case %#", (changes, tail) => {
    const text = textOf(changes);
    expect(text.slice(text.indexOf(": ") + 2)).toBe(tail);
  });

  test("what belongs to a manufacturer is shown as bytes", () => {
    const timed = decodeSelRecord(Uint8Array.fromHex("0100c190b3c667a20200010203040506"));
    const plain = decodeSelRecord(Uint8Array.fromHex("0100e00102030405060708090a0b0c0d"));
    const odd = decodeSelRecord(Uint8Array.fromHex("0100400102030405060708090a0b0c0d"));
    if (!timed.ok || !plain.ok || !odd.ok) throw new Error("16 bytes");
    expect(wordsOf(timed.value).text).toBe("OEM record 0xc1 of manufacturer 674: 010203040506");
    expect(wordsOf(plain.value).text).toBe("OEM record 0xe0: 0102030405060708090a0b0c0d");
    expect(wordsOf(odd.value)).toMatchObject({ category: "unknown", severity: "information" });
  });

  test("no record makes it throw, and each is one line", () => {
    const bytes16 = fc.uint8Array({ minLength: 16, maxLength: 16 });
    fc.assert(
      fc.property(bytes16, fc.boolean(), (bytes, isEvent) => {
        if (isEvent) bytes[2] = 2;
        const record = decodeSelRecord(bytes);
        if (!record.ok) throw new Error("16 bytes");
        const words = wordsOf(record.value);
        expect(words.text).toMatch(/^[^\n]+$/);
        expect(words.text).not.toContain("undefined");
        expect(words.text).not.toContain("null");
      }),
      { numRuns: 2000 },
    );
  });
});

describe("the tables", () => {
  test("name every sensor type of the standard, and no two alike", () => {
    const names = Array.from({ length: 256 }, (_, type) => sensorTypeName(type));
    expect(new Set(names).size).toBe(256);
    for (let type = 1; type <= 0x2c; type++) expect(names[type]).toMatch(/^[a-z][a-z0-9-]*$/);
    expect(names[0x2d]).toBe("sensor-type-0x2d");
    expect(names[0xc0]).toBe("oem-0xc0");
  });

  test("have as many offsets as the standard, and no text twice in one type", () => {
    const counts = (table: { readonly [type: number]: readonly unknown[] }): string =>
      Object.entries(table)
        .map(
          ([type, rows]) =>
            `${Number(type).toString(16)}:${rows.filter((row) => row !== null).length}`,
        )
        .join(" ");
    expect(counts(GENERIC_EVENTS)).toBe("1:12 2:3 3:2 4:2 5:2 6:2 7:9 8:2 9:2 a:9 b:8 c:4");
    expect(counts(SENSOR_SPECIFIC_EVENTS)).toBe(
      "5:7 6:6 7:13 8:8 9:8 c:11 d:9 f:3 10:7 11:8 12:6 13:12 14:5 19:2 1b:2 1d:8 1e:5 1f:11 " +
        "20:6 21:10 22:14 23:5 24:4 25:3 27:2 28:6 29:3 2a:4 2b:8 2c:8",
    );
    for (const rows of [
      ...Object.values(GENERIC_EVENTS),
      ...Object.values(SENSOR_SPECIFIC_EVENTS),
    ]) {
      const texts = rows.flatMap((row) => (row === null ? [] : [row[1]]));
      expect(new Set(texts).size).toBe(texts.length);
    }
  });
});

describe("severity", () => {
  test("of a threshold: crossing it is bad, crossing back is not", () => {
    const of = (data1: number, isAssertion: boolean): string =>
      severityOf(event({ sensorType: 1, eventType: 1, data1, isAssertion }));
    expect([of(0, true), of(2, true), of(4, true)]).toEqual([
      "warning",
      "critical",
      "non-recoverable",
    ]);
    expect([of(7, true), of(9, true), of(11, true)]).toEqual([
      "warning",
      "critical",
      "non-recoverable",
    ]);
    expect([of(2, false), of(9, false), of(3, true), of(8, true)]).toEqual([
      "ok",
      "ok",
      "ok",
      "ok",
    ]);
  });

  test("of a presence: having it is ok, losing it a warning", () => {
    expect(severityOf(event({ sensorType: 8, data1: 0 }))).toBe("ok");
    expect(severityOf(event({ sensorType: 8, data1: 0, isAssertion: false }))).toBe("warning");
  });

  test("that event data 2 carries goes before the table's", () => {
    const told = { sensorType: 8, data1: 0x42, data2: 0x2f };
    expect(severityOf(event({ ...told }))).toBe("critical");
    expect(severityOf(event({ ...told, data2: 0xff }))).toBe("warning");
  });

  test("of what the standard does not define is information", () => {
    expect(severityOf(event({ eventType: 0x70, data1: 1 }))).toBe("information");
    expect(severityOf(event({ sensorType: 0x0c, data1: 0x0f }))).toBe("information");
  });
});

/**
 * One error by several ways: pairs that are one event, pairs that are two, and a random world of errors seen by several ways
 * in which each must come out once.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { BmcEvent, EventWay } from "../../bmc.ts";
import { realCrypto } from "../io/crypto.ts";
import { encodeSelRecord, type SystemEventRecord } from "../sel/sel-record.ts";
import { EventFusion, isSameRecord, likenessOf } from "./event-fusion.ts";
import { eventOf } from "./event-identity.ts";

const GUID = "00112233445566778899aabbccddeeff";

function record(changes: Partial<SystemEventRecord> = {}): SystemEventRecord {
  return {
    kind: "event",
    recordId: 1,
    timestamp: 1_700_000_000,
    generatorId: 0x20,
    revision: 4,
    sensorType: 0x0c,
    sensorNumber: 2,
    isAssertion: true,
    eventType: 0x6f,
    data1: 0x01,
    data2: 0xff,
    data3: 0xff,
    ...changes,
  };
}

function seen(way: EventWay, one: SystemEventRecord, changes: Partial<BmcEvent> = {}): BmcEvent {
  const sighting = { system: GUID, epoch: way === "sel" ? 5 : 0, nth: 0, way, seenMs: 1000 };
  const bytes = encodeSelRecord(one);
  return { ...eventOf({ ...sighting, bytes, record: one }, realCrypto.sha256), ...changes };
}

describe("two sightings", () => {
  test("of one record by two ways are one event, with the id of the first", () => {
    const fusion = new EventFusion();
    const pushed = seen("kcs", record());
    expect(fusion.sight(pushed, 1000)).toEqual({ event: pushed, likeness: null });
    const polled = seen("sel", record({ recordId: 9 }));
    expect(fusion.sight(polled, 1500)).toEqual({ event: pushed, likeness: "record" });
    expect(fusion.sight(polled, 1600).likeness).toBe("id");
  });

  test("that differ in LUN, in unspecified data and a little in time are one", () => {
    const log = record({ generatorId: 0x0120, data1: 0xa1, data2: 0x12, timestamp: 1_700_000_002 });
    const trap = record({ data1: 0x01 });
    expect(likenessOf(seen("sel", log), seen("pet", trap))).toBe("fuzzy");
  });

  test.each([
    ["another sensor", { sensorNumber: 3 }],
    ["another type", { sensorType: 0x07 }],
    ["the other direction", { isAssertion: false }],
    ["another offset", { data1: 0x00 }],
    ["other data", { data2: 0x13 }],
    ["a minute later", { timestamp: 1_700_000_060 }],
  ])("of %s are two", (_, changes) => {
    const first = record({ data2: 0x12 });
    expect(likenessOf(seen("sel", first), seen("pet", { ...first, ...changes }))).toBeNull();
  });

  test("of two systems are two, in whatever order their GUID is told they are one", () => {
    const first = seen("sel", record());
    const other = seen("pet", record(), { id: "x", system: "ff".repeat(16) });
    expect(likenessOf(first, other)).toBeNull();
    const reversed = seen("pet", record(), { id: "x", system: "ffeeddccbbaa99887766554433221100" });
    expect(likenessOf(first, reversed)).toBe("record");
  });

  test("without a record are one by their words", () => {
    const first = seen("sel", record(), { subject: "DIMM A1" });
    const push = seen("redfish-push", record(), { id: "r", record: null, subject: "dimm a1" });
    expect(likenessOf(first, push)).toBe("words");
    expect(likenessOf(first, { ...push, subject: "DIMM A2" })).toBeNull();
    expect(likenessOf(first, { ...push, isAssertion: false })).toBeNull();
  });

  test("by the same way are two, unless their ids are equal", () => {
    const fusion = new EventFusion();
    fusion.sight(seen("sel", record()), 1000);
    expect(fusion.sight(seen("sel", record(), { id: "other", nth: 1 }), 1000).likeness).toBeNull();
  });

  test("a pushed event without a time is the record of the log", () => {
    const untimed = encodeSelRecord(record({ timestamp: 0xffffffff }));
    expect(isSameRecord(untimed, encodeSelRecord(record()))).toBe(true);
    expect(isSameRecord(untimed, encodeSelRecord(record({ sensorNumber: 9 })))).toBe(false);
  });
});

test("the window forgets what is old, and never grows beyond its bound", () => {
  const fusion = new EventFusion({ windowMax: 10, windowMs: 1000 });
  for (let index = 0; index < 50; index++) {
    const event = seen("sel", record({ timestamp: 1_700_000_000 + index * 100 }));
    fusion.sight({ ...event, seenMs: index }, index);
    expect(fusion.size).toBeLessThanOrEqual(10);
  }
  const first = seen("sel", record({ timestamp: 1_700_004_900 }), { seenMs: 49 });
  expect(fusion.sight(first, 49).likeness).toBe("id");
  expect(fusion.sight(first, 5000).likeness).toBeNull();
});

test("errors that each way sees once come out once, in whatever order they are seen", () => {
  const ways: readonly EventWay[] = ["sel", "kcs", "pet"];
  const error = fc.record({
    sensor: fc.integer({ min: 1, max: 3 }),
    at: fc.integer({ min: 0, max: 3 }),
    ways: fc.subarray([...ways], { minLength: 1 }),
  });
  fc.assert(
    fc.property(
      fc.array(error, { maxLength: 20 }),
      fc.infiniteStream(fc.nat()),
      (errors, random) => {
        const nths = new Map<string, number>();
        const sightings = errors.flatMap(({ sensor, at, ways: by }) => {
          const one = record({ sensorNumber: sensor, timestamp: 1_700_000_000 + at * 100 });
          return by.map((way) => {
            const key = `${way} ${sensor} ${at}`;
            const nth = nths.get(key) ?? 0;
            nths.set(key, nth + 1);
            return { ...seen(way, one), id: `${key} ${nth}`, nth };
          });
        });
        const shuffled = sightings
          .map((sighting) => ({ sighting, order: random.next().value ?? 0 }))
          .sort((a, b) => a.order - b.order);
        const fusion = new EventFusion();
        const news = shuffled.filter(
          ({ sighting }) => fusion.sight(sighting, 1000).likeness === null,
        ).length;
        // Identical errors are told apart by how often one way saw them.
        const most = new Map<string, number>();
        for (const [key, count] of nths) {
          const content = key.slice(key.indexOf(" "));
          most.set(content, Math.max(most.get(content) ?? 0, count));
        }
        const expected = [...most.values()].reduce((sum, count) => sum + count, 0);
        expect(news).toBe(expected);
      },
    ),
  );
});

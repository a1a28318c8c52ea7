/**
 * Goal: whatever a crash or a disk does to a segment, reading it neither throws nor makes anything up, and loses only what was hit.
 * Method: round trips, cuts at each byte, flipped bits and noise between records, by fast-check.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { OutboxItem } from "./outbox.ts";
import {
  type Check,
  encodeClosure,
  encodeEvent,
  encodeFold,
  type OutboxRecord,
  scanSegment,
  sealRecord,
  segmentHead,
} from "./outbox-record.ts";

const check: Check = (bytes, seed) => Bun.hash.xxHash3(bytes, seed);
const SEGMENT = 7;

function itemOf(number: number): OutboxItem {
  return {
    id: number.toString(16).padStart(64, "0"),
    urgency: 2,
    queuedWallMs: 1_700_000_000_000 + number,
    isByEveryPath: number % 2 === 0,
    component: `s1 memory DIMM ${number} ü`,
    envelope: new TextEncoder().encode(`{"payload":"${"x".repeat(number * 10)}"}`),
  };
}

const FOLD = {
  component: "s1 memory",
  urgency: 3,
  count: 12,
  firstWallMs: 1.5,
  lastWallMs: 2.5,
} as const;

const RECORDS: readonly Uint8Array[] = [
  encodeEvent(itemOf(1)),
  encodeEvent(itemOf(2)),
  encodeClosure(itemOf(1).id, "refused"),
  encodeFold(FOLD),
  encodeEvent(itemOf(3)),
];

function segmentOf(records: readonly Uint8Array[]): Uint8Array {
  for (const record of records) sealRecord(record, SEGMENT, check);
  return new Uint8Array(Buffer.concat([segmentHead(SEGMENT), ...records]));
}

function read(bytes: Uint8Array): readonly OutboxRecord[] {
  return scanSegment(bytes, SEGMENT, check).records.map(({ record }) => record);
}

const WHOLE = segmentOf(RECORDS);
const ALL = read(WHOLE);

describe("a segment", () => {
  test("gives back what was put in, byte for byte", () => {
    const { envelope, component, id, isByEveryPath, queuedWallMs, urgency } = itemOf(2);
    expect(ALL).toHaveLength(RECORDS.length);
    expect(ALL[1]).toEqual({
      kind: "event",
      id,
      urgency,
      isByEveryPath,
      queuedWallMs,
      component,
      envelope,
    });
    expect(ALL[2]).toEqual({ kind: "closure", id: itemOf(1).id, as: "refused" });
    expect(ALL[3]).toEqual({ kind: "fold", fold: FOLD });
  });

  test("that was cut anywhere gives the records before the cut, and says where they end", () => {
    for (let length = 0; length <= WHOLE.length; length++) {
      const { records, soundBytes, damagedBytes } = scanSegment(
        WHOLE.slice(0, length),
        SEGMENT,
        check,
      );
      expect(records.map(({ record }) => record)).toEqual(ALL.slice(0, records.length));
      expect(soundBytes).toBeLessThanOrEqual(length);
      expect(damagedBytes).toBe(0);
    }
  });

  test("with one bit flipped loses one record at most, and makes none up", () => {
    fc.assert(
      fc.property(fc.nat(WHOLE.length - 1), fc.nat(7), (at, bit) => {
        const bytes = WHOLE.slice();
        bytes[at] = (bytes[at] ?? 0) ^ (1 << bit);
        const found = read(bytes);
        expect(found.length).toBeGreaterThanOrEqual(ALL.length - 1);
        for (const record of found) expect(ALL).toContainEqual(record);
      }),
    );
  });

  test("with noise between its records still gives each of them", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(RECORDS.length), (noise, at) => {
        const parts = [...RECORDS.slice(0, at), noise, ...RECORDS.slice(at)];
        const bytes = new Uint8Array(Buffer.concat([segmentHead(SEGMENT), ...parts]));
        expect(read(bytes)).toEqual([...ALL]);
      }),
    );
  });

  test("does not take records of another segment for its own", () => {
    expect(scanSegment(WHOLE, SEGMENT + 1, check).records).toEqual([]);
  });
});

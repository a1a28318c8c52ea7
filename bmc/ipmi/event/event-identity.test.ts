/**
 * Ids of events: the frozen layout byte by byte, and what may change without changing an id.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { realCrypto } from "../io/crypto.ts";
import { decodeSelRecord } from "../sel/sel-record.ts";
import { eventId, eventOf, isSameSystem, keyedEventId, preImageOf } from "./event-identity.ts";

const GUID = "a123456789abcdefa123456789abcdef";
const RECORD = Uint8Array.fromHex("4d150290b3c66741000409010b03ffff");
const { sha256 } = realCrypto;

function digest(hex: string): string {
  return sha256(Uint8Array.fromHex(hex)).toHex();
}

describe("an event's id", () => {
  test("is the digest of system, epoch, record without id, and nth", () => {
    const key = { system: GUID, epoch: 0x01020304, record: RECORD, nth: 5 };
    const bytes = `${GUID}0403020100000290b3c66741000409010b03ffff05000000`;
    expect(preImageOf(key, sha256).toHex()).toBe(bytes);
    expect(eventId(key, sha256)).toBe(digest(bytes));
    // Frozen: whoever keeps ids relies on it. Computed with Python's hashlib.
    expect(eventId({ ...key, epoch: 0, nth: 0 }, sha256)).toBe(
      "b522bcf4c724ba8c95f4cf253fbfee0a6579b9f9f0a244fc17c1c5766e6c88ae",
    );
  });

  test("does not depend on the record id, and on everything else", () => {
    const key = { system: GUID, epoch: 1, record: RECORD, nth: 0 };
    const id = eventId(key, sha256);
    const other = RECORD.slice();
    other.set([0xff, 0xff]);
    expect(eventId({ ...key, record: other }, sha256)).toBe(id);
    const bytes = fc.integer({ min: 2, max: 15 });
    fc.assert(
      fc.property(bytes, fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const changed = RECORD.slice();
        changed[at] = (changed[at] ?? 0) ^ flip;
        expect(eventId({ ...key, record: changed }, sha256)).not.toBe(id);
      }),
    );
    expect(eventId({ ...key, nth: 1 }, sha256)).not.toBe(id);
    expect(eventId({ ...key, epoch: 2 }, sha256)).not.toBe(id);
    expect(eventId({ ...key, system: "lan://192.0.2.1" }, sha256)).not.toBe(id);
  });

  test("of what has no record comes from its own key", () => {
    const id = keyedEventId(GUID, 0, "redfish:/redfish/v1/x/1", sha256);
    expect(id).toMatch(/^[0-9a-f]{64}$/);
    expect(keyedEventId(GUID, 0, "redfish:/redfish/v1/x/2", sha256)).not.toBe(id);
    expect(keyedEventId(GUID, 0, "redfish:/redfish/v1/x/1", sha256)).toBe(id);
  });
});

test("an event carries the record without its id, times in milliseconds, and its words", () => {
  const record = decodeSelRecord(RECORD);
  if (!record.ok) throw new Error("16 bytes");
  const sighting = { system: GUID, epoch: 9, nth: 2, way: "sel", seenMs: 77 } as const;
  const event = eventOf(
    { ...sighting, bytes: RECORD, record: record.value, utcOffsetMinutes: 60 },
    sha256,
  );
  expect(event).toMatchObject({
    system: GUID,
    epoch: 9,
    nth: 2,
    way: "sel",
    severity: "critical",
    whenMs: (1_741_075_344 - 3600) * 1000,
    seenMs: 77,
    isAssertion: true,
    category: "power-unit",
    record: "00000290b3c66741000409010b03ffff",
  });
  expect(event.id).toBe(eventId({ system: GUID, epoch: 9, record: RECORD, nth: 2 }, sha256));
});

test("a system is known by its GUID in each order that BMCs send", () => {
  const sent = "00112233445566778899aabbccddeeff";
  for (const name of [
    sent,
    "ffeeddccbbaa99887766554433221100",
    "00112233-4455-6677-8899-AABBCCDDEEFF",
    "33221100-5544-7766-8899-aabbccddeeff",
    "ccddeeff-aabb-8899-7766-554433221100",
  ]) {
    expect(isSameSystem(sent, name)).toBe(true);
    expect(isSameSystem(name, sent)).toBe(true);
  }
  expect(isSameSystem(sent, "00112233445566778899aabbccddeefe")).toBe(false);
  expect(isSameSystem(sent, "lan://192.0.2.1")).toBe(false);
  expect(isSameSystem("lan://192.0.2.1", "lan://192.0.2.1")).toBe(true);
});

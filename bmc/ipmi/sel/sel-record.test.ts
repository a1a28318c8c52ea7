/**
 * Records of the event log: a known vector, the round trip of all bytes, and no byte string that makes it throw.
 */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { canonicalRecord, decodeSelRecord, encodeSelRecord, generatorOf } from "./sel-record.ts";

test("a power unit that lost redundancy is read as go-ipmi reads it", () => {
  const decoded = decodeSelRecord(Uint8Array.fromHex("4d150290b3c66741000409010b03ffff"));
  expect(decoded).toEqual({
    ok: true,
    value: {
      kind: "event",
      recordId: 0x154d,
      timestamp: 1_741_075_344,
      generatorId: 0x0041,
      revision: 4,
      sensorType: 0x09,
      sensorNumber: 1,
      isAssertion: true,
      eventType: 0x0b,
      data1: 3,
      data2: 0xff,
      data3: 0xff,
    },
  });
  expect(generatorOf(0x0041)).toEqual({ address: 0x41, isSoftware: true, channel: 0, lun: 0 });
  expect(generatorOf(0x6320)).toEqual({ address: 0x20, isSoftware: false, channel: 6, lun: 3 });
});

test("every 16 bytes come back as they were, wherever they stand", () => {
  const bytes16 = fc.uint8Array({ minLength: 16, maxLength: 16 });
  const type = fc.oneof(fc.constant(2), fc.integer({ min: 0, max: 255 }));
  fc.assert(
    fc.property(bytes16, type, fc.integer({ min: 0, max: 40 }), (bytes, recordType, offset) => {
      bytes[2] = recordType;
      const buffer = new Uint8Array(offset + 16 + 3);
      buffer.set(bytes, offset);
      const decoded = decodeSelRecord(buffer, offset);
      if (!decoded.ok) throw new Error("16 bytes are enough");
      expect(encodeSelRecord(decoded.value).toHex()).toBe(bytes.toHex());
    }),
  );
});

test("kinds follow the ranges of the standard", () => {
  const kindOf = (type: number): string => {
    const bytes = new Uint8Array(16);
    bytes[2] = type;
    const decoded = decodeSelRecord(bytes);
    return decoded.ok ? decoded.value.kind : decoded.error.kind;
  };
  expect([0x00, 0x01, 0x02, 0x03, 0xbf, 0xc0, 0xdf, 0xe0, 0xff].map(kindOf)).toEqual([
    "unknown",
    "unknown",
    "event",
    "unknown",
    "unknown",
    "oem-timed",
    "oem-timed",
    "oem",
    "oem",
  ]);
});

test("what is too short is an error that says by how much, and no offset reads past the end", () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 40 }),
      fc.integer({ min: -50, max: 50 }),
      (bytes, offset) => {
        const isThere = offset >= 0 && offset + 16 <= bytes.length;
        expect(decodeSelRecord(bytes, offset).ok).toBe(isThere);
      },
    ),
  );
  expect(decodeSelRecord(new Uint8Array(15))).toEqual({
    ok: false,
    error: { kind: "too-short", what: "SEL record", wantBytes: 16, gotBytes: 15 },
  });
});

test("the canonical form differs in the id only, and is a copy", () => {
  const bytes = Uint8Array.fromHex("4d150290b3c66741000409010b03ffff");
  const canonical = canonicalRecord(bytes);
  expect(canonical.toHex()).toBe("00000290b3c66741000409010b03ffff");
  expect(bytes[0]).toBe(0x4d);
  // What a socket gives: its `slice` is a view.
  const buffer = Buffer.from(bytes);
  expect(canonicalRecord(buffer).toHex()).toBe(canonical.toHex());
  expect(buffer[0]).toBe(0x4d);
});

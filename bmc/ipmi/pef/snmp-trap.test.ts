/**
 * Goal: a trap is read as it was sent, and no bytes whatever bring the reader out of its way.
 * Method: a datagram that net-snmp's `snmptrap` sent, every cut of it, every flipped bit, random bytes.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { decodeOid, decodeSnmpTrap } from "./snmp-trap.ts";

/** `snmptrap -v 1 -c public 127.0.0.1 1.3.6.1.4.1.3183.1.1 10.1.2.3 6 356096 42 1.3.6.1.4.1.3183.1.1.1 x 00112233`, net-snmp 5.9. */
const SENT = Uint8Array.fromHex(
  "303f02010004067075626c6963a43206092b06010401986f010140040a0102030201060203056f0043012a30143012060a2b06010401986f010101040400112233",
);

describe("an SNMPv1 trap", () => {
  test("is read as net-snmp sent it", () => {
    const trap = decodeSnmpTrap(SENT);
    expect(trap).toEqual({
      ok: true,
      value: {
        community: "public",
        enterprise: "1.3.6.1.4.1.3183.1.1",
        agentAddress: "10.1.2.3",
        genericTrap: 6,
        specificTrap: 356_096,
        ticks: 42,
        variables: [
          { name: "1.3.6.1.4.1.3183.1.1.1", tag: 4, value: Uint8Array.of(0, 0x11, 0x22, 0x33) },
        ],
      },
    });
  });

  test("that is cut anywhere is too short", () => {
    for (let length = 0; length < SENT.length; length++) {
      expect(decodeSnmpTrap(SENT.subarray(0, length))).toMatchObject({
        ok: false,
        error: { kind: "too-short" },
      });
    }
  });

  test("with any bit flipped is a trap or a typed error", () => {
    for (let bit = 0; bit < SENT.length * 8; bit++) {
      const bytes = SENT.slice();
      bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      const trap = decodeSnmpTrap(bytes);
      if (!trap.ok) expect(["too-short", "bad-value", "bad-checksum"]).toContain(trap.error.kind);
    }
  });

  test("of another version or kind is refused", () => {
    const version2 = SENT.slice();
    version2[version2.indexOf(0x02) + 2] = 1;
    expect(decodeSnmpTrap(version2)).toMatchObject({ error: { kind: "bad-value", value: 1 } });
    const inform = SENT.slice();
    inform[inform.indexOf(0xa4)] = 0xa6;
    expect(decodeSnmpTrap(inform)).toMatchObject({ error: { kind: "bad-value", value: 0xa6 } });
  });

  test("is never more than a value, whatever the bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(typeof decodeSnmpTrap(bytes).ok).toBe("boolean");
        const inside = Uint8Array.of(0x30, bytes.length & 0x7f, 2, 1, 0, ...bytes);
        expect(typeof decodeSnmpTrap(inside).ok).toBe("boolean");
      }),
      { numRuns: 2_000 },
    );
  });
});

describe("an object identifier", () => {
  test("is dotted, and one that does not end is none", () => {
    expect(decodeOid(Uint8Array.fromHex("2b06010401986f0101"))).toBe("1.3.6.1.4.1.3183.1.1");
    expect(decodeOid(Uint8Array.fromHex("883703"))).toBe("2.999.3");
    expect(decodeOid(Uint8Array.of(0x2b, 0x98))).toBeNull();
    expect(decodeOid(Uint8Array.of())).toBeNull();
    expect(decodeOid(Uint8Array.of(0x2b, 0x9f, 0xff, 0xff, 0xff, 0x7f))).toBeNull();
  });
});

/**
 * Every codec of RMCP, both directions: what is encoded is decoded, cut messages are refused, and no bytes at all make a
 * decoder throw. Layouts are compared with recorded bytes where there are some.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { decodeAsfMessage, encodeAsfMessage } from "./asf-ping.ts";
import {
  CIPHER_SUITES,
  cipherSuiteOf,
  cipherSuiteWith,
  decodeCipherSuiteRecords,
  encodeCipherSuiteRecords,
} from "./cipher-suite.ts";
import {
  decodeOpenSessionRequest,
  decodeOpenSessionResponse,
  encodeOpenSessionRequest,
  encodeOpenSessionResponse,
} from "./open-session.ts";
import {
  decodeRakp1,
  decodeRakp2,
  decodeRakp3,
  decodeRakp4,
  encodeRakp1,
  encodeRakp2,
  encodeRakp3,
  encodeRakp4,
  encodeRakpRefusal,
} from "./rakp.ts";
import { decodeRmcp } from "./rmcp.ts";
import { decodeSessionPacket, encodePlainPacket, encodeSetupPacket } from "./session-packet.ts";

const hex = (text: string): Uint8Array => Uint8Array.fromHex(text.replaceAll(" ", ""));
const byte = fc.nat({ max: 0xff });
const id = fc.integer({ min: 0, max: 0xffffffff });
const exactly = (bytes: number) => fc.uint8Array({ minLength: bytes, maxLength: bytes });
const some = exactly(16);

describe("presence ping", () => {
  test("is the bytes of the standard", () => {
    const ping = encodeAsfMessage({ kind: "ping", tag: 0x2a });
    expect(ping.toHex()).toBe("0600ff06000011be802a0000");
  });

  test("is answered by what says whether there is IPMI", () => {
    for (const hasIpmi of [true, false]) {
      const pong = encodeAsfMessage({ kind: "pong", tag: 7, hasIpmi });
      expect(pong).toHaveLength(28);
      const rmcp = decodeRmcp(pong);
      expect(rmcp.ok && rmcp.value.messageClass).toBe("asf");
      expect(decodeAsfMessage(pong.subarray(4))).toEqual({
        ok: true,
        value: { kind: "pong", tag: 7, hasIpmi },
      });
    }
  });
});

describe("Get Channel Authentication Capabilities before a session", () => {
  test("travels in the packet that ipmitool sends", () => {
    const packet = encodePlainPacket(hex("20 18 c8 81 00 38 8e 04 b5"));
    expect(packet.toHex()).toBe("0600ff07000000000000000000092018c88100388e04b5");
    expect(decodeSessionPacket(packet)).toEqual({
      ok: true,
      value: { version: "1.5", sequence: 0, sessionId: 0, payload: packet.subarray(14) },
    });
  });

  test("may have the legacy pad byte behind it", () => {
    const packet = decodeSessionPacket(hex("0600ff07000000000000000000092018c88100388e04b5 00"));
    expect(packet.ok && packet.value.payload.toHex()).toBe("2018c88100388e04b5");
  });
});

describe("cipher suites", () => {
  test("there is no other than 17 and 3", () => {
    const known = Array.from({ length: 256 }, (_, n) => cipherSuiteOf(n)?.id ?? null);
    expect(known.filter((one) => one !== null)).toEqual([3, 17]);
    expect(CIPHER_SUITES.map((suite) => suite.id)).toEqual([17, 3]);
    // Neither algorithm alone nor a mixture of both is a suite.
    const mixtures: unknown[] = [];
    for (let bits = 0; bits < 64; bits++) {
      const suite = cipherSuiteWith(bits & 3, ((bits >> 2) & 3) + (bits & 3 ? 1 : 0), bits >> 4);
      if (suite !== null) mixtures.push(suite.id);
    }
    expect(new Set(mixtures)).toEqual(new Set([3, 17]));
    expect(cipherSuiteWith(0, 0, 0)).toBeNull();
    expect(cipherSuiteWith(3, 1, 1)).toBeNull();
    expect(cipherSuiteWith(1, 1, 0)).toBeNull();
  });

  test("of a BMC's list the ids are read, over records of makers too", () => {
    expect(
      decodeCipherSuiteRecords(hex("c0 03 01 41 81 c1 80 57 01 00 01 41 c0 11 03 44 81")),
    ).toEqual([3, 17]);
    expect(decodeCipherSuiteRecords(hex("c0 03 01 41 81 c0"))).toEqual([3]);
    expect(decodeCipherSuiteRecords(encodeCipherSuiteRecords(CIPHER_SUITES))).toEqual([17, 3]);
  });

  test("any list ends", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expect(decodeCipherSuiteRecords(bytes).length).toBeLessThanOrEqual(150);
      }),
    );
  });
});

describe("Open Session", () => {
  test("the request for suite 17 is laid out as the standard says", () => {
    const request = encodeOpenSessionRequest({
      tag: 1,
      privilege: 0,
      consoleId: 0xa0a2a3a4,
      authentication: 3,
      integrity: 4,
      confidentiality: 1,
    });
    expect(request.toHex()).toBe(
      "01000000a4a3a2a0 0000000803000000 0100000804000000 0200000801000000".replaceAll(" ", ""),
    );
  });

  test("request and response come back as they were", () => {
    const algorithms = fc.record({
      authentication: fc.nat({ max: 0x3f }),
      integrity: fc.nat({ max: 0x3f }),
      confidentiality: fc.nat({ max: 0x3f }),
    });
    const privilege = fc.nat({ max: 15 });
    fc.assert(
      fc.property(
        fc.record({ tag: byte, privilege, consoleId: id }),
        id,
        algorithms,
        (head, bmcId, three) => {
          const request = { ...head, ...three };
          expect(decodeOpenSessionRequest(encodeOpenSessionRequest(request))).toEqual({
            ok: true,
            value: request,
          });
          const response = {
            isAccepted: true,
            ...head,
            bmcId,
            algorithms: three,
          } as const;
          expect(decodeOpenSessionResponse(encodeOpenSessionResponse(response))).toEqual({
            ok: true,
            value: response,
          });
        },
      ),
    );
  });

  test("a refusal has eight bytes, and two are enough to know it", () => {
    const refusal = { isAccepted: false, tag: 9, status: 0x11, consoleId: 0x01020304 } as const;
    const bytes = encodeOpenSessionResponse(refusal);
    expect(bytes).toHaveLength(8);
    expect(decodeOpenSessionResponse(bytes)).toEqual({ ok: true, value: refusal });
    expect(decodeOpenSessionResponse(bytes.subarray(0, 2))).toEqual({
      ok: true,
      value: { ...refusal, consoleId: 0 },
    });
  });
});

describe("RAKP", () => {
  test("each message comes back as it was, for digests of both suites", () => {
    const user = fc.uint8Array({ maxLength: 16 });
    fc.assert(
      fc.property(
        fc.record({ tag: byte, bmcId: id, consoleRandom: some, role: byte, user }),
        (one) => {
          expect(decodeRakp1(encodeRakp1(one))).toEqual({ ok: true, value: one });
        },
      ),
    );
    for (const { digestBytes, codeBytes } of CIPHER_SUITES) {
      fc.assert(
        fc.property(
          byte,
          id,
          fc.tuple(some, some),
          exactly(digestBytes),
          (tag, own, two16, code) => {
            const [random, guid] = two16;
            const two = {
              isAccepted: true,
              tag,
              consoleId: own,
              bmcRandom: random,
              guid,
              code,
            } as const;
            expect(decodeRakp2(encodeRakp2(two), digestBytes)).toEqual({ ok: true, value: two });
            const three = { isAccepted: true, tag, bmcId: own, code } as const;
            expect(decodeRakp3(encodeRakp3(three), digestBytes)).toEqual({
              ok: true,
              value: three,
            });
            const checkValue = code.subarray(0, codeBytes);
            const four = { isAccepted: true, tag, consoleId: own, checkValue } as const;
            expect(decodeRakp4(encodeRakp4(four), codeBytes)).toEqual({ ok: true, value: four });
          },
        ),
      );
    }
  });

  test("a refusal is one in each of 2, 3 and 4", () => {
    const refusal = { isAccepted: false, tag: 3, status: 0x0d, sessionId: 0xdeadbeef } as const;
    const bytes = encodeRakpRefusal(refusal);
    for (const decode of [decodeRakp2, decodeRakp3, decodeRakp4]) {
      expect(decode(bytes, 20)).toEqual({ ok: true, value: refusal });
      expect(decode(bytes.subarray(0, 2), 20)).toEqual({
        ok: true,
        value: { ...refusal, sessionId: 0 },
      });
    }
  });

  test("a user's name that is longer than 16 bytes, or than the message, is refused", () => {
    const bytes = encodeRakp1({
      tag: 1,
      bmcId: 1,
      consoleRandom: new Uint8Array(16),
      role: 0x14,
      user: hex("616263"),
    });
    bytes[27] = 17;
    expect(decodeRakp1(bytes).ok).toBe(false);
    bytes[27] = 4;
    expect(decodeRakp1(bytes).ok).toBe(false);
    bytes[27] = 3;
    expect(decodeRakp1(bytes).ok).toBe(true);
  });
});

describe("bytes that somebody else made", () => {
  const decoders: readonly ((bytes: Uint8Array) => { readonly ok: boolean })[] = [
    decodeRmcp,
    decodeAsfMessage,
    decodeSessionPacket,
    decodeOpenSessionRequest,
    decodeOpenSessionResponse,
    decodeRakp1,
    (bytes) => decodeRakp2(bytes, 32),
    (bytes) => decodeRakp3(bytes, 32),
    (bytes) => decodeRakp4(bytes, 16),
  ];

  test("make no decoder throw", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 90 }), (bytes) => {
        for (const decode of decoders) decode(bytes);
        // As far as the header, they are right more often than chance would have it.
        for (const head of ["0600ff07", "0600ff0706c0", "0600ff0700", "0600ff06000011be"]) {
          const whole = new Uint8Array([...hex(head), ...bytes]);
          for (const decode of decoders) decode(whole);
        }
      }),
      { numRuns: 2_000 },
    );
  });

  test("that are cut off anywhere are refused, not read past their end", () => {
    const whole: readonly (readonly [
      Uint8Array,
      (bytes: Uint8Array) => { readonly ok: boolean },
    ])[] = [
      [encodePlainPacket(hex("2018c88100388e04b5")), decodeSessionPacket],
      [encodeSetupPacket(0x10, new Uint8Array(32)), decodeSessionPacket],
      [encodeAsfMessage({ kind: "ping", tag: 1 }).subarray(4), decodeAsfMessage],
      [encodeAsfMessage({ kind: "pong", tag: 1, hasIpmi: true }).subarray(4, 21), decodeAsfMessage],
    ];
    for (const [bytes, decode] of whole) {
      expect(decode(bytes).ok).toBe(true);
      for (let cut = 0; cut < bytes.byteLength; cut++) {
        expect(decode(bytes.subarray(0, cut)).ok).toBe(false);
      }
    }
  });

  test("of another version, class or kind are refused", () => {
    for (const bytes of [
      "0500ff07",
      "0600ff08",
      "0600ff87",
      "0600ff0705",
      "0600ff0706 02 000000000000",
    ]) {
      expect(decodeSessionPacket(hex(bytes)).ok).toBe(false);
    }
  });
});

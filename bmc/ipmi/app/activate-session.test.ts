/**
 * The two commands that open a session as of IPMI 1.5, on bytes laid out by the tables of §22.16 and §22.17; and whatever bytes come
 * instead of a reply.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { requestOf } from "../ipmi.ts";
import { activateSession } from "./activate-session.ts";
import { getSessionChallenge } from "./get-session-challenge.ts";

function hex(text: string): Uint8Array {
  return Uint8Array.fromHex(text.replaceAll(" ", ""));
}

describe("Get Session Challenge", () => {
  test("names the user in 16 bytes, the one without a name by zeros", () => {
    const userName = new TextEncoder().encode("admin");
    expect(requestOf(getSessionChallenge, { authenticationType: 2, userName })).toMatchObject({
      netFn: 6,
      command: 0x39,
      data: hex("02 61 64 6d 69 6e 00 00 00 00 00 00 00 00 00 00 00"),
    });
    const nobody = { authenticationType: 4, userName: new Uint8Array(0) };
    expect(getSessionChallenge.encode(nobody)).toEqual(hex(`04${"00".repeat(16)}`));
  });

  test("tells a temporary id and a challenge", () => {
    const challenge = "000102030405060708090a0b0c0d0e0f";
    expect(getSessionChallenge.decode(hex(`78563412${challenge}`))).toEqual({
      ok: true,
      value: { temporaryId: 0x1234_5678, challenge: hex(challenge) },
    });
  });
});

describe("Activate Session", () => {
  test("proves the password and asks for a privilege", () => {
    const args = {
      authenticationType: 2,
      privilege: 4,
      authenticationCode: new Uint8Array(16).fill(0xab),
      outboundSequence: 0x0102_0304,
    };
    expect(requestOf(activateSession, args)).toMatchObject({
      netFn: 6,
      command: 0x3a,
      data: hex(`02 04 ${"ab".repeat(16)} 04 03 02 01`),
    });
  });

  test("tells the session", () => {
    expect(activateSession.decode(hex("00 0a 00 00 80 01 00 00 00 03"))).toEqual({
      ok: true,
      value: {
        authenticationType: 0,
        sessionId: 0x8000_000a,
        inboundSequence: 1,
        privilegeMax: 3,
      },
    });
  });
});

test("neither throws on any bytes, and each needs its whole length", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 30 }), (bytes) => {
      expect(getSessionChallenge.decode(bytes).ok).toBe(bytes.byteLength >= 20);
      expect(activateSession.decode(bytes).ok).toBe(bytes.byteLength >= 10);
    }),
  );
});

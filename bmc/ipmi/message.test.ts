/**
 * IPMB messages against recorded bytes, round trips both ways, and what no bytes may do: throw or be taken with a wrong
 * checksum.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  decodeReplyMessage,
  decodeRequestMessage,
  encodeReplyMessage,
  encodeRequestMessage,
  encodeRequestToBmc,
  replyTo,
} from "./message.ts";

const hex = (text: string): Uint8Array => Uint8Array.fromHex(text.replaceAll(" ", ""));
const none = new Uint8Array(0);
const data = fc.uint8Array({ maxLength: 40 });
const request = fc.record({
  netFn: fc.nat({ max: 31 }).map((n) => n * 2),
  lun: fc.nat({ max: 3 }),
  command: fc.nat({ max: 255 }),
  data,
  responderAddress: fc.nat({ max: 255 }),
  requesterAddress: fc.nat({ max: 255 }),
  sequence: fc.nat({ max: 63 }),
  requesterLun: fc.nat({ max: 3 }),
});

describe("request message", () => {
  test("Get Device ID with sequence 1 is what ipmitool sends", () => {
    const bytes = encodeRequestToBmc({ netFn: 6, lun: 0, command: 1, data: none }, 1);
    expect(bytes.toHex()).toBe("2018c88104017a");
  });

  test("Get SEL Info with sequence 5 is what ipmitool sends", () => {
    const bytes = encodeRequestToBmc({ netFn: 0x0a, lun: 0, command: 0x40, data: none }, 5);
    expect(bytes.toHex()).toBe("2028b88114402b");
  });

  test("what is encoded is decoded", () => {
    fc.assert(
      fc.property(request, (message) => {
        expect(decodeRequestMessage(encodeRequestMessage(message))).toEqual({
          ok: true,
          value: message,
        });
      }),
    );
  });
});

describe("reply message", () => {
  test("a recorded reply to Get Device ID is read", () => {
    const bytes = hex("81 1C 63 20 14 01 00 00 03 09 08 02 9F 91 12 00 02 0F 00 00 00 00 62");
    const reply = decodeReplyMessage(bytes);
    expect(reply).toEqual({
      ok: true,
      value: {
        netFn: 7,
        requesterAddress: 0x81,
        requesterLun: 0,
        responderAddress: 0x20,
        lun: 0,
        sequence: 5,
        command: 1,
        completionCode: 0,
        data: bytes.subarray(7, 22),
      },
    });
    expect(reply.ok && encodeReplyMessage(reply.value).toHex()).toBe(bytes.toHex());
  });

  test("a reply goes back to who asked, from the LUN that was asked", () => {
    fc.assert(
      fc.property(request, fc.nat({ max: 255 }), data, (asked, completionCode, answer) => {
        const reply = replyTo(asked, { completionCode, data: answer });
        expect(decodeReplyMessage(encodeReplyMessage(reply))).toEqual({ ok: true, value: reply });
        expect(reply.lun).toBe(asked.lun);
        expect(reply.requesterLun).toBe(asked.requesterLun);
      }),
    );
  });
});

describe("bytes that are no message", () => {
  const decoders = [decodeRequestMessage, decodeReplyMessage];

  test("none throws, and what is taken has right checksums", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        for (const decode of decoders) {
          if (!decode(bytes).ok) continue;
          const sum = (part: Uint8Array): number => part.reduce((s, b) => (s + b) & 0xff, 0);
          expect(sum(bytes.subarray(0, 3))).toBe(0);
          expect(sum(bytes.subarray(3))).toBe(0);
        }
      }),
    );
  });

  test("one changed byte of a message is noticed", () => {
    fc.assert(
      fc.property(request, fc.nat(), fc.integer({ min: 1, max: 255 }), (message, where, change) => {
        const bytes = encodeRequestMessage(message);
        const index = where % bytes.byteLength;
        bytes[index] = (bytes[index] as number) ^ change;
        expect(decodeRequestMessage(bytes).ok).toBe(false);
      }),
    );
  });

  test("a cut message is too short or has a wrong checksum", () => {
    const whole = encodeRequestToBmc({ netFn: 6, lun: 0, command: 1, data: none }, 1);
    for (let bytes = 0; bytes < whole.byteLength; bytes++) {
      expect(decodeRequestMessage(whole.subarray(0, bytes)).ok).toBe(false);
    }
  });

  test("a reply is no request and a request no reply", () => {
    const asked = hex("2018c88104017a");
    expect(decodeReplyMessage(asked).ok).toBe(false);
    expect(decodeRequestMessage(hex("811c6320140100 2b")).ok).toBe(false);
  });
});

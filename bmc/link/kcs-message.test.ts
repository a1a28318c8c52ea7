/**
 * The driver's structures, byte by byte.
 *
 * Numbers and offsets are those that gcc gives for `linux/ipmi.h` on x86-64 (`test/real/kcs.test.ts` asks it again);
 * arm64 has the same ones.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  DRIVER_MESSAGE_BYTES_MAX,
  decodeDriverMessage,
  encodeDriverRequest,
  IPMI_IOCTL,
  prepareDriverReceive,
  RECEIVED_ARENA_BYTES,
  REQUEST_ARENA_BYTES,
} from "./kcs-message.ts";

function arenaOf(bytes: number): DataView<ArrayBuffer> {
  return new DataView(new ArrayBuffer(bytes));
}

function hexOf(view: DataView<ArrayBuffer>, from: number, to: number): string {
  return new Uint8Array(view.buffer).subarray(from, to).toHex();
}

/** As the driver would write it. */
function received(receivedType: number, messageId: bigint, data: readonly number[]): DataView {
  const arena = arenaOf(RECEIVED_ARENA_BYTES);
  arena.setInt32(0, receivedType, true);
  arena.setBigInt64(24, messageId, true);
  arena.setUint8(32, 0x07);
  arena.setUint8(33, 0x35);
  arena.setUint16(34, data.length, true);
  new Uint8Array(arena.buffer).set(data, 88);
  return arena;
}

describe("ioctl numbers", () => {
  test("are those of linux/ipmi.h on 64-bit machines", () => {
    expect(IPMI_IOCTL.sendCommand).toBe(0x8028690d);
    expect(IPMI_IOCTL.receiveTruncated).toBe(0xc030690b);
    expect(IPMI_IOCTL.setGetsEvents).toBe(0x80046910);
    expect(IPMI_IOCTL.getMyAddress).toBe(0x80046912);
  });
});

describe("a request", () => {
  test("is a struct ipmi_req whose pointers lead to the address and the data behind it", () => {
    const arena = arenaOf(REQUEST_ARENA_BYTES);
    encodeDriverRequest(arena, 0x7f12_3456_7000, 0x0102030405, {
      netFn: 0x0a,
      lun: 2,
      command: 0x44,
      data: Uint8Array.of(0xde, 0xad, 0xbe),
    });
    expect(hexOf(arena, 0, 51)).toBe(
      [
        "2870563412 7f0000", // addr* = base + 40
        "08000000 00000000", // addr_len
        "0504030201 000000", // msgid
        "0a 44 0300 00000000", // netfn, cmd, data_len
        "3070563412 7f0000", // data* = base + 48
        "0c000000 0f00 02 00", // system interface, the BMC's channel, LUN
        "deadbe",
      ]
        .join("")
        .replaceAll(" ", ""),
    );
  });

  test("leaves nothing of the request before it in the fields", () => {
    const arena = arenaOf(REQUEST_ARENA_BYTES);
    const long = { netFn: 0x3e, lun: 3, command: 0xff, data: new Uint8Array(270).fill(0xee) };
    encodeDriverRequest(arena, 0x1000, Number.MAX_SAFE_INTEGER, long);
    encodeDriverRequest(arena, 0x1000, 1, { netFn: 6, lun: 0, command: 1, data: new Uint8Array() });
    expect(hexOf(arena, 16, 48)).toBe(
      "0100000000000000060100000000000030100000000000000c0000000f000000",
    );
  });
});

describe("receiving", () => {
  test("gives the driver room for the longest address and message", () => {
    const arena = arenaOf(RECEIVED_ARENA_BYTES);
    prepareDriverReceive(arena, 0x1000);
    expect(hexOf(arena, 8, 24)).toBe("30100000000000002800000000000000");
    expect(hexOf(arena, 34, 48)).toBe("1001000000005810000000000000");
    expect(RECEIVED_ARENA_BYTES).toBe(48 + 40 + 272);
  });

  test("a reply has its message id, its completion code, and the data after it", () => {
    const message = decodeDriverMessage(received(1, 77n, [0xc9, 1, 2]));
    expect(message).toEqual({
      ok: true,
      value: {
        kind: "reply",
        messageId: 77,
        reply: { completionCode: 0xc9, data: Uint8Array.of(1, 2) },
      },
    });
  });

  test("an event is 16 bytes in SEL format, as a kernel gave it", () => {
    const record = Uint8Array.fromHex("0100020000000020000400 0c026f01ffff".replace(" ", "")).slice(
      0,
      16,
    );
    const message = decodeDriverMessage(received(2, 0n, [...record]));
    expect(message).toEqual({ ok: true, value: { kind: "event", record } });
  });

  test("bytes of a message stay as they are when the arena is used again", () => {
    const arena = received(
      2,
      0n,
      Array.from({ length: 16 }, (_, index) => index),
    );
    const message = decodeDriverMessage(arena);
    new Uint8Array(arena.buffer).fill(0xff);
    expect(message.ok && message.value.kind === "event" && message.value.record[5]).toBe(5);
  });

  test("a command of somebody else is told apart", () => {
    expect(decodeDriverMessage(received(3, 0n, [1]))).toEqual({
      ok: true,
      value: { kind: "other", receivedType: 3 },
    });
  });

  test("a reply without completion code, a short event and an impossible length are errors", () => {
    expect(decodeDriverMessage(received(1, 5n, []))).toMatchObject({
      error: { kind: "too-short", wantBytes: 1, gotBytes: 0 },
    });
    expect(decodeDriverMessage(received(2, 0n, [1, 2, 3]))).toMatchObject({
      error: { kind: "too-short", wantBytes: 16, gotBytes: 3 },
    });
    const lying = received(1, 5n, [0]);
    lying.setUint16(34, DRIVER_MESSAGE_BYTES_MAX + 1, true);
    expect(decodeDriverMessage(lying)).toMatchObject({ error: { kind: "bad-value", value: 273 } });
  });

  test("no bytes at all make it throw or read past the end", () => {
    fc.assert(
      fc.property(fc.nat(5), fc.uint8Array({ minLength: 4, maxLength: 400 }), (type, bytes) => {
        const copy = Uint8Array.from(bytes);
        new DataView(copy.buffer).setInt32(0, type, true);
        const message = decodeDriverMessage(new DataView(copy.buffer));
        if (message.ok && message.value.kind === "reply") {
          expect(message.value.reply.data.byteLength).toBeLessThan(DRIVER_MESSAGE_BYTES_MAX);
        }
        expect(message.ok || message.error.kind).toBeTruthy();
      }),
    );
  });
});

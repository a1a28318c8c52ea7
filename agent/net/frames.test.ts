/**
 * Goal: no bytes whatsoever make a decoder throw, and every refusal says why.
 * Method: round trips, then random, truncated and bit-flipped bytes.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { ok } from "../../core/result.ts";
import {
  decodeHello,
  encodeHello,
  FRAME_BYTES_MAX,
  HELLO_BYTES_MAX,
  LINK_PROTOCOL,
  linkCodec,
  unpack,
} from "./frames.ts";

const HELLO = { protocol: LINK_PROTOCOL, node: "n1", instance: "0a1b2c3d", incarnation: 7 };

describe("a hello", () => {
  test("survives the way", () => {
    expect(decodeHello(encodeHello(HELLO))).toEqual({ ok: true, value: HELLO });
  });

  test("of another protocol, or of a name that is none, is refused with a reason", () => {
    const refused = (hello: object): string => {
      const read = decodeHello(encodeHello({ ...HELLO, ...hello }));
      return read.ok ? "taken" : read.error;
    };
    expect(refused({ protocol: 2 })).toBe("it speaks link protocol 2, this agent 1");
    expect(refused({ node: "../etc" })).toContain("names no node");
    expect(refused({ incarnation: -1 })).toContain("names no node");
    expect(refused({ instance: "x".repeat(HELLO_BYTES_MAX) })).toContain("a hello of");
  });

  test("is never thrown at us, whatever the bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(decodeHello(bytes).ok).toBe(false);
      }),
    );
    const good = encodeHello(HELLO);
    fc.assert(
      fc.property(fc.nat(good.length * 8 - 1), (bit) => {
        const bad = Uint8Array.from(good);
        bad[bit >> 3] = (bad[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        decodeHello(bad);
        decodeHello(good.subarray(0, bit >> 3));
      }),
    );
  });
});

describe("a frame", () => {
  test("over the bound is refused by its length, before it is decoded", () => {
    const codec = linkCodec(() => {
      throw new Error("it was decoded");
    });
    const read = codec.decode(new Uint8Array(FRAME_BYTES_MAX + 1));
    expect(read).toEqual({ ok: false, error: `a frame of ${FRAME_BYTES_MAX + 1} bytes` });
  });

  test("that announces more than it holds costs no memory", () => {
    // array32, str32 and bin32 with 4 GiB announced, then nothing.
    for (const tag of [0xdd, 0xdb, 0xc6, 0xdf]) {
      expect(unpack(Uint8Array.of(tag, 0xff, 0xff, 0xff, 0xff)).ok).toBe(false);
    }
  });

  test("nested beyond any sense is refused", () => {
    expect(unpack(new Uint8Array(1_000_000).fill(0x91)).ok).toBe(false);
  });

  test("survives the way, but for a name that would reach a prototype", () => {
    const codec = linkCodec((read) => ok(read));
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = JSON.stringify(value);
        const expected = JSON.parse(text.replaceAll('"__proto__":', '"__proto_":'));
        const read = codec.decode(codec.encode(JSON.parse(text)));
        expect(read).toEqual({ ok: true, value: expected });
      }),
      { examples: [[{ ["__proto__"]: "" }]] },
    );
    const sent = JSON.parse('{"__proto__":{"isAdmin":true},"a":1}');
    const read = codec.decode(codec.encode(sent));
    expect(read).toEqual({ ok: true, value: { ["__proto_"]: { isAdmin: true }, a: 1 } });
    if (read.ok) expect((read.value as { isAdmin?: boolean }).isAdmin).toBeUndefined();
  });
});

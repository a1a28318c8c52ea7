/**
 * Goal: whatever the line does to the bytes, whole messages come out once and nothing else does. Method: frames that a real BMC and a
 * real client put on the line, then properties over messages, splits, handshakes, noise and lost bytes.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { checksum } from "../ipmi/decode.ts";
import {
  BASIC_MESSAGE_BYTES_MAX,
  type BasicFrame,
  BasicModeFramer,
  encodeBasicFrame,
} from "./basic-mode.ts";

function hex(text: string): Uint8Array {
  return Uint8Array.fromHex(text.replaceAll(" ", ""));
}

/** A message with both checksums right around any bytes. */
function messageOf(head: readonly [number, number], rest: Uint8Array): Uint8Array {
  const first = Uint8Array.of(...head);
  return Uint8Array.of(...first, checksum(first), ...rest, checksum(rest));
}

function framesOf(bytes: Uint8Array): readonly BasicFrame[] {
  return new BasicModeFramer().push(bytes);
}

const arbitraryMessage = fc
  .tuple(fc.tuple(fc.nat(255), fc.nat(255)), fc.uint8Array({ minLength: 3, maxLength: 60 }))
  .map(([head, rest]) => messageOf(head, rest));

/** Bytes that matter to the framer much more often than chance would have it. */
const arbitraryLine = fc
  .array(fc.oneof(fc.constantFrom(0xa0, 0xa5, 0xa6, 0xaa, 0x1b, 0xb0, 0xba), fc.nat(255)), {
    maxLength: 120,
  })
  .map((bytes) => Uint8Array.from(bytes));

describe("frames seen on a line", () => {
  const vectors: readonly (readonly [string, string, string])[] = [
    ["Get Device ID, seq 1", "20 18 C8 81 04 01 7A", "A0 20 18 C8 81 04 01 7A A5"],
    ["Get Device ID, seq 5", "20 18 C8 81 14 01 6A", "A0 20 18 C8 81 14 01 6A A5"],
    ["seq 28h is escaped", "20 18 C8 81 A0 01 DE", "A0 20 18 C8 81 AA B0 01 DE A5"],
    ["Get SEL Info, seq 5", "20 28 B8 81 14 40 2B", "A0 20 28 B8 81 14 40 2B A5"],
  ];
  test.each(vectors)("%s", (_name, message, line) => {
    expect(encodeBasicFrame(hex(message))).toEqual(hex(line));
    expect(framesOf(hex(line))).toEqual([{ kind: "message", bytes: hex(message) }]);
  });

  test("a reply of ipmi_sim with its handshake behind it", () => {
    const line = "A0 81 1C 63 20 AA B0 01 00 00 03 09 08 02 9F 91 12 00 02 0F 00 00 00 00 D6 A5 A6";
    expect(framesOf(hex(line))).toEqual([
      {
        kind: "message",
        bytes: hex("81 1C 63 20 A0 01 00 00 03 09 08 02 9F 91 12 00 02 0F 00 00 00 00 D6"),
      },
      { kind: "handshake" },
    ]);
  });

  test("each special byte is escaped, ESC too", () => {
    expect(encodeBasicFrame(hex("A0A5A6AA1B"))).toEqual(hex("A0 AAB0 AAB5 AAB6 AABA AA3B A5"));
  });
});

describe("any line", () => {
  test("what was framed comes out", () => {
    fc.assert(
      fc.property(fc.array(arbitraryMessage, { maxLength: 5 }), (messages) => {
        const line = Buffer.concat(messages.map(encodeBasicFrame));
        expect(framesOf(line)).toEqual(messages.map((bytes) => ({ kind: "message", bytes })));
      }),
    );
  });

  test("ESC is never on the line, and specials only as themselves", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 255 }), (bytes) => {
        const frame = encodeBasicFrame(bytes);
        expect(frame[0]).toBe(0xa0);
        expect(frame.at(-1)).toBe(0xa5);
        const inside = [...frame.subarray(1, -1)];
        expect(inside.filter((byte) => [0x1b, 0xa0, 0xa5, 0xa6].includes(byte))).toEqual([]);
      }),
    );
  });

  test("how it is cut into chunks changes neither frames nor counts", () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(arbitraryLine, arbitraryMessage.map(encodeBasicFrame)), { maxLength: 6 }),
        fc.array(fc.nat(400), { maxLength: 20 }),
        (parts, cuts) => {
          const line = Buffer.concat(parts);
          const whole = new BasicModeFramer(64);
          const split = new BasicModeFramer(64);
          const expected = whole.push(line);
          const bounds = [0, ...cuts.map((c) => Math.min(c, line.length)), line.length];
          bounds.sort((a, b) => a - b);
          const got = bounds
            .slice(1)
            .flatMap((end, i) => [...split.push(line.subarray(bounds[i], end))]);
          expect(got).toEqual([...expected]);
          expect(split.counts).toEqual(whole.counts);
        },
      ),
    );
  });

  test("handshakes between any two bytes but behind an escape change no message", () => {
    fc.assert(
      fc.property(arbitraryMessage, fc.array(fc.nat(200), { maxLength: 12 }), (message, places) => {
        const frame = [...encodeBasicFrame(message)];
        let handshakes = 0;
        for (const place of places) {
          const index = place % (frame.length + 1);
          if (frame[index - 1] === 0xaa) continue;
          frame.splice(index, 0, 0xa6);
          handshakes++;
        }
        const frames = framesOf(Uint8Array.from(frame));
        expect(frames.filter((f) => f.kind === "message")).toEqual([
          { kind: "message", bytes: message },
        ]);
        expect(frames.filter((f) => f.kind === "handshake")).toHaveLength(handshakes);
      }),
    );
  });

  test("after any noise at all the next whole frame is read", () => {
    fc.assert(
      fc.property(arbitraryLine, arbitraryMessage, (noise, message) => {
        const frames = framesOf(Buffer.concat([noise, encodeBasicFrame(message)]));
        expect(frames.at(-1)).toEqual({ kind: "message", bytes: message });
      }),
    );
  });

  test("a message with one byte changed is dropped and counted", () => {
    fc.assert(
      fc.property(
        arbitraryMessage,
        fc.nat(200),
        fc.integer({ min: 1, max: 255 }),
        (message, place, by) => {
          const broken = message.slice();
          const index = place % broken.length;
          broken[index] = ((broken[index] as number) + by) & 0xff;
          const framer = new BasicModeFramer();
          expect(framer.push(encodeBasicFrame(broken))).toEqual([]);
          expect(framer.counts.badChecksums).toBe(1);
        },
      ),
    );
  });
});

describe("each way to be wrong", () => {
  const good = encodeBasicFrame(hex("20 18 C8 81 04 01 7A"));

  test("a start inside a frame begins anew", () => {
    const framer = new BasicModeFramer();
    expect(framer.push(Buffer.concat([good.subarray(0, 4), good]))).toHaveLength(1);
    expect(framer.counts).toMatchObject({ cutShort: 1, messages: 1 });
  });

  test("a start behind an escape begins anew", () => {
    const framer = new BasicModeFramer();
    expect(framer.push(Buffer.concat([hex("A0 20 AA"), good]))).toHaveLength(1);
    expect(framer.counts.cutShort).toBe(1);
  });

  test.each(["AA 00", "AA A5", "AA A6", "AA AA", "AA 1B"])(
    "escape pair %s drops the message",
    (pair) => {
      const framer = new BasicModeFramer();
      const line = Buffer.concat([hex("A0 20 18 C8"), hex(pair), hex("81 04 01 7A A5")]);
      expect(framer.push(line)).toEqual([]);
      expect(framer.counts.badEscapes).toBe(1);
      expect(framer.push(good)).toHaveLength(1);
    },
  );

  test("a frame without end is given up at the bound, and memory with it", () => {
    const framer = new BasicModeFramer();
    framer.push(hex("A0"));
    for (let i = 0; i < 100; i++) framer.push(new Uint8Array(BASIC_MESSAGE_BYTES_MAX));
    expect(framer.counts.tooLong).toBe(1);
    expect(framer.counts.noiseBytes).toBe(99 * BASIC_MESSAGE_BYTES_MAX - 1);
    expect(framer.push(good)).toHaveLength(1);
  });

  test("the longest message passes, one byte more does not", () => {
    const longest = messageOf([0x81, 0x1c], new Uint8Array(BASIC_MESSAGE_BYTES_MAX - 4));
    expect(longest.byteLength).toBe(BASIC_MESSAGE_BYTES_MAX);
    expect(framesOf(encodeBasicFrame(longest))).toHaveLength(1);
    const framer = new BasicModeFramer(longest.byteLength - 1);
    expect(framer.push(encodeBasicFrame(longest))).toEqual([]);
    expect(framer.counts.tooLong).toBe(1);
  });

  test("what is too short for a message is none", () => {
    const framer = new BasicModeFramer();
    expect(framer.push(hex("A0 A5 A0 20 18 C8 81 04 7B A5"))).toEqual([]);
    expect(framer.counts.tooShort).toBe(2);
  });

  test("bytes outside of frames are noise; a stray stop too", () => {
    const framer = new BasicModeFramer();
    framer.push(hex("00 A5 AA B0 6C"));
    expect(framer.counts.noiseBytes).toBe(5);
  });
});

/**
 * Goal: frame headers, mailboxes, rings and the slab keep what they are given, and nothing malformed gets through. Method:
 * properties over any value, truncation, bit flips; models over plain lists.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  decodeFrameHeader,
  decodeHello,
  encodeFrameHeader,
  FRAME_HEADER_BYTES,
  type FrameKind,
  PAYLOAD_BYTES_MAX,
} from "./frame.ts";
import { decodeMailbox, encodeMailbox } from "./mailbox.ts";
import { Segment } from "./segment.ts";
import { RECORD_BYTES, RING_SLOTS, SEGMENT_BYTES, SUBMISSION_OFFSET } from "./segment-layout.ts";
import { SlabAllocator } from "./slab-allocator.ts";

const int32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
const uint32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });

describe("frame headers", () => {
  const header = fc.record({
    kind: fc.integer({ min: 1, max: 12 }).map((kind) => kind as FrameKind),
    epoch: uint32,
    source: int32,
    destination: int32,
    tag: int32,
    id: uint32,
    payloadBytes: fc.integer({ min: 0, max: PAYLOAD_BYTES_MAX }),
    aux: int32,
    total: fc.maxSafeNat(),
    second: fc.maxSafeNat(),
  });

  test("come back as they were", () => {
    fc.assert(
      fc.property(header, (value) => {
        const view = new DataView(new ArrayBuffer(FRAME_HEADER_BYTES + 5));
        encodeFrameHeader(value, view, 5);
        expect(decodeFrameHeader(view, 5)).toEqual({ ok: true, value });
      }),
    );
  });

  test("of random bytes are refused or within bounds, and never throw", () => {
    const bytes = fc.uint8Array({ minLength: FRAME_HEADER_BYTES, maxLength: FRAME_HEADER_BYTES });
    fc.assert(
      fc.property(bytes, fc.boolean(), (random, isMarked) => {
        const view = new DataView(random.buffer, random.byteOffset, random.byteLength);
        if (isMarked) view.setUint32(0, 0x4846_0002, true);
        const decoded = decodeFrameHeader(view, 0);
        if (decoded.ok) {
          expect(decoded.value.payloadBytes).toBeLessThanOrEqual(PAYLOAD_BYTES_MAX);
          expect(decoded.value.total).toBeGreaterThanOrEqual(0);
        }
      }),
    );
  });

  test("that announce 4 GiB are refused with the limit", () => {
    const view = new DataView(new ArrayBuffer(FRAME_HEADER_BYTES));
    view.setUint32(0, 0x4846_0002, true);
    view.setUint32(24, 0xffff_ffff, true);
    const error = "announces 4294967295 bytes in a frame; the limit is 1048576";
    expect(decodeFrameHeader(view, 0)).toEqual({ ok: false, error });
  });

  test("a hello that is not one is refused", () => {
    for (const text of ["", "{}", "[1]", "null", '{"protocol":1,"job":2,"epoch":1,"node":"n"}']) {
      expect(decodeHello(new TextEncoder().encode(text)).ok).toBe(false);
    }
    expect(decodeHello(new Uint8Array([0xff, 0xfe])).ok).toBe(false);
  });
});

describe("mailboxes", () => {
  const message = fc.record({
    source: fc.nat(1000),
    tag: fc.nat(),
    payload: fc.uint8Array({ maxLength: 50 }),
  });

  test("come back as they were", () => {
    fc.assert(
      fc.property(fc.array(message), (messages) => {
        const decoded = decodeMailbox(encodeMailbox(messages));
        expect(decoded.ok && decoded.value.map((m) => ({ ...m, payload: [...m.payload] }))).toEqual(
          messages.map((m) => ({ ...m, payload: [...m.payload] })),
        );
      }),
    );
  });

  test("cut short are refused, at every length", () => {
    const whole = encodeMailbox([
      { source: 1, tag: 2, payload: new Uint8Array(9) },
      { source: 2, tag: 3, payload: new Uint8Array(0) },
    ]);
    for (let bytes = 0; bytes < whole.byteLength; bytes++) {
      expect(decodeMailbox(whole.subarray(0, bytes)).ok).toBe(false);
    }
    expect(decodeMailbox(new Uint8Array([...whole, 0])).ok).toBe(false);
  });
});

describe("segments", () => {
  const memory = new Uint8Array(new ArrayBuffer(SEGMENT_BYTES));

  test("a ring hands over records in order, many times around", () => {
    const producer = new Segment(memory);
    const consumer = new Segment(memory);
    producer.format(0, 1);
    producer.clearRings();
    let read = 0;
    for (let written = 0; written < RING_SLOTS * 5; ) {
      const burst = 1 + ((written * 7) % RING_SLOTS);
      for (let i = 0; i < burst; i++) {
        producer.words[producer.submissions.cursor + 1] = written++;
        producer.submissions.publish();
      }
      while (consumer.submissions.hasNext()) {
        expect(consumer.words[consumer.submissions.cursor + 1]).toBe(read++);
        consumer.submissions.advance();
      }
      expect(read).toBe(written);
    }
  });

  test("a record lies where the document says", () => {
    const segment = new Segment(memory);
    segment.clearRings();
    expect(segment.submissions.cursor * 4).toBe(SUBMISSION_OFFSET);
    segment.submissions.publish();
    expect(segment.submissions.cursor * 4).toBe(SUBMISSION_OFFSET + RECORD_BYTES);
    expect(segment.words[SUBMISSION_OFFSET / 4]).toBe(1);
  });

  test("what is no segment, or of another layout, is named", () => {
    const other = new Segment(new Uint8Array(new ArrayBuffer(SEGMENT_BYTES)));
    expect(other.check()).toEqual({ ok: false, error: expect.stringContaining("magic") });
    other.format(0, 1);
    expect(other.check().ok).toBe(true);
    other.store("layoutVersion", 9);
    expect(other.check()).toEqual({ ok: false, error: expect.stringContaining("version 9") });
  });

  test("regions are found again by name, sizes beyond 4 GiB included", () => {
    const segment = new Segment(memory);
    segment.clearRegions();
    expect(segment.enterRegion("weights", 5_000_000_000, true)).toBe(0);
    expect(segment.enterRegion("gradiënt", 12, false)).toBe(1);
    expect(segment.enterRegion("weights", 7, true)).toBe(0);
    expect(segment.regions()).toEqual([
      { index: 0, name: "weights", bytes: 7, isProtected: true },
      { index: 1, name: "gradiënt", bytes: 12, isProtected: false },
    ]);
  });

  test("a version and a failure text pass through the header", () => {
    const segment = new Segment(memory);
    segment.restoredVersion = 2 ** 40 + 3;
    expect(segment.restoredVersion).toBe(2 ** 40 + 3);
    segment.failureText = "é".repeat(2000);
    expect(new TextEncoder().encode(segment.failureText).byteLength).toBeLessThanOrEqual(1024);
  });
});

interface Block {
  readonly offset: number;
  readonly bytes: number;
}

function expectApart(block: Block, others: readonly Block[]): void {
  for (const other of others) {
    const isBefore = block.offset + block.bytes <= other.offset;
    expect(isBefore || other.offset + other.bytes <= block.offset).toBe(true);
  }
}

test("slab blocks never overlap, and all room comes back", () => {
  /** Positive: take that many bytes. Else: give back one of the blocks. */
  const step = fc.oneof(fc.integer({ min: 1, max: 400_000 }), fc.integer({ min: -50, max: 0 }));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const allocator = new SlabAllocator(1_048_576);
      const blocks: Block[] = [];
      const take = (bytes: number): void => {
        const offset = allocator.allocate(bytes);
        if (offset < 0) return;
        expect(offset % 64).toBe(0);
        expect(offset + bytes).toBeLessThanOrEqual(1_048_576);
        expectApart({ offset, bytes }, blocks);
        blocks.push({ offset, bytes });
      };
      const give = (which: number): void => {
        const [block] = blocks.splice(which % Math.max(blocks.length, 1), 1);
        if (block !== undefined) allocator.release(block.offset);
      };
      for (const each of steps) {
        if (each > 0) take(each);
        else give(-each);
      }
      for (const { offset } of blocks) allocator.release(offset);
      expect(allocator.freeBytes).toBe(1_048_576);
      expect(allocator.allocate(1_048_576)).toBe(0);
    }),
  );
});

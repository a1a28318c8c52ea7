/**
 * Goal: a delta's header tells damage from strangeness, and its reader is harmless and right however the bytes come.
 * Method: every cut and every flipped byte of a header; records read in all splits of body and windows; random bytes.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { createCore } from "../../core/core.ts";
import {
  DELTA_HEADER_BYTES,
  DeltaReader,
  decodeDeltaHeader,
  describeHeaderError,
  encodeDeltaHeader,
  RecordJoiner,
} from "./delta-file.ts";

const core = createCore();

const HEADER = {
  baseBytes: 5,
  targetBytes: 2 ** 40 + 7,
  bodyBytes: 12,
  baseDigest: new Uint8Array(16).fill(1),
  targetDigest: new Uint8Array(16).fill(2),
  bodyDigest: new Uint8Array(16).fill(3),
};

describe("the header of a delta", () => {
  const bytes = encodeDeltaHeader(core, HEADER);

  test("is what was written", () => {
    expect(decodeDeltaHeader(core, bytes)).toEqual({ ok: true, value: HEADER });
  });

  test("is frozen: these bytes decode in every later version", () => {
    expect(bytes.toHex()).toBe(
      "894846440d0a1a0a0100000060000000050000000000000007000000000100000c00000000000000" +
        "01010101010101010101010101010101" +
        "02020202020202020202020202020202" +
        "03030303030303030303030303030303" +
        "a40b443c708db6f6",
    );
  });

  test("is refused when cut anywhere, with the right words", () => {
    for (let count = 0; count < DELTA_HEADER_BYTES; count++) {
      const decoded = decodeDeltaHeader(core, bytes.subarray(0, count));
      expect(decoded).toEqual(
        count === 0
          ? { ok: false, error: { kind: "not-a-delta" } }
          : { ok: false, error: { kind: "too-short", gotBytes: count } },
      );
    }
  });

  test("is refused when any byte of it is changed", () => {
    for (let at = 0; at < DELTA_HEADER_BYTES; at++) {
      const damaged = bytes.slice();
      damaged[at] = (damaged[at] ?? 0) ^ 4;
      const decoded = decodeDeltaHeader(core, damaged);
      const part = at < 8 ? "not-a-delta" : at < 12 ? "unknown-version" : "damaged-header";
      expect(decoded).toMatchObject({ ok: false, error: { kind: part } });
    }
  });

  test("is described in words that name the problem", () => {
    expect(describeHeaderError({ kind: "not-a-delta" })).toContain("not a holdfast delta");
    expect(describeHeaderError({ kind: "too-short", gotBytes: 9 })).toContain("after 9 bytes");
    expect(describeHeaderError({ kind: "unknown-version", version: 2 })).toContain("version 2");
    expect(describeHeaderError({ kind: "damaged-header" })).toContain("damaged");
  });
});

/** Fills windows of the given lengths from a body cut at the given places; null for a damaged body. */
function read(
  body: Uint8Array,
  base: Uint8Array,
  cuts: readonly number[],
  windowBytes: number,
): Uint8Array | null {
  const reader = new DeltaReader();
  const target = base.slice();
  const ends = [...cuts, body.length].sort((a, b) => a - b);
  let at = 0;
  for (let start = 0; start < target.length; start += windowBytes) {
    while (!reader.fill(target.subarray(start, start + windowBytes))) {
      if (reader.isDamaged) return null;
      const end = ends.shift();
      if (end === undefined) reader.end();
      reader.feed(body.subarray(at, end ?? at));
      at = end ?? at;
    }
  }
  return reader.isComplete && at === body.length ? target : null;
}

describe("the reader of a delta", () => {
  const base = new Uint8Array(1000).fill(9);
  // Pass 3, replace 2; pass 300, replace 1; pass 0, replace 3.
  const body = Uint8Array.of(3, 2, 10, 11, 0xac, 0x02, 1, 12, 0, 3, 13, 14, 15);
  const wanted = base.slice();
  wanted.set([10, 11], 3);
  wanted.set([12, 13, 14, 15], 305);

  test("applies records however body and windows are cut", () => {
    for (const windowBytes of [1, 2, 3, 64, 304, 305, 306, 1000]) {
      expect(read(body, base, [], windowBytes)).toEqual(wanted);
      for (let cut = 0; cut <= body.length; cut++) {
        expect(read(body, base, [cut, cut, 5], windowBytes)).toEqual(wanted);
      }
    }
  });

  test("leaves the base as it is when there are no records", () => {
    expect(read(new Uint8Array(0), base, [], 100)).toEqual(base);
  });

  test("says that a body is damaged when it ends within a record, at every place", () => {
    for (let count = 1; count < body.length; count++) {
      const isBetweenRecords = count === 4 || count === 8;
      expect(read(body.subarray(0, count), base, [], 100) === null).toBe(!isBetweenRecords);
    }
  });

  test("says that a body is damaged when a record is empty, too long or a number has no end", () => {
    for (const bytes of [
      [0, 0],
      [0, 0x80, 0x00],
      [0xe7, 0x07, 2, 1, 1],
      [0, 0xe9, 0x07, 1],
      Array(20).fill(0xff),
      [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0],
    ]) {
      expect(read(Uint8Array.from(bytes), base, [], 100)).toBeNull();
    }
  });

  test("neither throws nor leaves its window, whatever the bytes", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 60 }),
        fc.integer({ min: 1, max: 50 }),
        (bytes, window) => {
          const arena = new Uint8Array(140).fill(7);
          const target = arena.subarray(20, 120);
          const reader = new DeltaReader();
          reader.feed(bytes);
          reader.end();
          for (let start = 0; start < 100; start += window) {
            if (!reader.fill(target.subarray(start, start + window))) break;
          }
          expect(arena.subarray(0, 20)).toEqual(new Uint8Array(20).fill(7));
          expect(arena.subarray(120)).toEqual(new Uint8Array(20).fill(7));
        },
      ),
    );
  });
});

describe("records of strips", () => {
  const join = (
    ...strips: readonly (readonly [records: readonly number[], gapBytes: number])[]
  ) => {
    const joiner = new RecordJoiner();
    return strips.flatMap(([records, gapBytes]) =>
      joiner.join(Uint8Array.from(records), gapBytes).flatMap((piece) => [...piece]),
    );
  };

  test("are joined by the gaps between them", () => {
    expect(join([[3, 1, 9], 10], [[2, 1, 8, 4, 1, 7], 0], [[0, 1, 6], 5])).toEqual([
      3, 1, 9, 12, 1, 8, 4, 1, 7, 0, 1, 6,
    ]);
  });

  test("carry a gap over strips without a record, and drop the last", () => {
    expect(join([[], 100], [[], 100], [[100, 1, 9], 50], [[], 100])).toEqual([0xac, 0x02, 1, 9]);
    expect(join([[], 2 ** 40], [[0x80, 0x01, 1, 9], 0])).toEqual([
      0x80, 0x81, 0x80, 0x80, 0x80, 0x20, 1, 9,
    ]);
    expect(join([[], 5])).toEqual([]);
  });
});

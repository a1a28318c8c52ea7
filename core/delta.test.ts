/**
 * Goal: the delta kernel finds exactly what differs, at every size from 0 to 3 pages, at every alignment, also when both
 * sides are parts of one buffer.
 * Method: kernel and oracle under one suite of hand-made cases; then kernel against oracle on random edits, and the
 * encoded records put back by a reader of a few lines.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { DELTA_SLACK_BYTES, PAGE_BYTES, WINDOW_BYTES } from "./abi.ts";
import { createCore } from "./core.ts";
import * as oracle from "./oracle/delta.ts";

const core = createCore();

function kernelEncode(before: Uint8Array, after: Uint8Array): Uint8Array {
  core.beforeWindow().fill(0, 0, after.length).set(before.subarray(0, after.length));
  core.inputWindow().set(after);
  core.encodeBegin();
  return core.encodeWindow(after.length).slice();
}

function noise(byteCount: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(byteCount);
  for (let i = 0; i < byteCount; i++) bytes[i] = (Math.imul(i + seed, 0x9e3779b1) >>> 15) & 0xff;
  return bytes;
}

function edited(bytes: Uint8Array, ...offsets: readonly number[]): Uint8Array {
  const copy = bytes.slice();
  for (const offset of offsets) copy[offset] = (copy[offset] ?? 0) ^ 0x80;
  return copy;
}

function applied(records: Uint8Array, before: Uint8Array, byteCount: number): Uint8Array {
  const target = new Uint8Array(byteCount);
  target.set(before.subarray(0, byteCount));
  let at = 0;
  const number = (): number => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = records[at++] as number;
      value += (byte & 0x7f) * scale;
      if (byte < 128) return value;
    }
  };
  for (let end = 0; at < records.length; ) {
    end += number();
    const count = number();
    target.set(records.subarray(at, at + count), end);
    at += count;
    end += count;
  }
  return target;
}

const kernelRanges: typeof oracle.changedRanges = (before, after) =>
  core.changedRanges(before, after);

for (const [name, changedRanges, encode] of [
  ["kernel", kernelRanges, kernelEncode],
  ["oracle", oracle.changedRanges, oracle.encodeWindow],
] as const) {
  describe(`delta, ${name}`, () => {
    const base = noise(3 * PAGE_BYTES);

    test("finds nothing between equal buffers, nor between empty ones", () => {
      expect(changedRanges(base, base.slice())).toEqual([]);
      expect(changedRanges(base, new Uint8Array(0))).toEqual([]);
      expect(encode(base, base.slice())).toEqual(new Uint8Array(0));
    });

    test("finds everything between all-different buffers", () => {
      const other = base.map((byte) => ~byte);
      expect(changedRanges(base, other)).toEqual([{ offset: 0, bytes: base.length }]);
      expect(encode(base, other).length).toBe(base.length + 3);
    });

    test("finds one changed byte wherever it is", () => {
      for (const offset of [0, 1, 63, 64, 255, 256, 4095, 4096, base.length - 1]) {
        const after = edited(base, offset);
        const block = offset - (offset % 64);
        expect(changedRanges(base, after)).toEqual([{ offset: block, bytes: 64 }]);
        const records = encode(base, after);
        expect(records.at(-1)).toBe(after[offset]);
        expect(records.length).toBe(offset < 128 ? 3 : 4);
      }
    });

    test("joins neighbours and clips the last to the buffer", () => {
      const after = edited(base.subarray(0, 1000), 64, 130, 999);
      expect(changedRanges(base, after)).toEqual([
        { offset: 64, bytes: 128 },
        { offset: 960, bytes: 40 },
      ]);
    });

    test("joins changed bytes that are fewer than 8 equal ones apart", () => {
      expect(encode(base, edited(base, 100, 108)).length).toBe(2 + 9);
      expect(encode(base, edited(base, 100, 109)).length).toBe(3 + 3);
    });

    test("takes what only the newer side has against zeros", () => {
      const after = new Uint8Array(300);
      after.set(base.subarray(0, 100));
      expect(changedRanges(base.subarray(0, 100), after)).toEqual([]);
      after[299] = 7;
      expect(changedRanges(base.subarray(0, 100), after)).toEqual([{ offset: 256, bytes: 44 }]);
    });
  });
}

describe("delta", () => {
  test("equals the oracle at every size from 0 to 3 pages", () => {
    const before = noise(3 * PAGE_BYTES);
    const after = edited(before, 0, 70, 4000, 4096, 8191, 9000, 3 * PAGE_BYTES - 1);
    for (let byteCount = 0; byteCount <= 3 * PAGE_BYTES; byteCount++) {
      const found = kernelEncode(before, after.subarray(0, byteCount));
      const wanted = oracle.encodeWindow(before, after.subarray(0, byteCount));
      if (found.toHex() !== wanted.toHex()) throw new Error(`${byteCount} bytes`);
    }
    for (let byteCount = 0; byteCount <= 3 * PAGE_BYTES; byteCount += 13) {
      const part = after.subarray(0, byteCount);
      expect(core.changedRanges(before, part)).toEqual(oracle.changedRanges(before, part));
    }
  });

  test("does not depend on alignment, and both sides may overlap in one buffer", () => {
    const bytes = noise(2 * PAGE_BYTES);
    for (let offset = 0; offset < 130; offset++) {
      const before = bytes.subarray(0, PAGE_BYTES);
      const after = bytes.subarray(offset, PAGE_BYTES + offset);
      expect(core.changedRanges(before, after)).toEqual(oracle.changedRanges(before, after));
    }
  });

  const edits = fc.array(
    fc.record({
      offset: fc.nat(3 * PAGE_BYTES - 1),
      count: fc.integer({ min: 1, max: 200 }),
      seed: fc.nat(1000),
    }),
    { maxLength: 12 },
  );

  test("equals the oracle and applies to what was compared, on random edits and lengths", () => {
    fc.assert(
      fc.property(
        edits,
        fc.nat(3 * PAGE_BYTES),
        fc.nat(3 * PAGE_BYTES),
        (list, baseBytes, bytes) => {
          const before = noise(baseBytes);
          const after = noise(3 * PAGE_BYTES);
          for (const { offset, count, seed } of list) {
            after.set(noise(count, seed).subarray(0, after.length - offset), offset);
          }
          const target = after.subarray(0, bytes);
          expect(core.changedRanges(before, target)).toEqual(oracle.changedRanges(before, target));
          const records = kernelEncode(before, target);
          expect(records).toEqual(oracle.encodeWindow(before, target));
          expect(applied(records, before, bytes)).toEqual(target.slice());
        },
      ),
      { numRuns: 300 },
    );
  });

  test("carries a gap over windows, so that records do not depend on where windows begin", () => {
    const before = noise(4 * PAGE_BYTES);
    const after = edited(before, 10, 3 * PAGE_BYTES + 3);
    core.encodeBegin();
    const pieces = [0, 1, 2, 3].map((page) => {
      core.beforeWindow().set(before.subarray(page * PAGE_BYTES, (page + 1) * PAGE_BYTES));
      core.inputWindow().set(after.subarray(page * PAGE_BYTES, (page + 1) * PAGE_BYTES));
      return core.encodeWindow(PAGE_BYTES).toHex();
    });
    expect(pieces.join("")).toBe(oracle.encodeWindow(before, after).toHex());
  });

  test("passes over what is known to be equal as if it had been compared", () => {
    const before = noise(3 * PAGE_BYTES);
    const after = edited(before, 1, 2 * PAGE_BYTES + 9);
    core.encodeBegin();
    const pieces = [0, 1, 2].map((page) => {
      const part = [page * PAGE_BYTES, (page + 1) * PAGE_BYTES] as const;
      if (page === 1) {
        core.encodeSkip(PAGE_BYTES);
        return "";
      }
      core.beforeWindow().set(before.subarray(...part));
      core.inputWindow().set(after.subarray(...part));
      return core.encodeWindow(PAGE_BYTES).toHex();
    });
    expect(pieces.join("")).toBe(oracle.encodeWindow(before, after).toHex());
    expect(core.encodeGap()).toBe(PAGE_BYTES - 10);
  });

  test("never needs more than the window and its slack", () => {
    const before = new Uint8Array(WINDOW_BYTES);
    const worst = before.map((_, i) => (i % 9 === 0 ? 1 : 0));
    const all = before.fill(1).slice();
    before.fill(0);
    for (const after of [worst, all]) {
      const records = kernelEncode(before, after);
      expect(records.length).toBeLessThanOrEqual(WINDOW_BYTES + DELTA_SLACK_BYTES);
      expect(applied(records, before, WINDOW_BYTES)).toEqual(after);
    }
  });

  test("finds the most runs a window can have", () => {
    const after = new Uint8Array(WINDOW_BYTES);
    for (let offset = 0; offset < WINDOW_BYTES; offset += 128) after[offset] = 1;
    expect(core.changedRanges(new Uint8Array(0), after)).toHaveLength(WINDOW_BYTES / 128);
  });

  test("lists the pages whose digests differ, also from unaligned lists", () => {
    const before = noise(16 * 5 + 1).subarray(1);
    const after = edited(noise(16 * 7), 16 * 2 + 15, 16 * 4);
    after.set(before.subarray(0, 32), 0);
    after.set(before.subarray(48, 64), 48);
    expect([...core.changedPages(before, after)]).toEqual([2, 4, 5, 6]);
    expect([...core.changedPages(after, after.subarray(0, 32))]).toEqual([]);
  });
});

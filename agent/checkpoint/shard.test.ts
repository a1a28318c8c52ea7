/**
 * Goal: the shard's frozen format stays what it is and decoders survive any bytes. Method: a golden in hexadecimal, round
 * trips of random shards, then random, cut and flipped bytes, which must give an error or an equal value, never throw.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Epoch } from "../membership/membership.ts";
import type { Version } from "./checkpoint.ts";
import {
  decodeFooter,
  decodeHead,
  decodePrologue,
  decodeTail,
  describeShardError,
  encodeFooter,
  encodeHead,
  encodeTail,
  type ShardHead,
  type ShardTail,
  wholeDigestInput,
} from "./shard.ts";
import { bytesOfPages, stateLayout } from "./state-layout.ts";

const digest = fc.uint8Array({ minLength: 16, maxLength: 16 });

const regions = fc.uniqueArray(
  fc.record({
    name: fc.string({ minLength: 1, maxLength: 20, unit: "grapheme" }),
    bytes: fc.integer({ min: 0, max: 50_000 }),
  }),
  { selector: (region) => region.name, maxLength: 6 },
);

const head: fc.Arbitrary<ShardHead> = fc
  .record({
    job: fc.string({ minLength: 1, maxLength: 20, unit: "grapheme-ascii" }),
    rank: fc.nat(0xffffffff),
    version: fc.integer({ min: 2, max: Number.MAX_SAFE_INTEGER }),
    epoch: fc.maxSafeNat(),
    parent: fc.option(fc.record({ epoch: fc.maxSafeNat(), state: digest })),
    regions,
    mailboxBytes: fc.option(fc.nat(1000)),
  })
  .map((r) => ({
    job: r.job,
    rank: r.rank,
    version: r.version as Version,
    epoch: r.epoch as Epoch,
    parent:
      r.parent === null
        ? null
        : { ...r.parent, epoch: r.parent.epoch as Epoch, version: (r.version - 1) as Version },
    layout: stateLayout(r.regions.filter((region) => Buffer.byteLength(region.name) <= 80)),
    mailboxBytes: r.mailboxBytes,
  }));

const GOLDEN_HEAD: ShardHead = {
  job: "j-0000000a",
  rank: 3,
  version: 7 as Version,
  epoch: 2 as Epoch,
  parent: { version: 6 as Version, epoch: 2 as Epoch, state: new Uint8Array(16).fill(0xaa) },
  layout: stateLayout([
    { name: "weights", bytes: 5000 },
    { name: "step", bytes: 8 },
  ]),
  mailboxBytes: 9,
};

describe("the head of a shard", () => {
  test("is laid out as documented, and stays so", () => {
    expect(encodeHead(GOLDEN_HEAD).toHex()).toBe(
      [
        "484653484152440a", // magic
        "01000000", // format
        "7d000000", // bytes of the head
        "0700000000000000", // version
        "0200000000000000", // epoch
        "0600000000000000", // parent's version
        "0200000000000000", // parent's epoch
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", // parent's state
        "0900000000000000", // bytes of the mailbox
        "03000000", // flags
        "03000000", // rank
        "0a00", // bytes of the job's name
        "0200", // regions
        "6a2d3030303030303061", // job
        "0700",
        "8813000000000000",
        "77656967687473",
        "0400",
        "0800000000000000",
        "73746570",
      ].join(""),
    );
  });

  test("survives a round trip", () => {
    fc.assert(
      fc.property(head, (value) => {
        const decoded = decodeHead(encodeHead(value));
        expect(decoded).toEqual({ ok: true, value });
      }),
    );
  });

  test("of a format that is not known is refused by number", () => {
    const bytes = encodeHead(GOLDEN_HEAD);
    bytes[8] = 9;
    const decoded = decodePrologue(bytes);
    expect(decoded).toEqual({ ok: false, error: { kind: "bad-format", format: 9 } });
    if (!decoded.ok) {
      expect(describeShardError(decoded.error)).toBe("shard format 9 is not known, 1 is");
    }
  });

  test("that announces more regions or bytes than any state has is refused", () => {
    const bytes = encodeHead(GOLDEN_HEAD);
    new DataView(bytes.buffer).setUint16(82, 0xffff, true);
    expect(decodeHead(bytes)).toEqual({
      ok: false,
      error: { kind: "too-large", what: "the region table" },
    });
    const large = encodeHead(GOLDEN_HEAD);
    new DataView(large.buffer).setBigUint64(96, 2n ** 50n, true);
    expect(decodeHead(large)).toEqual({
      ok: false,
      error: { kind: "too-large", what: "the state" },
    });
  });

  test("never throws, whatever the bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expect(decodeHead(bytes).ok).toBe(false);
      }),
    );
    const sound = encodeHead(GOLDEN_HEAD);
    fc.assert(
      fc.property(fc.nat(sound.length * 8 - 1), fc.nat(sound.length), (bit, length) => {
        const flipped = sound.slice();
        flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7));
        decodeHead(flipped);
        expect(decodeHead(sound.slice(0, length)).ok).toBe(length === sound.length);
      }),
    );
  });
});

describe("the tail and the footer of a shard", () => {
  const layout = stateLayout([
    { name: "a", bytes: 4096 * 3 + 5 },
    { name: "b", bytes: 0 },
    { name: "c", bytes: 4096 * 4 },
  ]);
  const tail: ShardTail = {
    digests: new Uint8Array(8 * 16).map((_, index) => index),
    runs: Uint32Array.of(0, 1, 3, 2, 7, 1),
  };
  const payloadBytes = 4096 + (5 + 4096) + 4096;

  test("survive a round trip", () => {
    const decoded = decodeTail(encodeTail(tail), layout, payloadBytes);
    expect(decoded).toEqual({ ok: true, value: tail });
    const footer = {
      payloadBytes,
      tailBytes: encodeTail(tail).length,
      state: new Uint8Array(16).fill(1),
      whole: new Uint8Array(16).fill(2),
    };
    expect(decodeFooter(encodeFooter(footer))).toEqual({ ok: true, value: footer });
  });

  test("refuse runs that overlap, touch, are empty, end outside or give another payload", () => {
    for (const runs of [
      [0, 2, 1, 1],
      [0, 1, 1, 1],
      [0, 0],
      [7, 2],
      [3, 2, 0, 1],
    ]) {
      const bytes = encodeTail({ ...tail, runs: Uint32Array.from(runs) });
      expect(decodeTail(bytes, layout, payloadBytes).ok).toBe(false);
    }
    expect(decodeTail(encodeTail(tail), layout, payloadBytes + 1).ok).toBe(false);
  });

  test("never throw, whatever the bytes", () => {
    const sound = encodeTail(tail);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        decodeTail(bytes, layout, payloadBytes);
        expect(decodeFooter(bytes).ok).toBe(false);
      }),
    );
    fc.assert(
      fc.property(fc.nat(sound.length - 1), (length) => {
        expect(decodeTail(sound.slice(0, length), layout, payloadBytes).ok).toBe(false);
      }),
    );
  });

  test("change the shard's digest with each of their fields", () => {
    const parts = { head: tail.digests, mailbox: tail.digests, tail: tail.digests };
    const sound = {
      head: parts.head.slice(0, 16),
      mailbox: parts.head.slice(16, 32),
      tail: parts.head.slice(32, 48),
    };
    const fields = { payloadBytes: 1, tailBytes: 2, state: parts.head.slice(48, 64) };
    const input = wholeDigestInput(sound, fields).toHex();
    expect(wholeDigestInput(sound, { ...fields, payloadBytes: 3 }).toHex()).not.toBe(input);
    expect(wholeDigestInput(sound, { ...fields, tailBytes: 3 }).toHex()).not.toBe(input);
    expect(wholeDigestInput({ ...sound, mailbox: sound.tail }, fields).toHex()).not.toBe(input);
    expect(input.length).toBe(160);
  });
});

test("bytes of pages add up over regions whose last pages are short", () => {
  fc.assert(
    fc.property(regions, (list) => {
      const layout = stateLayout(list);
      expect(bytesOfPages(layout, 0, layout.pageCount)).toBe(layout.bytes);
      let sum = 0;
      for (let page = 0; page < layout.pageCount; page++) sum += bytesOfPages(layout, page, 1);
      expect(sum).toBe(layout.bytes);
    }),
  );
});

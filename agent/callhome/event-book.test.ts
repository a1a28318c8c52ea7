/**
 * Goal: one error is one event, whatever the order, the ways and the repetitions; nothing grows without bound.
 * Method: properties over shuffled sightings; a book read again from its lines behaves as the one that gave them.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { BmcEvent, EventWay } from "../../bmc/bmc.ts";
import { eventOf } from "../../bmc/ipmi/event/event-identity.ts";
import { realCrypto } from "../../bmc/ipmi/io/crypto.ts";
import { decodeSelRecord } from "../../bmc/ipmi/sel/sel-record.ts";
import { type BookLine, EventBook } from "./event-book.ts";

const GUID = "00112233445566778899aabbccddeeff";
const WAYS: readonly EventWay[] = ["sel", "kcs", "pet", "hook"];

/** Further apart than clocks of two ways may differ. */
const APART_SECONDS = 60;

/** A memory error with `serial` in its time. Only the log knows its generation. */
function seen(way: EventWay, serial: number, nth = 0, apart = APART_SECONDS): BmcEvent {
  const bytes = Uint8Array.fromHex("000002000000002000040c876f01ffff");
  new DataView(bytes.buffer).setUint32(3, 0x6000_0000 + serial * apart, true);
  const record = decodeSelRecord(bytes);
  if (!record.ok) throw new Error("the record is whole");
  const epoch = way === "sel" ? 77 : 0;
  const sighting = { system: GUID, epoch, nth, way, seenMs: 1, bytes, record: record.value };
  return eventOf(sighting, realCrypto.sha256);
}

function eventLines(lines: readonly (BookLine | null)[]): number {
  return lines.filter((line) => line?.kind === "event").length;
}

describe("the book of events", () => {
  test("holds each error once, in whatever order and however often it is seen", () => {
    const sighting = fc.record({ way: fc.constantFrom(...WAYS), serial: fc.nat({ max: 9 }) });
    fc.assert(
      fc.property(fc.array(sighting, { maxLength: 60 }), (sightings) => {
        const book = new EventBook();
        const lines = sightings.map(({ way, serial }) => book.sight(seen(way, serial)));
        const serials = new Set(sightings.map(({ serial }) => serial));
        expect(book.eventCount).toBe(serials.size);
        expect(eventLines(lines.map(({ line }) => line))).toBe(serials.size);
        for (const serial of serials) {
          const own = sightings.filter((one) => one.serial === serial).map(({ way }) => way);
          const ids = lines.filter((_, index) => sightings[index]?.serial === serial);
          expect(new Set(ids.map(({ id }) => id)).size).toBe(1);
          expect([...book.waysOf(ids[0]?.id ?? "")].sort()).toEqual([...new Set(own)].sort());
        }
        const kept = lines.flatMap(({ line }) => (line === null ? [] : [line]));
        expect(kept.map(({ seq }) => seq)).toEqual(kept.map((_, index) => index + 1));
      }),
    );
  });

  test("read again from its lines knows all that it knew", () => {
    const sighting = fc.record({ way: fc.constantFrom(...WAYS), serial: fc.nat({ max: 5 }) });
    const sightings = fc.array(sighting, { maxLength: 30 });
    fc.assert(
      fc.property(sightings, sightings, (before, after) => {
        const whole = new EventBook();
        for (const { way, serial } of before) whole.sight(seen(way, serial));
        const again = new EventBook(JSON.parse(JSON.stringify(whole.lines())));
        for (const { way, serial } of after) {
          expect(again.sight(seen(way, serial))).toEqual(whole.sight(seen(way, serial)));
        }
        expect(again.lines()).toEqual(whole.lines());
      }),
    );
  });

  test("tells identical records of one log apart, and meets each with one trap", () => {
    const book = new EventBook();
    const first = book.sight(seen("sel", 1, 0));
    const second = book.sight(seen("sel", 1, 1));
    expect(first.id).not.toBe(second.id);
    const trap = { ...seen("pet", 1), id: "a".repeat(64) };
    const other = { ...seen("pet", 1), id: "b".repeat(64) };
    expect([book.sight(trap).id, book.sight(other).id, book.sight(trap).id]).toEqual([
      first.id,
      second.id,
      first.id,
    ]);
    expect(book.eventCount).toBe(2);
  });

  test("does not take what happened at another time, or in another system, for one", () => {
    const book = new EventBook();
    const { id } = book.sight(seen("sel", 1));
    expect(
      book.sight({ ...seen("pet", 1), id: "d".repeat(64), system: "f".repeat(32) }).id,
    ).not.toBe(id);
    // A clock that was not set: the same bytes after each start of the BMC. A new error must not vanish in an old one.
    const unset = (way: EventWay, seenMs: number): BmcEvent => ({
      ...seen(way, 2),
      whenMs: null,
      seenMs,
    });
    const old = book.sight(unset("sel", 0));
    const young = { ...unset("pet", 3_600_000), id: "e".repeat(64) };
    expect(book.sight(young).id).not.toBe(old.id);
    expect(book.eventCount).toBe(4);
  });

  test("takes what words tell by two ways for one, but not what one way tells twice", () => {
    const book = new EventBook();
    const words = (way: EventWay, id: string): BmcEvent => ({
      ...seen("sel", 3),
      ...{ way, id: id.repeat(64), record: null, subject: "DIMM A1" },
    });
    const first = book.sight(words("hook", "1"));
    expect(book.sight(words("redfish-push", "2")).id).toBe(first.id);
    expect(book.sight(words("hook", "3")).id).not.toBe(first.id);
  });

  test("of errors close together counts as many as one way saw that saw all", () => {
    const order = fc.shuffledSubarray(
      [0, 1, 2, 3].flatMap((serial) => [["sel", serial] as const, ["pet", serial] as const]),
      { minLength: 8, maxLength: 8 },
    );
    const lost = fc.subarray([0, 1, 2, 3]);
    fc.assert(
      fc.property(order, lost, (sightings, lostTraps) => {
        const book = new EventBook();
        for (const [way, serial] of sightings) {
          if (way === "pet" && lostTraps.includes(serial)) continue;
          book.sight(seen(way, serial, 0, 1));
        }
        expect(book.eventCount).toBe(4);
      }),
    );
  });

  test("knows a system by its GUID in either order of bytes", () => {
    const book = new EventBook();
    const { id } = book.sight(seen("sel", 1));
    const reversed = Uint8Array.fromHex(GUID).reverse().toHex();
    const trap = { ...seen("pet", 1), id: "e".repeat(64), system: reversed };
    expect(book.sight(trap).id).toBe(id);
  });

  test("forgets the oldest above its bound, and keeps its numbers", () => {
    const book = new EventBook([], 10);
    for (let serial = 0; serial < 5_000; serial++) {
      book.sight(seen("sel", serial));
      book.sight(seen("pet", serial));
    }
    expect(book.eventCount).toBe(10);
    expect(book.lines()).toHaveLength(20);
    expect(book.lastSeq).toBe(10_000);
    expect(book.after(0, 1_000_000).length).toBeLessThan(1_200);
    expect(book.sight(seen("pet", 4_999)).line).toBeNull();
    expect(book.sight(seen("sel", 0)).line).toMatchObject({ kind: "event", seq: 10_001 });
    const again = new EventBook(book.lines(), 10);
    expect(again.sight(seen("sel", 4_999)).line).toBeNull();
    expect(again.lastSeq).toBe(book.lastSeq);
  });

  test("gives what is newer than a number, up to another", () => {
    const book = new EventBook();
    for (let serial = 0; serial < 10; serial++) book.sight(seen("sel", serial));
    expect(book.after(0, 3).map(({ seq }) => seq)).toEqual([1, 2, 3]);
    expect(book.after(8, 100).map(({ seq }) => seq)).toEqual([9, 10]);
    expect(book.after(8, 100, 9).map(({ seq }) => seq)).toEqual([9]);
    expect(book.after(10, 100)).toEqual([]);
    expect(book.after(1e9, 100)).toEqual([]);
  });
});

/**
 * Goal: a reader sees every entry once and in order, or is told how many it missed.
 * Method: a plain array is the oracle for random pushes and reads.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Ring } from "./ring.ts";

describe("a ring", () => {
  test("gives each reader all that is newer, or the number of what it missed", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 30 }), { maxLength: 200 }), (sizes) => {
        const ring = new Ring<number>(100, 3);
        const all: number[] = [];
        let seq = 0;
        let seen = 0;
        for (const [index, bytes] of sizes.entries()) {
          all.push(ring.push(index, bytes));
          if (index % 7 !== 0) continue;
          const { entries, lost } = ring.after(seq, 1000);
          expect(entries.map((entry) => entry.item)).toEqual(
            Array.from({ length: index + 1 - seen - lost }, (_, i) => seen + lost + i),
          );
          seen = index + 1;
          seq = entries.at(-1)?.seq ?? seq;
        }
        expect(all).toEqual([...all].sort((a, b) => a - b));
      }),
    );
  });

  test("of a later run has higher numbers, and a reader of the earlier run goes on", () => {
    const first = new Ring<string>(100, 1);
    const seq = first.push("a", 1);
    const second = new Ring<string>(100, 2);
    second.push("b", 1);
    expect(second.after(seq, 10)).toMatchObject({ entries: [{ item: "b" }], lost: 0 });
  });

  test("wakes who waits, at a push and at the end of the reader", async () => {
    const ring = new Ring<string>(100, 1);
    const gone = new AbortController();
    const woken = ring.changed(gone.signal);
    ring.push("a", 1);
    await woken;
    const aborted = ring.changed(gone.signal);
    gone.abort();
    await aborted;
  });
});

/**
 * Session sequence numbers against a set that remembers everything.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { nextSequence, SequenceWindow } from "./sequence-window.ts";

describe("sequence window", () => {
  test("takes each number once, in whatever order within 32, wherever the BMC begins", () => {
    const start = fc.constantFrom<number[]>(1, 3, 0x7fffffff, 0xfffffff0, 1_000_000);
    const moves = fc.array(fc.integer({ min: -40, max: 12 }), { maxLength: 200 });
    fc.assert(
      fc.property(start, moves, (first, steps) => {
        const window = new SequenceWindow();
        const taken = new Set<number>([first]);
        expect(window.accept(first)).toBe(true);
        let highest: number = first;
        for (const step of steps) {
          const sequence = (highest + step) >>> 0;
          if (sequence === 0) {
            expect(window.accept(0)).toBe(false);
            continue;
          }
          const isNew = step > 0 || (step > -32 && !taken.has(sequence));
          expect(window.accept(sequence)).toBe(isNew);
          taken.add(sequence);
          if (step > 0) highest = sequence;
        }
      }),
    );
  });

  test("takes a number far ahead, since what lies between may be lost, and then nothing from before", () => {
    const window = new SequenceWindow();
    expect([5, 5_000, 4_990, 4_990, 6].map((one) => window.accept(one))).toEqual([
      true,
      true,
      true,
      false,
      false,
    ]);
  });

  test("never takes 0, which is outside any session", () => {
    expect(new SequenceWindow().accept(0)).toBe(false);
  });

  test("our own numbers leave out 0", () => {
    expect([0, 1, 0xfffffffe, 0xffffffff].map(nextSequence)).toEqual([1, 2, 0xffffffff, 1]);
  });
});

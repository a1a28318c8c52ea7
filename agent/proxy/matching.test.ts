/**
 * Goal: matching follows the rule of MPI: first posted, first arrived, wildcards, no overtaking. Method: named cases, and any
 * sequence of posts and arrivals against the rule written out over plain lists.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Matcher } from "./matching.ts";
import { ANY } from "./segment-layout.ts";

interface Item {
  readonly id: number;
  readonly source: number;
  readonly tag: number;
}

describe("matching", () => {
  test("messages of one sender with one tag are received in the order sent", () => {
    const matcher = new Matcher<Item, Item>();
    matcher.keep({ id: 1, source: 3, tag: 7 });
    matcher.keep({ id: 2, source: 3, tag: 7 });
    expect(matcher.post({ id: 10, source: ANY, tag: 7 })?.id).toBe(1);
    expect(matcher.post({ id: 11, source: 3, tag: ANY })?.id).toBe(2);
  });

  test("a message takes the receive that was posted first, wildcard or not", () => {
    const matcher = new Matcher<Item, Item>();
    matcher.post({ id: 1, source: ANY, tag: ANY });
    matcher.post({ id: 2, source: 4, tag: 4 });
    expect(matcher.match({ source: 4, tag: 4 })?.id).toBe(1);
    expect(matcher.match({ source: 4, tag: 4 })?.id).toBe(2);
    expect(matcher.match({ source: 4, tag: 4 })).toBeNull();
  });

  test("saved messages come before newer ones", () => {
    const matcher = new Matcher<Item, Item>();
    matcher.keep({ id: 9, source: 0, tag: 1 });
    matcher.keepInFront([
      { id: 1, source: 0, tag: 1 },
      { id: 2, source: 0, tag: 1 },
    ]);
    expect(matcher.unexpected().map(({ id }) => id)).toEqual([1, 2, 9]);
  });

  test("any sequence follows the rule", () => {
    const wild = fc.constantFrom(ANY, 0, 1, 2);
    const event = fc.oneof(
      fc.record({ kind: fc.constant("post" as const), source: wild, tag: wild }),
      fc.record({ kind: fc.constant("arrive" as const), source: fc.nat(2), tag: fc.nat(2) }),
    );
    const fits = (r: Item, m: Item): boolean =>
      (r.source === ANY || r.source === m.source) && (r.tag === ANY || r.tag === m.tag);
    fc.assert(
      fc.property(fc.array(event, { maxLength: 60 }), (events) => {
        const matcher = new Matcher<Item, Item>();
        const posted: Item[] = [];
        const arrived: Item[] = [];
        const post = (item: Item): void => {
          const index = arrived.findIndex((message) => fits(item, message));
          const [partner] = index < 0 ? [] : arrived.splice(index, 1);
          expect(matcher.post(item)).toBe(partner ?? null);
          if (partner === undefined) posted.push(item);
        };
        const arrive = (item: Item): void => {
          const index = posted.findIndex((receive) => fits(receive, item));
          const [partner] = index < 0 ? [] : posted.splice(index, 1);
          expect(matcher.match(item)).toBe(partner ?? null);
          if (partner !== undefined) return;
          arrived.push(item);
          matcher.keep(item);
        };
        for (const [id, { kind, source, tag }] of events.entries()) {
          if (kind === "post") post({ id, source, tag });
          else arrive({ id, source, tag });
        }
        expect(matcher.postedCount).toBe(posted.length);
      }),
    );
  });
});

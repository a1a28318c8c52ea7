/**
 * Goal: both sides keep the same one of two connections, whatever order they see them in.
 * Method: all small cases are enumerated: each side sees the two connections in either order.
 */
import { describe, expect, test } from "bun:test";
import { type Candidate, CLOSE, chooseLink } from "./link-choice.ts";

function hello(node: string, incarnation = 1, instance = `i-${node}`) {
  return { protocol: 1, node, instance, incarnation };
}

const compareIds = (a: string, b: string): number => (a < b ? -1 : 1);

function choose(own: string, candidate: Candidate, current: Candidate | null, wanted?: string) {
  return chooseLink({ own: hello(own), candidate, current, wanted: wanted ?? null, compareIds });
}

describe("of two connections between the same runs", () => {
  test("both sides keep the one that the lower id dialled, in every order", () => {
    for (const own of ["a", "b"]) {
      const other = own === "a" ? "b" : "a";
      const byOwn = { hello: hello(other), isDialled: true };
      const byOther = { hello: hello(other), isDialled: false };
      const kept = own === "a" ? byOwn : byOther;
      for (const [first, second] of [
        [byOwn, byOther],
        [byOther, byOwn],
      ] as const) {
        expect(choose(own, first, null).kind).toBe("first");
        const choice = choose(own, second, first);
        expect(choice.kind).toBe(second === kept ? "replace" : "spare");
      }
    }
  });

  test("the newer wins in the same direction", () => {
    const inbound = { hello: hello("b"), isDialled: false };
    expect(choose("a", inbound, inbound).kind).toBe("replace");
  });
});

describe("a connection", () => {
  const current = { hello: hello("b", 5), isDialled: true };

  test("of a later run replaces the link, of an earlier one is refused", () => {
    expect(choose("a", { hello: hello("b", 6), isDialled: false }, current).kind).toBe("new-run");
    expect(choose("a", { hello: hello("b", 4), isDialled: false }, current)).toMatchObject({
      kind: "refuse",
      code: CLOSE.stale,
    });
  });

  test("of a wiped node replaces the link, though its incarnation is lower", () => {
    const wiped = { hello: hello("b", 1, "other"), isDialled: false };
    expect(choose("a", wiped, current).kind).toBe("new-run");
  });

  test("to somebody else than was dialled, or to oneself, is refused", () => {
    const other = { hello: hello("c"), isDialled: true };
    expect(choose("a", other, null, "b")).toMatchObject({ detail: "it is c, not b" });
    const self = { hello: hello("a"), isDialled: false };
    expect(choose("a", self, null)).toMatchObject({ kind: "refuse", code: CLOSE.garbage });
  });
});

/**
 * Goal: of peers that pass events on the one is taken that works, has little to do and is near; the same by every node.
 * Method: the real kernel, candidates by hand.
 */
import { describe, expect, test } from "bun:test";
import type { PeerCandidate } from "../callhome/peers.ts";
import { orderPeers } from "./peer-order.ts";

function candidate(node: string, more: Partial<PeerCandidate> = {}): PeerCandidate {
  const common = { hasDirect: true, direct: "works", waiting: 0, relaying: 0 } as const;
  return { node, ...common, standsInFor: [], roundTripMs: 1, ...more };
}

function names(candidates: readonly PeerCandidate[]): readonly string[] {
  return orderPeers()(candidates).map(({ node }) => node);
}

describe("the order of peers", () => {
  test("puts a way that is known to work before one that was not tried", () => {
    expect(names([candidate("a", { direct: "unknown" }), candidate("b")])).toEqual(["b", "a"]);
  });

  test("puts who has little to do before who is busy, and then who is near", () => {
    const busy = candidate("busy", { waiting: 5_000 });
    const far = candidate("far", { roundTripMs: 400 });
    expect(names([busy, far, candidate("near")])).toEqual(["near", "far", "busy"]);
  });

  test("of equals is that in which they came", () => {
    expect(names(["a", "b", "c"].map((node) => candidate(node)))).toEqual(["a", "b", "c"]);
  });

  test("of one or none asks nobody", () => {
    expect(names([])).toEqual([]);
    expect(names([candidate("a")])).toEqual(["a"]);
  });
});

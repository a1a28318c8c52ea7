/**
 * Goal: news is bounded in number and in sendings, newer claims push out older ones, and a suspicion shrinks as the rule
 * says. Method: the two classes alone.
 */
import { describe, expect, test } from "bun:test";
import { compareClaims, News } from "./gossip.ts";
import type { Member, NodeId } from "./membership.ts";
import { CLAIMS_MAX, type Claim, type ClaimStanding } from "./packet.ts";
import { Suspicion } from "./suspicion.ts";
import { DEFAULT_TIMING, NEWS_MAX } from "./timing.ts";

function claim(n: number, standing: ClaimStanding, order: [number, number], by = "n1"): Claim {
  const [incarnation, rebuttal] = order;
  const id = `n${n}` as NodeId;
  const member: Member = {
    id,
    instance: `i${n}`,
    incarnation,
    address: "10.0.0.1",
    port: 1,
    role: "worker",
  };
  return { member, rebuttal, standing, accuser: by as NodeId };
}

function take(news: News, limit: number): Claim[] {
  const claims: Claim[] = [];
  news.take(claims, limit);
  return claims;
}

describe("claims", () => {
  test("are ordered by incarnation, then rebuttal, then severity", () => {
    const ordered = [
      claim(1, "left", [1, 9]),
      claim(1, "alive", [2, 0]),
      claim(1, "suspect", [2, 0]),
      claim(1, "unreachable", [2, 0]),
      claim(1, "alive", [2, 1]),
    ];
    for (let i = 1; i < ordered.length; i++) {
      expect(compareClaims(ordered[i - 1] as Claim, ordered[i] as Claim)).toBeLessThan(0);
    }
  });
});

describe("news", () => {
  test("is sent so many times and no more", () => {
    const news = new News();
    news.add(claim(1, "alive", [1, 0]));
    expect([take(news, 3).length, take(news, 3).length, take(news, 3).length]).toEqual([1, 1, 1]);
    expect(news.size()).toBe(0);
    expect(take(news, 3)).toEqual([]);
  });

  test("of a member is its newest, one for each accuser", () => {
    const news = new News();
    news.add(claim(1, "suspect", [1, 0], "n2"));
    news.add(claim(1, "suspect", [1, 0], "n3"));
    news.add(claim(1, "suspect", [1, 0], "n3"));
    expect(news.size()).toBe(2);
    news.add(claim(1, "alive", [1, 1]));
    news.add(claim(1, "unreachable", [1, 0]));
    expect(take(news, 9)).toEqual([claim(1, "alive", [1, 1])]);
  });

  test("never exceeds its bounds, and the least sent goes first", () => {
    const news = new News();
    for (let n = 0; n < 2 * NEWS_MAX; n++) news.add(claim(n, "alive", [1, 0]));
    expect(news.size()).toBe(NEWS_MAX);
    const first = take(news, 9);
    const second = take(news, 9);
    expect(first.length).toBe(CLAIMS_MAX);
    expect(second.some((one) => first.includes(one))).toBe(false);
  });

  test("of accusations can be taken back", () => {
    const news = new News();
    news.add(claim(1, "suspect", [1, 0]));
    news.add(claim(2, "unreachable", [1, 0]));
    news.add(claim(3, "alive", [1, 0]));
    news.add(claim(4, "left", [1, 0]));
    news.dropAccusations();
    expect(take(news, 9).map((one) => one.standing)).toEqual(["alive", "left"]);
  });
});

describe("a suspicion", () => {
  const min = DEFAULT_TIMING.suspicionMultiplier * DEFAULT_TIMING.probeIntervalMs;
  const max = DEFAULT_TIMING.suspicionMaxMultiplier * min;

  test("lasts longest with one accuser and shortest with all confirmations", () => {
    const suspicion = new Suspicion(DEFAULT_TIMING, 5, "n2" as NodeId, 1000);
    expect(suspicion.verdictMs()).toBe(1000 + max);
    expect(suspicion.confirm("n2" as NodeId)).toBe(false);
    expect(suspicion.confirm("n3" as NodeId)).toBe(true);
    const share = Math.log(2) / Math.log(3);
    expect(suspicion.verdictMs()).toBeCloseTo(1000 + max - (max - min) * share);
    expect(suspicion.confirm("n4" as NodeId)).toBe(true);
    expect(suspicion.verdictMs()).toBe(1000 + min);
    expect(suspicion.confirm("n5" as NodeId)).toBe(false);
  });

  test("in a cluster too small to confirm it does not wait for what cannot come", () => {
    expect(new Suspicion(DEFAULT_TIMING, 2, "n2" as NodeId, 0).verdictMs()).toBe(min);
  });

  test("begins anew when the observer was held up", () => {
    const suspicion = new Suspicion(DEFAULT_TIMING, 5, "n2" as NodeId, 0);
    suspicion.confirm("n3" as NodeId);
    suspicion.restart(9000);
    expect(suspicion.verdictMs()).toBe(9000 + max);
  });
});

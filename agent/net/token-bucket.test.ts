/** Token buckets: exact cases by hand, then the rate bound over random histories. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { TokenBuckets } from "./token-bucket.ts";

describe("a token bucket", () => {
  test("lets a burst through, then says how long to wait", () => {
    const buckets = new TokenBuckets({ perSecond: 10, burst: 3 });
    expect([0, 0, 0, 0].map(() => buckets.take("a", 1_000))).toEqual([0, 0, 0, 100]);
    expect(buckets.take("a", 1_050)).toBe(50);
    expect(buckets.take("a", 1_100)).toBe(0);
  });

  test("of one caller is not emptied by another", () => {
    const buckets = new TokenBuckets({ perSecond: 1, burst: 1 });
    expect(buckets.take("a", 0)).toBe(0);
    expect(buckets.take("a", 0)).toBe(1_000);
    expect(buckets.take("b", 0)).toBe(0);
  });

  test("is forgotten when too many others have asked since, and memory stays bounded", () => {
    const buckets = new TokenBuckets({ perSecond: 1, burst: 1 }, 4);
    expect(buckets.take("a", 0)).toBe(0);
    for (let index = 0; index < 1_000; index++) buckets.take(`other ${index}`, 0);
    expect(buckets.callerCount).toBe(4);
    expect(buckets.take("a", 0)).toBe(0);
  });

  test("gives nothing for a clock that goes back", () => {
    const buckets = new TokenBuckets({ perSecond: 1_000, burst: 1 });
    expect(buckets.take("a", 5_000)).toBe(0);
    expect(buckets.take("a", 1_000)).toBe(1);
    expect(buckets.take("a", 1_001)).toBe(0);
  });

  test("never lets more through than burst plus rate times time", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1_000 }),
        fc.integer({ min: 1, max: 50 }),
        fc.array(fc.integer({ min: 0, max: 200 }), { minLength: 1, maxLength: 200 }),
        (perSecond, burst, pausesMs) => {
          const buckets = new TokenBuckets({ perSecond, burst });
          let nowMs = 0;
          let passed = 0;
          for (const pauseMs of pausesMs) {
            nowMs += pauseMs;
            const waitMs = buckets.take("a", nowMs);
            if (waitMs === 0) passed++;
            else expect(waitMs).toBeGreaterThan(0);
            expect(passed).toBeLessThanOrEqual(burst + (nowMs * perSecond) / 1000 + 1e-6);
          }
        },
      ),
    );
  });
});

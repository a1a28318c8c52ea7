/**
 * Goal: each status leads to what the services' documentation asks for. Method: the table by examples; `Retry-After` dates against
 * the platform's own.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { failureOf, RETRY_AFTER_MS_MAX, retryAfterMs } from "./http-answer.ts";
import type { HttpAnswer } from "./talk.ts";

function answer(status: number, of: Partial<HttpAnswer> = {}): HttpAnswer {
  return { status, body: null, text: "", retryAfterMs: null, movedTo: null, ...of };
}

describe("a status", () => {
  test.each([
    [400, "refused", true],
    [401, "misconfigured", false],
    [403, "misconfigured", false],
    [404, "misconfigured", false],
    [408, "unreachable", false],
    [410, "refused", true],
    [413, "refused", true],
    [422, "refused", true],
    [429, "rate-limited", false],
    [301, "misconfigured", false],
    [307, "misconfigured", false],
    [500, "unreachable", false],
    [503, "unreachable", false],
  ] as const)("of %i is %s, permanent: %p", (status, kind, isPermanent) => {
    const failure = failureOf(answer(status), "the far end", null);
    expect(failure).toMatchObject({ kind, isPermanent });
    expect(failure.detail).toContain(`the far end answered ${status}`);
  });

  test("that asks to wait hands the wait on, and a permanent one does not", () => {
    const wait = { retryAfterMs: 7_000 };
    expect(failureOf(answer(429, wait), "x", null).retryAfterMs).toBe(7_000);
    expect(failureOf(answer(503, wait), "x", null).retryAfterMs).toBe(7_000);
    expect(failureOf(answer(400, wait), "x", null).retryAfterMs).toBeNull();
  });

  test("of a redirect names the host it would have led to", () => {
    const { detail } = failureOf(answer(302, { movedTo: "evil.example" }), "x", null);
    expect(detail).toContain("evil.example, not followed");
  });
});

describe("Retry-After", () => {
  const nowMs = Date.UTC(2026, 10, 25, 9, 0, 0);

  test("is read as seconds and as a date", () => {
    expect(retryAfterMs("120", nowMs)).toBe(120_000);
    expect(retryAfterMs("Wed, 25 Nov 2026 09:01:00 GMT", nowMs)).toBe(60_000);
    expect(retryAfterMs("Wed, 25 Nov 2026 08:00:00 GMT", nowMs)).toBe(0);
  });

  test("is bounded, and ignored where it is nonsense", () => {
    expect(retryAfterMs("9999999999", nowMs)).toBe(RETRY_AFTER_MS_MAX);
    for (const text of ["", "soon", "-5", "Wed, 99 Foo 2026 09:01:00 GMT", "1e9"]) {
      expect(retryAfterMs(text, nowMs)).toBeNull();
    }
    expect(retryAfterMs(null, nowMs)).toBeNull();
  });

  test("dates are those of the platform", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: RETRY_AFTER_MS_MAX / 1_000 }), (seconds) => {
        const header = new Date(nowMs + seconds * 1_000).toUTCString();
        expect(retryAfterMs(header, nowMs)).toBe(seconds * 1_000);
      }),
    );
  });
});

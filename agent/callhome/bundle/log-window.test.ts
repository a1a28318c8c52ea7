/**
 * Goal: lines around a moment are told from the others in both forms that log files have. Method: times against the platform's own;
 * the turn of a year; zones.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { isInWindow, lineMs, type Window } from "./log-window.ts";

function around(middleMs: number, localOffsetMs = 0): Window {
  return { fromMs: middleMs - 60_000, toMs: middleMs + 60_000, localOffsetMs };
}

const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");

function syslogTime(ms: number): string {
  const at = new Date(ms);
  const time = at.toISOString().slice(11, 19);
  return `${MONTHS[at.getUTCMonth()]} ${String(at.getUTCDate()).padStart(2, " ")} ${time}`;
}

const anyMs = fc.integer({ min: Date.UTC(2000, 0, 1), max: Date.UTC(2090, 0, 1) });

describe("the time of a line", () => {
  test("in ISO 8601 is read with its zone", () => {
    fc.assert(
      fc.property(anyMs, (ms) => {
        const whole = Math.floor(ms / 1_000) * 1_000;
        const iso = new Date(ms).toISOString();
        expect(lineMs(`${iso} n7 kernel: x`, around(0))).toBe(whole);
        expect(lineMs(`${iso.slice(0, 19)}.123456+02:00 n7`, around(0))).toBe(whole - 7_200_000);
        expect(lineMs(`${iso.slice(0, 19).replace("T", " ")} x`, around(0, 3_600_000))).toBe(
          whole - 3_600_000,
        );
      }),
    );
  });

  test("of syslog gets the year that is closest to the moment", () => {
    fc.assert(
      fc.property(anyMs, fc.integer({ min: -150, max: 150 }), (ms, days) => {
        const whole = Math.floor(ms / 1_000) * 1_000;
        fc.pre(new Date(whole).getUTCDate() !== 29);
        const line = `${syslogTime(whole)} n7 sshd[1]: x`;
        expect(lineMs(line, around(ms + days * 86_400_000))).toBe(whole);
      }),
    );
  });

  test("is null where the line has none", () => {
    for (const line of ["", "    at foo (bar.ts:1)", "kernel: Nov 25", "Foo 12 10:00:00 x"]) {
      expect(isInWindow(line, around(0))).toBeNull();
    }
  });
});

test("a line is inside its window up to both ends", () => {
  const middleMs = Date.UTC(2027, 0, 1, 0, 0, 30);
  const window = around(middleMs);
  expect(isInWindow("Dec 31 23:59:30 n7 x", window)).toBe(true);
  expect(isInWindow("Dec 31 23:59:29 n7 x", window)).toBe(false);
  expect(isInWindow("Jan  1 00:01:30 n7 x", window)).toBe(true);
  expect(isInWindow("Jan  1 00:01:31 n7 x", window)).toBe(false);
});

/**
 * When certificates are renewed: never early without a reason, always with time left, and not by everybody at once.
 */
import { expect, test } from "bun:test";
import fc from "fast-check";
import {
  type CertificateLife,
  isPressing,
  RETRY_MS_MAX,
  RETRY_MS_MIN,
  renewalDueMs,
  renewalRetryMs,
} from "./renewal.ts";

const DAY_MS = 86_400_000;
const life: CertificateLife = { notBeforeMs: 0, notAfterMs: 90 * DAY_MS };
const unit = fc.double({ min: 0, max: 1, noNaN: true });

test("two thirds of a life pass before a renewal, a little less where the dice say so", () => {
  expect(renewalDueMs(life, true, 0)).toBe(60 * DAY_MS);
  expect(renewalDueMs(life, true, 1)).toBeCloseTo(55.5 * DAY_MS, -1);
});

test("a certificate of another authority is renewed at once", () => {
  expect(renewalDueMs(life, false, 0.5)).toBeLessThan(0);
});

test("a renewal is due in the life of a certificate, with a third of it left, and pressing only later", () => {
  fc.assert(
    fc.property(
      fc.nat(1e9),
      fc.integer({ min: 1_000, max: 1e12 }),
      unit,
      (from, lengthMs, dice) => {
        const some = { notBeforeMs: from, notAfterMs: from + lengthMs };
        const dueMs = renewalDueMs(some, true, dice);
        expect(dueMs).toBeGreaterThan(from + lengthMs / 2);
        expect(dueMs).toBeLessThanOrEqual(from + (lengthMs * 2) / 3 + 1);
        expect(isPressing(some, dueMs)).toBe(false);
        expect(isPressing(some, some.notAfterMs)).toBe(true);
      },
    ),
  );
});

test("tries that fail are repeated ever more rarely, and never more rarely than each hour", () => {
  fc.assert(
    fc.property(fc.nat(1_000), unit, (failures, dice) => {
      const waitMs = renewalRetryMs(failures, dice);
      expect(waitMs).toBeGreaterThanOrEqual(RETRY_MS_MIN / 2);
      expect(waitMs).toBeLessThanOrEqual(RETRY_MS_MAX);
    }),
  );
  expect(renewalRetryMs(1, 1)).toBe(RETRY_MS_MIN);
  expect(renewalRetryMs(2, 1)).toBe(2 * RETRY_MS_MIN);
  expect(renewalRetryMs(20, 0)).toBe(RETRY_MS_MAX / 2);
});

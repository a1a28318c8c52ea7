/**
 * Goal: bundles are gathered for grave events, once an hour for a component, and bounded in a storm. Method: events by hand at times by
 * hand.
 */
import { expect, test } from "bun:test";
import type { BmcEvent } from "../../../bmc/bmc.ts";
import { BundleGate, COMPONENT_EVERY_MS, componentOf, HOURLY_MAX } from "./bundle-gate.ts";
import { bmcEvent } from "./harness/bmc-event.ts";

const NOW_MS = 1_800_000_000_000;

function gate(): (of?: Partial<BmcEvent>, afterMs?: number) => string {
  const made = new BundleGate("critical");
  return (of = {}, afterMs = 0) => {
    const answer = made.consider(bmcEvent(of), NOW_MS + afterMs);
    return answer.kind === "gather" ? "gather" : answer.why;
  };
}

test("a grave event is worth one, once an hour for its component", () => {
  const consider = gate();
  expect(consider()).toBe("gather");
  expect(consider({ id: "2".repeat(64) }, 1_000)).toBe("component");
  expect(consider({ subject: "DIMM_B2" }, 1_000)).toBe("gather");
  expect(consider({}, COMPONENT_EVERY_MS - 1)).toBe("component");
  expect(consider({}, COMPONENT_EVERY_MS + 1)).toBe("gather");
});

test("lesser events and ends of faults are not, and do not count", () => {
  const consider = gate();
  expect(consider({ severity: "warning" })).toBe("not-grave");
  expect(consider({ severity: "ok" })).toBe("not-grave");
  expect(consider({ isAssertion: false })).toBe("deassertion");
  expect(consider({ severity: "non-recoverable" })).toBe("gather");
});

test("a storm over many components is bounded, and passes", () => {
  const consider = gate();
  const answers = Array.from({ length: 200 }, (_, n) => consider({ subject: `DIMM_${n}` }, n));
  expect(answers.filter((answer) => answer === "gather")).toHaveLength(HOURLY_MAX);
  expect(answers.at(-1)).toBe("storm");
  expect(consider({ subject: "DIMM_999" }, COMPONENT_EVERY_MS * 2)).toBe("gather");
});

test("what was gathered before a restart counts, and a clock set back does not shut it for long", () => {
  const made = new BundleGate("critical");
  made.remember(componentOf(bmcEvent({})), NOW_MS);
  expect(made.consider(bmcEvent({}), NOW_MS + 10)).toEqual({ kind: "skip", why: "component" });
  expect(made.consider(bmcEvent({}), NOW_MS - 2 * COMPONENT_EVERY_MS)).toEqual({ kind: "gather" });
});

/**
 * Goal: events of one fault have one key, whoever tells them; what an event begins and ends is read from each kind of source.
 * Method: examples of each source, and the pairwise comparison of GUIDs of the BMC room as the oracle of their one name.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { isSameSystem } from "../../bmc/ipmi/event/event-identity.ts";
import { covers, effectOf, faultKey, nodeOf, recordKey, systemKey, titleOf } from "./fault.ts";
import { arrivalOf, GUID, testEvent, threshold } from "./harness/test-events.ts";

const guid = fc
  .uint8Array({ minLength: 16, maxLength: 16 })
  .map((bytes) => Buffer.from(bytes).toString("hex"));

function swapped(hex: string, order: readonly number[]): string {
  return order.map((index) => hex.slice(index * 2, index * 2 + 2)).join("");
}

const REVERSED = Array.from({ length: 16 }, (_, index) => 15 - index);
const FIELDS = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];

describe("the name of a system", () => {
  test("is one for all that the BMC room takes for one system, however often it was told anew, and for no other", () => {
    const orders = [REVERSED, FIELDS, [...FIELDS].reverse()];
    fc.assert(
      fc.property(
        guid,
        guid,
        fc.array(fc.constantFrom(...orders), { maxLength: 6 }),
        (one, other, steps) => {
          let told = one;
          for (const order of steps) {
            const next = swapped(told, order);
            expect(isSameSystem(next, told)).toBe(true);
            told = next;
          }
          expect(systemKey(told)).toBe(systemKey(one));
          const bytesOf = (hex: string): readonly string[] => (hex.match(/../g) ?? []).sort();
          if (systemKey(other) === systemKey(one)) expect(bytesOf(other)).toEqual(bytesOf(one));
        },
      ),
    );
  });

  test("is itself where it is no GUID, and the same with and without hyphens and capitals", () => {
    expect(systemKey("node:n1")).toBe("node:n1");
    expect(systemKey("00112233-4455-6677-8899-AABBCCDDEEFF")).toBe(systemKey(GUID));
  });
});

describe("a fault's key", () => {
  test("goes by the sensor's number where it has one, but not by FFh, which a BMC tells that has lost count", () => {
    const named = threshold(7, true, 1);
    expect(faultKey("c1", { ...named, subject: "sensor 0x30" })).toBe(faultKey("c1", named));
    const lost = { ...named, extra: { ...named.extra, sensorNumber: 0xff } };
    expect(faultKey("c1", { ...lost, subject: "CPU2 Temp" })).not.toBe(faultKey("c1", lost));
  });

  test("is no way to mix names: what stands in one part never counts for another", () => {
    const event = testEvent({ category: "a", subject: 'b","c' });
    expect(faultKey("c1", event)).not.toBe(
      faultKey("c1", { ...event, category: 'a","b', subject: "c" }),
    );
  });
});

describe("the key of a record", () => {
  test("is of a record with a time, and tells identical ones of one log apart", () => {
    const record = "0000022d4a8e5e200004010c6fa00102";
    expect(recordKey("c1", testEvent())).toBeNull();
    expect(recordKey("c1", testEvent({ record, whenMs: null }))).toBeNull();
    expect(recordKey("c1", testEvent({ record }))).not.toBe(
      recordKey("c1", testEvent({ record, nth: 1 })),
    );
    expect(recordKey("c1", testEvent({ record }))).not.toBe(recordKey("c2", testEvent({ record })));
  });
});

describe("an event", () => {
  test("begins or ends conditions, each source in its own words", () => {
    const ipmi = (eventType: number, offset: number) => ({ extra: { eventType, offset } });
    const over = { isAssertion: false, severity: "ok" } as const;
    const cases = [
      [testEvent(ipmi(0x6f, 1)), "111:1+", []],
      [testEvent({ ...ipmi(0x6f, 1), ...over }), null, ["111:1+"]],
      [testEvent({ ...ipmi(0x6f, 0), severity: "ok" }), null, ["111:0-"]],
      [testEvent({ ...ipmi(0x6f, 0), isAssertion: false }), "111:0-", ["111:0+"]],
      [testEvent({ ...ipmi(1, 9), severity: "critical" }), "1:9+", []],
      [testEvent({ ...ipmi(1, 8), severity: "ok" }), null, ["1:9+"]],
      [testEvent({ ...ipmi(7, 0), severity: "ok" }), null, ["7:*"]],
      [testEvent({ ...ipmi(0x6f, 3), severity: "information" }), null, []],
      [testEvent(), ":", []],
      [testEvent(over), null, ["*"]],
      [testEvent({ severity: "ok" }), null, ["*"]],
      [testEvent({ severity: "information" }), null, []],
    ] as const;
    for (const [event, begins, ends] of cases) {
      expect([event.extra, effectOf(event)]).toEqual([event.extra, { begins, ends: [...ends] }]);
    }
    expect(covers("7:*", "7:3+")).toBe(true);
    expect(covers("7:*", "70:3+")).toBe(false);
    expect(covers("1:9+", "1:9-")).toBe(false);
  });

  test("is about the machine that it names, else about whoever saw it", () => {
    const statement = (given: Parameters<typeof testEvent>[0]) =>
      arrivalOf(testEvent(given), {}, "n1").statement;
    expect(nodeOf(statement({}))).toBe("n1");
    expect(nodeOf(statement({ system: "node:n2" }))).toBe("n2");
    expect(nodeOf(statement({ system: GUID, extra: { node: "n3" } }))).toBe("n3");
  });

  test("has a title of one line that a terminal may show", () => {
    const title = titleOf(testEvent({ text: `\u001b[31m${"x".repeat(500)}\n` }), "n1");
    expect(title.length).toBeLessThanOrEqual(160);
    expect(title).not.toMatch(/\p{Cc}/u);
  });
});

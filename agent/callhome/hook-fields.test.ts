/**
 * Goal: a hook's fields are taken as people send them, and what makes two calls one event is what is documented.
 * Method: fields and events compared; times against the runtime's own calendar; whatever is sent, an event or one line.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { realCrypto } from "../../bmc/ipmi/io/crypto.ts";
import {
  type HookFields,
  hookEvent,
  REPEAT_WITHIN_MS,
  RecentHooks,
  readHookFields,
} from "./hook-fields.ts";

const NOW_MS = Date.UTC(2026, 10, 22);
const GUID = "00112233445566778899aabbccddeeff";

function fieldsOf(given: Record<string, unknown>): HookFields {
  const fields = readHookFields(given);
  if (!fields.ok) throw new Error(fields.error);
  return fields.value;
}

function complaint(given: Record<string, unknown>): string {
  const fields = readHookFields(given);
  if (fields.ok) throw new Error("nothing was wrong");
  return fields.error;
}

function caller(): (
  given: Record<string, unknown>,
  nowMs?: number,
) => ReturnType<typeof hookEvent> {
  const recent = new RecentHooks();
  return (given, nowMs = NOW_MS) =>
    hookEvent(fieldsOf(given), { system: "node:n1", nowMs, sha256: realCrypto.sha256, recent });
}

describe("the fields of a hook", () => {
  test("may be left out, all but the text", () => {
    const { id, ...event } = caller()({ text: " fan 3 stands still " });
    expect(id).toMatch(/^[0-9a-f]{64}$/);
    expect(event).toEqual({
      system: "node:n1",
      epoch: 0,
      nth: 0,
      way: "hook",
      severity: "warning",
      whenMs: NOW_MS,
      seenMs: NOW_MS,
      isAssertion: true,
      category: "other",
      subject: "",
      text: "fan 3 stands still",
      record: null,
      extra: {},
    });
  });

  test("are taken as people write them", () => {
    const event = caller()({
      severity: "ERROR",
      category: "Power Supply",
      subject: 7,
      text: "two\r\nlines",
      assertion: "no",
      time: "2026-11-22T10:36:42+0100",
      slot: 3,
      nested: { a: [1] },
    });
    expect(event).toMatchObject({
      severity: "critical",
      category: "power-supply",
      subject: "7",
      text: "two / lines",
      isAssertion: false,
      whenMs: Date.UTC(2026, 10, 22, 9, 36, 42),
      extra: { slot: 3, nested: '{"a":[1]}' },
    });
  });

  test("of time may be seconds, milliseconds, or a date of any year", () => {
    const timeOf = (time: string | number) => fieldsOf({ text: "x", time }).timeMs;
    expect(timeOf(1_763_800_000)).toBe(1_763_800_000_000);
    expect(timeOf("1763800000123")).toBe(1_763_800_000_123);
    expect(timeOf("2026-11-22")).toBe(Date.UTC(2026, 10, 22));
    expect(timeOf("2026-11-22 10:00")).toBe(Date.UTC(2026, 10, 22, 10));
    const date = fc.date({ min: new Date(0), max: new Date("9999-12-31"), noInvalidDate: true });
    fc.assert(
      fc.property(date, (when) => {
        expect(timeOf(when.toISOString())).toBe(when.getTime());
      }),
    );
    for (const bad of ["soon", "2026-02-30", "2026-11-22T25:00Z", ""]) {
      expect(complaint({ text: "x", time: bad })).toContain("time: must be seconds since 1970");
    }
  });

  test("that are wrong are named", () => {
    expect(complaint({})).toBe("text is missing: what happened, in one line");
    expect(complaint({ text: "  " })).toContain("text is missing");
    expect(complaint({ text: "x", severity: "bad" })).toBe(
      "severity: must be information, ok, warning, critical or non-recoverable",
    );
    expect(complaint({ text: "x".repeat(2_001) })).toBe("text: may have 2000 characters");
    expect(complaint({ text: ["x"] })).toBe("text: must be a text");
    expect(complaint({ record: "00" })).toBe("record: must be the 16 bytes of a SEL record in hex");
    expect(complaint({ text: "x", y: "z".repeat(2_001) })).toContain("y: may have");
    const many = Object.fromEntries(Array.from({ length: 33 }, (_, i) => [`f${i}`, i]));
    expect(complaint({ text: "x", ...many })).toBe("more than 32 other fields");
  });

  test("whatever they are give an event or one line", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (given) => {
        const fields = readHookFields({ text: "x", ...given });
        if (fields.ok) expect(fields.value.text).not.toContain("\n");
        else expect(fields.error).not.toContain("\n");
      }),
      { numRuns: 2_000 },
    );
  });

  test("named like properties of every object do no harm", () => {
    const given = JSON.parse('{"text":"x","__proto__":"a","constructor":"b","toString":"c"}');
    const { extra } = fieldsOf(given);
    expect(Object.entries(extra)).toEqual([
      ["__proto__", "a"],
      ["constructor", "b"],
      ["toString", "c"],
    ]);
    expect({}.constructor).toBe(Object);
  });
});

describe("two calls are one event", () => {
  const same = (a: Record<string, unknown>, b: Record<string, unknown>, laterMs = 0): boolean => {
    const call = caller();
    return call(a).id === call(b, NOW_MS + laterMs).id;
  };

  test("with one key, whatever else they say and whenever", () => {
    expect(same({ text: "a", key: "k" }, { text: "b", key: "k", severity: "ok" }, 1e9)).toBe(true);
    expect(same({ text: "a", key: "k" }, { text: "a", key: "l" })).toBe(false);
    expect(same({ text: "a", key: "k" }, { text: "a", key: "k", system: "x" })).toBe(false);
  });

  test("with one time and content", () => {
    expect(same({ text: "a", time: 5 }, { text: "a", time: 5 }, 1e9)).toBe(true);
    expect(same({ text: "a", time: 5 }, { text: "a", time: 6 })).toBe(false);
    expect(same({ text: "a", time: 5 }, { text: "b", time: 5 })).toBe(false);
  });

  test("with one content within some seconds, and not later", () => {
    expect(same({ text: "a" }, { text: "a" }, REPEAT_WITHIN_MS - 1)).toBe(true);
    expect(same({ text: "a" }, { text: "a" }, REPEAT_WITHIN_MS)).toBe(false);
    expect(same({ text: "a" }, { text: "b" })).toBe(false);
  });

  test("with one SEL record, which tells what it says by itself", () => {
    const record = "00 01 02 b2a1216a 2000 04 0c 87 6f 01ffff";
    const event = caller()({ record, system: GUID });
    expect(event).toMatchObject({ system: GUID, category: "memory", severity: "critical" });
    expect(event.record).toBe("000002b2a1216a2000040c876f01ffff");
    expect(event.text).toContain("uncorrectable memory error (ECC)");
    expect(same({ record }, { record: record.replace("00 01", "77 88"), text: "other" }, 1e9)).toBe(
      true,
    );
  });
});

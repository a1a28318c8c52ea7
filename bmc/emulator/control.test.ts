/**
 * Goal: each line of the control protocol does what it says and a wrong one says why. Method: lines into the machine, its answer and
 * the model looked at; any text by property.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { parseControl } from "./control.ts";
import { FAULT_NAMES } from "./faults.ts";
import type { EmulatorMachine } from "./machine.ts";
import { machineOf, START_MS } from "./test-client.ts";

function say(machine: EmulatorMachine, line: string): string {
  const effects = machine.step({ kind: "control", line }, START_MS);
  return effects.find((effect) => effect.kind === "answer")?.line ?? "no answer";
}

describe("a line of control", () => {
  test("raises events by name, number and category", () => {
    const machine = machineOf();
    const lines = ['event "DIMM A1" 1', "event dimm_b1", "event 33 4 off", "event memory 0"];
    expect(lines.map((line) => say(machine, line))).toEqual([
      "ok DIMM A1, 1 records",
      "ok DIMM B1, 1 records",
      "ok PCIe, 1 records",
      "ok DIMM A1, 1 records",
    ]);
    const records = machine.model.records();
    expect(records.map((one) => [one[11], one[12], one[13]])).toEqual([
      [16, 0x6f, 1],
      [17, 0x6f, 0],
      [33, 0xef, 4],
      [16, 0x6f, 0],
    ]);
  });

  test("takes a whole record, and says when the log is full", () => {
    const machine = machineOf({ selEntriesMax: 1 });
    const record = "0000c0000000004321000102030405aa";
    expect(say(machine, `event raw ${record}`)).toBe("ok record 0x1");
    expect(machine.model.records()[0]?.subarray(2).toHex()).toBe(record.slice(4));
    expect(say(machine, `event raw ${record}`)).toBe("error: the log is full");
    expect(say(machine, "event raw 00")).toStartWith("error: event raw needs 32");
  });

  test("drives sensors", () => {
    const machine = machineOf();
    expect(say(machine, "sensor CPU0_Temp 95")).toBe("ok CPU0 Temp, 2 records");
    expect(say(machine, "sensor P12V 12.3")).toBe("ok P12V, 0 records");
    expect(machine.model.state.sensors.valueOf(4)).toBeCloseTo(12.3, 5);
    expect(say(machine, "sensor PSU1_Status state 1 on")).toBe("ok PSU1 Status, 1 records");
    expect(say(machine, "sensor PSU1_Status 0x01")).toBe("ok PSU1 Status, 1 records");
    expect(say(machine, "sensor nowhere 1")).toStartWith(
      "error: no sensor nowhere; there are CPU0",
    );
  });

  test("switches faults, the log, the power and the BMC", () => {
    const machine = machineOf({ powerDelayMs: 10 });
    expect(say(machine, "fault drop on 25")).toBe("ok drop 25");
    expect(say(machine, "fault busy on")).toBe("ok drop 25, busy 20");
    expect(say(machine, "fault drop off")).toBe("ok busy 20");
    expect(say(machine, "fault clear")).toBe("ok none");
    expect(say(machine, "fault drop on 500")).toStartWith("error: drop takes a whole number");
    expect(say(machine, "sel fill 10")).toBe("ok 10 records");
    expect(say(machine, "sel count")).toBe("ok 10");
    expect(say(machine, "sel clear")).toBe("ok");
    expect(say(machine, "status")).toBe("ok power on, 0 records, faults: none");
    expect(say(machine, "power off")).toBe("ok off");
    machine.step({ kind: "tick" }, START_MS + 20);
    expect(say(machine, "power")).toBe("ok off");
    expect(say(machine, "power reset")).toStartWith("error: not possible");
    expect(say(machine, "reset")).toBe("ok");
    expect(say(machine, "help")).toContain("sel fill N");
  });

  test("turns every fault on and off again by its name", () => {
    const machine = machineOf();
    for (const name of FAULT_NAMES) {
      expect([name, say(machine, `fault ${name} on`)]).toEqual([
        name,
        expect.stringMatching(/^ok /),
      ]);
      expect([name, say(machine, `fault ${name} off`)]).toEqual([name, "ok none"]);
    }
  });

  test("of any text is parsed or refused in one line, never thrown at", () => {
    const word = fc.constantFrom(
      "event",
      "sensor",
      "fault",
      "sel",
      "power",
      "on",
      "raw",
      '"',
      "0x",
      "-1",
    );
    const text = fc.oneof(
      fc.string(),
      fc.array(word, { maxLength: 5 }).map((all) => all.join(" ")),
    );
    fc.assert(
      fc.property(text, (line) => {
        const parsed = parseControl(line);
        if (!parsed.ok) expect(parsed.error).not.toBe("");
      }),
    );
    expect(parseControl("").ok).toBe(false);
    expect(parseControl("event DIMM 16").ok).toBe(false);
    expect(parseControl("sel fill many").ok).toBe(false);
  });
});

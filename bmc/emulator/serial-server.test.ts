/**
 * Goal: the serial line answers as the standard says, in both modes, whatever comes along it. Method: bytes into the machine in
 * memory, bytes out compared; any split of them by property; sessions by password in both forms.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { realCrypto } from "../ipmi/io/crypto.ts";
import { decodeReplyMessage, encodeRequestToBmc } from "../ipmi/message.ts";
import { BasicModeFramer, encodeBasicFrame } from "../serial/basic-mode.ts";
import { TerminalModeFramer } from "../serial/terminal-mode.ts";
import type { SerialConfig } from "./config.ts";
import type { EmulatorMachine } from "./machine.ts";
import { machineOf, START_MS, written } from "./test-client.ts";

const APP = 0x06;
/** Get Device ID with sequence 5, and Get SEL Info: as measured on a real line. */
const DEVICE_ID = Uint8Array.fromHex("a02018c88114016aa5");
const DEVICE_ID_BAD = Uint8Array.fromHex("a02018c88114016ba5");
const SEL_INFO = Uint8Array.fromHex("a02028b88114402ba5");

function line(serial: Partial<SerialConfig> = {}): EmulatorMachine {
  return machineOf({}, [], serial);
}

function put(machine: EmulatorMachine, bytes: Uint8Array, nowMs = START_MS): Uint8Array {
  return written(machine.step({ kind: "serial", bytes }, nowMs));
}

function say(machine: EmulatorMachine, text: string, nowMs = START_MS): string {
  return new TextDecoder().decode(put(machine, new TextEncoder().encode(text), nowMs));
}

/** Replies among the bytes of a line in Basic Mode, and how many handshakes. */
function repliesIn(bytes: Uint8Array) {
  const frames = new BasicModeFramer().push(bytes);
  const replies = frames.flatMap((frame) => {
    const reply = frame.kind === "message" ? decodeReplyMessage(frame.bytes) : null;
    return reply?.ok ? [reply.value] : [];
  });
  return { replies, handshakeCount: frames.filter(({ kind }) => kind === "handshake").length };
}

function ask(machine: EmulatorMachine, command: number, data: readonly number[] = []) {
  const request = { netFn: APP, lun: 0, command, data: Uint8Array.from(data) };
  const frame = encodeBasicFrame(encodeRequestToBmc(request, 3));
  return repliesIn(put(machine, frame)).replies[0] ?? null;
}

describe("Basic Mode", () => {
  test("answers a request with its sequence, and one handshake", () => {
    const { replies, handshakeCount } = repliesIn(put(line(), DEVICE_ID));
    expect(replies).toHaveLength(1);
    expect(replies[0]).toMatchObject({ sequence: 5, command: 1, completionCode: 0, netFn: 7 });
    expect(handshakeCount).toBe(1);
  });

  test("any split, noise before, a broken frame between: the same replies", () => {
    const noise = Uint8Array.of(0x00, 0xa5, 0xaa, 0x41);
    const stream = Uint8Array.of(...noise, ...DEVICE_ID, ...DEVICE_ID_BAD, ...noise, ...SEL_INFO);
    const commandsOf = (cuts: readonly number[]): readonly number[] => {
      const machine = line({ mode: "basic" });
      const at = [
        0,
        ...cuts.map((cut) => cut % stream.length).sort((a, b) => a - b),
        stream.length,
      ];
      const out = at.slice(1).map((end, index) => put(machine, stream.subarray(at[index], end)));
      const { replies, handshakeCount } = repliesIn(
        Uint8Array.from(out.flatMap((one) => [...one])),
      );
      expect(handshakeCount).toBe(3);
      return replies.map(({ command }) => command);
    };
    fc.assert(
      fc.property(fc.array(fc.nat(), { maxLength: 8 }), (cuts) => {
        expect(commandsOf(cuts)).toEqual([0x01, 0x40]);
      }),
    );
  });

  test("a message to somebody else gets the handshake only", () => {
    const message = encodeRequestToBmc(
      { netFn: APP, lun: 0, command: 1, data: new Uint8Array(0) },
      1,
    );
    message[0] = 0x82;
    message[2] = (-(0x82 + (message[1] ?? 0)) & 0xff) as number;
    expect([...put(line(), encodeBasicFrame(message))]).toEqual([0xa6]);
  });

  test("a reply that would not fit the line is CAh", () => {
    const request = { netFn: 0x0a, lun: 0, command: 0x11, data: Uint8Array.of(0, 0, 0, 36) };
    const frame = encodeBasicFrame(encodeRequestToBmc(request, 3));
    expect(repliesIn(put(line(), frame)).replies[0]?.completionCode).toBe(0xca);
  });

  test("a session by clear password or by MD5; without one, most is refused", () => {
    const name = [...new TextEncoder().encode("admin".padEnd(16, "\0"))];
    const password = new TextEncoder().encode("emulated".padEnd(16, "\0"));
    for (const type of [4, 2]) {
      const machine = line({ needsSession: true });
      expect(ask(machine, 0x01)?.completionCode).toBe(0xd4);
      expect(ask(machine, 0x38, [0x0e, 4])?.data[1]).toBe(0x14);
      const challenge = ask(machine, 0x39, [type, ...name])?.data ?? new Uint8Array(0);
      const code = Uint8Array.of(...password, ...challenge, ...password);
      const proof = type === 4 ? password : realCrypto.md5(code);
      const wrong = proof.map((byte) => byte ^ 1);
      expect(ask(machine, 0x3a, [type, 4, ...wrong, 0, 0, 0, 0])?.completionCode).toBe(0xd4);
      expect(ask(machine, 0x3a, [type, 4, ...proof, 0, 0, 0, 0])?.completionCode).toBe(0);
      expect(ask(machine, 0x01)?.completionCode).toBe(0);
      expect(ask(machine, 0x02)?.completionCode).toBe(0xd4);
      expect(ask(machine, 0x3b, [4])?.completionCode).toBe(0);
      const late = START_MS + 61_000;
      const silent = repliesIn(put(machine, DEVICE_ID, late)).replies[0];
      expect(silent?.completionCode).toBe(0xd4);
    }
    expect(
      ask(line({ needsSession: true }), 0x39, [4, ...new Uint8Array(16).fill(0x41)]),
    ).toMatchObject({
      completionCode: 0x81,
    });
  });

  test("handshakes inside a frame and noise around it leave the reply readable", () => {
    const machine = line();
    machine.model.setFault("serial-handshake-inside", null);
    const bytes = put(machine, DEVICE_ID);
    const at = bytes.indexOf(0xa6);
    expect(at > 0 && at < bytes.length - 1).toBe(true);
    expect(repliesIn(bytes).replies).toHaveLength(1);
    machine.model.setFault("serial-noise", 100);
    const noisy = [1, 2, 3, 4, 5, 6].map(() => put(machine, DEVICE_ID));
    expect(noisy.every((one) => one.length > bytes.length)).toBe(true);
    expect(noisy.flatMap((one) => repliesIn(one).replies).length).toBeGreaterThan(3);
  });

  test("the ping comes within 100 ms, then every two seconds", () => {
    const machine = line({ sendsPing: true });
    const pingAt = (ms: number): string =>
      written(machine.step({ kind: "tick" }, START_MS + ms)).toHex();
    expect(pingAt(20)).toBe("");
    expect(pingAt(100)).toMatch(/^a081304f200418/);
    expect(pingAt(1_900)).toBe("");
    expect(pingAt(2_100)).toMatch(/^a081304f20081800/);
  });
});

describe("Terminal Mode", () => {
  test("answers hex with hex, in either case, with spaces or without", () => {
    const machine = line();
    const reply = /^\[1C040100[0-9A-F]+\]\r\n$/;
    for (const text of ["[18 04 01]\r", "[180401]\r\n", "[18 0401]\0"]) {
      expect(say(machine, text)).toMatch(reply);
    }
    expect(say(machine, "[0a 04")).toBe("");
    expect(say(machine, "\x1b[1C 04 01]\r")).toBe("");
    expect(say(machine, "[28\\\r\n1840]\r")).toMatch(/^\[2C184000/);
  });

  test("each newline that can be set ends what the BMC says; `none` ends nothing", () => {
    const ends = { crlf: "\r\n", lf: "\n", cr: "\r", nul: "\0", lfcr: "\n\r", none: "" } as const;
    for (const [newline, end] of Object.entries(ends)) {
      const machine = line({ newline: newline as SerialConfig["newline"] });
      expect([newline, say(machine, "[SYS TMODE]\r")]).toEqual([newline, `[OK TMODE]${end}`]);
    }
  });

  test("echoes, and says [SYS] when there is room again, where that is set", () => {
    const machine = line({ hasEcho: true, hasHandshake: true, mode: "terminal" });
    expect(say(machine, "[SYS TMODE]\r")).toBe("[SYS TMODE]\r\n[OK TMODE]\r\n[SYS]\r\n");
  });

  test("texts: password, power, health, identify, and an error for each that is wrong", () => {
    const machine = line({ needsSession: true });
    const { model } = machine;
    expect(say(machine, "[SYS POWER OFF]\r")).toBe("[ERR D4]\r\n");
    expect(say(machine, "[180401]\r")).toBe("[1C0401D4]\r\n");
    expect(say(machine, "[SYS PWD -U admin wrong]\r")).toBe("[ERR D4]\r\n");
    expect(say(machine, "[SYS PWD -U admin emulated]\r")).toBe("[OK]\r\n");
    expect(say(machine, "[180401]\r")).toStartWith("[1C040100");
    expect(say(machine, "[SYS HEALTH QUERY]\r")).toContain("[OK PWR:ON H:ok T:ok V:ok PS:ok");
    const temperature = model.state.sensors.find("CPU0 Temp");
    if (temperature !== null) model.setSensor(temperature, 95, START_MS);
    const health = say(machine, "[SYS HEALTH QUERY -V]\r");
    expect(health).toContain("H:cr T:cr V:ok");
    expect(health).toContain("[CPU0 Temp]");
    expect(say(machine, "[SYS IDENTIFY -ON]\r")).toBe("[OK]\r\n");
    expect(model.state.chassis.isIdentifying).toBe(true);
    expect(say(machine, "[SYS IDENTIFY -OFF]\r")).toBe("[OK]\r\n");
    expect(model.state.chassis.isIdentifying).toBe(false);
    expect(say(machine, "[SYS POWER OFF]\r")).toBe("[OK]\r\n");
    machine.step({ kind: "tick" }, START_MS + 1_000);
    expect(say(machine, "[SYS HEALTH QUERY]\r")).toContain("PWR:OFF");
    expect(say(machine, "[SYS POWER UP]\r")).toBe("[ERR CC]\r\n");
    expect(say(machine, "[SYS NOTHING]\r")).toBe("[ERR C1]\r\n");
    expect(say(machine, "[1804]\r")).toBe("[ERR C7]\r\n");
    expect(say(machine, "[SYS PWD -X]\r")).toBe("[OK]\r\n");
    expect(say(machine, "[SYS POWER ON]\r")).toBe("[ERR D4]\r\n");
  });

  test("long lines are continued where that is set, and read back whole", () => {
    const machine = line({ lineCharsMax: 40 });
    const text = say(machine, "[2818 23 0000 0200 00 20]\r");
    const lines = text.split("\r\n");
    expect(lines.every((one) => one.length <= 40)).toBe(true);
    expect(lines.length).toBeGreaterThan(2);
    const frames = new TerminalModeFramer({ side: "console" }).push(new TextEncoder().encode(text));
    expect(frames.map(({ kind }) => kind)).toEqual(["message"]);
  });
});

describe("any bytes on the line", () => {
  test("never throw, in any mode", () => {
    for (const mode of ["basic", "terminal", "auto"] as const) {
      const machine = line({ mode });
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
          put(machine, bytes);
        }),
        { numRuns: 1_000 },
      );
      put(machine, Uint8Array.of(0x1b, 0xa5, 0x0d));
      const answer = mode === "terminal" ? say(machine, "[SYS TMODE]\r") : put(machine, DEVICE_ID);
      expect([mode, answer.length > 0]).toEqual([mode, true]);
    }
  });
});

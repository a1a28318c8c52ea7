/**
 * Goal: whatever stands between them, whole messages and texts come out once, on the console's side and on the BMC's, and what is
 * no message is dropped silently as the standard says. Method: lines that real ones send, then properties over messages, spellings,
 * newlines, splits and noise.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  decodeTerminalMessage,
  encodeTerminalFrame,
  encodeTerminalMessage,
  encodeTerminalText,
  errorCodeOf,
  isTerminalText,
  TERMINAL_LINE_CHARS_MAX,
  TERMINAL_MESSAGE_CHARS_MAX,
  type TerminalFrame,
  TerminalModeFramer,
} from "./terminal-mode.ts";

const SIDES = ["console", "bmc"] as const;

function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(text, (char) => char.charCodeAt(0));
}

function textOf(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}

function hex(text: string): Uint8Array {
  return Uint8Array.fromHex(text.replaceAll(" ", ""));
}

function message(text: string): TerminalFrame {
  return { kind: "message", bytes: hex(text) };
}

function read(side: "console" | "bmc", text: string): readonly TerminalFrame[] {
  return new TerminalModeFramer({ side }).push(bytesOf(text));
}

const arbitraryBytes = fc.uint8Array({ minLength: 3, maxLength: 80 });
const arbitraryNewline = fc.constantFrom("\r\n", "\r", "\n", "\n\r", "\0");
const arbitraryStyle = fc.record({
  newline: arbitraryNewline,
  isSpaced: fc.boolean(),
  lineCharsMax: fc.integer({ min: 8, max: 120 }),
});
const arbitraryText = fc
  .array(
    fc.oneof(
      { weight: 40, arbitrary: fc.integer({ min: 0x20, max: 0x7e }) },
      { weight: 1, arbitrary: fc.nat(255) },
    ),
    { maxLength: 30 },
  )
  .map((codes) => String.fromCharCode(...codes));
/** Characters that matter much more often than chance would have it. */
const arbitraryNoise = fc
  .array(
    fc.oneof(
      fc.constantFrom(..."[]\\ \r\n\0\x1b\b\x7f", ..."SYS OKERR", ..."0123456789abcdefABCDEF"),
      fc.nat(255).map((code) => String.fromCharCode(code)),
    ),
    { maxLength: 150 },
  )
  .map((chars) => bytesOf(chars.join("")));

describe("lines seen", () => {
  test("what ipmi_sim answers: hex without spaces, then with, then LF alone", () => {
    const line = "[1C000100 00 03 09 08 02 9F 91 12 00 02 0F 00 00 00 00]\n";
    expect(read("console", line)).toEqual([
      message("1C 00 01 00 00 03 09 08 02 9F 91 12 00 02 0F 00 00 00 00"),
    ]);
  });

  test("what ipmitool sends: lower case, no spaces, CR", () => {
    expect(read("bmc", "[180c01]\r")).toEqual([message("18 0C 01")]);
  });

  test("the example of the standard, spaced", () => {
    expect(read("bmc", "[18 00 22]\r")).toEqual([message("18 00 22")]);
    expect(read("console", "[1C 00 22 00]\r\n")).toEqual([message("1C 00 22 00")]);
  });

  test("texts, and the handshake among them", () => {
    expect(read("console", "[OK TMODE]\r\n[SYS]\r\n[ERR C1]\r\n[OK]\r\n")).toEqual([
      { kind: "text", text: "OK TMODE" },
      { kind: "handshake" },
      { kind: "text", text: "ERR C1" },
      { kind: "text", text: "OK" },
    ]);
    expect(errorCodeOf("ERR C1")).toBe(0xc1);
    expect(errorCodeOf("ERR")).toBe(0xff);
    expect(errorCodeOf("OK")).toBeNull();
    // E and R are no pair of hex, however they begin.
    expect(read("console", "[ERA]\r")).toEqual([]);
  });

  test("a message says what it is about", () => {
    expect(decodeTerminalMessage(hex("1D 29 40 C5"))).toEqual({
      ok: true,
      value: { netFn: 7, lun: 1, sequence: 10, bridge: 1, command: 0x40, data: hex("C5") },
    });
    expect(decodeTerminalMessage(hex("1D 29"))).toMatchObject({ ok: false });
  });
});

describe("any line, on both sides", () => {
  test("what was framed comes out, in any style and with any newline", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...SIDES),
        fc.array(fc.tuple(arbitraryBytes, arbitraryStyle), { maxLength: 4 }),
        (side, sent) => {
          const line = Buffer.concat(
            sent.map(([bytes, style]) => encodeTerminalFrame(bytes, style)),
          );
          const framer = new TerminalModeFramer({ side });
          expect(framer.push(line)).toEqual(sent.map(([bytes]) => ({ kind: "message", bytes })));
        },
      ),
    );
  });

  test("no line is longer than allowed, and each but the last is continued", () => {
    fc.assert(
      fc.property(arbitraryBytes, arbitraryStyle, (bytes, style) => {
        const text = textOf(encodeTerminalFrame(bytes, style));
        const lines = text.split(style.newline).slice(0, -1);
        for (const line of lines) expect(line.length).toBeLessThanOrEqual(style.lineCharsMax);
        for (const line of lines.slice(0, -1)) expect(line.endsWith("\\")).toBe(true);
        expect(lines.at(-1)?.endsWith("]")).toBe(true);
      }),
    );
  });

  test("a console needs no newline at all", () => {
    expect(read("console", "[1C 00 01 00][1C 04 01 00]")).toEqual([
      message("1C 00 01 00"),
      message("1C 04 01 00"),
    ]);
  });

  test("how it is cut into chunks changes neither frames, echo nor counts", () => {
    const arbitraryFrame = fc
      .tuple(arbitraryBytes, arbitraryStyle)
      .map(([bytes, style]) => encodeTerminalFrame(bytes, style));
    fc.assert(
      fc.property(
        fc.constantFrom(...SIDES),
        fc.array(fc.oneof(arbitraryNoise, arbitraryFrame), { maxLength: 5 }),
        fc.array(fc.nat(600), { maxLength: 20 }),
        (side, parts, cuts) => {
          const line = Buffer.concat(parts);
          const whole = new TerminalModeFramer({ side, charsMax: 120 });
          const split = new TerminalModeFramer({ side, charsMax: 120 });
          const expected = whole.push(line);
          const bounds = [0, ...cuts.map((cut) => Math.min(cut, line.length)), line.length];
          bounds.sort((a, b) => a - b);
          const got = bounds
            .slice(1)
            .flatMap((end, at) => [...split.push(line.subarray(bounds[at], end))]);
          expect(got).toEqual([...expected]);
          expect(split.takeEcho()).toEqual(whole.takeEcho());
          expect(split.counts).toEqual(whole.counts);
        },
      ),
    );
  });

  test("after any noise at all the next whole message is read", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...SIDES),
        arbitraryNoise,
        arbitraryBytes,
        (side, noise, bytes) => {
          const frame = encodeTerminalFrame(bytes, { newline: "\r" });
          const frames = new TerminalModeFramer({ side }).push(Buffer.concat([noise, frame]));
          expect(frames.at(-1)).toEqual({ kind: "message", bytes });
        },
      ),
    );
  });

  test("ESC is never sent, and no text can open or close a bracket", () => {
    fc.assert(
      fc.property(arbitraryText, (text) => {
        if (!isTerminalText(text)) return;
        const sent = textOf(encodeTerminalText(text, "\r"));
        expect(sent).toMatch(/^\[[ -Z^-~]*\]\r$/);
      }),
    );
    for (const text of ["a]b", "a[b", "a\\b", "a\x1bb", "a\rb", "é", "a\x7f"]) {
      expect(isTerminalText(text)).toBe(false);
    }
  });
});

describe("each way to be wrong", () => {
  test.each([
    ["a digit alone", "[18 0 22]", "malformed"],
    ["no hex and no word", "[hello]", "malformed"],
    ["nothing", "[]", "malformed"],
    ["words are case-sensitive", "[sys tmode]", "malformed"],
    ["a control character", "[18 00\t22]", "illegal"],
    ["a byte above ASCII", "[18 00 \xe422]", "illegal"],
    ["a backslash that continues nothing", "[18 00 \\22]", "illegal"],
    ["a newline that was not continued", "[18 00\r22]", "cutShort"],
    ["ESC", "[18 00\x1b22]", "cutShort"],
  ] as const)("%s", (_name, line, count) => {
    for (const side of SIDES) {
      const framer = new TerminalModeFramer({ side });
      expect(framer.push(bytesOf(`${line}\r`)).filter((f) => f.kind !== "message")).toEqual([]);
      expect(framer.counts.messages).toBe(0);
      expect(framer.counts[count]).toBe(1);
      expect(framer.push(bytesOf("[1C 00 01 00]\r"))).toEqual([message("1C 00 01 00")]);
    }
  });

  test("a bracket begins anew wherever it comes", () => {
    for (const side of SIDES) {
      const framer = new TerminalModeFramer({ side });
      expect(framer.push(bytesOf("[18 00[1C 00 01 00]\r"))).toEqual([message("1C 00 01 00")]);
      expect(framer.counts.cutShort).toBe(1);
    }
  });

  test("a message without end is given up at the bound", () => {
    const framer = new TerminalModeFramer({ side: "console" });
    framer.push(bytesOf("["));
    for (let i = 0; i < 50; i++) framer.push(bytesOf("0".repeat(TERMINAL_MESSAGE_CHARS_MAX)));
    expect(framer.counts.tooLong).toBe(1);
    expect(framer.counts.noiseBytes).toBe(49 * TERMINAL_MESSAGE_CHARS_MAX - 1);
  });

  test("bytes outside of messages are noise, newlines and spaces are not", () => {
    const framer = new TerminalModeFramer({ side: "console" });
    framer.push(bytesOf("\r\n \0login: \xff"));
    expect(framer.counts.noiseBytes).toBe(7);
  });
});

describe("the BMC's side of a keyboard", () => {
  function type(text: string, options = {}): { frames: readonly TerminalFrame[]; echo: string } {
    const framer = new TerminalModeFramer({ side: "bmc", ...options });
    const frames = framer.push(bytesOf(text));
    return { frames, echo: textOf(framer.takeEcho()) };
  }

  test("what is typed is echoed, its CR as the BMC's newline", () => {
    expect(type("[18 00 01]\r")).toEqual({
      frames: [message("18 00 01")],
      echo: "[18 00 01]\r\n",
    });
  });

  test("DEL and backspace take back one character each, the bracket too", () => {
    expect(type("[18 00 02\b1]\r").frames).toEqual([message("18 00 01")]);
    expect(type("[18 00 0]\x7f\x7f01]\r").frames).toEqual([message("18 00 01")]);
    expect(type("[18\b\b\b[18 00 01]\r").frames).toEqual([message("18 00 01")]);
  });

  test("what was deleted is shown deleted in the style that is set", () => {
    expect(type("[1\b").echo).toBe("[1\b \b");
    expect(type("[1\x7f", { deleteStyle: "del" }).echo).toBe("[1\x7f");
    expect(type("\b\b").echo).toBe("");
  });

  test("nothing is taken before the newline, so that it can still be changed", () => {
    const framer = new TerminalModeFramer({ side: "bmc" });
    expect(framer.push(bytesOf("[18 00 01]"))).toEqual([]);
    expect(framer.isInside).toBe(true);
    expect(framer.push(bytesOf("\r"))).toEqual([message("18 00 01")]);
    expect(framer.isInside).toBe(false);
  });

  test("without line editing a backspace is an illegal character", () => {
    const framer = new TerminalModeFramer({ side: "bmc", hasLineEditing: false, hasEcho: false });
    expect(framer.push(bytesOf("[18 00 02\b1]\r"))).toEqual([]);
    expect(framer.counts.illegal).toBe(1);
    expect(framer.takeEcho()).toEqual(new Uint8Array(0));
  });

  test("ESC throws away what was typed and is not echoed", () => {
    const { frames, echo } = type("[18 00\x1b[18 00 01]\r");
    expect(frames).toEqual([message("18 00 01")]);
    expect(echo).not.toContain("\x1b");
  });

  test("a console that hears its own echo reads it as what it sent, before the answer", () => {
    const sent = encodeTerminalMessage({
      netFn: 6,
      lun: 0,
      sequence: 1,
      bridge: 0,
      command: 1,
      data: new Uint8Array(0),
    });
    const { echo } = type(textOf(encodeTerminalFrame(sent, { newline: "\r" })));
    expect(read("console", `${echo}[1C 04 01 00]\r\n`)).toEqual([
      { kind: "message", bytes: sent },
      message("1C 04 01 00"),
    ]);
  });

  test("a message of 40 bytes, spaced, is continued and fits", () => {
    const bytes = new Uint8Array(40).fill(0xab);
    const frame = encodeTerminalFrame(bytes, { newline: "\r", isSpaced: true });
    expect(textOf(frame).split("\r")[0]?.length).toBeLessThanOrEqual(TERMINAL_LINE_CHARS_MAX);
    expect(type(textOf(frame)).frames).toEqual([{ kind: "message", bytes }]);
  });
});

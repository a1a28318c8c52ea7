/**
 * Goal: each line setting ends in the flag that the kernel's headers give it, and what a driver makes of a rate is seen. Method: the
 * flags by themselves, since a pseudo-terminal forces eight bits without parity; then a pseudo-terminal for what it keeps.
 */
import { describe, expect, test } from "bun:test";
import { completeOptions, isSameRate, type LinuxOpenOptions } from "./port-options.ts";
import { openPty } from "./pty.ts";
import {
  applyBaudRate,
  applyLine,
  controlFlags,
  inputFlags,
  readBaudRate,
  readLine,
} from "./termios.ts";

function flagsOf(given: Partial<LinuxOpenOptions>): { c: number; i: number } {
  const options = completeOptions({ path: "/dev/x", baudRate: 9600, hupcl: false, ...given });
  return { c: controlFlags(options), i: inputFlags(options) };
}

/** CREAD, CLOCAL. */
const ALWAYS = 0x880;

describe("control flags", () => {
  test.each([
    [{}, 0x30],
    [{ dataBits: 5 }, 0x00],
    [{ dataBits: 6 }, 0x10],
    [{ dataBits: 7 }, 0x20],
    [{ stopBits: 2 }, 0x30 | 0x40],
    [{ stopBits: 1.5, dataBits: 5 }, 0x40],
    [{ parity: "even" }, 0x30 | 0x100],
    [{ parity: "odd" }, 0x30 | 0x300],
    [{ parity: "mark" }, 0x30 | 0x300 | 0x4000_0000],
    [{ parity: "space" }, 0x30 | 0x100 | 0x4000_0000],
    [{ hupcl: true }, 0x30 | 0x400],
    [{ rtscts: true }, (0x30 | 0x8000_0000) >>> 0],
  ] as const)("%j", (given, flags) => {
    expect(flagsOf(given).c).toBe((ALWAYS | flags) >>> 0);
  });
});

describe("input flags", () => {
  test.each([
    [{}, 0x1 | 0x4],
    [{ parity: "odd" }, 0x1 | 0x10],
    [{ xon: true }, 0x5 | 0x400],
    [{ xany: true }, 0x5 | 0x800],
    [{ xoff: true }, 0x5 | 0x1000],
  ] as const)("%j", (given, flags) => {
    expect(flagsOf(given).i).toBe(flags);
  });
});

describe("a terminal", () => {
  test("keeps what it is told: raw, any rate, VMIN and VTIME", async () => {
    const pty = openPty();
    const options = { path: pty.slavePath, baudRate: 12_345, vmin: 3, vtime: 7, xon: true };
    applyLine(pty.slaveFd, completeOptions(options));
    const line = readLine(pty.slaveFd);
    const view = new DataView(line.buffer, line.byteOffset);
    expect(view.getUint32(0, true)).toBe(0x405);
    expect(view.getUint32(4, true)).toBe(0);
    expect(view.getUint32(12, true)).toBe(0);
    expect([view.getUint8(22), view.getUint8(23)]).toEqual([7, 3]);
    expect(readBaudRate(pty.slaveFd)).toEqual({ input: 12_345, output: 12_345 });
    applyBaudRate(pty.slaveFd, 3_000_000);
    expect(readBaudRate(pty.slaveFd)).toEqual({ input: 3_000_000, output: 3_000_000 });
    expect(readLine(pty.slaveFd)[23]).toBe(3);
    await pty.close();
  });

  test("a rate counts as the same within two in a hundred", () => {
    expect(isSameRate(115_200, 115_200)).toBe(true);
    expect(isSameRate(115_200, 115_384)).toBe(true);
    expect(isSameRate(115_200, 117_504)).toBe(true);
    expect(isSameRate(115_200, 117_505)).toBe(false);
    expect(isSameRate(115_200, 112_895)).toBe(false);
    expect(isSameRate(250_000, 115_200)).toBe(false);
    expect(isSameRate(9600, 0)).toBe(false);
  });
});

describe("options", () => {
  test.each([
    [{ baudRate: 0 }, "baudRate"],
    [{ baudRate: 9600.5 }, "baudRate"],
    [{ baudRate: Number.NaN }, "baudRate"],
    [{ baudRate: 1e9 }, "baudRate"],
    [{ dataBits: 9 }, "dataBits"],
    [{ stopBits: 3 }, "stopBits"],
    [{ parity: "some" }, "parity"],
    [{ way: "magic" }, "way"],
    [{ vmin: 0 }, "vmin"],
    [{ vmin: 256 }, "vmin"],
    [{ vtime: -1 }, "vtime"],
    [{ path: "" }, "path"],
  ])("%j are refused by name", (given, name) => {
    const options = { path: "/dev/x", baudRate: 9600, ...given } as unknown as LinuxOpenOptions;
    expect(() => completeOptions(options)).toThrow(name);
    expect(() => completeOptions(options)).toThrow(
      expect.objectContaining({ kind: "bad-request" }),
    );
  });

  test("given as undefined are not given", () => {
    const options = { path: "/dev/x", baudRate: 9600, parity: undefined, lock: undefined };
    expect(completeOptions(options as unknown as LinuxOpenOptions)).toMatchObject({
      parity: "none",
      lock: true,
      dataBits: 8,
      way: "stream",
    });
  });
});

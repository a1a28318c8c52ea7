/**
 * What may be sent twice: asked of every command that changes something for good, and of everything that nobody listed.
 */
import { describe, expect, test } from "bun:test";
import { isRepeatable } from "./repeatable.ts";

const of = (netFn: number, command: number, ...data: readonly number[]): boolean =>
  isRepeatable({ netFn, lun: 0, command, data: Uint8Array.from(data) });

describe("a request that may be repeated", () => {
  test("reads are", () => {
    for (const [netFn, command] of [
      [0x06, 0x01],
      [0x0a, 0x40],
      [0x0a, 0x42],
      [0x0a, 0x43],
      [0x0a, 0x23],
      [0x0a, 0x11],
      [0x04, 0x2d],
      [0x00, 0x01],
      [0x06, 0x25],
    ] as const) {
      expect(of(netFn, command)).toBe(true);
    }
  });

  test("power, resets, events, alerts, and whatever adds, deletes or takes out of a queue are not", () => {
    for (const [netFn, command] of [
      [0x00, 0x02],
      [0x00, 0x03],
      [0x06, 0x02],
      [0x06, 0x03],
      [0x06, 0x33],
      [0x06, 0x34],
      [0x06, 0x35],
      [0x06, 0x52],
      [0x04, 0x02],
      [0x04, 0x16],
      [0x0a, 0x24],
      [0x0a, 0x44],
      [0x0a, 0x46],
      [0x0a, 0x49],
    ] as const) {
      expect(of(netFn, command)).toBe(false);
    }
  });

  test("to clear the log is not, to ask how far that is, is", () => {
    expect(of(0x0a, 0x47, 1, 0, 0x43, 0x4c, 0x52, 0xaa)).toBe(false);
    expect(of(0x0a, 0x47, 1, 0, 0x43, 0x4c, 0x52, 0x00)).toBe(true);
    expect(of(0x0a, 0x47)).toBe(false);
  });

  test("what a maker added is not", () => {
    for (let netFn = 0x2c; netFn < 0x40; netFn += 2) {
      for (let command = 0; command < 256; command++) expect(of(netFn, command)).toBe(false);
    }
  });
});

/**
 * Goal: the terminal shows what was drawn, and is given back as it was. Method: a terminal double that records what is
 * written and plays it onto a small grid.
 */
import { describe, expect, test } from "bun:test";
import { EventEmitter } from "node:events";
import { Screen, type Terminal } from "./screen.ts";

class RecordedTerminal extends EventEmitter implements Terminal {
  columns = 20;
  rows = 3;
  written: string[] = [];

  write(text: string): boolean {
    this.written.push(text);
    return true;
  }

  /** What stands on the screen after all that was written: the sequences that `Screen` uses, no more. */
  grid(): readonly string[] {
    const lines: string[] = Array.from({ length: this.rows }, () => "");
    const all = this.written.join("").split("\u001b[2J").at(-1) ?? "";
    const start = "\u001b\\[";
    const pattern = new RegExp(`${start}(\\d+);1H(.*?)${start}0m${start}K`, "gs");
    for (const [, row, text] of all.matchAll(pattern)) lines[Number(row) - 1] = text ?? "";
    return lines;
  }
}

describe("screen", () => {
  test("paints what was drawn, then only lines that changed", () => {
    const terminal = new RecordedTerminal();
    let middle = "one";
    const screen = new Screen(terminal, () => ["top", middle, "end"]);
    try {
      expect(terminal.grid()).toEqual(["top", "one", "end"]);
      const count = terminal.written.length;
      screen.paint();
      expect(terminal.written.length).toBe(count);
      middle = "two";
      screen.paint();
      expect(terminal.written.at(-1)).toContain("two");
      expect(terminal.written.at(-1)).not.toContain("top");
      expect(terminal.grid()).toEqual(["top", "two", "end"]);
    } finally {
      screen.close();
    }
  });

  test("paints everything anew in the new size", () => {
    const terminal = new RecordedTerminal();
    const screen = new Screen(terminal, ({ width, height }) =>
      Array.from({ length: height }, () => `${width}`),
    );
    try {
      terminal.columns = 40;
      terminal.rows = 4;
      terminal.emit("resize");
      expect(terminal.grid()).toEqual(["40", "40", "40", "40"]);
    } finally {
      screen.close();
    }
  });

  test("gives the terminal back once: cursor shown, first screen, no listener left, no more painting", () => {
    const terminal = new RecordedTerminal();
    const screen = new Screen(terminal, () => [`${Math.random()}`]);
    screen.close();
    screen.close();
    expect(terminal.written.at(-1)).toBe("\u001b[?25h\u001b[?1049l");
    const count = terminal.written.length;
    screen.paint();
    terminal.emit("resize");
    expect(terminal.written.length).toBe(count);
    expect(terminal.listenerCount("resize")).toBe(0);
  });
});

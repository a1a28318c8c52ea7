/** Goal: folders of ours are closed to others, and no folder that is not ours is changed. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ownFile, ownFolder } from "./own-folder.ts";

let root: string;
let folder: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "holdfast-own-"));
  folder = join(root, "a", "data");
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function modeOf(path: string): string {
  return (statSync(path).mode & 0o7777).toString(8);
}

function make(mode: number, file: string | null): void {
  mkdirSync(folder, { recursive: true });
  if (file !== null) writeFileSync(join(folder, file), "");
  chmodSync(folder, mode);
}

describe("a folder", () => {
  test("that is made is its user's alone, and is silent about it", () => {
    expect(ownFolder(folder, ["ours"])).toBeNull();
    expect(modeOf(folder)).toBe("700");
    expect(ownFolder(folder, ["ours"])).toBeNull();
  });

  test("that was there and is empty, or has a file of ours, is closed, and said so once", () => {
    make(0o755, null);
    expect(ownFolder(folder, ["ours"])).toBe(
      `${folder} was open to other users (mode 755): now it is not`,
    );
    expect(ownFolder(folder, ["ours"])).toBeNull();
    make(0o2770, "ours");
    expect(ownFolder(folder, ["ours"])).toContain("(mode 2770)");
    expect(modeOf(folder)).toBe("2700");
  });

  test("of somebody else's files stays as it is", () => {
    make(0o755, "passwd");
    expect(ownFolder(folder, ["ours"])).toBeNull();
    expect(modeOf(folder)).toBe("755");
  });
});

test("a file is its user's alone, made or found, with what is in it", () => {
  mkdirSync(join(root, "a"));
  ownFile(join(root, "new"));
  const old = join(root, "old");
  writeFileSync(old, "text", { mode: 0o666 });
  ownFile(old);
  expect([modeOf(join(root, "new")), modeOf(old), statSync(old).size]).toEqual(["600", "600", 4]);
});

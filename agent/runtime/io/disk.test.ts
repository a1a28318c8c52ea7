/**
 * Goal: a document is replaced whole, damage is found, and a burst of writes answers every caller with the newest on disk.
 * Method: real temporary folders; damage and leftovers of a crash are made by hand.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Disk, DiskFailure } from "../disk.ts";
import { folderDisk } from "./disk.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "holdfast-disk-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function write(disk: Disk, name: string, document: unknown): Promise<DiskFailure | null> {
  return new Promise((resolve) => disk.write(name, document, resolve));
}

describe("a document", () => {
  test("is replaced whole and leaves nothing beside it", async () => {
    const disk = folderDisk(folder);
    writeFileSync(join(folder, "a.json.tmp"), "half of what a dead agent wro");
    expect(disk.read("a")).toEqual({ kind: "absent" });
    expect(await write(disk, "a", { n: 1 })).toBeNull();
    expect(await write(disk, "a", { n: 2, text: "ä\n" })).toBeNull();
    expect(disk.read("a")).toEqual({ kind: "document", document: { n: 2, text: "ä\n" } });
    expect(readdirSync(folder)).toEqual(["a.json"]);
  });

  test("with any flipped bit or torn end is reported, not returned", async () => {
    const disk = folderDisk(folder);
    await write(disk, "bits", { weight: 12 });
    const path = join(folder, "bits.json");
    const good = readFileSync(path);
    for (let index = 0; index < good.length; index++) {
      const bad = Buffer.from(good);
      bad[index] = (bad[index] ?? 0) ^ 4;
      writeFileSync(path, bad);
      // The closing line end is the one byte that says nothing.
      if (index < good.length - 1) expect(disk.read("bits").kind).toBe("damaged");
      writeFileSync(path, good.subarray(0, index));
      if (index < good.length - 1) expect(disk.read("bits").kind).toBe("damaged");
    }
  });

  test("that cannot be written is answered with the reason", async () => {
    const failure = await write(folderDisk(join(folder, "missing")), "a", {});
    expect(failure?.kind).toBe("io");
    expect(failure?.detail).toContain("ENOENT");
  });

  test("takes a burst of writes and ends with the newest, every caller answered", async () => {
    const disk = folderDisk(folder);
    const answers = await Promise.all(
      Array.from({ length: 300 }, (_, index) => write(disk, "burst", index)),
    );
    expect(answers.every((failure) => failure === null)).toBe(true);
    expect(disk.read("burst")).toEqual({ kind: "document", document: 299 });
  });

  test("is listed by prefix until it is removed", async () => {
    const disk = folderDisk(folder);
    await write(disk, "job/j-2", 2);
    await write(disk, "job/j-1", 1);
    expect(disk.list("job/")).toEqual(["job/j-1", "job/j-2"]);
    await new Promise((resolve) => disk.remove("job/j-1", resolve));
    expect(disk.list("job/")).toEqual(["job/j-2"]);
  });
});

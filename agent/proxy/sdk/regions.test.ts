/**
 * Goal: a region keeps its memory while its file stays, and what cannot be one is refused by its name before it is written to.
 * Method: the class over a folder in shared memory, with a segment that only counts.
 */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { regionPath } from "../io/segment-file.ts";
import type { Segment } from "../segment.ts";
import { Regions } from "./regions.ts";

const folder = mkdtempSync("/dev/shm/hf-regions-");
afterAll(() => rmSync(folder, { recursive: true }));

const segment = { enterRegion: () => 0 } as unknown as Segment;
const regions = new Regions(segment, join(folder, "segment"), join(folder, "regions"));
const fresh = { isProtected: true, isRestored: false };
const restored = { isProtected: true, isRestored: true };

describe("a region", () => {
  test("is the same memory in the next run of the body", () => {
    const first = regions.open("state", 8192, fresh);
    first[17] = 5;
    regions.restart();
    const again = regions.open("state", 8192, restored);
    expect(again[17]).toBe(5);
    expect(again.buffer).toBe(first.buffer);
  });

  test("that does not fit into shared memory is refused, with what is free", () => {
    const { bavail, bsize } = statfsSync("/dev/shm");
    const bytes = bavail * bsize + 2 ** 30;
    expect(() => regions.open("huge", bytes, fresh)).toThrow(
      new RegExp(
        `region 'huge' of ${bytes} bytes does not fit into shared memory: .* has \\d+ left`,
      ),
    );
  });

  test("of another length than the restored one names both", () => {
    regions.open("weights", 4096, fresh);
    const path = regionPath(join(folder, "regions"), "weights");
    writeFileSync(path, new Uint8Array(100));
    expect(() => regions.open("weights", 4096, restored)).toThrow(
      "region 'weights' has 100 bytes in the restored state, the program asks for 4096",
    );
  });

  test("without a name or length is refused", () => {
    for (const name of ["", ".", "..", "x".repeat(1_000)]) {
      expect(() => regions.open(name, 8, fresh)).toThrow("is no name for a region");
    }
    for (const bytes of [0, -1, 1.5, Number.NaN]) {
      expect(() => regions.open("a", bytes, fresh)).toThrow("cannot have");
    }
  });
});

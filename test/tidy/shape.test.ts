/**
 * Goal: files that can be read, and that say nothing of the machine they were written on. Method: read every file of the
 * repository; a bad sample of each kind shows that the checks can fail.
 */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../steps.ts";
import {
  isBinary,
  LONG_FILES,
  machineNames,
  pointersOutside,
  tooLong,
  tooWide,
  withoutHead,
} from "./shape.ts";
import { isTypeScript, readSources, repositoryPaths, type Source } from "./sources.ts";

/** Every source is read; on a busy machine that takes seconds. */
setDefaultTimeout(60_000);

const sources = readSources(isTypeScript);
const BINARY_MAX_BYTES = 1 << 20;
const PICTURE_MAX_BYTES = 300_000;

function sample(text: string, path = "agent/cli/a.ts"): readonly Source[] {
  return [{ path, text }];
}

describe("a source file", () => {
  test("opens with a comment that says what it is for", () => {
    expect(withoutHead(sources)).toEqual([]);
    expect(withoutHead(sample("export const a = 1;\n"))).toHaveLength(1);
    expect(withoutHead(sample("/** A file. */\nexport const a = 1;\n"))).toHaveLength(1);
  });

  test("is short enough to read, or has a reason", () => {
    expect(tooLong(sources)).toEqual([]);
    expect(tooLong(sample("\n".repeat(401)))).toHaveLength(1);
    expect(tooLong(sample("\n".repeat(401), "agent/cli/a.test.ts"))).toEqual([]);
    for (const path of Object.keys(LONG_FILES)) expect(existsSync(join(ROOT, path))).toBe(true);
  });

  test("has lines that fit", () => {
    expect(tooWide(sources)).toEqual([]);
    expect(tooWide(sample(`// ${"a ".repeat(75)}\n`))).toHaveLength(1);
    expect(tooWide(sample(`  "${"a ".repeat(75)}",\n`))).toEqual([]);
  });

  test("takes no pointer for native code, but for one", () => {
    expect(pointersOutside(sources)).toEqual([]);
    expect(pointersOutside(sample("call(ptr(bytes));\n"))).toHaveLength(1);
    expect(pointersOutside(sample("// ptr(bytes)\n"))).toEqual([]);
  });
});

describe("the repository", () => {
  const texts = readSources((path) => !/\.(?:png|gif|jpg|wasm|bin|gz)$/.test(path));

  test("names no machine", () => {
    expect(machineNames(texts)).toEqual([]);
    expect(machineNames(sample(["", "work", "main", "a"].join("/")))).toHaveLength(1);
    expect(machineNames(sample(["", "home", "me", "a"].join("/")))).toHaveLength(1);
    expect(machineNames(sample(["registry", "example", "org"].join(".")))).toHaveLength(1);
    expect(machineNames(sample(["npm", "example", "internal"].join(".")))).toHaveLength(1);
  });

  test("holds text only, pictures of its documents, and nothing that a build makes", () => {
    const paths = repositoryPaths();
    const binary = paths.filter((path) => isBinary(readFileSync(join(ROOT, path))));
    expect(binary.filter((path) => !/^docs\/[\w-]+\.png$/.test(path))).toEqual([]);
    expect(binary.filter((path) => Bun.file(join(ROOT, path)).size > PICTURE_MAX_BYTES)).toEqual(
      [],
    );
    expect(paths.filter((path) => Bun.file(join(ROOT, path)).size > BINARY_MAX_BYTES)).toEqual([]);
    expect(paths.filter((path) => /^dist\/|\.(?:wasm|tmp|log)$/.test(path))).toEqual([]);
    expect(isBinary(new Uint8Array([0x7f, 0x45, 0x4c, 0x46, 0]))).toBe(true);
  });
});

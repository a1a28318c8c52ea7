/**
 * Goal: decision code touches nothing of the world. Method: read every pure file; one bad sample for each banned thing.
 */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../steps.ts";
import { EXCEPTIONS, impurities, isPure } from "./purity.ts";
import { isTypeScript, readSources } from "./sources.ts";

/** Every source is read; on a busy machine that takes seconds. */
setDefaultTimeout(60_000);

const sources = readSources(isTypeScript);

function complaints(text: string, path = "agent/membership/a.ts"): readonly string[] {
  return impurities([{ path, text }]);
}

describe("decision code", () => {
  test("touches nothing of the world", () => {
    expect(sources.filter(({ path }) => isPure(path)).length).toBeGreaterThan(5);
    expect(impurities(sources)).toEqual([]);
  });

  test.each([
    "const a = Date.now();",
    "const a = new Date();",
    "const a = Math.random();",
    "const a = performance.now();",
    "setTimeout(f, 1);",
    "const a = fetch(b);",
    "crypto.randomUUID();",
    "Bun.write(a, b);",
    "process.exit(1);",
    "console.log(a);",
    "export async function f() {}",
    "const a = await b;",
    "let a: Promise<void>;",
    "globalThis.a();",
    'import { readFileSync } from "node:fs";',
    'import { dlopen } from "bun:ffi";',
    "// biome-ignore lint/style/noRestrictedGlobals: why not",
  ])("may not hold: %s", (line) => {
    expect(complaints(`${line}\n`)).toHaveLength(1);
  });

  test("may name these things in comments, strings and fields", () => {
    const text = '// Date.now\nconst a = "process.exit(1)";\na.process = b.Date;\n';
    expect(complaints(text)).toEqual([]);
  });

  test("is what lies in a room that decides, outside io/", () => {
    expect(complaints("Date.now();", "agent/proxy/collectives/a.ts")).toHaveLength(1);
    expect(complaints("Date.now();", "agent/membership/io/a.ts")).toEqual([]);
    expect(complaints("Date.now();", "agent/membership/a.test.ts")).toEqual([]);
  });

  test("has exceptions only for files that are there", () => {
    for (const path of Object.keys(EXCEPTIONS)) expect(existsSync(join(ROOT, path))).toBe(true);
  });
});

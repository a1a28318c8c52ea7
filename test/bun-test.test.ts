/**
 * Goal: no way for a test file to end looks like success but success. Method: files that end in each way, run as the test
 * command runs them.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bunTest } from "./bun-test.ts";

const LIMIT_MS = 30_000;
let cwd = "";

beforeAll(() => {
  cwd = mkdtempSync(join(tmpdir(), "holdfast-runner-"));
  const write = (name: string, body: string): void =>
    writeFileSync(join(cwd, `${name}.test.ts`), `import { test } from "bun:test";\n${body}\n`);
  write("good", 'test("passes", () => {}); test.skip("is skipped", () => {});');
  write("bad", 'test("fails", () => { throw new Error("as it should"); });');
  write("ends", 'test("ends the process", () => { process.exit(0); });');
  write("unloadable", 'import "./nowhere.ts"; test("is never seen", () => {});');
  write("empty", "");
  write("stuck", 'test("waits", async () => { await new Promise(() => {}); }, 600_000);');
});

afterAll(() => rmSync(cwd, { recursive: true, force: true }));

async function outcomes(
  names: readonly string[],
  flags: readonly string[],
  limitMs: number,
): Promise<readonly string[]> {
  const files = names.map((name) => `${name}.test.ts`);
  const cases = await bunTest({ cwd, files, flags, limitMs, output: "ignore" });
  return cases.map((one) => `${one.file}: ${one.outcome}`).sort();
}

test(
  "several files at once: every way to end but success is a failure",
  async () => {
    const names = ["good", "bad", "ends", "unloadable", "empty"];
    expect(await outcomes(names, ["--parallel=2", "--isolate"], LIMIT_MS)).toEqual([
      "bad.test.ts: failed",
      "empty.test.ts: failed",
      "ends.test.ts: failed",
      "good.test.ts: passed",
      "good.test.ts: skipped",
      "unloadable.test.ts: failed",
    ]);
  },
  LIMIT_MS,
);

test(
  "one file by itself: a process that ends with 0 before its report is a failure",
  async () => {
    expect(await outcomes(["ends"], ["--isolate"], LIMIT_MS)).toEqual(["ends.test.ts: failed"]);
    expect(await outcomes(["good"], ["--isolate"], LIMIT_MS)).toEqual([
      "good.test.ts: passed",
      "good.test.ts: skipped",
    ]);
  },
  LIMIT_MS,
);

test(
  "a file that does not end in time is a failure",
  async () => {
    expect(await outcomes(["stuck"], ["--isolate"], 1_500)).toEqual(["stuck.test.ts: failed"]);
  },
  LIMIT_MS,
);

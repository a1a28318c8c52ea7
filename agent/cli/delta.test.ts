/**
 * Goal: `holdfast delta` says what it did, for people and for machines, and ends with the right code and a remedy.
 * Method: the command object itself, with standard output caught.
 */
import { afterAll, beforeAll, describe, expect, spyOn, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CliError } from "./cli-error.ts";
import { deltaCommand } from "./delta.ts";

let folder = "";
const at = (name: string): string => join(folder, name);

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "holdfast-delta-cli-"));
  writeFileSync(at("base"), "one two three".repeat(1000));
  writeFileSync(at("new"), `${"one two three".repeat(999)}one TWO three`);
});

afterAll(() => {
  rmSync(folder, { recursive: true });
});

async function run(...args: readonly string[]): Promise<string> {
  let printed = "";
  const spy = spyOn(process.stdout, "write").mockImplementation((text) => {
    printed += String(text);
    return true;
  });
  try {
    await deltaCommand().exitOverride().parseAsync(args, { from: "user" });
  } finally {
    spy.mockRestore();
  }
  return printed;
}

async function failure(...args: readonly string[]): Promise<CliError> {
  try {
    await run(...args);
  } catch (error) {
    if (error instanceof CliError) return error;
    throw error;
  }
  throw new Error("it did not fail");
}

describe("holdfast delta", () => {
  test("makes and applies, with a line for people", async () => {
    expect(await run("make", at("base"), at("new"), at("patch"))).toBe(
      `${at("patch")}: 102 bytes for 13000 (0.8 %)\n`,
    );
    expect(await run("apply", at("base"), at("out"), at("patch"))).toBe(
      `${at("out")}: 13000 bytes, digest verified\n`,
    );
    expect(readFileSync(at("out"))).toEqual(readFileSync(at("new")));
  });

  test("prints one JSON object with --json", async () => {
    expect(JSON.parse(await run("make", "--json", at("base"), at("new"), at("patch")))).toEqual({
      patch: at("patch"),
      baseBytes: 13000,
      targetBytes: 13000,
      deltaBytes: 102,
    });
    expect(JSON.parse(await run("apply", at("base"), at("out"), at("patch"), "--json"))).toEqual({
      output: at("out"),
      baseBytes: 13000,
      targetBytes: 13000,
      deltaBytes: 102,
    });
  });

  test("refuses the wrong base, a torn patch and a missing file, each with its code and a remedy", async () => {
    await run("make", at("base"), at("new"), at("patch"));
    const wrong = await failure("apply", at("new"), at("out"), at("patch"));
    expect(wrong.message).toBe(`${at("new")} is not the file that ${at("patch")} begins with`);
    expect([wrong.exitCode, wrong.remedy]).toEqual([
      65,
      "use the very file that was BASE when the delta was made",
    ]);
    writeFileSync(at("torn"), readFileSync(at("patch")).subarray(0, 100));
    const torn = await failure("apply", at("base"), at("out"), at("torn"));
    expect(torn.message).toBe(`${at("torn")} is torn: its last 2 bytes are missing`);
    expect(torn.exitCode).toBe(65);
    const lost = await failure("make", at("base"), at("new"), join(folder, ".", "base"));
    expect([lost.exitCode, lost.message]).toEqual([
      2,
      `${at("base")} is to be written and is BASE too`,
    ]);
    expect((await failure("apply", at("base"), at("patch"), at("patch"))).exitCode).toBe(2);
    // A patch where NEW belongs is never taken for the file to write.
    const swapped = await failure("apply", at("base"), at("patch"), at("elsewhere"));
    expect(swapped.message).toBe(`${at("elsewhere")} does not exist`);
    expect((await run("apply", at("base"), at("out"), at("patch"))).length).toBeGreaterThan(0);
    const missing = await failure("make", at("nobody"), at("new"), at("patch"));
    expect(missing.message).toBe(`${at("nobody")} does not exist`);
    expect(missing.exitCode).toBe(66);
  });
});

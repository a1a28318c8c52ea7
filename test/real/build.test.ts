/**
 * Goal: the build gives one executable that needs nothing beside it, also for another machine, and says what it cannot do.
 * Method: run `build.ts` as a user does; start the results in an empty folder, the foreign one under an emulator.
 */
import { describe, expect, test } from "bun:test";
import { copyFileSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hasCommand, realPart } from "../real-part.ts";
import { ROOT } from "../steps.ts";

const BUILD_LIMIT_MS = 180_000;
const ARM_ROOT = "/usr/aarch64-linux-gnu";

const arm64 = realPart(
  "arm64 emulator",
  () => hasCommand("qemu-aarch64-static") && statSync(`${ARM_ROOT}/lib`).isDirectory(),
  "apt-get install qemu-user-static libc6-arm64-cross",
);

function build(...args: readonly string[]): { readonly code: number; readonly text: string } {
  const child = Bun.spawnSync([process.execPath, "build.ts", ...args], { cwd: ROOT });
  return { code: child.exitCode, text: `${child.stdout}${child.stderr}` };
}

/** Runs a copy in an empty folder: whatever it needs must be in it. */
function versionOf(executable: string, emulator: readonly string[]): string {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-build-"));
  const copy = join(folder, "holdfast");
  copyFileSync(executable, copy);
  const env = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", HOME: folder };
  const child = Bun.spawnSync([...emulator, copy, "--version"], { cwd: folder, env });
  rmSync(folder, { recursive: true });
  return `${child.exitCode} ${child.stdout.toString().trim()}`;
}

describe("the build", () => {
  test(
    "makes an executable that starts alone, and makes it only once",
    () => {
      expect(build().code).toBe(0);
      expect(build()).toEqual({ code: 0, text: "" });
      expect(versionOf(join(ROOT, "dist/holdfast"), [])).toMatch(/^0 \d+\.\d+\.\d+/);
    },
    BUILD_LIMIT_MS,
  );

  arm64(
    "makes one for arm64 that starts",
    () => {
      expect(build("--target", "linux-arm64").code).toBe(0);
      const emulator = ["qemu-aarch64-static", "-L", ARM_ROOT];
      expect(versionOf(join(ROOT, "dist/holdfast-linux-arm64"), emulator)).toMatch(
        /^0 \d+\.\d+\.\d+/,
      );
    },
    BUILD_LIMIT_MS,
  );

  test("refuses an unknown target in one line that names the known ones", () => {
    const { code, text } = build("--target", "sparc");
    expect(code).toBe(1);
    expect(text.trim().split("\n")).toHaveLength(1);
    expect(text).toContain("'sparc'");
    expect(text).toContain("linux-arm64-musl");
  });

  test("refuses an unknown flag in one line", () => {
    const { code, text } = build("--fast");
    expect([code, text.trim().split("\n").length]).toEqual([1, 1]);
    expect(text).toContain("--fast");
  });
});

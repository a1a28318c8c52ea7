/**
 * Where passwords come from, on a real file system.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readKg, readPassword } from "./password.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "holdfast-password-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

function file(content: string | Uint8Array, mode = 0o600): string {
  const path = join(folder, "pw");
  writeFileSync(path, content);
  chmodSync(path, mode);
  return path;
}

async function refusal(path: string): Promise<string> {
  const read = await readPassword(path, {});
  if (read.ok) throw new Error("it is taken");
  expect(read.error.kind).toBe("no-password");
  expect(read.error.detail).toContain(path);
  return read.error.detail;
}

describe("a password file", () => {
  test("is read without the end of its line, and wins over the environment", async () => {
    for (const [content, password] of [
      ["open sesame\n", "open sesame"],
      ["open sesame\r\n", "open sesame"],
      [" spaces count ", " spaces count "],
      ["ü€", "ü€"],
    ] as const) {
      const read = await readPassword(file(content), { HOLDFAST_BMC_PASSWORD: "other" });
      expect(read).toEqual({ ok: true, value: password });
    }
  });

  test("that its owner alone may not even write is fine", async () => {
    expect((await readPassword(file("x", 0o400), {})).ok).toBe(true);
  });

  test("that others may read or write is refused, with what to do", async () => {
    for (const mode of [0o640, 0o604, 0o644, 0o620, 0o602, 0o610, 0o666]) {
      const detail = await refusal(file("sesame", mode));
      expect(detail).toContain(`mode 0${mode.toString(8)}`);
      expect(detail).toContain("chmod 600");
      expect(detail).not.toContain("sesame");
    }
  });

  test("that is none is refused: missing, a folder, empty, too long, many lines", async () => {
    expect(await refusal(join(folder, "none"))).toContain("no such file");
    expect(await refusal(folder)).toContain("no plain file");
    expect(await refusal(file(""))).toContain("empty");
    expect(await refusal(file("\n"))).toContain("empty");
    expect(await refusal(file("x".repeat(2_000)))).toContain("more than 1024 bytes");
    expect(await refusal(file("one\ntwo\n"))).toContain("more than one line");
  });

  test("behind a link is judged by what the link leads to", async () => {
    const link = join(folder, "link");
    symlinkSync(file("sesame", 0o644), link);
    expect(await refusal(link)).toContain("others may read it");
    chmodSync(join(folder, "pw"), 0o600);
    expect(await readPassword(link, {})).toEqual({ ok: true, value: "sesame" });
  });

  test("that is a pipe nobody writes to does not make it wait", async () => {
    const pipe = join(folder, "pipe");
    expect(Bun.spawnSync(["mkfifo", "-m", "600", pipe]).exitCode).toBe(0);
    expect(await refusal(pipe)).toContain("no plain file");
  });
});

describe("the environment", () => {
  test("is asked where no file is named", async () => {
    expect(await readPassword(null, { HOLDFAST_BMC_PASSWORD: "s" })).toEqual({
      ok: true,
      value: "s",
    });
    expect(await readPassword(null, {})).toEqual({ ok: true, value: null });
    // Empty is a password, unset is none.
    expect(await readPassword(null, { HOLDFAST_BMC_PASSWORD: "" })).toEqual({
      ok: true,
      value: "",
    });
  });
});

describe("the BMC's own key", () => {
  test("is text, or hex digits behind 0x", async () => {
    const of = async (text: string): Promise<string | null> => {
      const key = await readKg(null, { HOLDFAST_BMC_KG: text });
      return key.ok ? (key.value?.toHex() ?? null) : key.error.kind;
    };
    expect(await of("abc")).toBe("616263");
    expect(await of("0x00ff10")).toBe("00ff10");
    expect(await of("0x0")).toBe("307830");
    expect(await of("")).toBeNull();
    expect(await of("x".repeat(20))).toBe("78".repeat(20));
    expect(await of("x".repeat(21))).toBe("no-password");
  });

  test("may be in a file too, under the same rules", async () => {
    const key = await readKg(file("0x0102\n"), {});
    expect(key.ok && key.value).toEqual(Uint8Array.of(1, 2));
    expect((await readKg(file("k", 0o644), {})).ok).toBe(false);
  });
});

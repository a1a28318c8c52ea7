/**
 * Goal: the linters' purity rules really guard the rooms' roots. Method: give each linter a bad file at a pure path, in a
 * folder of its own with the repository's configuration, and a good one beside it.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { ROOT } from "../steps.ts";

const LIMIT_MS = 60_000;
const folder = mkdtempSync(join(tmpdir(), "holdfast-lint-"));
const BAD_PATHS = ["membership", "job", "checkpoint", "proxy", "proxy/collectives"].map(
  (room) => `agent/${room}/a.ts`,
);

function write(path: string, text: string): void {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), `/** A sample. */\n${text}`);
}

function lint(...argv: readonly string[]): { readonly code: number; readonly text: string } {
  const bin = join(ROOT, "node_modules/.bin");
  const [name = "", ...rest] = argv;
  const child = Bun.spawnSync([join(bin, name), ...rest], { cwd: folder });
  return { code: child.exitCode, text: `${child.stdout}${child.stderr}` };
}

beforeAll(() => {
  for (const name of ["biome.json", ".oxlintrc.json", "tsconfig.json"]) {
    copyFileSync(join(ROOT, name), join(folder, name));
  }
  symlinkSync(join(ROOT, "node_modules"), join(folder, "node_modules"));
  writeFileSync(join(folder, ".gitignore"), "node_modules\n");
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("the linters", () => {
  test(
    "refuse clocks and randomness where decisions are made",
    () => {
      for (const path of BAD_PATHS) {
        write(
          path,
          "export const a: number = Date.now();\nexport const b: number = Math.random();\n",
        );
        const biome = lint("biome", "lint", "--diagnostic-level=error", path);
        expect([path, biome.code]).toEqual([path, 1]);
        expect(biome.text).toContain("Take now as an argument");
        const oxlint = lint("oxlint", path);
        expect([path, oxlint.code]).toEqual([path, 1]);
        expect(oxlint.text).toContain("no-restricted-properties");
      }
    },
    LIMIT_MS,
  );

  test(
    "refuse input and output where decisions are made, and take it in io/",
    () => {
      const text =
        'import { readFileSync } from "node:fs";\nexport const a: string = readFileSync("a", "utf8");\n';
      write("agent/membership/b.ts", text);
      write("agent/membership/io/b.ts", text);
      const bad = lint("biome", "lint", "--diagnostic-level=error", "agent/membership/b.ts");
      expect(bad.code).toBe(1);
      expect(bad.text).toContain("Pure layer: no I/O.");
      const good = lint("biome", "lint", "--diagnostic-level=error", "agent/membership/io/b.ts");
      expect(good.code).toBe(0);
    },
    LIMIT_MS,
  );

  test(
    "refuse a promise nobody waits for",
    () => {
      write("agent/net/io/c.ts", "async function f(): Promise<void> {}\nf();\n");
      const { code, text } = lint("oxlint", "agent/net/io/c.ts");
      expect(code).toBe(1);
      expect(text).toContain("no-floating-promises");
    },
    LIMIT_MS,
  );
});

/**
 * Goal: imports point down the table of ARCHITECTURE.md, and a package is used where the list says. Method: read both as
 * data, check every file of the repository; a bad sample of each kind shows that the checks can fail.
 */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../steps.ts";
import {
  parseImportTable,
  parsePackageTable,
  type Row,
  roomOf,
  wrongArrows,
  wrongPackages,
} from "./rooms.ts";
import { isTypeScript, readSources } from "./sources.ts";

/** Every source is read; on a busy machine that takes seconds. */
setDefaultTimeout(60_000);

const page = readFileSync(join(ROOT, "ARCHITECTURE.md"), "utf8");
const rows = parseImportTable(page);
const packages = parsePackageTable(page);
const sources = readSources(isTypeScript);

function arrows(path: string, text: string): readonly string[] {
  return wrongArrows([{ path, text }], rows);
}

describe("the import table", () => {
  test("allows every arrow of this repository", () => {
    expect(wrongArrows(sources, rows)).toEqual([]);
  });

  test("names only rooms that have a row or lie in one", () => {
    const named = rows.flatMap((row: Row) => row.allowed ?? []).map((one) => one.room);
    for (const room of named) {
      const path = room.endsWith("/") ? `${room}a.ts` : room;
      expect(roomOf(path, rows)).not.toBeNull();
    }
  });

  test("refuses an arrow up", () => {
    expect(arrows("agent/membership/a.ts", 'import { x } from "../job/job.ts";\n')).toEqual([
      "agent/membership/a.ts:1 → agent/job/job.ts: not in the table (a value, not a type)",
    ]);
  });

  test("refuses a value where types are allowed, and takes the type", () => {
    const table = parseImportTable(
      "| room | holds | may import |\n|---|---|---|\n| `a/` | x | `b/` (types) |\n| `b/` | y | - |\n",
    );
    const complaints = (text: string) => wrongArrows([{ path: "a/a.ts", text }], table);
    expect(complaints('import { x } from "../b/b.ts";\n')).toHaveLength(1);
    expect(complaints('import type {\n  X,\n} from "../b/b.ts";\n')).toEqual([]);
  });

  test("refuses another file where one is named", () => {
    const from = (name: string) => `import { x } from "../membership/${name}";\n`;
    expect(arrows("agent/checkpoint/a.ts", from("membership.ts"))).toEqual([]);
    expect(arrows("agent/checkpoint/a.ts", from("membership-machine.ts"))).toHaveLength(1);
  });

  test("refuses io from what decides, also as a dynamic import", () => {
    expect(arrows("agent/job/a.ts", 'export { x } from "./io/b.ts";\n')).toHaveLength(1);
    expect(arrows("agent/job/a.ts", 'const b = await import("./io/b.ts");\n')).toHaveLength(1);
    expect(arrows("agent/job/io/a.ts", 'import { x } from "../../net/io/b.ts";\n')).toEqual([]);
  });

  test("refuses a test's code in what ships, and a folder without a row", () => {
    expect(arrows("agent/cli/a.ts", 'import { x } from "../../test/sim/b.ts";\n')).toHaveLength(1);
    expect(arrows("agent/job/io/a.ts", 'import { x } from "../harness/b.ts";\n')).toHaveLength(1);
    expect(arrows("agent/elsewhere/a.ts", 'import { x } from "./b.ts";\n')).toHaveLength(1);
  });

  test("does not take a comment or a string for an import", () => {
    const text = '// import { x } from "../job/job.ts";\nconst a = `import "../job/job.ts"`;\n';
    expect(arrows("agent/membership/a.ts", text)).toEqual([]);
  });
});

describe("the list of packages", () => {
  test("is what package.json says", () => {
    const manifest = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
    expect(Object.keys(manifest.dependencies).sort()).toEqual(
      packages.map((one) => one.name).sort(),
    );
  });

  test("allows every import of a package in this repository", () => {
    expect(wrongPackages(sources, packages)).toEqual([]);
  });

  test("refuses a package that is not in it, or not in that room", () => {
    const sample = [
      { path: "agent/net/io/a.ts", text: 'import { x } from "left-pad";\n' },
      { path: "agent/membership/a.ts", text: 'import { Hono } from "hono/tiny";\n' },
      { path: "agent/net/io/b.ts", text: 'import { Hono } from "hono/tiny";\n' },
    ];
    expect(wrongPackages(sample, packages)).toHaveLength(2);
  });
});

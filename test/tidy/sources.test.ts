/**
 * Goal: the checks look at code, not at comments or strings, and see every import. Method: samples of each kind of text.
 */
import { expect, test } from "bun:test";
import { codeOf, importsOf, repositoryPaths } from "./sources.ts";

test("comments, strings and regular expressions are blanked, their lines stay", () => {
  const code = codeOf(
    'a; // Date\n/* Date\nDate */ b("Da\\"te", \'Date\', /[/]Date/g);\nc / Date / d;\n',
  );
  expect(code.split("\n").map((line) => line.trim())).toEqual([
    "a;",
    "",
    `b(${" ".repeat(8)},${" ".repeat(7)}, ${" ".repeat(10)});`,
    "c / Date / d;",
    "",
  ]);
});

test("what a template computes is code, its text is not", () => {
  const code = codeOf("`Date $" + "{f({ a: `x $" + "{now} Date` })} Date $" + "{b}`; done");
  expect(code.replace(/\s+/g, " ").trim()).toBe("f({ a: now }) b ; done");
});

test("every form of import is seen with its line and kind", () => {
  const text = [
    'import "./a.ts";',
    "import type {",
    "  A,",
    '} from "./b.ts";',
    'import { type C, c } from "./c.ts";',
    'export * from "./d.ts";',
    'export type { E } from "./e.ts";',
    'import data from "./f.wasm" with { type: "file" };',
    'const g = await import("./g.ts");',
    'export const from = "./no.ts";',
  ].join("\n");
  expect(importsOf(text).map((one) => [one.line, one.specifier, one.isTypeOnly])).toEqual([
    [1, "./a.ts", false],
    [2, "./b.ts", true],
    [5, "./c.ts", false],
    [6, "./d.ts", false],
    [7, "./e.ts", true],
    [8, "./f.wasm", false],
    [9, "./g.ts", false],
  ]);
});

test("the repository's files are found, and nobody else's", () => {
  const paths = repositoryPaths();
  expect(paths).toContain("package.json");
  expect(paths).toContain("test/tidy/sources.test.ts");
  expect(paths.some((path) => path.startsWith("node_modules/"))).toBe(false);
});

/**
 * Goal: documents that can be followed. Method: read every Markdown page of the repository; bad samples of each kind.
 */
import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../steps.ts";
import { deadLinks, titleCount } from "./documents.ts";
import { readSources } from "./sources.ts";

const pages = readSources((path) => path.endsWith(".md"));
const exists = (path: string): boolean => existsSync(join(ROOT, path));

describe("a Markdown page", () => {
  test("has one title", () => {
    const counts = pages.map(({ path, text }) => `${path} ${titleCount(text)}`);
    expect(counts).toEqual(pages.map(({ path }) => `${path} 1`));
    expect(titleCount("# a\n\n```sh\n# not a title\n```\n")).toBe(1);
    expect(titleCount("# a\n\n# b\n")).toBe(2);
  });

  test("has links that lead somewhere", () => {
    expect(pages.length).toBeGreaterThan(2);
    expect(deadLinks(pages, exists)).toEqual([]);
    const bad = "# A b\n[x](no/such.md) [y](#a-b) [z](#c) [w](https://example.org/no)\n";
    expect(deadLinks([{ path: "README.md", text: bad }], exists)).toEqual([
      "README.md: no/such.md leads nowhere",
      "README.md: #c names no heading",
    ]);
  });
});

/**
 * Markdown: one title a page, links that lead somewhere. Looks only at links inside the repository; a page elsewhere may go
 * away without making this one wrong.
 */
import { dirname, join, normalize } from "node:path";
import type { Source } from "./sources.ts";

/** Text of fenced and inline code says nothing about the page's own titles and links. */
function prose(markdown: string): string {
  return markdown
    .replace(/^(```|~~~)[\s\S]*?^\1/gm, (block) => block.replace(/[^\n]/g, ""))
    .replace(/^(?: {4}|\t).*$/gm, "");
}

export function titleCount(markdown: string): number {
  return [...prose(markdown).matchAll(/^# \S/gm)].length;
}

/** As the common renderers make it: lower case, punctuation out, spaces to hyphens. */
export function anchorOf(heading: string): string {
  return heading
    .trim()
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, "")
    .replace(/\s/g, "-");
}

function anchors(markdown: string): readonly string[] {
  return [...prose(markdown).matchAll(/^#{1,6} (.+)$/gm)].map((match) => anchorOf(match[1] ?? ""));
}

export function deadLinks(
  pages: readonly Source[],
  exists: (path: string) => boolean,
): readonly string[] {
  const problem = (path: string, link: string): string | null => {
    const [file = "", anchor] = link.split("#");
    const target = file === "" ? path : normalize(join(dirname(path), file));
    if (!exists(target)) return "leads nowhere";
    const page = pages.find((one) => one.path === target);
    if (anchor === undefined || page === undefined) return null;
    return anchors(page.text).includes(anchor) ? null : "names no heading";
  };
  return pages.flatMap(({ path, text }) =>
    [...prose(text).matchAll(/\]\(([^)\s]+)(?:\s+"[^"]*")?\)/g)]
      .map((match) => match[1] as string)
      .filter((link) => !/^[a-z]+:/i.test(link))
      .flatMap((link) => {
        const what = problem(path, link);
        return what === null ? [] : [`${path}: ${link} ${what}`];
      }),
  );
}

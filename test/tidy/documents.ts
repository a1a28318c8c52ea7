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
  const dead: string[] = [];
  for (const { path, text } of pages) {
    for (const match of prose(text).matchAll(/\]\(([^)\s]+)(?:\s+"[^"]*")?\)/g)) {
      const link = match[1] as string;
      if (/^[a-z]+:/i.test(link)) continue;
      const [file = "", anchor] = link.split("#");
      const target = file === "" ? path : normalize(join(dirname(path), file));
      const page = pages.find((one) => one.path === target);
      if (!exists(target)) dead.push(`${path}: ${link} leads nowhere`);
      else if (anchor !== undefined && page !== undefined && !anchors(page.text).includes(anchor)) {
        dead.push(`${path}: ${link} names no heading`);
      }
    }
  }
  return dead;
}

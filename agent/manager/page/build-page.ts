/**
 * Makes the manager's page at build time: `index.html`, the style sheet and the program become one file that needs nothing
 * beside it. `page-answer.ts` serves it, and allows the browser exactly the script and the styles that are in it.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const FOLDER = "agent/manager/page";

async function bundle(root: string, entry: string): Promise<string> {
  const result = await Bun.build({
    entrypoints: [join(root, FOLDER, entry)],
    target: "browser",
    format: "iife",
    minify: true,
    sourcemap: "none",
    // Nothing in it may depend on where it was built.
    root,
    throw: false,
  });
  const [output, ...others] = result.outputs;
  if (!result.success || output === undefined || others.length > 0) {
    throw new Error(`cannot bundle ${FOLDER}/${entry}: ${result.logs.map(String).join("\n")}`);
  }
  return (await output.text()).trim();
}

/** An element ends at the first thing that looks like its end tag, whatever stands around it. */
function embedded(tag: "script" | "style", text: string): string {
  if (text.toLowerCase().includes(`</${tag}`) || text.includes("<!--")) {
    throw new Error(`${FOLDER}: a text in its ${tag} would end the element`);
  }
  return `<${tag}>${text}</${tag}>`;
}

/** `root` is the repository's. */
export async function buildPage(root: string, output: string): Promise<void> {
  const html = readFileSync(join(root, FOLDER, "index.html"), "utf8");
  const [script, style] = await Promise.all([bundle(root, "main.ts"), bundle(root, "style.css")]);
  const parts: Readonly<Record<string, string>> = {
    "<!-- style -->": embedded("style", style),
    "<!-- script -->": embedded("script", script),
  };
  const page = html.replace(/<!-- (?:style|script) -->/g, (mark) => parts[mark] ?? mark);
  writeFileSync(output, page);
}

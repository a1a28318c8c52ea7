/**
 * The repository's own files as text, and TypeScript stripped of what is not code.
 *
 * Decides nothing: the checks beside it do, each a function from texts to complaints, so that a test can feed it a bad sample.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../steps.ts";

export interface Source {
  /** Relative to the root, with `/`. */
  readonly path: string;
  readonly text: string;
}

/** What git tracks or would: a file that is ignored is nobody's business. Without git, what lies there. */
export function repositoryPaths(): readonly string[] {
  const git = Bun.spawnSync(["git", "ls-files", "-co", "--exclude-standard", "-z"], { cwd: ROOT });
  const paths =
    git.exitCode === 0
      ? git.stdout.toString().split("\0")
      : [...new Bun.Glob("**/*").scanSync({ cwd: ROOT, dot: true })].filter(
          (path) => !/^(?:\.git|node_modules|dist)\//.test(path),
        );
  return [...new Set(paths)]
    .filter((path) => path !== "" && Bun.file(join(ROOT, path)).size > 0)
    .sort();
}

export function readSources(matches: (path: string) => boolean): readonly Source[] {
  return repositoryPaths()
    .filter(matches)
    .map((path) => ({ path, text: readFileSync(join(ROOT, path), "utf8") }));
}

export function isTypeScript(path: string): boolean {
  return path.endsWith(".ts");
}

/** Tests and what only they use: `test/`, and in a room `harness/` and files named `test-*.ts`. */
export function isTest(path: string): boolean {
  return /\.test\.ts$|^test\/|\/harness\/|\/test-[^/]+\.ts$/.test(path);
}

/** What is not code and needs no look at what stands around it: comments, then strings. */
const BLANKED: readonly RegExp[] = [
  /\/\/[^\n]*/y,
  /\/\*[\s\S]*?(?:\*\/|$)/y,
  /"(?:[^"\\\n]|\\[\s\S])*"?/y,
  /'(?:[^'\\\n]|\\[\s\S])*'?/y,
];
const REGEX = /\/(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[a-z]*/y;
/** A `/` after one of these begins a regular expression, after anything else it divides. */
const BEFORE_REGEX = /(?:^|[=(,:[!&|?{};+*%~^<>-]|\breturn|\btypeof|\bcase)\s*$/;
/** From a backtick, or from the brace that ends `${}`, to the next `${` or the closing backtick. */
const TEMPLATE = /[`}](?:[^\\`$]|\\[\s\S]|\$(?!\{))*(?:`|\$\{|$)/y;

function matchAt(pattern: RegExp, text: string, at: number): string {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0] ?? "";
}

function notCodeAt(text: string, at: number, before: string): string {
  for (const pattern of BLANKED) {
    const found = matchAt(pattern, text, at);
    if (found !== "") return found;
  }
  if (text[at] === "/" && BEFORE_REGEX.test(before)) return matchAt(REGEX, text, at);
  return "";
}

/** What begins with none of these is code: the patterns need not be tried. */
const MAY_BLANK: ReadonlySet<string> = new Set(["/", '"', "'"]);

const BRACES: Readonly<Record<string, number>> = { "{": 1, "}": -1 };

/**
 * The same text with comments, strings and regular expressions blanked, line by line as before. What stands in the `${}` of
 * a template stays, as that is code. O(length).
 */
export function codeOf(text: string): string {
  let out = "";
  let depth = 0;
  /** Depth of braces outside each template that is open. */
  const templates: number[] = [];
  const templateAt = (at: number): string => {
    const isResumed = text[at] === "}" && templates.at(-1) === depth;
    if (!isResumed && text[at] !== "`") return "";
    if (isResumed) templates.pop();
    const part = matchAt(TEMPLATE, text, at);
    if (part.endsWith("${")) templates.push(depth);
    return part;
  };
  while (out.length < text.length) {
    const at = out.length;
    const skipped =
      templateAt(at) || (MAY_BLANK.has(text[at] ?? "") ? notCodeAt(text, at, out.slice(-80)) : "");
    const char = text[at] as string;
    if (skipped === "") depth += BRACES[char] ?? 0;
    out += skipped === "" ? char : skipped.replace(/[^\n]/g, " ");
  }
  return out;
}

export interface Import {
  readonly line: number;
  readonly specifier: string;
  readonly isTypeOnly: boolean;
}

/** Static and dynamic imports and re-exports, in order of place. */
export function importsOf(text: string): readonly Import[] {
  const code = codeOf(text);
  const found: Import[] = [];
  const statement =
    /\bimport\s*\(|^[ \t]*(?:import|export)\b(?:(?<type>\s+type)\b)?(?:[^;()]*?\bfrom\b)?/gm;
  for (const match of code.matchAll(statement)) {
    // The specifier is blank in `code`; in `text` it follows at once, or this is no import.
    const rest = /^\s*(["'])([^"'\n]+)\1/.exec(text.slice(match.index + match[0].length));
    if (rest === null) continue;
    found.push({
      line: text.slice(0, match.index).split("\n").length,
      specifier: rest[2] as string,
      isTypeOnly: match.groups?.["type"] !== undefined,
    });
  }
  return found;
}

/**
 * The import table of ARCHITECTURE.md as data, and the arrows that are not in it.
 *
 * A file belongs to the row with the longest name that fits its path; a `*` in a row stands for one folder. A row with a `*`
 * adds to what the folder's own room may, any other row stands alone.
 */
import { dirname, join } from "node:path";
import { importsOf, isTest, type Source } from "./sources.ts";

export interface Allowed {
  readonly room: string;
  readonly isTypesOnly: boolean;
}

export interface Row {
  readonly room: string;
  /** null: everything. */
  readonly allowed: readonly Allowed[] | null;
}

/** Rows of the Markdown table whose header is `| ${header} |`. */
export function tableRows(markdown: string, header: string): readonly (readonly string[])[] {
  const lines = markdown.split("\n");
  const start = lines.indexOf(`| ${header} |`);
  if (start < 0) throw new Error(`no table with the header | ${header} |`);
  const rows: string[][] = [];
  for (const line of lines.slice(start + 2)) {
    if (!line.startsWith("|")) break;
    rows.push(
      line
        .split("|")
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
  }
  return rows;
}

export function codeSpans(cell: string): readonly string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map((match) => match[1] as string);
}

export function parseImportTable(markdown: string): readonly Row[] {
  return tableRows(markdown, "room | holds | may import").map(([name = "", , cell = ""]) => {
    const room = codeSpans(name)[0];
    if (room === undefined) throw new Error(`a row without a room: ${name}`);
    if (cell === "everything") return { room, allowed: null };
    const allowed = [...cell.matchAll(/`([^`]+)`( \(types\))?/g)].map(
      (match): Allowed => ({ room: match[1] as string, isTypesOnly: match[2] !== undefined }),
    );
    if (allowed.length === 0 && cell !== "-") throw new Error(`${room}: cannot read "${cell}"`);
    return { room, allowed };
  });
}

function contains(room: string, path: string): boolean {
  if (!room.endsWith("/")) return path === room;
  const parts = room.split("/").slice(0, -1);
  const folders = path.split("/").slice(0, -1);
  return parts.every((part, index) => part === "*" || part === folders[index]);
}

/** The room of a file, without the rows that only add. */
export function roomOf(path: string, rows: readonly Row[]): Row | null {
  const fitting = rows.filter((row) => !row.room.includes("*") && contains(row.room, path));
  return fitting.reduce<Row | null>(
    (best, row) => (best === null || row.room.length > best.room.length ? row : best),
    null,
  );
}

function mayImport(source: string, target: string, isTypeOnly: boolean, rows: readonly Row[]) {
  const own = roomOf(source, rows);
  const room = roomOf(target, rows);
  if (own === null || room === null) return false;
  if (own === room || own.allowed === null) return true;
  const added = rows.filter((row) => row.room.includes("*") && contains(row.room, source));
  return [own, ...added]
    .flatMap((row) => row.allowed ?? [])
    .some((one) => contains(one.room, target) && (isTypeOnly || !one.isTypesOnly));
}

/** In every room, so not worth a column. */
const EVERYWHERE = ["core/assert.ts", "core/result.ts"];

function complaint(path: string, target: string, isTypeOnly: boolean, rows: readonly Row[]) {
  if (/^(?:test|bench)\//.test(target) && !/^(?:test|bench)\//.test(path)) {
    return "only tests and benchmarks may import it";
  }
  if (isTest(target) && !path.startsWith("bench/")) return "only tests may import it";
  const room = roomOf(path, rows);
  if (room === null) return "its folder has no row in the table";
  const isImpure = room.allowed === null || /\/(?:io|sdk)\//.test(path);
  if (!isImpure && target.includes("/io/")) return "only io/ may import from io/";
  if (EVERYWHERE.includes(target)) return null;
  if (!mayImport(path, target, isTypeOnly, rows)) {
    return `not in the table${isTypeOnly ? "" : " (a value, not a type)"}`;
  }
  return null;
}

/** One line per arrow that is not in the table. O(files × imports × rows). */
export function wrongArrows(sources: readonly Source[], rows: readonly Row[]): readonly string[] {
  const wrong: string[] = [];
  for (const { path, text } of sources) {
    for (const { specifier, isTypeOnly, line } of importsOf(text)) {
      if (!specifier.startsWith(".") || isTest(path)) continue;
      // AssemblyScript leaves the ending out.
      const target = join(dirname(path), /\.\w+$/.test(specifier) ? specifier : `${specifier}.ts`);
      const why = complaint(path, target, isTypeOnly, rows);
      if (why !== null) wrong.push(`${path}:${line} → ${target}: ${why}`);
    }
  }
  return wrong;
}

export interface PackageRow {
  readonly name: string;
  readonly rooms: readonly string[];
}

export function parsePackageTable(markdown: string): readonly PackageRow[] {
  return tableRows(markdown, "package | why | imported by").map(([name = "", , rooms = ""]) => ({
    name: codeSpans(name)[0] ?? "",
    rooms: codeSpans(rooms),
  }));
}

/** `hono/bun` → `hono`, `@a/b/c` → `@a/b`. */
function packageOf(specifier: string): string {
  return specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/");
}

/** One line per import of a package where the list does not have it. */
export function wrongPackages(
  sources: readonly Source[],
  packages: readonly PackageRow[],
): readonly string[] {
  const wrong: string[] = [];
  for (const { path, text } of sources) {
    if (isTest(path) || path.startsWith("bench/")) continue;
    for (const { specifier, line } of importsOf(text)) {
      if (/^(?:\.|node:|bun(?::|$))/.test(specifier)) continue;
      const row = packages.find((one) => one.name === packageOf(specifier));
      if (row === undefined) wrong.push(`${path}:${line}: package ${specifier} is not in the list`);
      else if (!row.rooms.some((room) => contains(room, path))) {
        wrong.push(`${path}:${line}: package ${specifier} belongs in ${row.rooms.join(", ")}`);
      }
    }
  }
  return wrong;
}

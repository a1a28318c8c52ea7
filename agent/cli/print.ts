/**
 * What commands print: tables whose columns line up, and one line of JSON with `--json`.
 */
export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

export function printLine(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Columns as wide as their widest cell, two spaces between, none at the end of a line. */
export function formatTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  return [head, ...rows]
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

/** `7, 5–3` for 7, 5, 4, 3: runs of falling numbers are shortened. */
export function formatVersions(versions: readonly number[]): string {
  const runs: string[] = [];
  for (let i = 0; i < versions.length; ) {
    let j = i;
    while (j + 1 < versions.length && versions[j + 1] === (versions[j] ?? 0) - 1) j++;
    runs.push(j > i ? `${versions[i]}–${versions[j]}` : String(versions[i]));
    i = j + 1;
  }
  return runs.length === 0 ? "-" : runs.join(", ");
}

export function formatTime(atMs: number): string {
  return new Date(atMs).toISOString().slice(11, 23);
}

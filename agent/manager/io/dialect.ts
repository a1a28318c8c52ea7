/**
 * Where SQLite and PostgreSQL differ, in one place: types, the clock, and rows given as one value.
 *
 * Many rows are given to a statement as one JSON array of arrays: the text of the statement is then the same for every number
 * of rows, so it is prepared once, and no limit on the number of values is met.
 */
export interface Dialect {
  readonly kind: "sqlite" | "postgres";
  readonly int: string;
  /** Milliseconds since 1970 by the database's own clock, the same for all managers. */
  readonly nowMs: string;
  /** A FROM item with the named columns; takes one value, `packRows` of the rows. */
  rows(columns: Columns): string;
}

export type ColumnType = "text" | "int";
export type Columns = readonly (readonly [name: string, type: ColumnType])[];
export type Cell = string | number | null;

export const SQLITE: Dialect = {
  kind: "sqlite",
  int: "integer",
  nowMs: "cast(unixepoch('subsec') * 1000 as integer)",
  rows: (columns) => {
    const items = columns.map(([name], index) => `value ->> ${index} as ${name}`);
    return `(select ${items.join(", ")} from json_each(?))`;
  },
};

export const POSTGRES: Dialect = {
  kind: "postgres",
  int: "bigint",
  nowMs: "cast(extract(epoch from clock_timestamp()) * 1000 as bigint)",
  rows: (columns) => {
    const items = columns.map(([name, type], index) =>
      type === "int"
        ? `cast(item ->> ${index} as bigint) as ${name}`
        : `item ->> ${index} as ${name}`,
    );
    // Twice cast: a driver that knows a value to be JSON would encode our text once more.
    return `(select ${items.join(", ")} from jsonb_array_elements(cast(cast(? as text) as jsonb)) as item)`;
  },
};

/**
 * PostgreSQL's texts have no NUL and no halves of surrogate pairs; so neither store has them. Whole numbers only: times have
 * fractions where a clock gave them.
 */
function cell(value: Cell): Cell {
  if (typeof value === "string") return value.toWellFormed().replaceAll("\0", "\uFFFD");
  return value === null ? null : Math.round(value);
}

export function packRows(rows: readonly (readonly Cell[])[]): string {
  return JSON.stringify(rows.map((row) => row.map(cell)));
}

const numberedTexts = new Map<string, string>();
/** Texts are ours and few; with filters they are some dozens. */
const NUMBERED_MAX = 1_000;

/** `?` in turn → `$1`, `$2`, …. No text of ours has a question mark elsewhere. */
export function numbered(text: string): string {
  const known = numberedTexts.get(text);
  if (known !== undefined) return known;
  let count = 0;
  const made = text.replace(/\?/g, () => {
    count += 1;
    return `$${count}`;
  });
  if (numberedTexts.size < NUMBERED_MAX) numberedTexts.set(text, made);
  return made;
}

/** As part of a pattern for `like … escape '!'`. */
export function likeLiteral(text: string): string {
  return text.replace(/[!%_]/g, (character) => `!${character}`);
}

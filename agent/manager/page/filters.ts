/**
 * Which events are shown: by gravity, by where they have got to, by words, by time, by ticket. Pure.
 */
import type { EventRow } from "../api.ts";

/** The five severities as three, which is as many as a glance tells apart. */
export const GRAVITIES = ["critical", "warning", "information"] as const;
export type EventGravity = (typeof GRAVITIES)[number];

export type StateFilter = "all" | "kept" | "delivered" | "around" | "not-relayed";

export interface TimeSpan {
  readonly fromMs: number;
  readonly untilMs: number;
}

export interface Filter {
  readonly gravities: ReadonlySet<EventGravity>;
  readonly state: StateFilter;
  /** Every word must occur, in whatever field. */
  readonly words: string;
  /** The range of the time line that ends now; null: all. */
  readonly rangeMs: number | null;
  /** A part of the time line; it takes precedence over the range. */
  readonly span: TimeSpan | null;
}

export const NO_FILTER: Filter = {
  gravities: new Set(GRAVITIES),
  state: "all",
  words: "",
  rangeMs: 3_600_000,
  span: null,
};

export function gravityOf({ severity }: Pick<EventRow, "severity">): EventGravity {
  if (severity === "critical" || severity === "non-recoverable") return "critical";
  return severity === "warning" ? "warning" : "information";
}

function isOfState(row: EventRow, state: StateFilter): boolean {
  if (state === "all") return true;
  if (state === "around") return row.path !== null && row.path !== "manager";
  return row.state === state;
}

function textOf(row: EventRow): string {
  return `${row.text} ${row.node} ${row.subject} ${row.category} ${row.ticket ?? ""} ${row.id} ${row.system} ${row.seenBy}`.toLowerCase();
}

/** Everything but the time: what the time line shows. O(rows). */
export function matching(rows: readonly EventRow[], filter: Filter): readonly EventRow[] {
  const words = filter.words.toLowerCase().split(/\s+/).filter(Boolean);
  return rows.filter(
    (row) =>
      filter.gravities.has(gravityOf(row)) &&
      isOfState(row, filter.state) &&
      (words.length === 0 || words.every((word) => textOf(row).includes(word))),
  );
}

export function spanOf(filter: Filter, nowMs: number): TimeSpan | null {
  if (filter.span !== null) return filter.span;
  if (filter.rangeMs === null) return null;
  return { fromMs: nowMs - filter.rangeMs, untilMs: Number.POSITIVE_INFINITY };
}

export function within(rows: readonly EventRow[], span: TimeSpan | null): readonly EventRow[] {
  if (span === null) return rows;
  return rows.filter(({ seenMs }) => seenMs >= span.fromMs && seenMs < span.untilMs);
}

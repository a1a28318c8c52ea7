/**
 * The time line as numbers: a span of time in equal bins, each with its events by gravity, and round times for its axis. Pure.
 */
import type { EventRow } from "../api.ts";
import { type EventGravity, gravityOf, type TimeSpan } from "./filters.ts";

export interface Bin {
  readonly fromMs: number;
  readonly untilMs: number;
  readonly counts: Readonly<Record<EventGravity, number>>;
  readonly total: number;
}

/** Widths of bins that give round times. */
const STEPS_MS: readonly number[] = [
  1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1_200, 1_800, 3_600, 7_200, 10_800, 21_600,
  43_200, 86_400, 172_800, 604_800, 1_209_600, 2_592_000, 7_776_000, 31_536_000,
].map((seconds) => seconds * 1_000);

/** The narrowest round width with which `spanMs` has at most `most` bins. */
export function stepFor(spanMs: number, most: number): number {
  const least = spanMs / most;
  return STEPS_MS.find((step) => step >= least) ?? Math.ceil(least);
}

/**
 * Bins begin at multiples of their width, in local time (`offsetMs` east of UTC), so that they stay where they are while
 * time goes on. Events outside the span are left out. O(rows + bins).
 */
export function histogram(
  rows: readonly EventRow[],
  span: TimeSpan,
  options: { readonly binsMost: number; readonly offsetMs: number },
): readonly Bin[] {
  const { binsMost, offsetMs } = options;
  const stepMs = stepFor(Math.max(1, span.untilMs - span.fromMs), binsMost);
  const startMs = Math.floor((span.fromMs + offsetMs) / stepMs) * stepMs - offsetMs;
  const count = Math.max(1, Math.ceil((span.untilMs - startMs) / stepMs));
  const tallies = Array.from({ length: count }, () => ({
    critical: 0,
    warning: 0,
    information: 0,
  }));
  for (const row of rows) {
    const tally = tallies[Math.floor((row.seenMs - startMs) / stepMs)];
    if (tally !== undefined) tally[gravityOf(row)]++;
  }
  return tallies.map((counts, index) => ({
    fromMs: startMs + index * stepMs,
    untilMs: startMs + (index + 1) * stepMs,
    counts,
    total: counts.critical + counts.warning + counts.information,
  }));
}

/** Round times within the span, at most `most`. */
export function ticks(span: TimeSpan, most: number, offsetMs: number): readonly number[] {
  const stepMs = stepFor(span.untilMs - span.fromMs, most);
  const first = Math.ceil((span.fromMs + offsetMs) / stepMs) * stepMs - offsetMs;
  const found: number[] = [];
  for (let atMs = first; atMs < span.untilMs; atMs += stepMs) found.push(atMs);
  return found;
}

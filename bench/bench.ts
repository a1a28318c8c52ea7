/**
 * What a benchmark is: a module in `bench/` that exports `run()` and gives measurements, each beside its peer in the same run.
 *
 * Here are the shape of a measurement, its goal, and the arithmetic they share: medians, spreads, whether a goal is reached.
 * What runs them and writes `RESULTS.md` is `main.ts`. Invariant: `ratio` is always ours divided by the peer's, in the same
 * unit; whether more or less is better is the goal's to say.
 */
import { assert } from "../core/assert.ts";

export interface Goal {
  /** Which number is judged. */
  readonly of: "ours" | "ratio";
  readonly better: "higher" | "lower";
  readonly must: number;
  /** null where there is nothing beyond what must be. */
  readonly aim: number | null;
}

export interface Measurement {
  /** Stable name, kebab-case, such as `delta-make-256mib`. */
  readonly bench: string;
  /** One line a reader understands: what was measured on what data. */
  readonly what: string;
  readonly ours: number;
  readonly peer: number | null;
  readonly peerName: string | null;
  readonly unit: string;
  /** Median absolute deviation of ours; null for a single run. */
  readonly spread: number | null;
  readonly runs: number;
  /** null: measured for the record. */
  readonly goal: Goal | null;
  /** What a reader must know to judge it; null for nothing. */
  readonly note: string | null;
}

export interface BenchModule {
  readonly run: () => Promise<readonly Measurement[]> | readonly Measurement[];
}

/** A peer or a right that is missing on this machine: said, not measured. */
export class Unavailable extends Error {
  override readonly name = "Unavailable";
}

export function median(values: readonly number[]): number {
  assert(values.length > 0, "a median of nothing");
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] as number;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] as number) + upper) / 2;
}

export function medianDeviation(values: readonly number[]): number {
  const center = median(values);
  return median(values.map((value) => Math.abs(value - center)));
}

export function ratioOf(measurement: Measurement): number | null {
  const { ours, peer } = measurement;
  return peer === null || peer === 0 ? null : ours / peer;
}

export type Verdict = "aim reached" | "reached" | "MISSED" | "no goal" | "not measured";

function isAtLeast(value: number, limit: number, better: Goal["better"]): boolean {
  return better === "higher" ? value >= limit : value <= limit;
}

export function verdictOf(measurement: Measurement): Verdict {
  const { goal } = measurement;
  if (goal === null) return "no goal";
  const value = goal.of === "ours" ? measurement.ours : ratioOf(measurement);
  if (value === null) return "not measured";
  if (goal.aim !== null && isAtLeast(value, goal.aim, goal.better)) return "aim reached";
  return isAtLeast(value, goal.must, goal.better) ? "reached" : "MISSED";
}

/** The line for machines; the first six fields are the same for every benchmark. */
export function jsonLine(measurement: Measurement): string {
  const { bench, ours, peer, peerName, unit, ...rest } = measurement;
  const ratio = ratioOf(measurement);
  return JSON.stringify({
    bench,
    ours,
    peer,
    peerName,
    ratio,
    unit,
    ...rest,
    verdict: verdictOf(measurement),
  });
}

export interface Timed {
  readonly medianMs: number;
  readonly spreadMs: number;
  readonly runs: number;
}

/** Wall time of `body`, `runs` times after `warmUps` that do not count. */
export async function timed(
  options: { readonly runs: number; readonly warmUps: number },
  body: () => unknown,
): Promise<Timed> {
  const samples: number[] = [];
  for (let run = -options.warmUps; run < options.runs; run++) {
    const startNs = Bun.nanoseconds();
    await body();
    if (run >= 0) samples.push((Bun.nanoseconds() - startNs) / 1e6);
  }
  return { medianMs: median(samples), spreadMs: medianDeviation(samples), runs: options.runs };
}

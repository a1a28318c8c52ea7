/**
 * What the ranks of one training told so far, and what follows: how far it is, when a recovery is over, how it ended.
 *
 * Reports come over a stream that may be read again from its start after a node died, so each is counted once: a report is
 * known by who told it and when.
 */

import type { Recovery, RunEnd, RunName } from "./events.ts";
import type { LoggedDecision } from "./phases.ts";
import { measureRecovery } from "./phases.ts";
import type { TrainingReport } from "./training.ts";

/** `atMs`: wall clock of the rank's machine. */
export type DatedReport = TrainingReport & { readonly atMs: number };

function rankOf(report: TrainingReport): number {
  return report.event === "step" ? 0 : report.rank;
}

/** Null when the line is not one of the training program's. */
export function parseReport(line: string): DatedReport | null {
  if (!line.startsWith('{"event":')) return null;
  try {
    return JSON.parse(line) as DatedReport;
  } catch {
    return null;
  }
}

export class RunTracker {
  readonly #run: RunName;
  readonly #ranks: number;
  readonly #seen = new Set<string>();
  readonly #reports: DatedReport[] = [];
  readonly #digests: (string | null)[];
  #accuracy: number | null = null;
  #step = 0;
  #stepsComputed = 0;

  constructor(run: RunName, ranks: number) {
    this.#run = run;
    this.#ranks = ranks;
    this.#digests = new Array<string | null>(ranks).fill(null);
  }

  /** The newest step of rank 0. */
  get step(): number {
    return this.#step;
  }

  /** False when it was known already. */
  add(report: DatedReport): boolean {
    const step = "step" in report ? report.step : 0;
    const key = `${report.event} ${rankOf(report)} ${step} ${report.atMs}`;
    if (this.#seen.has(key)) return false;
    this.#seen.add(key);
    if (report.event === "step") {
      this.#step = report.step;
      this.#stepsComputed++;
    } else if (report.event === "end") {
      this.#digests[report.rank] = report.digest;
      if (report.rank === 0) this.#accuracy = report.accuracy;
    }
    // Steps are many, and only the newest matters to a recovery.
    else this.#reports.push(report);
    return true;
  }

  /** Null while not every rank has computed a step since the kill. */
  recovery(
    killedAtMs: number,
    killedAtStep: number,
    decisions: readonly LoggedDecision[],
  ): Recovery | null {
    const since = this.#reports.filter((report) => report.atMs > killedAtMs);
    let computingAtMs = 0;
    for (let rank = 0; rank < this.#ranks; rank++) {
      // A rank may have been in the middle of its first step when the node died: only what follows a new `begin` counts.
      const begin = since.find((report) => report.event === "begin" && report.rank === rank);
      const computing = since.find(
        (report) =>
          report.event === "computing" &&
          report.rank === rank &&
          begin !== undefined &&
          report.atMs >= begin.atMs,
      );
      if (computing === undefined) return null;
      computingAtMs = Math.max(computingAtMs, computing.atMs);
    }
    const begins = since.flatMap((report) =>
      report.event === "begin" && report.atMs <= computingAtMs ? [report.step] : [],
    );
    const fromStep = Math.min(...begins);
    const marks = measureRecovery(decisions, killedAtMs, computingAtMs);
    return {
      epoch: marks?.epoch ?? 0,
      phases: marks?.phases ?? [],
      totalMs: computingAtMs - killedAtMs,
      fromStep,
      stepsAgain: Math.max(0, killedAtStep - fromStep),
    };
  }

  end(how: Pick<RunEnd, "exitCode" | "reason" | "ms">): RunEnd {
    return {
      run: this.#run,
      ...how,
      stepsComputed: this.#stepsComputed,
      digests: [...this.#digests],
      accuracy: this.#accuracy,
    };
  }
}

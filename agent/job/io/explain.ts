/**
 * Why a job is where it is: its story, and for each rollback why this state and not a newer one.
 */
import type { JobRecord } from "../job.ts";

export interface JobExplanation {
  readonly job: string;
  readonly state: string;
  readonly epoch: number;
  readonly sealed: number;
  readonly verdict: string | null;
  readonly events: readonly {
    readonly epoch: number;
    readonly atMs: number;
    readonly what: string;
    /** Chosen version; null: none could be restored. Absent where nothing was selected. */
    readonly version?: number | null;
    /** A line a version, newest first. */
    readonly why?: readonly string[];
  }[];
}

export function explainJob(record: JobRecord): JobExplanation {
  return {
    job: record.spec.id,
    state: record.state,
    epoch: record.epoch,
    sealed: record.sealed,
    verdict: record.verdict,
    events: record.history.map(({ epoch, atMs, what, selection }) => ({
      epoch,
      atMs,
      what,
      ...(selection === undefined
        ? {}
        : { version: selection.version, why: selection.explanation }),
    })),
  };
}

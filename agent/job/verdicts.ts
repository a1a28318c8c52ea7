/**
 * How a job ends, as the next revision of its record: by its programs, or lost.
 *
 * Says what is written; when, is the lead's to decide (`lead.ts`).
 */
import type { Selection } from "../checkpoint/checkpoint.ts";
import type { Epoch } from "../membership/membership.ts";
import type { JobRecord, PendingExit, RankExit } from "./job.ts";
import { revise } from "./records.ts";

function whatFailed({ rank, code, detail }: RankExit): string {
  const what = `ended with code ${code}`;
  // A process that ended by itself has nothing to add.
  return `rank ${rank} ${what}${detail === "" || detail === what ? "" : `: ${detail}`}`;
}

/** The record with one more rank ended; null when that is no news, or of an older plan. */
export function withExit(
  record: JobRecord | undefined,
  { epoch, exit }: Omit<PendingExit, "job">,
  atMs: number,
): JobRecord | null {
  if (record === undefined || record.epoch !== epoch || record.state !== "running") return null;
  if (record.exits.some((known) => known.rank === exit.rank)) return null;
  const exits = [...record.exits, exit];
  const failed = exit.code !== 0;
  if (!failed && exits.length < record.spec.ranks) return revise(record, { exits }, null);
  const verdict = failed ? whatFailed(exit) : "every rank has ended";
  const change = { exits, state: "ended", exitCode: exit.code, verdict } as const;
  return revise(record, change, { atMs, what: verdict });
}

/** No spare is left, as the plan says. */
export function withoutNodes(
  record: JobRecord,
  epoch: Epoch,
  verdict: string,
  atMs: number,
): JobRecord {
  return revise(record, { epoch, state: "lost", verdict }, { atMs, what: `lost: ${verdict}` });
}

/** No state is left, or recovering it failed too often. */
export function givenUp(
  record: JobRecord,
  why: string,
  selection: Selection | null,
  atMs: number,
): JobRecord {
  const job = record.spec.id;
  const verdict = `${why}. What is left is kept: \`holdfast job explain ${job}\` tells what is missing, \`holdfast run --resume ${job}\` tries again`;
  const line = { atMs, what: verdict, ...(selection === null ? {} : { selection }) };
  return revise(record, { state: "lost", verdict }, line);
}

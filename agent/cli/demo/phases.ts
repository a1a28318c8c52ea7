/**
 * How long each part of a recovery took, from the decision logs of all agents.
 *
 * A phase ends when the last node that writes it has written it, under the epoch that the recovery ended with; "detect" ends
 * with the first accusation. So the phases follow each other without gap or overlap, and add up to the whole.
 */
import type { PhaseTime } from "./events.ts";

export interface LoggedDecision {
  /** Wall clock, milliseconds. */
  readonly atMs: number;
  readonly node: string;
  readonly epoch: number;
  readonly phase: string;
  readonly text: string;
}

/** In the order of a recovery; the names are what the summary prints. */
const ORDER: readonly { readonly phase: string; readonly name: string }[] = [
  { phase: "view", name: "agree" },
  { phase: "report", name: "report" },
  { phase: "assign", name: "assign" },
  { phase: "joined", name: "connect" },
  { phase: "idle", name: "idle" },
  { phase: "select", name: "select" },
  { phase: "restore", name: "restore" },
  { phase: "resume", name: "resume" },
];

export interface RecoveryMarks {
  readonly epoch: number;
  readonly phases: readonly PhaseTime[];
  readonly totalMs: number;
}

/** Null while no decision since the kill says that the job was resumed. */
export function measureRecovery(
  decisions: readonly LoggedDecision[],
  killedAtMs: number,
  computingAtMs: number,
): RecoveryMarks | null {
  const since = decisions.filter((d) => d.atMs >= killedAtMs && d.atMs <= computingAtMs);
  const resumes = since.filter((d) => d.phase === "resume");
  if (resumes.length === 0) return null;
  const epoch = Math.max(...resumes.map((d) => d.epoch));
  const phases: PhaseTime[] = [];
  let mark = killedAtMs;
  const end = (phase: string, atMs: number): void => {
    const until = Math.max(mark, atMs);
    phases.push({ phase, ms: until - mark });
    mark = until;
  };
  const accusations = since.filter((d) => d.phase === "suspect" || d.phase === "fault");
  const views = since.filter((d) => d.phase === "view" && d.epoch === epoch);
  const first = Math.min(...[...accusations, ...views].map((d) => d.atMs));
  if (Number.isFinite(first)) end("detect", first);
  for (const { phase, name } of ORDER) {
    const times = since.filter((d) => d.phase === phase && d.epoch === epoch).map((d) => d.atMs);
    if (times.length > 0) end(name, Math.max(...times));
  }
  end("compute", computingAtMs);
  return { epoch, phases, totalMs: computingAtMs - killedAtMs };
}

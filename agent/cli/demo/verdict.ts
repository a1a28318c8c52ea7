/**
 * Whether a demo proved what it says. Exit code 0 only if each planned node really died while it worked for the job, both
 * trainings ended well, all ranks of both ended with the same bits, and each error in a BMC became one ticket by the path that
 * was there.
 */
import { type CallEvidence, callFlaws } from "./call.ts";
import type { RunEnd, Victim } from "./events.ts";

export interface KillOutcome {
  readonly node: string;
  readonly step: number;
  readonly victims: readonly Victim[];
  /** The pids that were seen to be no more. */
  readonly gonePids: readonly number[];
}

export interface Evidence {
  readonly plannedKills: number;
  readonly kills: readonly KillOutcome[];
  readonly faulted: RunEnd | null;
  readonly clean: RunEnd | null;
  readonly ranks: number;
  /** null: not tried, since what came before failed. */
  readonly calls: CallEvidence | null;
}

export interface Verdict {
  readonly exitCode: number;
  readonly lines: readonly string[];
}

function killFlaws(kill: KillOutcome): readonly string[] {
  const flaws: string[] = [];
  for (const role of ["agent", "proxy", "program"] as const) {
    if (!kill.victims.some((victim) => victim.role === role)) {
      flaws.push(`${kill.node} had no ${role} to kill`);
    }
  }
  for (const victim of kill.victims) {
    const name = `${victim.role} ${victim.pid} of ${kill.node}`;
    if (!victim.isTheJobs && victim.role !== "helper")
      flaws.push(`${name} was not a process of the job`);
    if (!kill.gonePids.includes(victim.pid)) flaws.push(`${name} was still there after SIGKILL`);
  }
  return flaws;
}

function runFlaws(what: string, end: RunEnd | null, ranks: number): readonly string[] {
  if (end === null) return [`the training ${what} did not end`];
  if (end.exitCode !== 0) {
    const why = end.reason === null ? "" : `: ${end.reason}`;
    return [`the training ${what} ended with exit code ${end.exitCode}${why}`];
  }
  const silent = end.digests.flatMap((digest, rank) => (digest === null ? [rank] : []));
  if (end.digests.length !== ranks || silent.length > 0) {
    return [`the training ${what}: no digest from rank ${silent.join(", ") || "?"}`];
  }
  if (new Set(end.digests).size > 1)
    return [`the training ${what}: its ranks ended with other bits`];
  return [];
}

function callWords(calls: CallEvidence | null): readonly string[] {
  const [relayed, around] = ["relayed", "around"].map((name) =>
    calls?.ends.find(({ call }) => call === name),
  );
  if (relayed === undefined || around === undefined) return [];
  return [
    `an error in a BMC became a ticket in ${relayed.totalMs} ms through the manager, and in ${around.totalMs} ms around it once it was killed; no ticket came twice`,
  ];
}

export function judge(evidence: Evidence): Verdict {
  const flaws: string[] = [];
  if (evidence.plannedKills === 0 || evidence.kills.length < evidence.plannedKills) {
    flaws.push(`${evidence.kills.length} of ${evidence.plannedKills} nodes were killed`);
  }
  flaws.push(...evidence.kills.flatMap(killFlaws));
  flaws.push(...runFlaws("with a fault", evidence.faulted, evidence.ranks));
  // After a failed training there is nothing to compare, and the second is not run.
  if ((evidence.faulted?.exitCode ?? 0) === 0) {
    flaws.push(...runFlaws("without a fault", evidence.clean, evidence.ranks));
  }
  const [a, b] = [evidence.faulted?.digests[0] ?? null, evidence.clean?.digests[0] ?? null];
  if (flaws.length === 0 && a !== b) flaws.push("the two trainings ended with different weights");
  if (evidence.calls !== null) flaws.push(...callFlaws(evidence.calls));
  else if (flaws.length === 0) flaws.push("no error called home");
  if (flaws.length > 0) {
    return { exitCode: 1, lines: [...flaws, "FAILED: the demo did not prove its point"] };
  }
  const dead = evidence.kills.map((kill) => kill.node).join(", ");
  return {
    exitCode: 0,
    lines: [
      `${dead} died at work, and the final weights are identical bit for bit`,
      ...callWords(evidence.calls),
    ],
  };
}

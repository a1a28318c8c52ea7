/**
 * The death of a node: its agent and every process below it, by SIGKILL, and the proof that they are no more.
 */
import type { Victim, VictimRole } from "../events.ts";
import { descendantsOf, isGone, mapsFolder, readProcess } from "./process-table.ts";

/** What the status said of the node just before. */
export interface KillTarget {
  readonly job: string;
  readonly agentPid: number;
  readonly proxyPid: number | null;
  readonly programPid: number | null;
}

export function victimsOf(target: KillTarget): readonly Victim[] {
  const agent = readProcess(target.agentPid);
  if (agent === null) return [];
  const roleOf = (pid: number): VictimRole => {
    if (pid === target.agentPid) return "agent";
    if (pid === target.proxyPid) return "proxy";
    return pid === target.programPid ? "program" : "helper";
  };
  return [agent, ...descendantsOf(agent.pid)].map(({ pid, startTicks }) => {
    const role = roleOf(pid);
    return { role, pid, startTicks, isTheJobs: role === "agent" || mapsFolder(pid, target.job) };
  });
}

/** The agent first: none of its children may have time to be missed by it. */
export function killAll(victims: readonly Victim[]): void {
  for (const { pid, startTicks } of victims) {
    if (readProcess(pid)?.startTicks !== startTicks) continue;
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It ended by itself between the look and the kill; `goneOf` tells.
    }
  }
}

const LOOK_MS = 2;

/** The pids that are no more; waits for the last of them at most `withinMs`. */
export async function goneOf(
  victims: readonly Victim[],
  withinMs: number,
): Promise<readonly number[]> {
  const untilMs = performance.now() + withinMs;
  while (performance.now() < untilMs && !victims.every(isGone)) await Bun.sleep(LOOK_MS);
  return victims.filter(isGone).map((victim) => victim.pid);
}

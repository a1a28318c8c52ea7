/**
 * The processes of a node as a killer finds them: from `/proc` alone, since an agent that is just being killed answers nothing.
 */
import { readFileSync } from "node:fs";
import { descendantsOf, mapsFolder } from "../../../agent/cli/demo/io/process-table.ts";

export interface Prey {
  readonly programs: readonly number[];
  /** Proxies that serve the job. */
  readonly proxies: readonly number[];
  readonly warmProxies: readonly number[];
  readonly guards: readonly number[];
}

function argumentsOf(pid: number): readonly string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
  } catch {
    return [];
  }
}

export function preyOf(agentPid: number, job: string, program: string): Prey {
  const programs: number[] = [];
  const proxies: number[] = [];
  const warmProxies: number[] = [];
  const guards: number[] = [];
  for (const { pid, state } of descendantsOf(agentPid)) {
    if (state === "Z") continue;
    const words = argumentsOf(pid);
    if (words.includes(program)) programs.push(pid);
    else if (words.includes("guard")) guards.push(pid);
    else if (words.includes("proxy")) (mapsFolder(pid, job) ? proxies : warmProxies).push(pid);
  }
  return { programs, proxies, warmProxies, guards };
}

/** Each by itself, all at once as far as that goes. */
export function signal(pids: readonly number[], name: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, name);
    } catch {
      // It has just ended.
    }
  }
}

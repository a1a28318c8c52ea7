/**
 * What `/proc` says of processes: enough to kill a whole node and to prove that it is dead.
 *
 * A pid alone proves nothing, since the kernel gives it again; pid and start time name one process for good. A zombie
 * counts as gone: it executes nothing, and who reaps an orphan's entry is not ours to decide.
 */
import { readdirSync, readFileSync } from "node:fs";

export interface ProcessEntry {
  readonly pid: number;
  readonly parentPid: number;
  /** `R`, `S`, `Z`, … */
  readonly state: string;
  /** Clock ticks from boot to its start. */
  readonly startTicks: string;
}

/** Null when there is no such process. */
export function readProcess(pid: number): ProcessEntry | null {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  } catch {
    return null;
  }
  // The second field is the name in parentheses and may itself hold spaces and parentheses.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return {
    pid,
    state: fields[0] ?? "?",
    parentPid: Number(fields[1]),
    startTicks: fields[19] ?? "",
  };
}

/** All children, their children and so on; O(processes of the machine). */
export function descendantsOf(pid: number): readonly ProcessEntry[] {
  const children = new Map<number, ProcessEntry[]>();
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const entry = readProcess(Number(name));
    if (entry === null) continue;
    const siblings = children.get(entry.parentPid) ?? [];
    siblings.push(entry);
    children.set(entry.parentPid, siblings);
  }
  const found: ProcessEntry[] = [];
  const queue = [pid];
  for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
    for (const child of children.get(next) ?? []) {
      found.push(child);
      queue.push(child.pid);
    }
  }
  return found;
}

/** Whether a file below a folder of this name is mapped into the process: both programs and proxies map the job's segment. */
export function mapsFolder(pid: number, name: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/maps`, "latin1").includes(`/${name}/`);
  } catch {
    return false;
  }
}

/** Pids of processes that were started with `NAME=value` in their environment, here or above them. */
export function processesMarked(mark: string): readonly number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => {
      try {
        return readFileSync(`/proc/${name}/environ`, "latin1").split("\0").includes(mark);
      } catch {
        return false;
      }
    })
    .map(Number);
}

export function isGone(process: { readonly pid: number; readonly startTicks: string }): boolean {
  const entry = readProcess(process.pid);
  return entry === null || entry.startTicks !== process.startTicks || entry.state === "Z";
}

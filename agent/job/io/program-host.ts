/**
 * The programs of a node as processes: started in their folder with their place in the environment, ended, paused.
 *
 * At most one a rank: the decision code starts no second one before it has heard of the end of the first.
 */
import { existsSync, mkdirSync } from "node:fs";
import { resolve } from "node:path";
import { programCommand, programEnvironment } from "../../proxy/program.ts";
import type { ProcessNotes } from "../../runtime/io/leftovers.ts";
import type { RealProcesses } from "../../runtime/io/processes.ts";
import { selfEnvironment } from "../../runtime/io/self-command.ts";
import type { Child } from "../../runtime/processes.ts";
import type { JobRecord } from "../job.ts";
import type { NodeEvent } from "../node-events.ts";
import type { OutputLog } from "./output-log.ts";

export interface ProgramHostOptions {
  readonly processes: RealProcesses;
  readonly notes: ProcessNotes;
  readonly output: OutputLog;
  /** Folder where programs find `holdfast`. */
  readonly modulesFolder: string;
  readonly onEvent: (event: NodeEvent) => void;
}

export interface ProgramStart {
  readonly record: JobRecord;
  readonly rank: number;
  readonly segment: string;
  readonly regionsFolder: string;
}

const CODE_NOT_STARTED = 127;

export class ProgramHost {
  readonly #options: ProgramHostOptions;
  readonly #children = new Map<string, Child>();

  constructor(options: ProgramHostOptions) {
    this.#options = options;
  }

  start({ record, rank, segment, regionsFolder }: ProgramStart): void {
    const { processes, notes, output, onEvent, modulesFolder } = this.#options;
    const { spec } = record;
    const job = spec.id;
    const key = `${job}/${rank}`;
    const outer = { ...selfEnvironment(), ...spec.env };
    const place = { job, rank, size: spec.ranks, segment, regionsFolder, modulesFolder };
    const argv = programCommand(spec.argv, process.execPath);
    mkdirSync(regionsFolder, { recursive: true, mode: 0o700 });
    const missing = missingScript(argv, spec.argv, spec.cwd);
    if (missing !== null) {
      output.append(job, { rank, stream: "stderr", text: missing });
      output.endRank(job, rank);
      const code = CODE_NOT_STARTED;
      onEvent({ kind: "program-exited", job, rank, pid: 0, code, detail: missing });
      return;
    }
    const child = processes.start(
      { argv, cwd: spec.cwd, env: { ...outer, ...programEnvironment(place, outer) } },
      {
        onStart: (pid) => {
          notes.add(pid, `rank ${rank} of ${job}`);
          onEvent({ kind: "program-started", job, rank, pid });
        },
        onLine: (stream, text) => output.append(job, { rank, stream, text }),
        onExit: (code, detail) => {
          notes.remove(child.pid);
          if (this.#children.get(key) === child) this.#children.delete(key);
          if (code === CODE_NOT_STARTED && child.pid === 0) {
            output.append(job, { rank, stream: "stderr", text: detail });
          }
          output.endRank(job, rank);
          onEvent({ kind: "program-exited", job, rank, pid: child.pid, code, detail });
        },
      },
    );
    this.#children.set(key, child);
  }

  kill(job: string, rank: number): void {
    this.#children.get(`${job}/${rank}`)?.kill();
  }

  /** SIGSTOP and SIGCONT to the whole group of the program. */
  signal(job: string, rank: number, signal: "SIGSTOP" | "SIGCONT"): void {
    const pid = this.#children.get(`${job}/${rank}`)?.pid ?? 0;
    if (pid === 0) return;
    try {
      process.kill(-pid, signal);
    } catch {
      // It has just ended.
    }
  }

  killAll(): void {
    for (const child of this.#children.values()) child.kill();
  }
}

/** A script that is not there would end as an obscure error of the runtime that is to run it. */
function missingScript(
  argv: readonly string[],
  asked: readonly string[],
  cwd: string,
): string | null {
  const [script] = asked;
  if (argv === asked || script === undefined || !existsSync(cwd)) return null;
  if (existsSync(resolve(cwd, script))) return null;
  return `cannot start ${script}: there is no such file in ${cwd} on this node`;
}

/**
 * The programs of a node: which rank of which job lives here, and which is on its way in or out.
 *
 * Decides when a start has to wait for an end. A rank has at most one process: a fresh start while the old process still
 * dies is kept back until its exit is seen.
 */
import type { Epoch } from "../membership/membership.ts";
import type { EffectSink } from "./effects.ts";
import type { JobRecord } from "./job.ts";
import type { NodeConfig } from "./node-events.ts";

export interface Program {
  readonly job: string;
  readonly rank: number;
  /** The epoch under which it computes. */
  epoch: Epoch;
  /** null until it is started. */
  pid: number | null;
  ending: boolean;
  /** Started anew with this record once the old process is gone. */
  next: JobRecord | null;
  /** Its shared memory goes with it. */
  removeAfter: boolean;
}

export interface RankPlace {
  readonly job: string;
  readonly rank: number;
}

export interface RankFiles {
  readonly segment: string;
  readonly regionsFolder: string;
  readonly mailbox: string;
}

export function rankFiles(config: NodeConfig, job: string, rank: number): RankFiles {
  const folder = `${config.sharedMemoryFolder}/${job}/rank-${rank}`;
  return {
    segment: `${folder}/segment`,
    regionsFolder: `${folder}/regions`,
    mailbox: `${folder}/mailbox`,
  };
}

export class Programs {
  readonly #config: NodeConfig;
  readonly #programs = new Map<string, Program>();
  /** Ranks with shared memory here, whether or not a program still uses it. */
  readonly #places = new Map<string, RankPlace>();

  constructor(config: NodeConfig) {
    this.#config = config;
  }

  get(job: string, rank: number): Program | undefined {
    return this.#programs.get(`${job}/${rank}`);
  }

  all(): readonly Program[] {
    return [...this.#programs.values()];
  }

  of(job: string): readonly Program[] {
    return this.all().filter((program) => program.job === job);
  }

  places(): readonly RankPlace[] {
    return [...this.#places.values()];
  }

  /** From the assignment on a rank has shared memory here, until `remove`. */
  occupy(job: string, rank: number): void {
    this.#places.set(`${job}/${rank}`, { job, rank });
  }

  /** Whether a process is there that may go on: it will idle and be rolled back in place. */
  isAlive(job: string, rank: number): boolean {
    const program = this.get(job, rank);
    return program !== undefined && !program.ending;
  }

  start(record: JobRecord, rank: number, sink: EffectSink): void {
    const job = record.spec.id;
    const old = this.get(job, rank);
    if (old !== undefined) {
      old.next = record;
      old.removeAfter = false;
      this.end(job, rank, sink);
      return;
    }
    const files = rankFiles(this.#config, job, rank);
    this.#programs.set(`${job}/${rank}`, {
      job,
      rank,
      epoch: record.epoch,
      pid: null,
      ending: false,
      next: null,
      removeAfter: false,
    });
    sink.push({
      kind: "start-program",
      record,
      rank,
      segment: files.segment,
      regionsFolder: files.regionsFolder,
    });
  }

  onStarted(job: string, rank: number, pid: number): void {
    const program = this.get(job, rank);
    if (program !== undefined) program.pid = pid;
  }

  end(job: string, rank: number, sink: EffectSink): void {
    const program = this.get(job, rank);
    if (program === undefined || program.ending) return;
    program.ending = true;
    sink.push({ kind: "kill-program", job, rank });
  }

  /** Ends it for good: the rank moved away or the job is over. Its shared memory goes with it. */
  remove(job: string, rank: number, sink: EffectSink): void {
    const program = this.get(job, rank);
    if (program === undefined) {
      this.#removeSegments(job, rank, sink);
      return;
    }
    program.next = null;
    program.removeAfter = true;
    this.end(job, rank, sink);
  }

  /** Returns the program if its end was its own, null if it was asked for. */
  onExited(job: string, rank: number, sink: EffectSink): Program | null {
    const program = this.get(job, rank);
    if (program === undefined) return null;
    this.#programs.delete(`${job}/${rank}`);
    if (program.removeAfter) this.#removeSegments(job, rank, sink);
    if (program.next !== null) this.start(program.next, rank, sink);
    return program.ending ? null : program;
  }

  #removeSegments(job: string, rank: number, sink: EffectSink): void {
    if (this.#places.delete(`${job}/${rank}`)) sink.push({ kind: "remove-segments", job, rank });
  }
}

/**
 * What the programs of this node print: kept on disk per rank, and in memory per job for those who watch.
 *
 * Bounded: the newest `RING_BYTES` of a job in memory, for the newest `JOBS_MAX` jobs; two files of `FILE_BYTES` a rank on
 * disk. A rank that is rolled back prints again what it had printed after the checkpoint; nothing is taken back.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { LineFile } from "../../runtime/io/log.ts";
import { Ring } from "./ring.ts";

export interface OutputLine {
  readonly rank: number;
  readonly stream: "stdout" | "stderr";
  readonly text: string;
}

const RING_BYTES = 4 * 1024 * 1024;
const FILE_BYTES = 16 * 1024 * 1024;
const JOBS_MAX = 64;

export class OutputLog {
  readonly #folder: string;
  readonly #run: number;
  readonly #rings = new Map<string, Ring<OutputLine>>();
  readonly #files = new Map<string, LineFile>();

  constructor(folder: string, run: number) {
    this.#folder = folder;
    this.#run = run;
  }

  append(job: string, line: OutputLine): void {
    // Strings take about two bytes a character, and an entry its share.
    this.ring(job).push(line, line.text.length * 2 + 64);
    this.#file(job, line.rank).append(line.text);
  }

  ring(job: string): Ring<OutputLine> {
    let ring = this.#rings.get(job);
    if (ring === undefined) {
      ring = new Ring(RING_BYTES, this.#run);
      this.#rings.set(job, ring);
      const [oldest] = this.#rings.keys();
      if (this.#rings.size > JOBS_MAX && oldest !== undefined) this.#rings.delete(oldest);
    }
    return ring;
  }

  /** Readers look again whether the job has ended. */
  touch(): void {
    for (const ring of this.#rings.values()) ring.touch();
  }

  /** The program of this rank has ended: its file is closed. */
  endRank(job: string, rank: number): void {
    const key = `${job}/${rank}`;
    this.#files.get(key)?.flush();
    this.#files.delete(key);
  }

  flush(): void {
    for (const file of this.#files.values()) file.flush();
  }

  #file(job: string, rank: number): LineFile {
    const key = `${job}/${rank}`;
    let file = this.#files.get(key);
    if (file === undefined) {
      const folder = join(this.#folder, job);
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      file = new LineFile(join(folder, `rank-${rank}.log`), FILE_BYTES);
      this.#files.set(key, file);
    }
    return file;
  }
}

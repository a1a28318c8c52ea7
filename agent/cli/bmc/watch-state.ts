/**
 * The file of `holdfast bmc watch --state`: what the watch remembers, so that a restart neither repeats nor forgets an event.
 *
 *   {"format": "holdfast watch 1", "url": "lan://10.0.0.5", "memory": …}
 *
 * It is replaced by rename after a flush, so a crash leaves the old or the new one, never a mixture. Writes are one after the
 * other; of those that wait only the newest is written.
 */
import { readFileSync } from "node:fs";
import type { WatchMemory } from "../../../bmc/bmc.ts";
import { writeAtomic } from "../../runtime/io/disk.ts";
import { CliError, EXIT_USAGE } from "../cli-error.ts";

const FORMAT = "holdfast watch 1";

/** sysexits.h: EX_DATAERR, EX_NOINPUT, EX_CANTCREAT. */
const EXIT_DAMAGED = 65;
const EXIT_NOT_READ = 66;
const EXIT_NOT_WRITTEN = 73;

interface Saved {
  readonly format: string;
  readonly url: string;
  readonly memory: WatchMemory;
}

function parse(path: string, text: string): Saved {
  try {
    const saved = JSON.parse(text) as Partial<Saved> | null;
    if (saved?.format === FORMAT && typeof saved.url === "string" && "memory" in saved) {
      return saved as Saved;
    }
  } catch {
    // Judged below.
  }
  const what = `--state ${path}: is no memory of a watch, or damaged`;
  throw new CliError(what, EXIT_DAMAGED, "name another file, or remove it to begin anew");
}

/** null: there is none yet. */
export function readWatchState(path: string, url: string): WatchMemory | null {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    const code = (cause as { code?: string }).code;
    if (code === "ENOENT") return null;
    throw new CliError(`--state ${path}: cannot be read (${code})`, EXIT_NOT_READ, "name another");
  }
  const saved = parse(path, text);
  if (saved.url === url) return saved.memory;
  const what = `--state ${path}: was written for ${saved.url}, not ${url}`;
  throw new CliError(what, EXIT_USAGE, "keep a file for each BMC");
}

export class WatchState {
  readonly #path: string;
  readonly #url: string;
  #next: string | null = null;
  #writing: Promise<void> | null = null;
  readonly #onFailure: (error: CliError) => void;

  constructor(path: string, url: string, onFailure: (error: CliError) => void) {
    this.#path = path;
    this.#url = url;
    this.#onFailure = onFailure;
  }

  keep(memory: WatchMemory): void {
    const saved: Saved = { format: FORMAT, url: this.#url, memory };
    this.#next = `${JSON.stringify(saved)}\n`;
    this.#writing ??= this.#write();
  }

  /** Resolves when everything that was given to `keep` is on disk. */
  async settled(): Promise<void> {
    await this.#writing;
  }

  async #write(): Promise<void> {
    while (this.#next !== null) {
      const text = this.#next;
      this.#next = null;
      const failure = await writeAtomic(this.#path, text);
      if (failure === null) continue;
      const what = `--state ${this.#path}: cannot be written (${failure.detail})`;
      this.#onFailure(new CliError(what, EXIT_NOT_WRITTEN, "make room there, or name another"));
    }
    this.#writing = null;
  }
}

/**
 * An agent's sentences on standard error or standard output, and JSON Lines files that do not grow for ever.
 *
 * One sentence is one line: control characters in it (bytes of a peer, a program's name) are escaped, so nothing that came
 * over the network can forge a line or drive a terminal.
 */
import { appendFileSync, renameSync, statSync } from "node:fs";
import type { Log, LogLevel } from "../log.ts";

const LEVELS: readonly LogLevel[] = ["fault", "event", "detail"];

const CONTROL = /\p{Cc}/gu;

export function oneLine(text: string): string {
  return text.replace(
    CONTROL,
    (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
}

/** `2026-11-22T10:36:42.001Z event n1 view 3: n1 n2 n3`; levels below `least` are not said. */
export function stderrLog(node: string, least: LogLevel): Log {
  return {
    say: (level, text) => {
      if (LEVELS.indexOf(level) > LEVELS.indexOf(least)) return;
      const at = new Date().toISOString();
      process.stderr.write(`${at} ${level.padEnd(6)} ${node} ${oneLine(text)}\n`);
    },
  };
}

/** The same for machines, on standard output: `{"at","level","node","text"}`. */
export function jsonLog(node: string, least: LogLevel): Log {
  return {
    say: (level, text) => {
      if (LEVELS.indexOf(level) > LEVELS.indexOf(least)) return;
      const line = { at: new Date().toISOString(), level, node, text };
      process.stdout.write(`${JSON.stringify(line)}\n`);
    },
  };
}

/** A burst of lines costs one write. */
const GATHER_MS = 20;

/**
 * Appends lines to a file that is turned over to `<path>.1` at `bytesMax`, so at most twice that is on disk. A full disk
 * costs lines, never the agent.
 */
export class LineFile {
  readonly #path: string;
  readonly #bytesMax: number;
  #bytes: number;
  #pending: string[] = [];
  #timer: ReturnType<typeof setTimeout> | null = null;

  constructor(path: string, bytesMax: number) {
    this.#path = path;
    this.#bytesMax = bytesMax;
    this.#bytes = sizeOf(path);
  }

  append(line: string): void {
    this.#pending.push(line, "\n");
    this.#timer ??= setTimeout(() => this.flush(), GATHER_MS);
  }

  flush(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#pending.length === 0) return;
    const bytes = Buffer.from(this.#pending.join(""));
    this.#pending = [];
    try {
      if (this.#bytes > 0 && this.#bytes + bytes.length > this.#bytesMax) {
        renameSync(this.#path, `${this.#path}.1`);
        this.#bytes = 0;
      }
      appendFileSync(this.#path, bytes, { mode: 0o600 });
      this.#bytes += bytes.length;
    } catch {
      // See above.
    }
  }
}

function sizeOf(path: string): number {
  try {
    return statSync(path).size;
  } catch {
    return 0;
  }
}

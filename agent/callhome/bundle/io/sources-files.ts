/**
 * Files as sources: whole ones, the ends of those that grow, and the lines of logs around a moment.
 */
import { open, readFile, stat } from "node:fs/promises";
import { isInWindow, type Window } from "../log-window.ts";
import { absent, faultOf, type Sink, type Source } from "./source.ts";

const CHUNK_BYTES = 64 * 1024;
/** How far back a log is looked through for the window: larger than any item. */
const LOOK_BACK_BYTES = 64 * 1024 * 1024;

/** Small files, those of /proc among them, whose size is told as 0. */
export function wholeFile(path: string): Source {
  return async ({ sink }) => {
    try {
      await sink(await readFile(path));
      return null;
    } catch (cause) {
      return faultOf(path, cause);
    }
  };
}

/** The first so many of some files, each under its name. */
export function severalFiles(paths: readonly string[]): Source {
  return async ({ sink }) => {
    let count = 0;
    for (const path of paths) {
      try {
        const text = await readFile(path, "utf8");
        await sink(Buffer.from(`# ${path}\n${text.endsWith("\n") ? text : `${text}\n`}`));
        count++;
      } catch {
        // Not all machines have all.
      }
    }
    return count > 0 ? null : absent(`there is none of ${paths.join(", ")}`);
  };
}

/** The end of a file that grows: what is before is cut. */
export function fileEnd(path: string): Source {
  return async ({ sink, cut, bytesMax, signal }) => {
    try {
      const file = await open(path, "r");
      try {
        const { size } = await file.stat();
        const start = Math.max(0, size - bytesMax);
        cut(start);
        await readOn(file, start, size, { sink, signal, skipsFirstLine: start > 0 });
        return null;
      } finally {
        await file.close();
      }
    } catch (cause) {
      return faultOf(path, cause);
    }
  };
}

interface ReadOn {
  readonly sink: Sink;
  readonly signal: AbortSignal;
  readonly skipsFirstLine: boolean;
}

async function readOn(
  file: Awaited<ReturnType<typeof open>>,
  start: number,
  end: number,
  { sink, signal, skipsFirstLine }: ReadOn,
): Promise<void> {
  const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
  let at = start;
  let isSkipping = skipsFirstLine;
  while (at < end && !signal.aborted) {
    const { bytesRead } = await file.read(buffer, 0, Math.min(CHUNK_BYTES, end - at), at);
    if (bytesRead === 0) return;
    at += bytesRead;
    let chunk = buffer.subarray(0, bytesRead);
    if (isSkipping) {
      const lineEnd = chunk.indexOf(10);
      if (lineEnd < 0) continue;
      chunk = chunk.subarray(lineEnd + 1);
      isSkipping = false;
    }
    if (!(await sink(chunk))) return;
  }
}

/** Lines of a log file whose time is in the window; a line without a time goes with the one before it. */
export function logWindow(path: string, window: Window): Source {
  return async ({ sink, signal, cut }) => {
    try {
      const { size } = await stat(path);
      const start = Math.max(0, size - LOOK_BACK_BYTES);
      const file = await open(path, "r");
      try {
        const lines = new WindowLines(window);
        const pass: Sink = async (chunk) => {
          const kept = lines.push(Buffer.from(chunk).toString("latin1"));
          return kept === "" || (await sink(Buffer.from(kept, "latin1")));
        };
        await readOn(file, start, size, { sink: pass, signal, skipsFirstLine: start > 0 });
        await sink(Buffer.from(lines.rest(), "latin1"));
        cut(lines.outsideBytes);
        return null;
      } finally {
        await file.close();
      }
    } catch (cause) {
      return faultOf(path, cause);
    }
  };
}

const PENDING_MAX = 1024 * 1024;

class WindowLines {
  readonly #window: Window;
  #pending = "";
  #isInside = false;
  outsideBytes = 0;

  constructor(window: Window) {
    this.#window = window;
  }

  push(text: string): string {
    const all = this.#pending + text;
    const end = all.length > PENDING_MAX ? all.length : all.lastIndexOf("\n") + 1;
    this.#pending = all.slice(end);
    return this.#kept(all.slice(0, end));
  }

  rest(): string {
    return this.#kept(this.#pending);
  }

  #kept(text: string): string {
    let kept = "";
    for (const line of text.split(/(?<=\n)/)) {
      if (line === "") continue;
      this.#isInside = isInWindow(line, this.#window) ?? this.#isInside;
      if (this.#isInside) kept += line;
      else this.outsideBytes += line.length;
    }
    return kept;
  }
}

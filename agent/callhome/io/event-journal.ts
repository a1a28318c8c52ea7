/**
 * The book of events on disk: lines that are only appended, and flushed before anybody is told that an event is kept.
 *
 *   each line   XXH3-64 of the rest, 16 hexadecimal digits, a space, a `BookLine` as JSON
 *
 * One flush serves all that came while the one before ran. What a crash tore off at the end is cut; a line that is damaged
 * elsewhere is left out, told, and the file as it was is set aside. When most of the file is about forgotten events it is
 * written anew. A line that could not be written stays in the queue: the next flush writes it again.
 */

import { existsSync, readFileSync } from "node:fs";
import { type FileHandle, open, rename, truncate } from "node:fs/promises";
import type { DiskFailure } from "../../runtime/disk.ts";
import { diskFailure, writeAtomic } from "../../runtime/io/disk.ts";
import type { BookLine } from "../event-book.ts";

const DIGEST_DIGITS = 16;
/** Written anew when the file has so many times the lines that are still of use. */
const WASTE_FACTOR = 4;
const LINES_MIN = 1_000;

function digestOf(text: string): string {
  return Bun.hash.xxHash3(text).toString(16).padStart(DIGEST_DIGITS, "0");
}

function frame(line: BookLine): string {
  const text = JSON.stringify(line);
  return `${digestOf(text)} ${text}\n`;
}

function unframe(text: string): BookLine | null {
  const body = text.slice(DIGEST_DIGITS + 1);
  if (text[DIGEST_DIGITS] !== " " || text.slice(0, DIGEST_DIGITS) !== digestOf(body)) return null;
  return JSON.parse(body) as BookLine;
}

interface Found {
  readonly lines: readonly BookLine[];
  /** Up to the end of the last whole line. */
  readonly wholeBytes: number;
  readonly damagedCount: number;
}

function read(path: string): Found {
  const bytes = readFileSync(path);
  const wholeBytes = bytes.lastIndexOf("\n") + 1;
  const lines: BookLine[] = [];
  let damagedCount = 0;
  for (const text of bytes.toString("utf8", 0, wholeBytes).split("\n")) {
    if (text === "") continue;
    const line = unframe(text);
    if (line === null) damagedCount++;
    else lines.push(line);
  }
  return { lines, wholeBytes, damagedCount };
}

export interface OpenJournal {
  readonly journal: EventJournal;
  readonly lines: readonly BookLine[];
  /** Something was wrong with the file: one line. */
  readonly complaint: string | null;
}

async function create(path: string, text: string): Promise<void> {
  const failure = await writeAtomic(path, text);
  if (failure !== null) throw new Error(failure.detail);
}

/** Throws what the file system throws. */
export async function openJournal(path: string): Promise<OpenJournal> {
  // With its folder flushed: lines in a file that has no name yet would be lost with it.
  if (!existsSync(path)) await create(path, "");
  const { lines, wholeBytes, damagedCount } = read(path);
  let complaint: string | null = null;
  if (damagedCount > 0) {
    const aside = `${path}.damaged`;
    await rename(path, aside);
    await create(path, lines.map(frame).join(""));
    complaint = `${damagedCount} of ${damagedCount + lines.length} lines of ${path} are damaged and left out; the file as it was is ${aside}`;
  }
  // A torn end is no line: what comes next must begin on one.
  if (damagedCount === 0) await truncate(path, wholeBytes);
  return { journal: new EventJournal(path, lines.length), lines, complaint };
}

export class EventJournal {
  readonly #path: string;
  #lineCount: number;
  #pending: string[] = [];
  /** One thing is done to the file at a time. */
  #tail: Promise<unknown> = Promise.resolve();
  /** A flush that has not begun: it will write whatever comes until then. */
  #queued: Promise<DiskFailure | null> | null = null;

  constructor(path: string, lineCount: number) {
    this.#path = path;
    this.#lineCount = lineCount;
  }

  add(line: BookLine): void {
    this.#pending.push(frame(line));
    this.#lineCount++;
  }

  /** Resolves when all that was added before is on disk; otherwise with why not. */
  flush(): Promise<DiskFailure | null> {
    this.#queued ??= this.#enqueue(() => {
      this.#queued = null;
      return this.#write();
    });
    return this.#queued;
  }

  /** Whether most of the file is about what is forgotten; `lineCount` of it is of use. */
  isWasteful(lineCount: number): boolean {
    return this.#lineCount > LINES_MIN && this.#lineCount > lineCount * WASTE_FACTOR;
  }

  /** Replaces the file by `lines`, which hold whatever was added before. */
  rewrite(lines: readonly BookLine[]): Promise<DiskFailure | null> {
    const held = this.#pending;
    this.#pending = [];
    this.#lineCount = lines.length;
    const text = lines.map(frame).join("");
    return this.#enqueue(async () => {
      const failure = await writeAtomic(this.#path, text);
      if (failure !== null) this.#pending = [...held, ...this.#pending];
      return failure;
    });
  }

  #enqueue(work: () => Promise<DiskFailure | null>): Promise<DiskFailure | null> {
    const run = this.#tail.then(work);
    this.#tail = run.catch(() => undefined);
    return run;
  }

  /** Opened each time: a flush costs a hundred times as much, and there is nothing to be closed. */
  async #write(): Promise<DiskFailure | null> {
    if (this.#pending.length === 0) return null;
    const taken = this.#pending;
    this.#pending = [];
    try {
      const file = await open(this.#path, "a", 0o600);
      try {
        await this.#append(file, taken.join(""));
      } finally {
        await file.close();
      }
      return null;
    } catch (cause) {
      this.#pending = [...taken, ...this.#pending];
      return diskFailure(cause);
    }
  }

  async #append(file: FileHandle, text: string): Promise<void> {
    const wholeBytes = (await file.stat()).size;
    try {
      await file.appendFile(text);
      await file.datasync();
    } catch (cause) {
      // Half of a line would swallow the next one.
      await file.truncate(wholeBytes).catch(() => undefined);
      throw cause;
    }
  }
}

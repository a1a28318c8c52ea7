/**
 * Small documents that survive a crash, one file each.
 *
 *   line 1   XXH3-64 of line 2, 16 hexadecimal digits
 *   line 2   the document as JSON
 *
 * A file is written beside itself, flushed, renamed over the old one, and the folder flushed. Writing never blocks the event
 * loop (a busy disk may take seconds for a flush, and a member that is silent so long is taken for dead); reading is for
 * start-up. A burst of writes to one name costs one: each caller is answered once its document, or a newer one, is on disk.
 */
import { readdirSync, readFileSync } from "node:fs";
import { open, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Disk, DiskFailure, DiskRead } from "../disk.ts";

/** Leftovers of a crash end in this and are never read. */
const TMP_SUFFIX = ".tmp";
const DOCUMENT_SUFFIX = ".json";

function errorCode(cause: unknown): string {
  return (cause as { code?: string } | null)?.code ?? "";
}

export function diskFailure(cause: unknown): DiskFailure {
  const code = errorCode(cause);
  const detail = cause instanceof Error ? cause.message : String(cause);
  return { kind: code === "ENOSPC" || code === "EDQUOT" ? "no-space" : "io", detail };
}

function frame(document: unknown): string {
  const text = JSON.stringify(document);
  return `${digestOf(text)}\n${text}\n`;
}

function digestOf(text: string): string {
  return Bun.hash.xxHash3(text).toString(16).padStart(16, "0");
}

function unframe(bytes: string): DiskRead {
  const end = bytes.indexOf("\n");
  const text = bytes.slice(end + 1, -1);
  if (end !== 16 || bytes.slice(0, end) !== digestOf(text)) {
    return { kind: "damaged", detail: "its digest does not match its content" };
  }
  return { kind: "document", document: JSON.parse(text) };
}

export async function writeAtomic(path: string, bytes: string): Promise<DiskFailure | null> {
  const tmp = `${path}${TMP_SUFFIX}`;
  try {
    const file = await open(tmp, "w", 0o600);
    try {
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(tmp, path);
    await syncFolder(dirname(path));
    return null;
  } catch (cause) {
    await rm(tmp, { force: true }).catch(() => undefined);
    return diskFailure(cause);
  }
}

/** A name is durable only once its folder is flushed. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

type Done = (failure: DiskFailure | null) => void;

interface Wanted {
  /** null: removed. */
  text: string | null;
  readonly waiting: Done[];
}

class FolderDisk implements Disk {
  readonly #folder: string;
  readonly #wanted = new Map<string, Wanted>();
  readonly #busy = new Set<string>();

  constructor(folder: string) {
    this.#folder = folder;
  }

  write(name: string, document: unknown, done: Done): void {
    this.#want(name, frame(document), done);
  }

  remove(name: string, done: Done): void {
    this.#want(name, null, done);
  }

  read(name: string): DiskRead {
    try {
      return unframe(readFileSync(this.#pathOf(name), "utf8"));
    } catch (cause) {
      if (errorCode(cause) === "ENOENT") return { kind: "absent" };
      return { kind: "damaged", detail: diskFailure(cause).detail };
    }
  }

  list(prefix: string): readonly string[] {
    const names = readdirSync(this.#folder)
      .filter((file) => file.endsWith(DOCUMENT_SUFFIX))
      .map((file) => decodeURIComponent(file.slice(0, -DOCUMENT_SUFFIX.length)));
    return names.filter((name) => name.startsWith(prefix)).sort();
  }

  #pathOf(name: string): string {
    return join(this.#folder, `${encodeURIComponent(name)}${DOCUMENT_SUFFIX}`);
  }

  #want(name: string, text: string | null, done: Done): void {
    const wanted = this.#wanted.get(name);
    if (wanted === undefined) {
      this.#wanted.set(name, { text, waiting: [done] });
    } else {
      wanted.text = text;
      wanted.waiting.push(done);
    }
    if (!this.#busy.has(name)) void this.#drain(name);
  }

  /** One write of a name at a time, so that an older document never lands on a newer one. */
  async #drain(name: string): Promise<void> {
    this.#busy.add(name);
    for (;;) {
      const wanted = this.#wanted.get(name);
      if (wanted === undefined) break;
      this.#wanted.delete(name);
      const path = this.#pathOf(name);
      const failure =
        wanted.text === null ? await removeFile(path) : await writeAtomic(path, wanted.text);
      for (const done of wanted.waiting) done(failure);
    }
    this.#busy.delete(name);
  }
}

async function removeFile(path: string): Promise<DiskFailure | null> {
  try {
    await rm(path, { force: true });
    await syncFolder(dirname(path));
    return null;
  } catch (cause) {
    return diskFailure(cause);
  }
}

/** The folder must exist. */
export function folderDisk(folder: string): Disk {
  return new FolderDisk(folder);
}

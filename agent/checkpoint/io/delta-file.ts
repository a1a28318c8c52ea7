/**
 * The files that delta files are made from and written to: a source that is read by place, an output that appears whole or not
 * at all, and the errors of both, one line each that begins with the file to look at.
 *
 * An output is written beside its name, synced and renamed. So a wrong base, a damaged delta, a full disk leave what was there
 * before.
 */
import {
  closeSync,
  fstatSync,
  fsyncSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";

export interface DeltaSummary {
  readonly baseBytes: number;
  readonly targetBytes: number;
  readonly deltaBytes: number;
}

export type DeltaFileErrorKind =
  | "missing"
  | "not-a-file"
  | "changed"
  | "wrong-base"
  | "damaged"
  | "no-space"
  | "io";

/** Why there is no output: one line that begins with the file to look at. */
export class DeltaFileError extends Error {
  override readonly name = "DeltaFileError";
  readonly kind: DeltaFileErrorKind;
  readonly path: string;
  readonly what: string;

  constructor(kind: DeltaFileErrorKind, path: string, what: string, cause?: unknown) {
    super(`${path} ${what}`, cause === undefined ? {} : { cause });
    this.kind = kind;
    this.path = path;
    this.what = what;
  }
}

const REASONS: Readonly<Record<string, string>> = {
  EACCES: "permission denied",
  EDQUOT: "the disk quota is used up",
  EFBIG: "it would be too large for the file system",
  EIO: "the disk reports an error",
  EISDIR: "it is a folder",
  ENOSPC: "the disk is full",
  EROFS: "the file system is read-only",
};

type Verb = "opened" | "read" | "written";

function failed(path: string, verb: Verb, error: unknown): DeltaFileError {
  const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
  if (code === "ENOENT" || code === "ENOTDIR") {
    const what =
      verb === "written" ? "cannot be written: its folder does not exist" : "does not exist";
    return new DeltaFileError("missing", path, what, error);
  }
  const kind = ["ENOSPC", "EDQUOT", "EFBIG"].includes(code) ? "no-space" : "io";
  return new DeltaFileError(kind, path, `cannot be ${verb}: ${REASONS[code] ?? code}`, error);
}

/** Runs system calls; their error names the file. */
function onFile<T>(path: string, verb: Verb, call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw failed(path, verb, error);
  }
}

/** An open file; the length is that at opening. Can be handed to another thread of this process. */
export interface OpenFile {
  readonly path: string;
  readonly bytes: number;
  readonly descriptor: number;
}

export function openSource(path: string): OpenFile {
  const descriptor = onFile(path, "opened", () => openSync(path, "r"));
  const stat = fstatSync(descriptor);
  if (stat.isFile()) return { path, bytes: stat.size, descriptor };
  closeSync(descriptor);
  throw new DeltaFileError("not-a-file", path, "is not a regular file");
}

/** Fills `target` from `position` on, as far as the file goes. Returns how many bytes; the file must not shrink meanwhile. */
export function readAt(file: OpenFile, target: Uint8Array, position: number): number {
  const wanted = Math.max(0, Math.min(target.byteLength, file.bytes - position));
  let got = 0;
  while (got < wanted) {
    const count = onFile(file.path, "read", () =>
      readSync(file.descriptor, target, got, wanted - got, position + got),
    );
    if (count === 0) throw new DeltaFileError("changed", file.path, "became shorter meanwhile");
    got += count;
  }
  return wanted;
}

export function closeSource(file: OpenFile): void {
  closeSync(file.descriptor);
}

/** A file that appears whole or not at all. */
export class Output {
  readonly path: string;
  readonly #partial: string;
  readonly #descriptor: number;
  #at = 0;
  #isDone = false;

  constructor(path: string) {
    this.path = path;
    this.#partial = join(dirname(path), `.${basename(path)}.${process.pid}.tmp`);
    this.#descriptor = onFile(path, "written", () => openSync(this.#partial, "w"));
  }

  get bytes(): number {
    return this.#at;
  }

  append(bytes: Uint8Array): void {
    this.#write(bytes, this.#at);
    this.#at += bytes.byteLength;
  }

  /** For the header, which is known last. */
  writeAtStart(bytes: Uint8Array): void {
    this.#write(bytes, 0);
  }

  commit(): void {
    onFile(this.path, "written", () => {
      fsyncSync(this.#descriptor);
      renameSync(this.#partial, this.path);
      this.#isDone = true;
      const folder = openSync(dirname(this.path), "r");
      fsyncSync(folder);
      closeSync(folder);
    });
  }

  close(): void {
    closeSync(this.#descriptor);
    if (!this.#isDone) rmSync(this.#partial, { force: true });
  }

  #write(bytes: Uint8Array, position: number): void {
    let done = 0;
    while (done < bytes.byteLength) {
      done += onFile(this.path, "written", () =>
        writeSync(this.#descriptor, bytes, done, bytes.byteLength - done, position + done),
      );
    }
  }
}

/**
 * Delta files on disk: makes one from two files, applies one to a file. Bytes only pass through the core's windows, so
 * memory stays bounded whatever the files' lengths. Format: `../delta-file.ts`.
 *
 * Nothing appears under the output's name before it is complete, verified and on disk: it is written beside, synced and
 * renamed. A wrong base, a damaged delta, a full disk leave what was there before.
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
import { WINDOW_BYTES } from "../../../core/abi.ts";
import type { Core } from "../../../core/core.ts";
import type { DigestStream } from "../../../core/digester.ts";
import {
  DELTA_HEADER_BYTES,
  type DeltaHeader,
  DeltaReader,
  decodeDeltaHeader,
  describeHeaderError,
  encodeDeltaHeader,
} from "../delta-file.ts";

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

  constructor(kind: DeltaFileErrorKind, path: string, what: string, cause?: unknown) {
    super(`${path} ${what}`, cause === undefined ? {} : { cause });
    this.kind = kind;
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

/** Read from start to end, once. */
class Source {
  readonly path: string;
  readonly bytes: number;
  readonly #descriptor: number;
  #at = 0;

  constructor(path: string) {
    this.path = path;
    this.#descriptor = onFile(path, "opened", () => openSync(path, "r"));
    const stat = fstatSync(this.#descriptor);
    if (!stat.isFile()) {
      this.close();
      throw new DeltaFileError("not-a-file", path, "is not a regular file");
    }
    this.bytes = stat.size;
  }

  get left(): number {
    return this.bytes - this.#at;
  }

  /** The next bytes, as many as there are up to the target's length; the file must not shrink meanwhile. */
  read(target: Uint8Array): number {
    const wanted = Math.min(target.byteLength, this.left);
    let got = 0;
    while (got < wanted) {
      const count = onFile(this.path, "read", () =>
        readSync(this.#descriptor, target, got, wanted - got, this.#at + got),
      );
      if (count === 0) throw new DeltaFileError("changed", this.path, "became shorter meanwhile");
      got += count;
    }
    this.#at += wanted;
    return wanted;
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}

/** A file that appears whole or not at all. */
class Output {
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

/**
 * Digest of a file: XXH3-128 over the list of its windows' XXH3-64. Bun's native XXH3 does the bulk at the speed of a cache;
 * that the delta fits is known by byte, the digest is against accidents.
 */
class FileDigest {
  readonly #list: DigestStream;
  readonly #word: DataView<ArrayBuffer> = new DataView(new ArrayBuffer(8));

  constructor(core: Core) {
    this.#list = core.digestStream();
  }

  /** The next window; every one but the last is full. An empty one does not count. */
  update(window: Uint8Array): void {
    if (window.byteLength === 0) return;
    this.#word.setBigUint64(0, Bun.hash.xxHash3(window), true);
    this.#list.update(new Uint8Array(this.#word.buffer));
  }

  finish(): Uint8Array {
    return this.#list.finish();
  }
}

function makeFrom(core: Core, base: Source, target: Source, output: Output): void {
  const baseDigest = new FileDigest(core);
  const targetDigest = new FileDigest(core);
  const bodyDigest = core.digestStream();
  const before = core.beforeWindow();
  const input = core.inputWindow();
  output.append(new Uint8Array(DELTA_HEADER_BYTES));
  core.encodeBegin();
  while (base.left > 0 || target.left > 0) {
    const baseBytes = base.read(before);
    const targetBytes = target.read(input);
    baseDigest.update(before.subarray(0, baseBytes));
    targetDigest.update(input.subarray(0, targetBytes));
    before.fill(0, baseBytes, Math.max(baseBytes, targetBytes));
    const records = core.encodeWindow(targetBytes);
    if (records.byteLength > 0) {
      bodyDigest.update(records);
      output.append(records);
    }
  }
  output.writeAtStart(
    encodeDeltaHeader(core, {
      baseBytes: base.bytes,
      targetBytes: target.bytes,
      bodyBytes: output.bytes - DELTA_HEADER_BYTES,
      baseDigest: baseDigest.finish(),
      targetDigest: targetDigest.finish(),
      bodyDigest: bodyDigest.finish(),
    }),
  );
  output.commit();
}

/** Writes to `deltaPath` what changes the file at `basePath` into the one at `targetPath`. Throws DeltaFileError. */
export function makeDeltaFile(
  core: Core,
  basePath: string,
  targetPath: string,
  deltaPath: string,
): DeltaSummary {
  using stack = new DisposableStack();
  const base = stack.adopt(new Source(basePath), (source) => source.close());
  const target = stack.adopt(new Source(targetPath), (source) => source.close());
  const output = stack.adopt(new Output(deltaPath), (file) => file.close());
  makeFrom(core, base, target, output);
  return { baseBytes: base.bytes, targetBytes: target.bytes, deltaBytes: output.bytes };
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a.every((byte, i) => byte === b[i]);
}

function readHeader(core: Core, base: Source, delta: Source): DeltaHeader {
  const bytes = new Uint8Array(DELTA_HEADER_BYTES);
  const decoded = decodeDeltaHeader(core, bytes.subarray(0, delta.read(bytes)));
  if (!decoded.ok) {
    throw new DeltaFileError("damaged", delta.path, describeHeaderError(decoded.error));
  }
  const missing = decoded.value.bodyBytes - delta.left;
  if (missing > 0) {
    throw new DeltaFileError(
      "damaged",
      delta.path,
      `is torn: its last ${missing} bytes are missing`,
    );
  }
  if (missing < 0) throw new DeltaFileError("damaged", delta.path, "has bytes behind its end");
  if (base.bytes !== decoded.value.baseBytes) throw wrongBase(base, delta);
  return decoded.value;
}

function wrongBase(base: Source, delta: Source): DeltaFileError {
  return new DeltaFileError(
    "wrong-base",
    base.path,
    `is not the file that ${delta.path} begins with`,
  );
}

function applyTo(core: Core, base: Source, delta: Source, output: Output): void {
  const header = readHeader(core, base, delta);
  const digests = {
    base: new FileDigest(core),
    target: new FileDigest(core),
    body: core.digestStream(),
  };
  const reader = new DeltaReader();
  const piece = new Uint8Array(WINDOW_BYTES);
  const fill = (window: Uint8Array): void => {
    while (!reader.fill(window)) {
      if (reader.isDamaged) throw damagedRecords(delta);
      const body = piece.subarray(0, delta.read(piece));
      if (body.byteLength === 0) reader.end();
      digests.body.update(body);
      reader.feed(body);
    }
  };
  while (base.left > 0 || output.bytes < header.targetBytes) {
    const window = core.inputWindow();
    const baseBytes = base.read(window);
    digests.base.update(window.subarray(0, baseBytes));
    const targetBytes = Math.min(WINDOW_BYTES, header.targetBytes - output.bytes);
    window.fill(0, baseBytes, Math.max(baseBytes, targetBytes));
    const target = window.subarray(0, targetBytes);
    fill(target);
    digests.target.update(target);
    output.append(target);
  }
  if (!reader.isComplete || delta.left > 0) throw damagedRecords(delta);
  if (!isSame(digests.body.finish(), header.bodyDigest)) throw damagedRecords(delta);
  if (!isSame(digests.base.finish(), header.baseDigest)) throw wrongBase(base, delta);
  if (!isSame(digests.target.finish(), header.targetDigest)) throw damagedRecords(delta);
  output.commit();
}

function damagedRecords(delta: Source): DeltaFileError {
  return new DeltaFileError(
    "damaged",
    delta.path,
    "is damaged: its records do not match its header",
  );
}

/** Writes to `outputPath` the file that the delta leads to. Throws DeltaFileError. */
export function applyDeltaFile(
  core: Core,
  basePath: string,
  deltaPath: string,
  outputPath: string,
): DeltaSummary {
  using stack = new DisposableStack();
  const base = stack.adopt(new Source(basePath), (source) => source.close());
  const delta = stack.adopt(new Source(deltaPath), (source) => source.close());
  const output = stack.adopt(new Output(outputPath), (file) => file.close());
  applyTo(core, base, delta, output);
  return { baseBytes: base.bytes, targetBytes: output.bytes, deltaBytes: delta.bytes };
}

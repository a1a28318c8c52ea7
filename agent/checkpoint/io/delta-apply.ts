/**
 * Applies a delta file to its base. Everything is verified before the output appears: the delta's body, the base, the result.
 */
import { WINDOW_BYTES } from "../../../core/abi.ts";
import type { Core } from "../../../core/core.ts";
import type { DigestStream } from "../../../core/digester.ts";
import {
  DELTA_HEADER_BYTES,
  type DeltaHeader,
  DeltaReader,
  decodeDeltaHeader,
  describeHeaderError,
} from "../delta-file.ts";
import {
  closeSource,
  DeltaFileError,
  type DeltaSummary,
  type OpenFile,
  Output,
  openSource,
  readAt,
} from "./delta-file.ts";
import { WindowDigests } from "./delta-strip.ts";

/** A file read from start to end, once. */
class Reading {
  readonly file: OpenFile;
  #at = 0;

  constructor(file: OpenFile) {
    this.file = file;
  }

  get left(): number {
    return this.file.bytes - this.#at;
  }

  read(target: Uint8Array): number {
    const count = readAt(this.file, target, this.#at);
    this.#at += count;
    return count;
  }
}

/** Digest of a file: XXH3-128 over the list of its windows' XXH3-64. */
class FileDigest {
  readonly #list: DigestStream;
  readonly #windows: WindowDigests = new WindowDigests();

  constructor(core: Core) {
    this.#list = core.digestStream();
  }

  /** The next window; every one but the last is full. */
  update(window: Uint8Array): void {
    this.#windows.add(window);
    this.#list.update(this.#windows.take());
  }

  finish(): Uint8Array {
    return this.#list.finish();
  }
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a.every((byte, i) => byte === b[i]);
}

function readHeader(core: Core, base: Reading, delta: Reading): DeltaHeader {
  const bytes = new Uint8Array(DELTA_HEADER_BYTES);
  const decoded = decodeDeltaHeader(core, bytes.subarray(0, delta.read(bytes)));
  if (!decoded.ok) {
    throw new DeltaFileError("damaged", delta.file.path, describeHeaderError(decoded.error));
  }
  const missing = decoded.value.bodyBytes - delta.left;
  if (missing > 0) {
    throw new DeltaFileError(
      "damaged",
      delta.file.path,
      `is torn: its last ${missing} bytes are missing`,
    );
  }
  if (missing < 0) throw new DeltaFileError("damaged", delta.file.path, "has bytes behind its end");
  if (base.file.bytes !== decoded.value.baseBytes) throw wrongBase(base, delta);
  return decoded.value;
}

function wrongBase(base: Reading, delta: Reading): DeltaFileError {
  return new DeltaFileError(
    "wrong-base",
    base.file.path,
    `is not the file that ${delta.file.path} begins with`,
  );
}

function applyTo(core: Core, base: Reading, delta: Reading, output: Output): void {
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

function damagedRecords(delta: Reading): DeltaFileError {
  return new DeltaFileError(
    "damaged",
    delta.file.path,
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
  const base = stack.adopt(openSource(basePath), closeSource);
  const delta = stack.adopt(openSource(deltaPath), closeSource);
  const output = stack.adopt(new Output(outputPath), (file) => file.close());
  applyTo(core, new Reading(base), new Reading(delta), output);
  return { baseBytes: base.bytes, targetBytes: output.bytes, deltaBytes: delta.bytes };
}

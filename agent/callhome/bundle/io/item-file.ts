/**
 * One item on its way into a bundle: bytes come in, secrets go out, the rest lands in a file of its own up to a bound.
 *
 * Nothing is on disk that was not redacted. Texts are redacted line by line as they come; what is no text (`isText: false`) is written as
 * it is, and documents are redacted before they are bytes.
 */
import { createHash, type Hash } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import { LineRedactor, type Redactor } from "../redact.ts";

export interface ItemFileOptions {
  readonly path: string;
  readonly bytesMax: number;
  readonly redactor: Redactor;
  readonly isText: boolean;
}

export interface FinishedItem {
  readonly bytes: number;
  readonly sha256: string;
  /** Of what came in, as far as it came. */
  readonly cutBytes: number;
}

export class ItemFile {
  readonly #options: ItemFileOptions;
  readonly #file: FileHandle;
  readonly #lines: LineRedactor | null;
  readonly #hash: Hash = createHash("sha256");
  #bytes = 0;
  #cutBytes = 0;

  private constructor(options: ItemFileOptions, file: FileHandle) {
    this.#options = options;
    this.#file = file;
    this.#lines = options.isText ? new LineRedactor(options.redactor) : null;
  }

  static async make(options: ItemFileOptions): Promise<ItemFile> {
    return new ItemFile(options, await open(options.path, "w", 0o600));
  }

  get redactor(): Redactor {
    return this.#options.redactor;
  }

  get isFull(): boolean {
    return this.#bytes >= this.#options.bytesMax;
  }

  /** False: no more is wanted. */
  async write(chunk: Uint8Array): Promise<boolean> {
    if (this.#lines === null) await this.#put(chunk);
    else await this.#put(latin1(this.#lines.lines(Buffer.from(chunk).toString("latin1"))));
    return !this.isFull;
  }

  /** What was left out by whoever read it. */
  cut(bytes: number): void {
    this.#cutBytes += bytes;
  }

  async finish(): Promise<FinishedItem> {
    if (this.#lines !== null) {
      await this.#put(latin1(this.#lines.rest()));
      this.#cutBytes += this.#lines.cutCount;
    }
    await this.#file.close();
    return { bytes: this.#bytes, sha256: this.#hash.digest("hex"), cutBytes: this.#cutBytes };
  }

  async #put(bytes: Uint8Array): Promise<void> {
    const room = this.#options.bytesMax - this.#bytes;
    const kept = bytes.subarray(0, room);
    this.#cutBytes += bytes.length - kept.length;
    if (kept.length === 0) return;
    this.#hash.update(kept);
    this.#bytes += kept.length;
    await this.#file.write(kept);
  }
}

function latin1(text: string): Uint8Array {
  return Buffer.from(text, "latin1");
}

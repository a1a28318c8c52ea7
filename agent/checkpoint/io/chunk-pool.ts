/**
 * The memory in which captured pages wait for the disk: chunks of one size, handed out up to a bound. Who finds none left
 * waits, which is what delays `captured` when programs checkpoint faster than the disk takes it.
 *
 * Chunks are used again: memory fresh from the kernel costs more to touch than to fill.
 */
import { assert } from "../../../core/assert.ts";

/** Long enough that a write call's cost does not show, short enough that writing starts early. */
export const CHUNK_BYTES: number = 4 * 2 ** 20;

/** What is kept while nobody captures. */
const IDLE_CHUNKS_MAX = 16;

export class ChunkPool {
  readonly #countMax: number;
  readonly #idle: Uint8Array<ArrayBuffer>[] = [];
  readonly #waiting: ((chunk: Uint8Array<ArrayBuffer>) => void)[] = [];
  #count = 0;

  constructor(bytesMax: number) {
    this.#countMax = Math.max(2, Math.floor(bytesMax / CHUNK_BYTES));
  }

  /** Chunks handed out. */
  get count(): number {
    return this.#count;
  }

  /** Whoever waits must hold no chunk that is not being written, or two waiting could wait for each other. */
  take(): Promise<Uint8Array<ArrayBuffer>> {
    if (this.#count === this.#countMax) {
      return new Promise((resolve) => this.#waiting.push(resolve));
    }
    this.#count++;
    return Promise.resolve(this.#idle.pop() ?? new Uint8Array(new ArrayBuffer(CHUNK_BYTES)));
  }

  give(chunk: Uint8Array<ArrayBuffer>): void {
    assert(this.#count > 0, "a chunk is given back once");
    const next = this.#waiting.shift();
    if (next !== undefined) {
      next(chunk);
      return;
    }
    this.#count--;
    if (this.#idle.length < IDLE_CHUNKS_MAX) this.#idle.push(chunk);
  }
}

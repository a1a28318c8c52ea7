/**
 * The digest kernel's host: buffers of any length, pages, windows, streams.
 *
 * A caller's buffer goes through the 16 KiB stream buffer, so that it is digested while still in the nearest cache.
 */
import { DIGEST_BYTES, PAGE_BYTES, STREAM_BYTES, STREAM_STATE_BYTES, WINDOW_BYTES } from "./abi.ts";
import { assert } from "./assert.ts";
import type { CoreMemory, Kernels } from "./kernels.ts";

export interface DigestStream {
  update(bytes: Uint8Array): void;
  /** The 16 bytes; once. */
  finish(): Uint8Array;
}

export interface Digester {
  digest(bytes: Uint8Array): Uint8Array;
  digestPages(bytes: Uint8Array, digests: Uint8Array): void;
  digestWindow(byteCount: number): Uint8Array;
  digestStream(): DigestStream;
}

class WasmDigestStream implements DigestStream {
  readonly #kernels: Kernels;
  readonly #memory: CoreMemory;
  /** The stream's state between calls: others use the one stream of the core meanwhile. */
  readonly #saved: Uint8Array = new Uint8Array(STREAM_STATE_BYTES);
  readonly #pending: Uint8Array = new Uint8Array(STREAM_BYTES);
  #pendingBytes = 0;
  #totalBytes = 0;

  constructor(kernels: Kernels, memory: CoreMemory) {
    this.#kernels = kernels;
    this.#memory = memory;
    kernels.streamBegin();
    this.#saved.set(memory.streamState);
  }

  update(bytes: Uint8Array): void {
    this.#totalBytes += bytes.byteLength;
    let offset = 0;
    while (offset < bytes.byteLength) {
      // A full buffer waits until more comes: the last one is taken in differently.
      if (this.#pendingBytes === STREAM_BYTES) this.#flush();
      const count = Math.min(STREAM_BYTES - this.#pendingBytes, bytes.byteLength - offset);
      this.#pending.set(bytes.subarray(offset, offset + count), this.#pendingBytes);
      this.#pendingBytes += count;
      offset += count;
    }
  }

  finish(): Uint8Array {
    this.#memory.streamState.set(this.#saved);
    this.#memory.stream.set(this.#pending.subarray(0, this.#pendingBytes));
    this.#kernels.streamEnd(this.#pendingBytes, this.#totalBytes);
    return this.#memory.digests.slice(0, DIGEST_BYTES);
  }

  #flush(): void {
    this.#memory.streamState.set(this.#saved);
    this.#memory.stream.set(this.#pending);
    this.#kernels.streamNext();
    this.#saved.set(this.#memory.streamState);
    this.#pendingBytes = 0;
  }
}

function digest(kernels: Kernels, memory: CoreMemory, bytes: Uint8Array): Uint8Array {
  kernels.streamBegin();
  let offset = 0;
  for (; bytes.byteLength - offset > STREAM_BYTES; offset += STREAM_BYTES) {
    memory.stream.set(bytes.subarray(offset, offset + STREAM_BYTES));
    kernels.streamNext();
  }
  memory.stream.set(bytes.subarray(offset));
  kernels.streamEnd(bytes.byteLength - offset, bytes.byteLength);
  return memory.digests.slice(0, DIGEST_BYTES);
}

function digestPages(
  kernels: Kernels,
  memory: CoreMemory,
  bytes: Uint8Array,
  digests: Uint8Array,
): void {
  const pageCount = Math.ceil(bytes.byteLength / PAGE_BYTES);
  assert(digests.byteLength >= pageCount * DIGEST_BYTES, "room for every digest");
  const pieceDigests = (STREAM_BYTES / PAGE_BYTES) * DIGEST_BYTES;
  const full = memory.digests.subarray(0, pieceDigests);
  let target = 0;
  for (let offset = 0; offset < bytes.byteLength; offset += STREAM_BYTES) {
    const piece = bytes.subarray(offset, offset + STREAM_BYTES);
    memory.stream.set(piece);
    kernels.digestStreamPages(piece.byteLength);
    const isFull = piece.byteLength === STREAM_BYTES;
    const made = isFull ? full : memory.digests.subarray(0, pageCount * DIGEST_BYTES - target);
    digests.set(made, target);
    target += pieceDigests;
  }
}

export function digester(kernels: Kernels, memory: CoreMemory): Digester {
  return {
    digest: (bytes) => digest(kernels, memory, bytes),
    digestPages: (bytes, digests) => digestPages(kernels, memory, bytes, digests),
    digestWindow: (byteCount) => {
      assert(byteCount <= WINDOW_BYTES, "within the window");
      kernels.digestInputPages(byteCount);
      return memory.digests.subarray(0, Math.ceil(byteCount / PAGE_BYTES) * DIGEST_BYTES);
    },
    digestStream: () => new WasmDigestStream(kernels, memory),
  };
}

/**
 * Writes one shard to a temporary file while its payload is still being found. Does not decide what is in it.
 *
 * Order on disk: payload as it comes, then tail and footer, the head last. So a file that a crash leaves behind has no
 * head; and whether the shard has a parent may be settled after all pages are known.
 */
import { type FileHandle, open, rm } from "node:fs/promises";
import { WINDOW_BYTES } from "../../../core/abi.ts";
import { assert } from "../../../core/assert.ts";
import type { DigestCore } from "../page-digests.ts";
import {
  encodeFooter,
  encodeHead,
  encodeTail,
  type ShardFooter,
  type ShardHead,
  type ShardTail,
  wholeDigestInput,
} from "../shard.ts";
import type { ChunkPool } from "./chunk-pool.ts";

export interface WrittenShard {
  readonly head: ShardHead;
  readonly tail: ShardTail;
  readonly footer: ShardFooter;
  readonly bytes: number;
}

async function writeAll(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, position + done);
    done += bytesWritten;
  }
}

export class ShardWriter {
  readonly path: string;
  readonly #handle: FileHandle;
  readonly #pool: ChunkPool;
  readonly #headBytes: number;
  readonly #mailbox: Uint8Array | null;
  readonly #writes: Promise<void>[] = [];
  #failure: unknown = null;
  #chunk: Uint8Array<ArrayBuffer> | null = null;
  #chunkBytes = 0;
  /** Bytes of payload handed to the disk. */
  #sentBytes = 0;

  private constructor(
    handle: FileHandle,
    options: { path: string; pool: ChunkPool; head: ShardHead; mailbox: Uint8Array | null },
  ) {
    this.path = options.path;
    this.#handle = handle;
    this.#pool = options.pool;
    this.#headBytes = encodeHead(options.head).length;
    this.#mailbox = options.mailbox;
  }

  /** `head` fixes the length of what comes before the payload; its parent may still change. */
  static async create(options: {
    path: string;
    pool: ChunkPool;
    head: ShardHead;
    mailbox: Uint8Array | null;
  }): Promise<ShardWriter> {
    return new ShardWriter(await open(options.path, "wx"), options);
  }

  get payloadBytes(): number {
    return this.#sentBytes + this.#chunkBytes;
  }

  /** To be awaited before `append`: afterwards there is room for one window. Throws what a write failed with. */
  async room(): Promise<void> {
    if (this.#failure !== null) throw this.#failure;
    if (this.#chunk !== null && this.#chunkBytes + WINDOW_BYTES <= this.#chunk.length) return;
    this.#dispatch();
    this.#chunk = await this.#pool.take();
    if (this.#failure !== null) throw this.#failure;
  }

  /** Copies at most one window. */
  append(bytes: Uint8Array): void {
    assert(this.#chunk !== null, "room was made first");
    this.#chunk.set(bytes, this.#chunkBytes);
    this.#chunkBytes += bytes.length;
  }

  /** Everything is copied: from here on only the disk is waited for. */
  async finish(core: DigestCore, head: ShardHead, tail: ShardTail): Promise<WrittenShard> {
    this.#dispatch();
    const headBytes = encodeHead(head);
    assert(headBytes.length === this.#headBytes, "the head keeps its length");
    const tailBytes = encodeTail(tail);
    const payloadBytes = this.#sentBytes;
    const state = core.digest(tail.digests).slice();
    const mailbox = this.#mailbox ?? new Uint8Array(0);
    const parts = {
      head: core.digest(headBytes).slice(),
      mailbox: core.digest(mailbox).slice(),
      tail: core.digest(tailBytes).slice(),
    };
    const fields = { payloadBytes, tailBytes: tailBytes.length, state };
    const whole = core.digest(wholeDigestInput(parts, fields)).slice();
    const footer = { ...fields, whole };
    await Promise.all(this.#writes);
    if (this.#failure !== null) throw this.#failure;
    const end = this.#payloadStart + payloadBytes;
    await writeAll(this.#handle, mailbox, this.#headBytes);
    await writeAll(this.#handle, tailBytes, end);
    await writeAll(this.#handle, encodeFooter(footer), end + tailBytes.length);
    await writeAll(this.#handle, headBytes, 0);
    const bytes = end + tailBytes.length + encodeFooter(footer).length;
    return { head, tail, footer, bytes };
  }

  sync(): Promise<void> {
    return this.#handle.sync();
  }

  close(): Promise<void> {
    return this.#handle.close();
  }

  /** Leaves no file. */
  async discard(): Promise<void> {
    if (this.#chunk !== null) this.#pool.give(this.#chunk);
    this.#chunk = null;
    await Promise.all(this.#writes);
    await this.#handle.close();
    await rm(this.path, { force: true });
  }

  get #payloadStart(): number {
    return this.#headBytes + (this.#mailbox?.length ?? 0);
  }

  #dispatch(): void {
    const chunk = this.#chunk;
    if (chunk === null) return;
    const bytes = chunk.subarray(0, this.#chunkBytes);
    const position = this.#payloadStart + this.#sentBytes;
    this.#sentBytes += this.#chunkBytes;
    this.#chunk = null;
    this.#chunkBytes = 0;
    const write = writeAll(this.#handle, bytes, position).catch((error: unknown) => {
      this.#failure ??= error;
    });
    this.#writes.push(write.then(() => this.#pool.give(chunk)));
  }
}

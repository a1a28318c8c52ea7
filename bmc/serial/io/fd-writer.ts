/**
 * Bytes into a non-blocking descriptor, whole and in order, without ever blocking the thread.
 *
 * A full buffer is waited for in steps of a millisecond: a terminal has no event for it that Bun would tell, and at the rates of
 * serial lines a millisecond is less than the time of a byte or a few. What is written goes through memory of this object's own,
 * since native code may not be given a caller's buffer.
 */
import { type FfiBuffer, ffiBuffer } from "../../../core/io/native.ts";
import { ERRNO, errno, libc, SystemError } from "./libc.ts";

const CHUNK_BYTES = 16_384;
const RETRY_MS = 1;

export class FdWriter {
  readonly #fd: number;
  readonly #name: string;
  readonly #chunk: FfiBuffer = ffiBuffer(CHUNK_BYTES);
  #isStopped = false;
  #last: Promise<unknown> = Promise.resolve();

  constructor(fd: number, name: string) {
    this.#fd = fd;
    this.#name = name;
  }

  get isStopped(): boolean {
    return this.#isStopped;
  }

  /** After what was given before. False: stopped before all of it was taken. Rejects with a `SystemError`. */
  write(bytes: Uint8Array): Promise<boolean> {
    const mine = this.#last.then(() => this.#writeAll(bytes));
    this.#last = mine.catch(() => undefined);
    return mine;
  }

  /** Comes back when what was given has been taken, or given up. */
  async settled(): Promise<void> {
    await this.#last;
  }

  /** Nothing is written afterwards. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#last;
  }

  async #writeAll(bytes: Uint8Array): Promise<boolean> {
    let offset = 0;
    while (offset < bytes.byteLength) {
      if (this.#isStopped) return false;
      const part = bytes.subarray(offset, offset + CHUNK_BYTES);
      const count = this.#writeSome(part);
      if (count === 0) await Bun.sleep(RETRY_MS);
      offset += count;
    }
    return true;
  }

  /** Bytes taken; 0 when there is no room now. */
  #writeSome(part: Uint8Array): number {
    this.#chunk.u8.set(part);
    const count = libc.write(this.#fd, this.#chunk.pointer, part.byteLength);
    if (count >= 0) return count;
    const number = errno();
    if (number === ERRNO.EAGAIN || number === ERRNO.EINTR) return 0;
    throw new SystemError(`cannot write to ${this.#name}`, number);
  }
}

/**
 * Bytes of a non-blocking terminal as they come: one interface, two ways.
 *
 * `stream`, the first: `Bun.file(fd).stream()`, which waits in Bun's own epoll. That it does so for a terminal is observed, not
 * documented; a blocking descriptor fails with ESPIPE. `worker`, the second, is in `worker-reader.ts`. Neither closes
 * the descriptor: it is closed by its owner, after `cancel` has come back, or a reader might read what another file of the
 * same number holds by then.
 */
import { errno, libc, SystemError } from "./libc.ts";
import { IOCTL, QUEUE } from "./termios.ts";

export interface FdReader {
  /** Owned by the receiver, never empty; null once the other side has hung up or the reader was cancelled. One call at a time. */
  read(): Promise<Uint8Array | null>;
  /** Throws away what has come so far, here and in the driver. Rejects with a `SystemError`. */
  flush(): Promise<void>;
  /** Nothing is read afterwards. A `read` under way comes back with null. */
  cancel(): Promise<void>;
}

/** What the driver holds that was not read. */
export function flushInput(fd: number): void {
  if (libc.ioctl(fd, IOCTL.TCFLSH, QUEUE.input) < 0) {
    throw new SystemError("cannot flush the input", errno());
  }
}

const openStream = (fd: number) => Bun.file(fd).stream().getReader();

class StreamReader implements FdReader {
  readonly #fd: number;
  readonly #reader: ReturnType<typeof openStream>;
  /** Begun and not yet given to a caller of `read`. */
  #next: Promise<Uint8Array | null> | null = null;
  #isAwaited = false;

  constructor(fd: number) {
    this.#fd = fd;
    this.#reader = openStream(fd);
  }

  async read(): Promise<Uint8Array | null> {
    this.#isAwaited = true;
    try {
      const bytes = await (this.#next ?? this.#pull());
      this.#next = null;
      return bytes;
    } finally {
      this.#isAwaited = false;
    }
  }

  async #pull(): Promise<Uint8Array | null> {
    try {
      for (;;) {
        const { done, value } = await this.#reader.read();
        if (done) return null;
        if (value.byteLength > 0) return value;
      }
    } catch {
      // EIO of a terminal whose other side is gone is its end, as an end of file is.
      return null;
    }
  }

  async flush(): Promise<void> {
    flushInput(this.#fd);
    // Somebody waits in `read`: then the stream holds nothing.
    if (this.#isAwaited) return;
    // The stream reads ahead. What comes at once was there; the read that waits is left for the next caller.
    for (;;) {
      this.#next ??= this.#pull();
      const waited = new Promise<"nothing">((resolve) => setImmediate(() => resolve("nothing")));
      const bytes = await Promise.race([this.#next, waited]);
      if (bytes === "nothing" || bytes === null) return;
      this.#next = null;
    }
  }

  async cancel(): Promise<void> {
    try {
      await this.#reader.cancel();
    } catch {}
  }
}

export function streamReader(fd: number): FdReader {
  return new StreamReader(fd);
}

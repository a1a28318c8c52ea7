/**
 * Bytes of a non-blocking descriptor as they come: one interface, two ways.
 *
 * `stream`, the first: `Bun.file(fd).stream()`, which waits in Bun's own epoll. That it does so for a terminal is observed, not
 * documented; a blocking descriptor fails with ESPIPE. `worker`, the second, is in `worker-reader.ts`. Neither closes
 * the descriptor: it is closed by its owner, after `cancel` has come back, or a reader might read what another file of the
 * same number holds by then.
 */
export interface FdReader {
  /** Owned by the receiver, never empty; null once the other side has hung up or the reader was cancelled. One call at a time. */
  read(): Promise<Uint8Array | null>;
  /** Nothing is read afterwards. A `read` under way comes back with null. */
  cancel(): Promise<void>;
}

const openStream = (fd: number) => Bun.file(fd).stream().getReader();

class StreamReader implements FdReader {
  readonly #reader: ReturnType<typeof openStream>;

  constructor(fd: number) {
    this.#reader = openStream(fd);
  }

  async read(): Promise<Uint8Array | null> {
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

  async cancel(): Promise<void> {
    try {
      await this.#reader.cancel();
    } catch {}
  }
}

export function streamReader(fd: number): FdReader {
  return new StreamReader(fd);
}

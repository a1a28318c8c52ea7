/**
 * The thread of the second way to read a terminal: it sits in poll(2), reads, and posts what it read.
 *
 * An entry of its own in the compiled binary (`*-worker.ts`). It does not come back to its event loop before its end, so it is
 * spoken to through a pipe: a byte wakes it, and the words in shared memory say what for. It stops reading while more than
 * `BEHIND_BYTES_MAX` of what it posted were not taken. A process that ends without telling it is held up for `WAIT_MS` at most,
 * since a thread can be ended between two calls only.
 */
import { type FfiBuffer, ffiBuffer } from "../../../core/io/native.ts";
import { flushInput } from "./fd-reader.ts";
import { ERRNO, errno, libc } from "./libc.ts";
import { BEHIND_BYTES_MAX, type FromTtyWorker, type ToTtyWorker, WORD } from "./tty-messages.ts";

declare const self: Worker;

const READ_BYTES = 65_536;
const WAIT_MS = 250;
const POLL = { POLLIN: 0x1, POLLERR: 0x8, POLLHUP: 0x10, POLLNVAL: 0x20 } as const;
const POLLFD_BYTES = 8;

class TtyThread {
  readonly #fd: number;
  readonly #waker: number;
  readonly #words: Int32Array;
  readonly #polled: FfiBuffer = ffiBuffer(2 * POLLFD_BYTES);
  readonly #memory: FfiBuffer = ffiBuffer(READ_BYTES);
  readonly #wakes: FfiBuffer = ffiBuffer(256);
  #posted = 0;
  #flushed = 0;

  constructor(setup: ToTtyWorker) {
    this.#fd = setup.fd;
    this.#waker = setup.waker;
    this.#words = setup.words;
  }

  /** Comes back with the number of the error that ended it, or null. */
  run(): number | null {
    for (;;) {
      if (Atomics.load(this.#words, WORD.stop) === 1) return null;
      this.#flushIfWanted();
      const events = this.#wait(this.#isBehind());
      if (events === null) continue;
      if ((events & POLL.POLLNVAL) !== 0) return ERRNO.EBADF;
      if (events === 0) continue;
      const outcome = this.#read();
      if (outcome !== "again") return outcome;
    }
  }

  #isBehind(): boolean {
    const isBehind = this.#behindBytes() > BEHIND_BYTES_MAX;
    Atomics.store(this.#words, WORD.isBehind, isBehind ? 1 : 0);
    // Taken between the two: then nobody would wake us.
    return isBehind && this.#behindBytes() > BEHIND_BYTES_MAX;
  }

  #behindBytes(): number {
    return (this.#posted - Atomics.load(this.#words, WORD.taken)) | 0;
  }

  #flushIfWanted(): void {
    const wanted = Atomics.load(this.#words, WORD.flushWanted);
    if (wanted === this.#flushed) return;
    this.#flushed = wanted;
    try {
      flushInput(this.#fd);
    } catch {
      // A terminal that is gone: the next read tells.
    }
    tell({ kind: "flushed", count: wanted });
  }

  /** Events of the terminal; null when something else is to be looked at first. */
  #wait(isBehind: boolean): number | null {
    const { view, pointer } = this.#polled;
    // A negative descriptor is left out.
    view.setInt32(0, isBehind ? -1 : this.#fd, true);
    view.setInt16(4, POLL.POLLIN, true);
    view.setInt16(6, 0, true);
    view.setInt32(8, this.#waker, true);
    view.setInt16(12, POLL.POLLIN, true);
    view.setInt16(14, 0, true);
    if (libc.poll(pointer, 2, WAIT_MS) <= 0) return null;
    if (view.getInt16(14, true) !== 0) {
      libc.read(this.#waker, this.#wakes.pointer, this.#wakes.u8.byteLength);
      return null;
    }
    return view.getInt16(6, true);
  }

  #read(): number | null | "again" {
    const count = libc.read(this.#fd, this.#memory.pointer, READ_BYTES);
    if (count > 0) {
      const bytes = this.#memory.u8.slice(0, count);
      this.#posted = (this.#posted + count) | 0;
      self.postMessage({ kind: "bytes", bytes } satisfies FromTtyWorker, [bytes.buffer]);
      return "again";
    }
    if (count === 0) return null;
    const number = errno();
    return number === ERRNO.EAGAIN || number === ERRNO.EINTR ? "again" : number;
  }
}

function tell(message: FromTtyWorker): void {
  self.postMessage(message);
}

self.onmessage = (event: MessageEvent<ToTtyWorker>) => {
  tell({ kind: "ready" });
  tell({ kind: "ended", errno: new TtyThread(event.data).run() });
};

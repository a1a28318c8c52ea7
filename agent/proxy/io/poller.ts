/**
 * epoll for the proxy's one thread: rings, sockets and timers are looked at in turn, and nothing of Bun's event loop is needed
 * on the way of a message.
 */
import { ffiBuffer } from "../../../core/io/native.ts";
import { ERRNO, errno, libc } from "../../runtime/io/ffi.ts";

export const READABLE = 0x001;
export const WRITABLE = 0x004;
const HANGUP = 0x018;

const ADD = 1;
const REMOVE = 2;
const CHANGE = 3;
const EVENTS_MAX = 64;
/** The kernel packs `struct epoll_event` on x86-64 only. */
const EVENT_BYTES = process.arch === "x64" ? 12 : 16;
const DATA_OFFSET = process.arch === "x64" ? 4 : 8;

export type ReadyHandler = (isReadable: boolean, isWritable: boolean) => void;

export class Poller {
  readonly #epoll = libc.epoll_create1(0x80000);
  readonly #handlers = new Map<number, ReadyHandler>();
  readonly #events = ffiBuffer(EVENTS_MAX * 16);
  readonly #change = ffiBuffer(16);

  add(fd: number, interest: number, handler: ReadyHandler): void {
    this.#handlers.set(fd, handler);
    this.#control(ADD, fd, interest);
  }

  change(fd: number, interest: number): void {
    this.#control(CHANGE, fd, interest);
  }

  remove(fd: number): void {
    if (this.#handlers.delete(fd)) this.#control(REMOVE, fd, 0);
  }

  /** Handles at most EVENTS_MAX descriptors; says how many. Also returns early on a signal. */
  wait(timeoutMs: number): number {
    const count = libc.epoll_wait(this.#epoll, this.#events.pointer, EVENTS_MAX, timeoutMs);
    for (let i = 0; i < count; i++) {
      const at = i * EVENT_BYTES;
      const events = this.#events.view.getUint32(at, true);
      const fd = this.#events.view.getInt32(at + DATA_OFFSET, true);
      // A handler may have removed one that stands later in the list.
      const handler = this.#handlers.get(fd);
      const isBroken = (events & HANGUP) !== 0;
      handler?.((events & READABLE) !== 0 || isBroken, (events & WRITABLE) !== 0 || isBroken);
    }
    return count;
  }

  #control(operation: number, fd: number, interest: number): void {
    this.#change.view.setUint32(0, interest, true);
    this.#change.view.setInt32(DATA_OFFSET, fd, true);
    const result = libc.epoll_ctl(this.#epoll, operation, fd, this.#change.pointer);
    if (result < 0 && operation !== REMOVE && errno() !== ERRNO.EEXIST) {
      throw new Error(`epoll_ctl of descriptor ${fd}: error ${errno()}`);
    }
  }
}

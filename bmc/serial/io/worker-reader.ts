/**
 * The second way to read a terminal: a thread in poll(2), for a Bun whose streams do not wait for terminals.
 *
 * This is the side of the caller; the thread is in `tty-worker.ts`. It costs a thread and some 40 µs a message, and is bounded: the
 * thread stops reading while its bytes are not taken.
 */
import { type FfiBuffer, ffiBuffer } from "../../../core/io/native.ts";
import { workerUrl } from "../../../core/io/worker-url.ts";
import type { FdReader } from "./fd-reader.ts";
import { errno, libc, OPEN_FLAGS, SystemError } from "./libc.ts";
import { type FromTtyWorker, type ToTtyWorker, WORD, WORD_COUNT } from "./tty-messages.ts";

const START_MS = 10_000;
/** The thread looks at its words at least four times a second; what takes longer has died. */
const ANSWER_MS = 2_000;

interface Pipe {
  readonly read: number;
  readonly write: number;
}

function openPipe(): Pipe {
  const fds = ffiBuffer(8);
  if (libc.pipe2(fds.pointer, OPEN_FLAGS.O_NONBLOCK | OPEN_FLAGS.O_CLOEXEC) < 0) {
    throw new SystemError("cannot open a pipe", errno());
  }
  return { read: fds.view.getInt32(0, true), write: fds.view.getInt32(4, true) };
}

class WorkerReader implements FdReader {
  readonly #worker: Worker;
  readonly #pipe: Pipe;
  readonly #words = new Int32Array(new SharedArrayBuffer(4 * WORD_COUNT));
  readonly #wake: FfiBuffer = ffiBuffer(1);
  readonly #started = Promise.withResolvers<boolean>();
  readonly #ended = Promise.withResolvers<null>();
  #chunks: Uint8Array[] = [];
  #hasEnded = false;
  #waiting: ((bytes: Uint8Array | null) => void) | null = null;
  #flushing: { readonly count: number; readonly done: () => void } | null = null;

  constructor(fd: number) {
    this.#pipe = openPipe();
    this.#worker = new Worker(workerUrl("bmc/serial/io/tty-worker.ts"));
    this.#worker.onmessage = (event: MessageEvent<FromTtyWorker>) => this.#take(event.data);
    this.#worker.onerror = () => this.#end();
    this.#worker.addEventListener("close", () => this.#end());
    const setup: ToTtyWorker = { fd, waker: this.#pipe.read, words: this.#words };
    this.#worker.postMessage(setup);
  }

  /** False: the thread cannot be had. */
  started(): Promise<boolean> {
    return within(this.#started.promise, START_MS, false);
  }

  read(): Promise<Uint8Array | null> {
    const bytes = this.#chunks.shift();
    if (bytes !== undefined) {
      this.#tookBytes(bytes.byteLength);
      return Promise.resolve(bytes);
    }
    if (this.#hasEnded) return Promise.resolve(null);
    return new Promise((resolve) => {
      this.#waiting = resolve;
    });
  }

  async flush(): Promise<void> {
    if (this.#hasEnded) return;
    const count = Atomics.add(this.#words, WORD.flushWanted, 1) + 1;
    const flushed = new Promise<void>((done) => {
      this.#flushing = { count, done };
    });
    this.#wakeThread();
    await within(flushed, ANSWER_MS, undefined);
  }

  async cancel(): Promise<void> {
    if (!this.#hasEnded) {
      Atomics.store(this.#words, WORD.stop, 1);
      this.#wakeThread();
      // The descriptor is closed after this: the thread must be out of its call by then.
      await within(this.#ended.promise, ANSWER_MS, null);
    }
    this.#end();
    this.#worker.terminate();
    libc.close(this.#pipe.write);
    libc.close(this.#pipe.read);
  }

  #take(message: FromTtyWorker): void {
    switch (message.kind) {
      case "ready":
        this.#started.resolve(true);
        return;
      case "bytes":
        this.#give(message.bytes);
        return;
      case "flushed":
        this.#chunks.splice(0).forEach((bytes) => {
          this.#tookBytes(bytes.byteLength);
        });
        if (this.#flushing?.count !== message.count) return;
        this.#flushing.done();
        this.#flushing = null;
        return;
      case "ended":
        this.#end();
    }
  }

  #give(bytes: Uint8Array): void {
    const waiting = this.#waiting;
    if (waiting === null || this.#flushing !== null) {
      this.#chunks.push(bytes);
      return;
    }
    this.#waiting = null;
    this.#tookBytes(bytes.byteLength);
    waiting(bytes);
  }

  #tookBytes(count: number): void {
    Atomics.add(this.#words, WORD.taken, count);
    if (Atomics.load(this.#words, WORD.isBehind) === 1) this.#wakeThread();
  }

  /** A full pipe is no failure: the thread is woken already. */
  #wakeThread(): void {
    libc.write(this.#pipe.write, this.#wake.pointer, 1);
  }

  #end(): void {
    this.#hasEnded = true;
    this.#started.resolve(false);
    this.#ended.resolve(null);
    this.#flushing?.done();
    const waiting = this.#waiting;
    this.#waiting = null;
    waiting?.(null);
  }
}

/** `otherwise` after `limitMs`; the timer does not keep the process alive. */
async function within<T>(promise: Promise<T>, limitMs: number, otherwise: T): Promise<T> {
  const limit = Promise.withResolvers<T>();
  const timer = setTimeout(() => limit.resolve(otherwise), limitMs);
  try {
    return await Promise.race([promise, limit.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** Null: the thread's code cannot be started. */
export async function openWorkerReader(fd: number): Promise<FdReader | null> {
  const reader = new WorkerReader(fd);
  if (await reader.started()) return reader;
  await reader.cancel();
  return null;
}

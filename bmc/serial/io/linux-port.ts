/**
 * An open serial port of Linux: everything that `BindingPortInterface` asks for, over a non-blocking descriptor.
 *
 * Never blocks the thread: writes and `drain` wait in steps of a millisecond, reads come from a `FdReader`. `tcdrain` would block,
 * and so would `close` while a UART still has bytes to send, so `close` gives them a moment and then throws them away.
 * Invariant: the descriptor is closed last, after the reader has let go of it and the writer has stopped.
 */
import type {
  BindingPortInterface,
  PortStatus,
  SetOptions,
  UpdateOptions,
} from "@serialport/bindings-interface";
import { ffiBuffer } from "../../../core/io/native.ts";
import type { FdReader } from "./fd-reader.ts";
import { FdWriter } from "./fd-writer.ts";
import { ERRNO, errno, libc, SystemError } from "./libc.ts";
import { baudRefused, CanceledError, disconnected, ioFailure, PortError } from "./port-error.ts";
import { type PortLock, unlock } from "./port-lock.ts";
import { checkBaudRate, isSameRate, type LinuxOpenOptions } from "./port-options.ts";
import { applyBaudRate, IOCTL, QUEUE, readBaudRate } from "./termios.ts";

const MODEM = { dtr: 0x002, rts: 0x004, cts: 0x020, dcd: 0x040, dsr: 0x100 } as const;
/** TIOCSERGETLSR: the shift register is empty too. */
const TRANSMITTER_EMPTY = 1;

const DRAIN_STEP_MS = 1;
/** Without a byte leaving in this time, flow control holds the line and nothing will. */
const DRAIN_STUCK_MS = 30_000;
const CLOSE_DRAIN_MS = 500;

/** Stands for bytes that have left the driver's queue and are in the UART alone. */
const IN_UART = 0.5;
/** Bits of the largest queue of a UART, and what a driver's view of it may be late. */
const UART_BITS = 256 * 11;
const UART_LATE_MS = 50;

export class LinuxPort implements BindingPortInterface {
  readonly openOptions: Required<LinuxOpenOptions>;
  readonly #fd: number;
  readonly #path: string;
  readonly #reader: FdReader;
  readonly #writer: FdWriter;
  readonly #lock: PortLock | null;
  readonly #number = ffiBuffer(4);
  /** What was read from the descriptor and not yet asked for. */
  #rest: Uint8Array | null = null;
  #isHungUp = false;
  #closing: Promise<void> | null = null;

  constructor(
    fd: number,
    reader: FdReader,
    lock: PortLock | null,
    options: Required<LinuxOpenOptions>,
  ) {
    this.openOptions = options;
    this.#fd = fd;
    this.#path = options.path;
    this.#reader = reader;
    this.#lock = lock;
    this.#writer = new FdWriter(fd, options.path);
  }

  get isOpen(): boolean {
    return this.#closing === null;
  }

  async read(
    buffer: Buffer,
    offset: number,
    length: number,
  ): Promise<{ buffer: Buffer; bytesRead: number }> {
    this.#mustBeOpen("reading");
    const room = Math.min(length, buffer.byteLength - offset);
    if (!(offset >= 0 && room > 0)) {
      throw new PortError("bad-request", `${this.#path}: there is no room to read into`);
    }
    const bytes = this.#rest ?? (await this.#nextBytes());
    const taken = Math.min(bytes.byteLength, room);
    buffer.set(bytes.subarray(0, taken), offset);
    this.#rest = taken === bytes.byteLength ? null : bytes.subarray(taken);
    return { buffer, bytesRead: taken };
  }

  async #nextBytes(): Promise<Uint8Array> {
    const bytes = await this.#reader.read();
    if (!this.isOpen) throw new CanceledError(this.#path, "reading");
    if (bytes !== null) return bytes;
    this.#isHungUp = true;
    throw disconnected(this.#path);
  }

  async write(buffer: Buffer): Promise<void> {
    this.#mustBeOpen("writing");
    let isWhole: boolean;
    try {
      isWhole = await this.#writer.write(buffer);
    } catch (error) {
      throw this.#failure(error);
    }
    if (!isWhole) throw new CanceledError(this.#path, "writing");
  }

  async update(options: UpdateOptions): Promise<void> {
    this.#mustBeOpen("changing its rate");
    checkBaudRate(options.baudRate);
    const before = this.#ask(() => readBaudRate(this.#fd));
    this.#ask(() => applyBaudRate(this.#fd, options.baudRate));
    const { input, output } = this.#ask(() => readBaudRate(this.#fd));
    const worst = isSameRate(options.baudRate, output) ? input : output;
    if (isSameRate(options.baudRate, worst)) return;
    this.#ask(() => applyBaudRate(this.#fd, before.output));
    throw baudRefused(this.#path, options.baudRate, worst);
  }

  async getBaudRate(): Promise<{ baudRate: number }> {
    this.#mustBeOpen("asking its rate");
    return { baudRate: this.#ask(() => readBaudRate(this.#fd)).output };
  }

  /** What is not given is set to its default, as the interface says: DTR and RTS on, no break. CTS and DSR are the other side's. */
  async set(options: SetOptions): Promise<void> {
    this.#mustBeOpen("setting its lines");
    const { dtr = true, rts = true, brk = false } = options;
    const lines = this.#modemLines();
    if (lines !== null) {
      const others = lines & ~(MODEM.dtr | MODEM.rts);
      const wanted = others | (dtr ? MODEM.dtr : 0) | (rts ? MODEM.rts : 0);
      this.#number.view.setInt32(0, wanted, true);
      this.#ioctl("set the modem lines", IOCTL.TIOCMSET, this.#number.pointer);
    }
    this.#ioctl("set a break", brk ? IOCTL.TIOCSBRK : IOCTL.TIOCCBRK, 0);
  }

  /** All false where there are no such lines, as on a pseudo-terminal. */
  async get(): Promise<PortStatus> {
    this.#mustBeOpen("asking its lines");
    const lines = this.#modemLines() ?? 0;
    return {
      cts: (lines & MODEM.cts) !== 0,
      dsr: (lines & MODEM.dsr) !== 0,
      dcd: (lines & MODEM.dcd) !== 0,
    };
  }

  async flush(): Promise<void> {
    this.#mustBeOpen("flushing");
    this.#ioctl("flush the output", IOCTL.TCFLSH, QUEUE.output);
    try {
      await this.#reader.flush();
    } catch (error) {
      throw this.#failure(error);
    }
    this.#rest = null;
  }

  async drain(): Promise<void> {
    this.#mustBeOpen("draining");
    await this.#writer.settled();
    const isEmpty = await this.#untilSent(DRAIN_STUCK_MS);
    if (!this.isOpen) throw new CanceledError(this.#path, "draining");
    if (isEmpty) return;
    throw new PortError("timeout", `${this.#path} sends nothing: flow control holds the line`);
  }

  close(): Promise<void> {
    if (this.#closing !== null) {
      return Promise.reject(new PortError("bad-request", `${this.#path} is closed already`));
    }
    this.#closing = this.#end();
    return this.#closing;
  }

  async #end(): Promise<void> {
    await this.#writer.stop();
    await this.#reader.cancel();
    this.#rest = null;
    try {
      if (!this.#isHungUp && !(await this.#untilSent(CLOSE_DRAIN_MS, false))) {
        libc.ioctl(this.#fd, IOCTL.TCFLSH, QUEUE.output);
      }
    } catch {
      // Gone meanwhile: then there is nothing to wait for.
    }
    if (this.openOptions.lock) {
      libc.ioctl(this.#fd, IOCTL.TIOCNXCL, 0);
      unlock(this.#fd);
    }
    libc.close(this.#fd);
    this.#lock?.release();
  }

  /** False when nothing was sent for `stuckMs`. */
  async #untilSent(stuckMs: number, stopsWhenClosed = true): Promise<boolean> {
    // Some adapters never say that they are empty: then the time that its bytes take is what is known.
    const uartMs = (UART_BITS * 1000) / this.#ask(() => readBaudRate(this.#fd)).output;
    let waiting = this.#waitingBytes();
    let sinceNs = Bun.nanoseconds();
    while (waiting > 0) {
      if (stopsWhenClosed && !this.isOpen) return false;
      const sinceMs = (Bun.nanoseconds() - sinceNs) / 1e6;
      if (waiting === IN_UART && sinceMs > uartMs + UART_LATE_MS) return true;
      if (sinceMs > stuckMs) return false;
      await Bun.sleep(DRAIN_STEP_MS);
      const now = this.#waitingBytes();
      if (now !== waiting) sinceNs = Bun.nanoseconds();
      waiting = now;
    }
    return true;
  }

  /** Bytes that the driver has not sent; `IN_UART` when only the UART has some. */
  #waitingBytes(): number {
    this.#number.view.setInt32(0, 0, true);
    this.#ioctl("ask for the output queue", IOCTL.TIOCOUTQ, this.#number.pointer);
    const count = this.#number.view.getInt32(0, true);
    if (count > 0) return count;
    const failed = libc.ioctl(this.#fd, IOCTL.TIOCSERGETLSR, this.#number.pointer) < 0;
    if (failed) return 0;
    return (this.#number.view.getInt32(0, true) & TRANSMITTER_EMPTY) === 0 ? IN_UART : 0;
  }

  /** Null where the terminal has none. */
  #modemLines(): number | null {
    if (libc.ioctl(this.#fd, IOCTL.TIOCMGET, this.#number.pointer) === 0) {
      return this.#number.view.getInt32(0, true);
    }
    const number = errno();
    if (number === ERRNO.ENOTTY || number === ERRNO.EINVAL) return null;
    throw this.#failure(new SystemError("cannot read the modem lines", number));
  }

  #ioctl(what: string, request: number, argument: number): void {
    this.#ask(() => {
      if (libc.ioctl(this.#fd, request, argument) < 0) {
        throw new SystemError(`cannot ${what}`, errno());
      }
    });
  }

  #ask<T>(call: () => T): T {
    try {
      return call();
    } catch (error) {
      throw this.#failure(error);
    }
  }

  #failure(error: unknown): Error {
    if (error instanceof SystemError && error.disconnect) this.#isHungUp = true;
    return ioFailure(this.#path, error);
  }

  #mustBeOpen(what: string): void {
    if (!this.isOpen) throw new CanceledError(this.#path, what);
  }
}

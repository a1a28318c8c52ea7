/**
 * A pseudo-terminal: the far end of a serial line that is none, for an emulated BMC and for tests.
 *
 * The device end is opened here as well and kept open until `close`, for two reasons: without any opener a read of the master
 * fails with EIO, so a client that closes would end the emulator; and the line is set raw before anybody can use it,
 * so that no byte is echoed, translated or taken for a signal.
 */
import { symlinkSync, unlinkSync } from "node:fs";
import { ffiBuffer, ffiText } from "../../../core/io/native.ts";
import { type FdReader, streamReader } from "./fd-reader.ts";
import { FdWriter } from "./fd-writer.ts";
import { errno, libc, OPEN_FLAGS, SystemError } from "./libc.ts";
import { isolateTerminal } from "./termios.ts";

const NAME_BYTES_MAX = 128;
const FLAGS =
  OPEN_FLAGS.O_RDWR | OPEN_FLAGS.O_NOCTTY | OPEN_FLAGS.O_NONBLOCK | OPEN_FLAGS.O_CLOEXEC;

export interface Pty {
  /** Non-blocking. */
  readonly masterFd: number;
  /** The device end, kept open here: for whoever looks at its settings. */
  readonly slaveFd: number;
  /** Such as `/dev/pts/3`: what a client opens. */
  readonly slavePath: string;
  /** Next bytes that a client wrote; null after `close`. One call at a time. */
  read(): Promise<Uint8Array | null>;
  /** In order and whole; waits while no client reads and the terminal's buffer is full. False: closed before. */
  write(bytes: Uint8Array): Promise<boolean>;
  /** Whoever has the device open sees a hang-up. */
  close(): Promise<void>;
}

function check(what: string, value: number): number {
  if (value < 0) throw new SystemError(what, errno());
  return value;
}

function slavePathOf(masterFd: number): string {
  check("cannot grant the pseudo-terminal", libc.grantpt(masterFd));
  check("cannot unlock the pseudo-terminal", libc.unlockpt(masterFd));
  const name = ffiBuffer(NAME_BYTES_MAX);
  const failure = libc.ptsname_r(masterFd, name.pointer, NAME_BYTES_MAX);
  if (failure !== 0) throw new SystemError("cannot name the pseudo-terminal", failure);
  return Buffer.from(name.u8.subarray(0, name.u8.indexOf(0))).toString("utf8");
}

/** Throws a `SystemError` where the system gives none. `linkPath`: a symbolic link to it, removed by `close`. */
export function openPty(linkPath: string | null = null): Pty {
  const masterFd = check("cannot open a pseudo-terminal", libc.posix_openpt(FLAGS));
  let slaveFd = -1;
  try {
    const slavePath = slavePathOf(masterFd);
    slaveFd = check(`cannot open ${slavePath}`, libc.open(ffiText(slavePath).pointer, FLAGS, 0));
    isolateTerminal(slaveFd);
    if (linkPath !== null) symlinkSync(slavePath, linkPath);
    return new OpenPty(masterFd, slaveFd, slavePath, linkPath);
  } catch (error) {
    if (slaveFd >= 0) libc.close(slaveFd);
    libc.close(masterFd);
    throw error;
  }
}

class OpenPty implements Pty {
  readonly masterFd: number;
  readonly slaveFd: number;
  readonly slavePath: string;
  readonly #linkPath: string | null;
  readonly #reader: FdReader;
  readonly #writer: FdWriter;
  #closing: Promise<void> | null = null;

  constructor(masterFd: number, slaveFd: number, slavePath: string, linkPath: string | null) {
    this.masterFd = masterFd;
    this.slavePath = slavePath;
    this.slaveFd = slaveFd;
    this.#linkPath = linkPath;
    this.#reader = streamReader(masterFd);
    this.#writer = new FdWriter(masterFd, slavePath);
  }

  read(): Promise<Uint8Array | null> {
    return this.#reader.read();
  }

  write(bytes: Uint8Array): Promise<boolean> {
    return this.#closing === null ? this.#writer.write(bytes) : Promise.resolve(false);
  }

  close(): Promise<void> {
    this.#closing ??= this.#end();
    return this.#closing;
  }

  async #end(): Promise<void> {
    await this.#writer.stop();
    await this.#reader.cancel();
    if (this.#linkPath !== null) {
      try {
        unlinkSync(this.#linkPath);
      } catch {}
    }
    libc.close(this.slaveFd);
    libc.close(this.masterFd);
  }
}

/**
 * The binding: serial ports of Linux for `@serialport/stream` under Bun, without a native module.
 *
 * Decides the order in which a port is taken: lock file before the device is opened, since opening moves its modem lines; then
 * its settings, its rate read back, exclusive use, and both queues emptied of what the user before left. Whatever fails closes
 * and unlocks what was taken. The port itself is in `linux-port.ts`.
 */
import { fstatSync, type Stats, statSync } from "node:fs";
import type { BindingInterface, PortInfo } from "@serialport/bindings-interface";
import { ffiText } from "../../../core/io/native.ts";
import { type FdReader, streamReader } from "./fd-reader.ts";
import { errno, libc, OPEN_FLAGS, SystemError } from "./libc.ts";
import { LinuxPort } from "./linux-port.ts";
import { baudRefused, inUse, notTerminal, openFailure, PortError } from "./port-error.ts";
import { listPorts } from "./port-list.ts";
import { lockPort, type PortLock, tryLock } from "./port-lock.ts";
import {
  completeOptions,
  isSameRate,
  type LinuxOpenOptions,
  lineSettingsOf,
} from "./port-options.ts";
import { applyLine, IOCTL, QUEUE, readBaudRate, readLine, restoreLine } from "./termios.ts";
import { openWorkerReader } from "./worker-reader.ts";

export type LinuxBinding = BindingInterface<LinuxPort, LinuxOpenOptions, PortInfo>;

const OPEN = OPEN_FLAGS.O_RDWR | OPEN_FLAGS.O_NOCTTY | OPEN_FLAGS.O_NONBLOCK | OPEN_FLAGS.O_CLOEXEC;

/** From what Node calls an error to its number, where it is one that `openFailure` knows. */
function systemErrorOf(error: unknown): SystemError {
  const number = Number((error as { errno?: unknown }).errno ?? 0);
  return new SystemError("stat", Math.abs(number));
}

function stat(path: string): Stats {
  let found: Stats;
  try {
    found = statSync(path);
  } catch (error) {
    throw openFailure(path, systemErrorOf(error));
  }
  // Opening a pipe or a tape might do something; opening a terminal is what we came for.
  if (!found.isCharacterDevice()) throw notTerminal(path);
  return found;
}

function take(
  path: string,
  deviceNumber: number,
  options: Required<LinuxOpenOptions>,
): PortLock | null {
  if (!options.lock) return null;
  try {
    const lock = lockPort(deviceNumber, options.lockFolder);
    if (lock === null) throw inUse(path);
    return lock;
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    throw new PortError("permission-denied", `${path} cannot be locked: ${error.message}`, error);
  }
}

function openDevice(path: string, deviceNumber: number): number {
  const fd = libc.open(ffiText(path).pointer, OPEN, 0);
  if (fd < 0) throw openFailure(path, new SystemError("open", errno()));
  if (fstatSync(fd).rdev !== deviceNumber) {
    libc.close(fd);
    throw new PortError("no-device", `${path} changed while it was opened: try again`);
  }
  return fd;
}

function setUp(fd: number, options: Required<LinuxOpenOptions>): void {
  const { path, baudRate } = options;
  // Before anything is changed: is it a terminal, and is there something behind it?
  const before = readLine(fd);
  // Others who lock serial ports, other bindings of this stream among them, lock the device itself.
  if (options.lock && !tryLock(fd)) throw inUse(path);
  applyLine(fd, lineSettingsOf(options));
  const { input, output } = readBaudRate(fd);
  const worst = isSameRate(baudRate, output) ? input : output;
  if (!isSameRate(baudRate, worst)) {
    restoreLine(fd, before);
    throw baudRefused(path, baudRate, worst);
  }
  if (libc.ioctl(fd, IOCTL.TCFLSH, QUEUE.both) < 0) throw new SystemError("TCFLSH", errno());
}

async function startReader(fd: number, options: Required<LinuxOpenOptions>): Promise<FdReader> {
  if (options.way === "stream") return streamReader(fd);
  const reader = await openWorkerReader(fd);
  if (reader !== null) return reader;
  throw new PortError(
    "unsupported",
    `${options.path} cannot be read by a thread: its code is not here`,
  );
}

async function openPort(given: LinuxOpenOptions): Promise<LinuxPort> {
  const options = completeOptions(given);
  const deviceNumber = stat(options.path).rdev;
  const lock = take(options.path, deviceNumber, options);
  let fd = -1;
  try {
    fd = openDevice(options.path, deviceNumber);
    setUp(fd, options);
    const reader = await startReader(fd, options);
    // Last, since nothing after it fails: a terminal stays exclusive until its last opener is gone, whoever that is.
    if (options.lock && libc.ioctl(fd, IOCTL.TIOCEXCL, 0) < 0) {
      const failure = new SystemError("TIOCEXCL", errno());
      await reader.cancel();
      throw failure;
    }
    return new LinuxPort(fd, reader, lock, options);
  } catch (error) {
    if (fd >= 0) libc.close(fd);
    lock?.release();
    throw error instanceof SystemError ? openFailure(options.path, error) : error;
  }
}

export const linuxBinding: LinuxBinding = {
  list: () => Promise.resolve([...listPorts()]),
  open: openPort,
};

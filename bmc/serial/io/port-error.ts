/**
 * What goes wrong with a serial port, as the two sides want it: `@serialport/stream` looks for `canceled`, everything
 * else here for a kind of `BmcError`.
 *
 * Decides which error number means what at which moment, and says the remedy. These are exceptions because the interface of bindings
 * is made of promises; `bmc/link/io/serial.ts` turns them into values.
 */
import type { BindingsErrorInterface } from "@serialport/bindings-interface";
import { type BmcError, type BmcErrorKind, bmcError } from "../../bmc-error.ts";
import { ERRNO, SystemError } from "./libc.ts";

export class PortError extends Error implements BindingsErrorInterface {
  override readonly name = "PortError";
  readonly kind: BmcErrorKind;
  /** The port was closed by its owner while this was under way: nothing is wrong with it. */
  readonly canceled: boolean;
  /** The port is gone: whoever needs it opens it again. */
  readonly disconnect: boolean;

  constructor(kind: BmcErrorKind, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.kind = kind;
    this.canceled = false;
    this.disconnect = kind === "disconnected";
  }

  toBmcError(): BmcError {
    return bmcError(this.kind, this.message);
  }
}

export class CanceledError extends Error implements BindingsErrorInterface {
  override readonly name = "CanceledError";
  readonly canceled: boolean = true;
  readonly disconnect: boolean = false;

  constructor(path: string, what: string) {
    super(`${path} was closed while ${what}`);
  }
}

export function disconnected(path: string, cause?: unknown): PortError {
  return new PortError(
    "disconnected",
    `${path} hung up: is the cable in, the adapter there?`,
    cause,
  );
}

/** Of `open` and of the first look at what was opened. */
export function openFailure(path: string, failure: SystemError): PortError {
  const { code } = failure;
  switch (failure.errno) {
    case ERRNO.ENOENT:
      return new PortError("no-device", `${path} does not exist`, failure);
    case ERRNO.ENXIO:
    case ERRNO.ENODEV:
    case ERRNO.EIO:
      return new PortError("no-device", `${path} has no hardware behind it (${code})`, failure);
    case ERRNO.EACCES:
    case ERRNO.EPERM:
      return new PortError(
        "permission-denied",
        `${path} may not be opened (${code}): run as root, or add this user to the group of the device`,
        failure,
      );
    case ERRNO.EBUSY:
      return inUse(path, failure);
    case ERRNO.ENOTTY:
    case ERRNO.EISDIR:
    case ERRNO.EINVAL:
      return notTerminal(path, failure);
    default:
      return new PortError("no-device", `${path} cannot be opened (${code})`, failure);
  }
}

export function inUse(path: string, cause?: unknown): PortError {
  const remedy = `end the other one, which 'fuser ${path}' names`;
  return new PortError("device-in-use", `${path} is used by another program: ${remedy}`, cause);
}

export function notTerminal(path: string, cause?: unknown): PortError {
  return new PortError("not-a-terminal", `${path} is no serial port or other terminal`, cause);
}

export function baudRefused(path: string, wanted: number, got: number): PortError {
  return new PortError(
    "baud-refused",
    `the driver of ${path} made ${got} of ${wanted} bit/s: choose a rate that it has`,
  );
}

/** Of a port that is open. */
export function ioFailure(path: string, error: unknown): Error {
  if (!(error instanceof SystemError))
    return error instanceof Error ? error : new Error(String(error));
  return error.disconnect
    ? disconnected(path, error)
    : new PortError("disconnected", `${path}: ${error.message}`, error);
}

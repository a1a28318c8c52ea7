/**
 * The calls to Linux' IPMI driver: one class, thin, all of them over in microseconds but `wait`, which is for a Worker.
 *
 * Each thread makes its own `IpmiDevice` over the same descriptor: libc's error number belongs to a thread, and so does the
 * memory that the driver reads and writes. The driver itself serves any number of threads. `open` and `ioctl` take a
 * variable number of arguments; on Linux, x86-64 and arm64 pass these like any others.
 *
 * Calls give a number below zero for an error: minus its number, as the kernel does.
 */
import { FFIType } from "bun:ffi";
import {
  type FfiBuffer,
  ffiBuffer,
  ffiText,
  type Libc,
  loadLibc,
} from "../../../core/io/native.ts";
import { err, type Result } from "../../../core/result.ts";
import { badValue, type DecodeError } from "../../ipmi/decode.ts";
import type { IpmiRequest } from "../../ipmi/ipmi.ts";
import { ERRNO } from "../kcs-error.ts";
import {
  DRIVER_MESSAGE_BYTES_MAX,
  type DriverMessage,
  decodeDriverMessage,
  encodeDriverRequest,
  IPMI_IOCTL,
  prepareDriverReceive,
  RECEIVED_ARENA_BYTES,
  REQUEST_ARENA_BYTES,
} from "../kcs-message.ts";

const O_RDWR = 0x2;
const O_NOCTTY = 0x100;
const O_NONBLOCK = 0x800;
const O_CLOEXEC = 0x80000;
const POLLIN = 1;
/** struct pollfd: fd i32, events i16, revents i16. */
const POLLFD_BYTES = 8;

const LIBC = {
  open: { args: [FFIType.u64, FFIType.i32], returns: FFIType.i32 },
  close: { args: [FFIType.i32], returns: FFIType.i32 },
  ioctl: { args: [FFIType.i32, FFIType.u64, FFIType.u64], returns: FFIType.i32 },
  poll: { args: [FFIType.u64, FFIType.u64, FFIType.i32], returns: FFIType.i32 },
  eventfd: { args: [FFIType.u32, FFIType.i32], returns: FFIType.i32 },
  eventfd_write: { args: [FFIType.i32, FFIType.u64], returns: FFIType.i32 },
} as const;

let loaded: Libc<keyof typeof LIBC> | null = null;

function libc(): Libc<keyof typeof LIBC> {
  loaded ??= loadLibc(LIBC);
  return loaded;
}

/** What a call gave, or minus its error number. */
function check(value: number): number {
  return value < 0 ? -libc().errno() : value;
}

/**
 * O_NONBLOCK and O_NOCTTY matter where the path is not what it should be: a terminal without carrier would hold the open up,
 * and become ours.
 */
export function openDescriptor(path: string): number {
  const text = ffiText(path);
  return check(libc().calls.open(text.pointer, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
}

export function closeDescriptor(fd: number): void {
  libc().calls.close(fd);
}

/** A descriptor that another thread makes readable, to end a `wait`. */
export function openWaker(): number {
  return check(libc().calls.eventfd(0, O_CLOEXEC | O_NONBLOCK));
}

export function wake(waker: number): void {
  libc().calls.eventfd_write(waker, 1);
}

export type Received =
  | { readonly kind: "message"; readonly message: Result<DriverMessage, DecodeError> }
  | { readonly kind: "nothing" }
  | { readonly kind: "failed"; readonly errno: number };

export type Waited =
  | { readonly kind: "readable" }
  | { readonly kind: "woken" }
  | { readonly kind: "nothing" }
  | { readonly kind: "failed"; readonly errno: number };

const CUT: DecodeError = badValue("length of a message", DRIVER_MESSAGE_BYTES_MAX + 1);

export class IpmiDevice {
  readonly fd: number;
  readonly #requestArena: FfiBuffer = ffiBuffer(REQUEST_ARENA_BYTES);
  readonly #receivedArena: FfiBuffer = ffiBuffer(RECEIVED_ARENA_BYTES);
  readonly #number: FfiBuffer = ffiBuffer(4);
  readonly #polled: FfiBuffer = ffiBuffer(2 * POLLFD_BYTES);

  constructor(fd: number) {
    this.fd = fd;
  }

  /** Asks what only the IPMI driver answers, and what changes nothing: the BMC's own address. */
  probe(): number {
    return this.#ioctl(IPMI_IOCTL.getMyAddress, this.#number);
  }

  /** Hands the message to the driver, which queues it: does not wait for the BMC. The caller has checked the length. */
  send(request: IpmiRequest, messageId: number): number {
    const arena = this.#requestArena;
    encodeDriverRequest(arena.view, arena.pointer, messageId, request);
    return this.#ioctl(IPMI_IOCTL.sendCommand, arena);
  }

  /** Events then come to this descriptor like replies; they do so until it is closed. */
  setGetsEvents(isOn: boolean): number {
    this.#number.view.setInt32(0, isOn ? 1 : 0, true);
    return this.#ioctl(IPMI_IOCTL.setGetsEvents, this.#number);
  }

  /** Never waits. */
  receive(): Received {
    const arena = this.#receivedArena;
    prepareDriverReceive(arena.view, arena.pointer);
    const given = this.#ioctl(IPMI_IOCTL.receiveTruncated, arena);
    if (given >= 0) return { kind: "message", message: decodeDriverMessage(arena.view) };
    if (given === -ERRNO.EAGAIN || given === -ERRNO.EINTR) return { kind: "nothing" };
    // Longer than the driver lets any message be: the rest of it is lost, so what is there is no answer.
    if (given === -ERRNO.EMSGSIZE) return { kind: "message", message: err(CUT) };
    return { kind: "failed", errno: -given };
  }

  /** Blocks this thread until there is something to receive, the waker is woken, or the limit is over. */
  wait(waker: number, limitMs: number): Waited {
    const { view, pointer } = this.#polled;
    view.setInt32(0, this.fd, true);
    view.setInt32(POLLFD_BYTES, waker, true);
    // What comes back is written beside what is asked: both are set anew.
    view.setInt32(4, POLLIN, true);
    view.setInt32(POLLFD_BYTES + 4, POLLIN, true);
    const count = check(libc().calls.poll(pointer, 2, limitMs));
    if (count === 0 || count === -ERRNO.EINTR) return { kind: "nothing" };
    if (count < 0) return { kind: "failed", errno: -count };
    if (view.getInt16(POLLFD_BYTES + 6, true) !== 0) return { kind: "woken" };
    const seen = view.getInt16(6, true);
    // An error or a hang-up alone, without anything to read: the device is gone, and poll would come back at once for ever.
    return (seen & POLLIN) === 0 ? { kind: "failed", errno: ERRNO.ENODEV } : { kind: "readable" };
  }

  #ioctl(number: number, buffer: FfiBuffer): number {
    return check(libc().calls.ioctl(this.fd, number, buffer.pointer));
  }
}

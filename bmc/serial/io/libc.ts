/**
 * The system calls that serial ports and pseudo-terminals need, and the numbers that go with them.
 *
 * Memory for them comes from `core/io/native.ts` and from nowhere else. The numbers are those of x86-64 and arm64 Linux; other
 * machines number ioctls differently. None of these calls may wait: descriptors are non-blocking, `poll` is asked with a
 * time of 0 except in the Worker that does nothing else.
 */
import type { FFIFunction } from "bun:ffi";
import { type LibcCalls, loadLibc, SIZE_RESULT } from "../../../core/io/native.ts";

type LibcName =
  | "open"
  | "access"
  | "close"
  | "read"
  | "write"
  | "ioctl"
  | "poll"
  | "pipe2"
  | "flock"
  | "posix_openpt"
  | "grantpt"
  | "unlockpt"
  | "ptsname_r";

const SYMBOLS: Record<LibcName, FFIFunction> = {
  open: { args: ["ptr", "i32", "i32"], returns: "i32" },
  access: { args: ["ptr", "i32"], returns: "i32" },
  close: { args: ["i32"], returns: "i32" },
  read: { args: ["i32", "ptr", "u64"], returns: SIZE_RESULT },
  write: { args: ["i32", "ptr", "u64"], returns: SIZE_RESULT },
  // The third argument is an address, or a small number where the request says so.
  ioctl: { args: ["i32", "u64", "ptr"], returns: "i32" },
  poll: { args: ["ptr", "u64", "i32"], returns: "i32" },
  pipe2: { args: ["ptr", "i32"], returns: "i32" },
  flock: { args: ["i32", "i32"], returns: "i32" },
  posix_openpt: { args: ["i32"], returns: "i32" },
  grantpt: { args: ["i32"], returns: "i32" },
  unlockpt: { args: ["i32"], returns: "i32" },
  ptsname_r: { args: ["i32", "ptr", "u64"], returns: "i32" },
};

const loaded = loadLibc(SYMBOLS);
export const libc: LibcCalls<LibcName> = loaded.calls;

/** The error number of the call just made. */
export const errno: () => number = loaded.errno;

export const ERRNO = {
  EPERM: 1,
  ENOENT: 2,
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  EBADF: 9,
  EAGAIN: 11,
  EACCES: 13,
  EBUSY: 16,
  EEXIST: 17,
  ENODEV: 19,
  EISDIR: 21,
  EINVAL: 22,
  ENOTTY: 25,
  EPIPE: 32,
} as const;

const IS_ARM64 = process.arch === "arm64";

export const OPEN_FLAGS: Readonly<
  Record<
    "O_RDWR" | "O_CREAT" | "O_EXCL" | "O_NOCTTY" | "O_NONBLOCK" | "O_NOFOLLOW" | "O_CLOEXEC",
    number
  >
> = {
  O_RDWR: 0x2,
  O_CREAT: 0x40,
  O_EXCL: 0x80,
  O_NOCTTY: 0x100,
  O_NONBLOCK: 0x800,
  O_NOFOLLOW: IS_ARM64 ? 0x8000 : 0x20000,
  O_CLOEXEC: 0x80000,
};

/** A failed call, told as people know it. */
export class SystemError extends Error {
  override readonly name = "SystemError";
  readonly errno: number;
  /** Such as `EIO`. */
  readonly code: string;
  /** The port is gone: what `@serialport/stream` and whoever reopens look for. */
  readonly disconnect: boolean;

  constructor(what: string, errorNumber: number) {
    const known = Object.entries(ERRNO).find(([, number]) => number === errorNumber);
    const code = known?.[0] ?? `errno ${errorNumber}`;
    super(`${what}: ${code}`);
    this.errno = errorNumber;
    this.code = code;
    this.disconnect = GONE.has(errorNumber);
  }
}

const GONE: ReadonlySet<number> = new Set([ERRNO.EIO, ERRNO.ENXIO, ERRNO.ENODEV, ERRNO.EPIPE]);

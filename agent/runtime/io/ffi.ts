/**
 * The one door to native code: memory whose address may leave JavaScript, and libc.
 *
 * Why it is the only caller of `ptr()`: a typed array of up to 1000 bytes keeps its bytes in the garbage-collected heap, and
 * the compiler moves them once code is hot (oven-sh/bun#32054). A pointer taken before then names freed memory, silently.
 * So native code only ever sees memory made by `ffiBuffer` (an explicit ArrayBuffer never moves) or memory mapped from
 * a file. `errno` must be read at once after the failed call, on the same thread.
 *
 * libc is named differently with glibc and musl; the first that loads is taken. Numbers of system calls that have no
 * libc wrapper are per architecture.
 */
import { dlopen, type FFIFunction, FFIType, type Pointer, ptr, toArrayBuffer } from "bun:ffi";

export interface FfiBuffer {
  readonly u8: Uint8Array<ArrayBuffer>;
  readonly view: DataView<ArrayBuffer>;
  /** Valid as long as this object is referenced. */
  readonly pointer: number;
}

/** Zeroed memory that native code may read and write. */
export function ffiBuffer(bytes: number): FfiBuffer {
  const memory = new ArrayBuffer(Math.max(bytes, 8));
  const u8 = new Uint8Array(memory, 0, bytes);
  return { u8, view: new DataView(memory, 0, bytes), pointer: ptr(new Uint8Array(memory)) };
}

/** Zero-terminated copy for native code. */
export function ffiText(text: string): FfiBuffer {
  const encoded = new TextEncoder().encode(text);
  const buffer = ffiBuffer(encoded.byteLength + 1);
  buffer.u8.set(encoded);
  return buffer;
}

/** Address of a whole mapping made by `Bun.mmap`; the caller keeps the mapping referenced. */
export function mappingPointer(mapping: Uint8Array): number {
  if (mapping.byteLength <= 1000) throw new RangeError("a mapping is at least a page");
  return ptr(mapping);
}

const LIBC_NAMES = [
  "libc.so.6",
  "libc.musl-x86_64.so.1",
  "libc.musl-aarch64.so.1",
  "libc.so",
] as const;

type LibcName =
  | "syscall"
  | "getppid"
  | "kill"
  | "prctl"
  | "open"
  | "close"
  | "read"
  | "write"
  | "mkfifo"
  | "poll"
  | "epoll_create1"
  | "epoll_ctl"
  | "epoll_wait"
  | "socket"
  | "bind"
  | "listen"
  | "accept4"
  | "connect"
  | "getsockname"
  | "getsockopt"
  | "setsockopt"
  | "recv"
  | "send"
  | "sysconf"
  | "sched_setaffinity";

const SYMBOLS: Record<LibcName | "__errno_location", FFIFunction> = {
  syscall: { args: ["i64", "i64", "i64", "i64", "i64", "i64", "i64"], returns: FFIType.i64_fast },
  __errno_location: { args: [], returns: "ptr" },
  getppid: { args: [], returns: "i32" },
  kill: { args: ["i32", "i32"], returns: "i32" },
  prctl: { args: ["i32", "u64", "u64", "u64", "u64"], returns: "i32" },
  open: { args: ["ptr", "i32", "i32"], returns: "i32" },
  close: { args: ["i32"], returns: "i32" },
  read: { args: ["i32", "ptr", "u64"], returns: FFIType.i64_fast },
  write: { args: ["i32", "ptr", "u64"], returns: FFIType.i64_fast },
  mkfifo: { args: ["ptr", "u32"], returns: "i32" },
  poll: { args: ["ptr", "u64", "i32"], returns: "i32" },
  epoll_create1: { args: ["i32"], returns: "i32" },
  epoll_ctl: { args: ["i32", "i32", "i32", "ptr"], returns: "i32" },
  epoll_wait: { args: ["i32", "ptr", "i32", "i32"], returns: "i32" },
  socket: { args: ["i32", "i32", "i32"], returns: "i32" },
  bind: { args: ["i32", "ptr", "u32"], returns: "i32" },
  listen: { args: ["i32", "i32"], returns: "i32" },
  accept4: { args: ["i32", "ptr", "ptr", "i32"], returns: "i32" },
  connect: { args: ["i32", "ptr", "u32"], returns: "i32" },
  getsockname: { args: ["i32", "ptr", "ptr"], returns: "i32" },
  getsockopt: { args: ["i32", "i32", "i32", "ptr", "ptr"], returns: "i32" },
  setsockopt: { args: ["i32", "i32", "i32", "ptr", "u32"], returns: "i32" },
  recv: { args: ["i32", "ptr", "u64", "i32"], returns: FFIType.i64_fast },
  send: { args: ["i32", "ptr", "u64", "i32"], returns: FFIType.i64_fast },
  sysconf: { args: ["i32"], returns: FFIType.i64_fast },
  sched_setaffinity: { args: ["i32", "u64", "ptr"], returns: "i32" },
};

/** What each call takes is what its manual page says; pointers are plain numbers. */
export type Libc = {
  readonly [K in LibcName]: (...values: readonly number[]) => number;
};

interface Loaded {
  readonly calls: Libc;
  readonly errno: () => number;
}

function load(): Loaded {
  const failures: string[] = [];
  for (const name of LIBC_NAMES) {
    try {
      const { symbols } = dlopen(name, SYMBOLS);
      // Where errno lies never changes within a thread, and a thread has its own instance of this module.
      const location = (symbols.__errno_location as () => Pointer)();
      const memory = new DataView(toArrayBuffer(location, 0, 4));
      return {
        calls: symbols as unknown as Libc,
        errno: () => memory.getInt32(0, true),
      };
    } catch (error) {
      failures.push(error instanceof Error ? error.message : String(error));
    }
  }
  throw new Error(`no libc can be loaded: ${failures.join("; ")}`);
}

const loaded: Loaded = load();
export const libc: Libc = loaded.calls;

/** The error number of the call just made. */
export const errno: () => number = loaded.errno;

export const ERRNO = {
  EINTR: 4,
  EAGAIN: 11,
  ENXIO: 6,
  EEXIST: 17,
  EINPROGRESS: 115,
} as const;

const FUTEX_CALL = process.arch === "arm64" ? 98 : 202;
const FUTEX_WAIT = 0;
const FUTEX_WAKE = 1;
/** The same number on both machines: it came after the tables were unified. */
const PIDFD_OPEN_CALL = 434;
const PR_SET_PDEATHSIG = 1;
const SIGKILL = 9;
const POLLIN = 1;
/** The same number in glibc and musl. */
const SC_NPROCESSORS_ONLN = 84;

const timeoutMemory = ffiBuffer(16);
const pollMemory = ffiBuffer(8);

/**
 * Sleeps while the 32-bit word at `address` holds `seen`, at most `timeoutMs`. The futex is a shared one: the other side is
 * another process. Returns early on any wake or signal; the caller looks again at what it waits for.
 */
export function futexWait(address: number, seen: number, timeoutMs: number): void {
  const seconds = Math.floor(timeoutMs / 1000);
  timeoutMemory.view.setInt32(0, seconds, true);
  timeoutMemory.view.setInt32(8, Math.round((timeoutMs - seconds * 1000) * 1e6), true);
  libc.syscall(FUTEX_CALL, address, FUTEX_WAIT, seen, timeoutMemory.pointer, 0, 0);
}

/** Wakes at most one sleeper. */
export function futexWake(address: number): void {
  libc.syscall(FUTEX_CALL, address, FUTEX_WAKE, 1, 0, 0, 0);
}

/** A handle that tells whether exactly this process still runs, though its number be given to another. -1: there is none. */
export function openProcess(pid: number): number {
  return libc.syscall(PIDFD_OPEN_CALL, pid, 0, 0, 0, 0, 0);
}

/** A process that ended but was not waited for yet counts as ended. */
export function isProcessEnded(processHandle: number): boolean {
  pollMemory.view.setInt32(0, processHandle, true);
  pollMemory.view.setInt32(4, POLLIN, true);
  return libc.poll(pollMemory.pointer, 1, 0) > 0;
}

/** Asks the kernel to kill this process when the thread that started it ends. False: it has ended already. */
export function dieWithParent(): boolean {
  const parent = libc.getppid();
  libc.prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  return libc.getppid() === parent && parent !== 1;
}

/** How many processors the machine runs, whatever this process is bound to. */
export function processorCount(): number {
  return Math.max(1, libc.sysconf(SC_NPROCESSORS_ONLN));
}

/** Binds this process to one processor. */
export function pinToProcessor(index: number): void {
  const mask = ffiBuffer(128);
  mask.u8[index >> 3] = 1 << (index & 7);
  libc.sched_setaffinity(0, 128, mask.pointer);
}

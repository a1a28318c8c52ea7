/**
 * The system calls that the agent's adapters share: futexes, process handles, descriptors. Memory for native code and the C
 * library itself come through `core/io/native.ts`.
 *
 * Numbers of system calls that have no libc wrapper are per architecture.
 */
import type { FFIFunction } from "bun:ffi";
import { ffiBuffer, type LibcCalls, loadLibc, SIZE_RESULT } from "../../../core/io/native.ts";

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

const SYMBOLS: Record<LibcName, FFIFunction> = {
  syscall: { args: ["i64", "i64", "i64", "i64", "i64", "i64", "i64"], returns: SIZE_RESULT },
  getppid: { args: [], returns: "i32" },
  kill: { args: ["i32", "i32"], returns: "i32" },
  prctl: { args: ["i32", "u64", "u64", "u64", "u64"], returns: "i32" },
  open: { args: ["ptr", "i32", "i32"], returns: "i32" },
  close: { args: ["i32"], returns: "i32" },
  read: { args: ["i32", "ptr", "u64"], returns: SIZE_RESULT },
  write: { args: ["i32", "ptr", "u64"], returns: SIZE_RESULT },
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
  recv: { args: ["i32", "ptr", "u64", "i32"], returns: SIZE_RESULT },
  send: { args: ["i32", "ptr", "u64", "i32"], returns: SIZE_RESULT },
  sysconf: { args: ["i32"], returns: SIZE_RESULT },
  sched_setaffinity: { args: ["i32", "u64", "ptr"], returns: "i32" },
};

const loaded = loadLibc(SYMBOLS);
export const libc: LibcCalls<LibcName> = loaded.calls;

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

/**
 * Sockets by system call, all non-blocking: TCP over IPv4 and IPv6 between proxies, Unix stream sockets for control.
 * Failures are values: a negative number of the system, or a thrown Error where the process cannot go on.
 */
import { type FfiBuffer, ffiBuffer, ffiText } from "../../../core/io/native.ts";
import { ERRNO, errno, libc } from "../../runtime/io/ffi.ts";

const AF_UNIX = 1;
const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_STREAM_NONBLOCK_CLOEXEC = 1 | 0x800 | 0x80000;
const SOCK_CLOEXEC_NONBLOCK = 0x800 | 0x80000;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const SO_ERROR = 4;
const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;
/** `sun_path` with its end. */
const UNIX_PATH_BYTES_MAX = 107;
const O_PATH_CLOEXEC = 0x200000 | 0x80000;

export const MSG_DONTWAIT = 0x40;
export const MSG_NOSIGNAL = 0x4000;
export const MSG_MORE = 0x8000;

interface Address {
  readonly family: number;
  readonly memory: FfiBuffer;
}

function parseIpv6(host: string): Uint8Array | null {
  const halves = host.split("::");
  if (halves.length > 2) return null;
  const groups = (text: string | undefined): number[] =>
    text ? text.split(":").map((group) => Number.parseInt(group, 16)) : [];
  const head = groups(halves[0]);
  const tail = groups(halves[1]);
  const zeros = 8 - head.length - tail.length;
  if (zeros < 0 || (halves.length === 1 && zeros !== 0)) return null;
  const all = [...head, ...new Array<number>(zeros).fill(0), ...tail];
  if (all.some((group) => !(group >= 0 && group <= 0xffff))) return null;
  return new Uint8Array(all.flatMap((group) => [group >> 8, group & 255]));
}

function inetAddress(host: string, port: number): Address {
  const memory = ffiBuffer(28);
  memory.view.setUint16(2, port, false);
  const quads = host.split(".").map(Number);
  const isIpv4 = quads.length === 4 && quads.every((q) => Number.isInteger(q) && q >= 0 && q < 256);
  if (isIpv4) {
    memory.view.setUint16(0, AF_INET, true);
    memory.u8.set(quads, 4);
    return { family: AF_INET, memory: { ...memory, u8: memory.u8.subarray(0, 16) } };
  }
  const bytes = parseIpv6(host);
  if (bytes === null) throw new Error(`'${host}' is not an IP address`);
  memory.view.setUint16(0, AF_INET6, true);
  memory.u8.set(bytes, 8);
  return { family: AF_INET6, memory };
}

/**
 * A path longer than `sun_path` is reached through its folder: `/proc/self/fd/N/NAME` names the same place. The folder stays open
 * as long as the process lives; a process has few such sockets.
 */
function shortened(path: string): string {
  if (Buffer.byteLength(path) <= UNIX_PATH_BYTES_MAX) return path;
  const cut = path.lastIndexOf("/");
  const folder = ffiText(path.slice(0, cut));
  const fd = libc.open(folder.pointer, O_PATH_CLOEXEC, 0);
  return fd < 0 ? path : `/proc/self/fd/${fd}/${path.slice(cut + 1)}`;
}

function unixAddress(path: string): Address {
  const text = ffiText(shortened(path));
  if (text.u8.byteLength - 1 > UNIX_PATH_BYTES_MAX) {
    throw new Error(`'${path}' is too long for a socket (at most ${UNIX_PATH_BYTES_MAX} bytes)`);
  }
  const memory = ffiBuffer(2 + text.u8.byteLength);
  memory.view.setUint16(0, AF_UNIX, true);
  memory.u8.set(text.u8, 2);
  return { family: AF_UNIX, memory };
}

function open(address: Address): number {
  const fd = libc.socket(address.family, SOCK_STREAM_NONBLOCK_CLOEXEC, 0);
  if (fd < 0) throw new Error(`no socket: error ${errno()}`);
  return fd;
}

function setOption(fd: number, level: number, name: number, value: number): void {
  const memory = ffiBuffer(4);
  memory.view.setInt32(0, value, true);
  libc.setsockopt(fd, level, name, memory.pointer, 4);
}

/** Small frames go out at once; they are what a rank waits for. */
export function sendAtOnce(fd: number): void {
  setOption(fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

function listenOn(address: Address, what: string): number {
  const fd = open(address);
  setOption(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  const bytes = address.memory.u8.byteLength;
  const isBound = libc.bind(fd, address.memory.pointer, bytes) === 0;
  if (!isBound || libc.listen(fd, 128) !== 0) {
    const code = errno();
    libc.close(fd);
    throw new Error(`cannot listen on ${what}: error ${code}`);
  }
  return fd;
}

export function listenTcp(host: string): { readonly fd: number; readonly port: number } {
  const fd = listenOn(inetAddress(host, 0), host);
  const memory = ffiBuffer(28);
  const length = ffiBuffer(4);
  length.view.setUint32(0, 28, true);
  libc.getsockname(fd, memory.pointer, length.pointer);
  return { fd, port: memory.view.getUint16(2, false) };
}

export function listenUnix(path: string): number {
  return listenOn(unixAddress(path), path);
}

/** -1: nobody waits. */
export function accept(fd: number): number {
  return libc.accept4(fd, 0, 0, SOCK_CLOEXEC_NONBLOCK);
}

/** Under way or done; `connectionError` tells once it is writable. -1: refused at once. */
export function connectTcp(host: string, port: number): number {
  const address = inetAddress(host, port);
  const fd = open(address);
  const { pointer, u8 } = address.memory;
  if (libc.connect(fd, pointer, u8.byteLength) === 0 || errno() === ERRNO.EINPROGRESS) return fd;
  libc.close(fd);
  return -1;
}

/** -1: nobody listens there. */
export function connectUnix(path: string): number {
  const address = unixAddress(path);
  const fd = open(address);
  const { pointer, u8 } = address.memory;
  if (libc.connect(fd, pointer, u8.byteLength) === 0) return fd;
  libc.close(fd);
  return -1;
}

/** 0: connected. */
export function connectionError(fd: number): number {
  const memory = ffiBuffer(4);
  const length = ffiBuffer(4);
  length.view.setUint32(0, 4, true);
  libc.getsockopt(fd, SOL_SOCKET, SO_ERROR, memory.pointer, length.pointer);
  return memory.view.getInt32(0, true);
}

/** Whether the call just made failed only because it would have had to wait. */
export function wouldBlock(): boolean {
  const code = errno();
  return code === ERRNO.EAGAIN || code === ERRNO.EINTR;
}

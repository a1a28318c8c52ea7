/**
 * The one door to native code: memory whose address may leave JavaScript, and the C library.
 *
 * Why it is the only caller of `ptr()`: a typed array of up to 1000 bytes keeps its bytes in the garbage-collected heap, and
 * the compiler moves them once code is hot (oven-sh/bun#32054). A pointer taken before then names freed memory, silently.
 * So native code only ever sees memory made by `ffiBuffer` (an explicit ArrayBuffer never moves) or memory mapped from
 * a file. `errno` must be read at once after the failed call, on the same thread.
 *
 * libc is named differently with glibc and musl; the first that loads is taken.
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

/** What each call takes is what its manual page says; pointers are plain numbers. */
export type LibcCalls<Name extends string> = {
  readonly [K in Name]: (...values: readonly number[]) => number;
};

export interface Libc<Name extends string> {
  readonly calls: LibcCalls<Name>;
  /** The error number of the call just made. */
  readonly errno: () => number;
}

/**
 * The C library with the calls that a room needs. Loaded when the first of them is used: that takes milliseconds, and most
 * commands use the rooms of few wires.
 */
export function loadLibc<Name extends string>(
  wanted: Readonly<Record<Name, FFIFunction>>,
): Libc<Name> {
  const calls: Record<string, unknown> = {};
  let errno: (() => number) | null = null;
  const load = (): (() => number) => {
    if (errno !== null) return errno;
    const opened = openLibc(wanted);
    for (const name of Object.keys(wanted)) {
      Object.defineProperty(calls, name, { value: opened.symbols[name], enumerable: true });
    }
    errno = opened.errno;
    return errno;
  };
  for (const name of Object.keys(wanted)) {
    const get = (): unknown => {
      load();
      return calls[name];
    };
    Object.defineProperty(calls, name, { get, configurable: true, enumerable: true });
  }
  return { calls: calls as unknown as LibcCalls<Name>, errno: () => load()() };
}

interface OpenedLibc {
  readonly symbols: Readonly<Record<string, unknown>>;
  readonly errno: () => number;
}

function openLibc(wanted: Readonly<Record<string, FFIFunction>>): OpenedLibc {
  const symbolsOf = { ...wanted, __errno_location: { args: [], returns: "ptr" } as FFIFunction };
  const failures: string[] = [];
  for (const name of LIBC_NAMES) {
    try {
      const symbols = dlopen(name, symbolsOf).symbols as Record<string, unknown>;
      // Where errno lies never changes within a thread, and a thread has its own instance of this module.
      const location = (symbols["__errno_location"] as () => Pointer)();
      const memory = new DataView(toArrayBuffer(location, 0, 4));
      return { symbols, errno: () => memory.getInt32(0, true) };
    } catch (error) {
      failures.push(error instanceof Error ? error.message : String(error));
    }
  }
  throw new Error(`no libc can be loaded: ${failures.join("; ")}`);
}

/** Sizes and counts come back as plain numbers: none here reaches 2^53. */
export const SIZE_RESULT: FFIType = FFIType.i64_fast;

/**
 * Goal: memory given to native code stays where it is, however hot the code that uses it becomes, and each call does what its page
 * says. Method: every binding in 20,000 calls and more, its result checked each time: the fault of small typed arrays never
 * shows in a short test.
 */
import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ffiBuffer, ffiText, mappingPointer } from "../../../core/io/native.ts";
import {
  ERRNO,
  errno,
  futexWait,
  futexWake,
  isProcessEnded,
  libc,
  openProcess,
  processorCount,
} from "./ffi.ts";

const CALLS = 25_000;

describe("native calls, warmed up", () => {
  test("small buffers written by native code are never stale", () => {
    const folder = mkdtempSync(join(tmpdir(), "hf-"));
    const path = ffiText(join(folder, "pipe"));
    expect(libc.mkfifo(path.pointer, 0o600)).toBe(0);
    const fd = libc.open(path.pointer, 2 | 0x800, 0);
    const out = ffiBuffer(4);
    const into = ffiBuffer(4);
    for (let i = 0; i < CALLS; i++) {
      out.view.setInt32(0, i, true);
      if (libc.write(fd, out.pointer, 4) !== 4) throw new Error(`write ${i}`);
      if (libc.read(fd, into.pointer, 4) !== 4) throw new Error(`read ${i}`);
      if (into.view.getInt32(0, true) !== i || into.u8[0] !== (i & 255)) throw new Error(`${i}`);
    }
    libc.close(fd);
    rmSync(folder, { recursive: true });
  });

  test("errno is that of the call just made", () => {
    const memory = ffiBuffer(8);
    for (let i = 0; i < CALLS; i++) {
      if (libc.recv(-1, memory.pointer, 8, 0) !== -1 || errno() !== 9) throw new Error(`${i}`);
    }
    const folder = mkdtempSync(join(tmpdir(), "hf-"));
    const path = ffiText(join(folder, "pipe"));
    libc.mkfifo(path.pointer, 0o600);
    expect(libc.mkfifo(path.pointer, 0o600)).toBe(-1);
    expect(errno()).toBe(ERRNO.EEXIST);
    rmSync(folder, { recursive: true });
  });

  test("a futex sleeps only while its word is as seen, and no longer than told", () => {
    const folder = mkdtempSync(join(tmpdir(), "hf-"));
    const path = join(folder, "words");
    writeFileSync(path, new Uint8Array(4096));
    const u8 = Bun.mmap(path, { shared: true });
    const words = new Int32Array(u8.buffer, u8.byteOffset, 16);
    const address = mappingPointer(u8);
    for (let i = 0; i < CALLS; i++) {
      Atomics.store(words, 0, i);
      futexWait(address, i + 1, 1000);
      futexWake(address);
    }
    const startMs = performance.now();
    Atomics.store(words, 0, 1);
    futexWait(address, 1, 1020);
    const tookMs = performance.now() - startMs;
    expect(tookMs).toBeGreaterThanOrEqual(1015);
    rmSync(folder, { recursive: true });
  });

  test("a handle tells exactly when its process has ended, waited for or not", async () => {
    const child = Bun.spawn(["sleep", "60"]);
    const handle = openProcess(child.pid);
    for (let i = 0; i < CALLS; i++) if (isProcessEnded(handle)) throw new Error(`${i}`);
    child.kill("SIGKILL");
    const endMs = performance.now() + 5000;
    while (!isProcessEnded(handle) && performance.now() < endMs) await Bun.sleep(1);
    expect(isProcessEnded(handle)).toBe(true);
    await child.exited;
    expect(openProcess(child.pid)).toBe(-1);
    libc.close(handle);
  });
});

test("a mapping too small to be one is refused, and the machine has processors", () => {
  expect(() => mappingPointer(new Uint8Array(100))).toThrow("at least a page");
  expect(processorCount()).toBeGreaterThan(0);
});

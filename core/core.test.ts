/**
 * Goal: the built module is what the host believes it is: no imports, the exports of the list, a small size, one fixed
 * memory; instances share nothing; a bug in the caller traps.
 */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { MEMORY_PAGES, PAGE_BYTES, SHARD_WORDS_MAX, WINDOW_BYTES } from "./abi.ts";
import { CORE_WASM_PATH, createCore } from "./core.ts";
import { KERNEL_NAMES, type Kernels } from "./kernels.ts";

/** 10.3 KiB today. Raise it knowingly. */
const MODULE_BYTES_MAX = 12_288;

const bytes = readFileSync(CORE_WASM_PATH);
const module = new WebAssembly.Module(bytes);

describe("the core's module", () => {
  test("imports nothing: it can do no input or output", () => {
    expect(WebAssembly.Module.imports(module)).toEqual([]);
  });

  test("exports the list, and nothing else", () => {
    const names = WebAssembly.Module.exports(module).map((entry) => entry.name);
    expect(names.sort()).toEqual([...KERNEL_NAMES].sort());
  });

  test("stays within its budget", () => {
    expect(bytes.byteLength).toBeLessThanOrEqual(MODULE_BYTES_MAX);
  });

  test("has a memory that does not grow", () => {
    const kernels = new WebAssembly.Instance(module).exports as unknown as Kernels;
    expect(kernels.memory.buffer.byteLength).toBe(MEMORY_PAGES * 65_536);
    expect(() => kernels.memory.grow(1)).toThrow();
  });

  test("keeps its asserts: a bug in the caller is a trap, not damage", () => {
    const kernels = new WebAssembly.Instance(module).exports as unknown as Kernels;
    expect(() => kernels.digestInputPages(WINDOW_BYTES + 1)).toThrow();
    expect(() => kernels.encodeWindow(WINDOW_BYTES + 1)).toThrow();
    expect(() => kernels.commonBatch(SHARD_WORDS_MAX, 2, 1, 0, 0)).toThrow();
    expect(() => kernels.rank(1, 0, 0, 1, 0, 0)).toThrow();
    expect(() => kernels.region(99)).toThrow();
  });
});

describe("a core", () => {
  test("shares nothing with another", () => {
    const one = createCore();
    const other = createCore();
    one.inputWindow().fill(1);
    other.inputWindow().fill(2);
    const digest = one.digestWindow(PAGE_BYTES).toHex();
    expect(other.digestWindow(PAGE_BYTES).toHex()).not.toBe(digest);
    expect(one.digestWindow(PAGE_BYTES).toHex()).toBe(digest);
  });

  test("refuses more than its windows hold", () => {
    expect(() => createCore().digestWindow(WINDOW_BYTES + 1)).toThrow("within the window");
  });
});

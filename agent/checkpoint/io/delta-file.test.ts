/**
 * Goal: apply(make(base, new), base) is new, whatever the lengths; anything else that is applied is refused, and what was on
 * disk before stays.
 * Method: real files in a temporary folder; every cut and every flipped byte of a small delta; a process whose files may not
 * grow.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { WINDOW_BYTES } from "../../../core/abi.ts";
import { createCore } from "../../../core/core.ts";
import { DELTA_HEADER_BYTES, RecordJoiner } from "../delta-file.ts";
import { applyDeltaFile } from "./delta-apply.ts";
import { closeSource, DeltaFileError, openSource } from "./delta-file.ts";
import { makeDeltaFile } from "./delta-make.ts";
import { STRIP_BYTES, StripEncoder } from "./delta-strip.ts";

const core = createCore();
let folder = "";
const at = (name: string): string => join(folder, name);

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "holdfast-delta-"));
});

afterAll(() => {
  rmSync(folder, { recursive: true });
});

function noise(byteCount: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(byteCount);
  for (let i = 0; i < byteCount; i++) bytes[i] = Math.imul(i + seed, 0x9e3779b1) >>> 21;
  return bytes;
}

function write(base: Uint8Array, target: Uint8Array): void {
  writeFileSync(at("base"), base);
  writeFileSync(at("new"), target);
}

async function roundTrip(base: Uint8Array, target: Uint8Array): Promise<number> {
  write(base, target);
  const made = await makeDeltaFile(core, at("base"), at("new"), at("delta"));
  applyDeltaFile(core, at("base"), at("delta"), at("out"));
  expect(Buffer.compare(readFileSync(at("out")), target)).toBe(0);
  expect(readFileSync(at("delta")).byteLength).toBe(made.deltaBytes);
  return made.deltaBytes;
}

async function failure(call: () => unknown): Promise<DeltaFileError> {
  try {
    await call();
  } catch (error) {
    if (error instanceof DeltaFileError) return error;
    throw error;
  }
  throw new Error("it did not fail");
}

describe("a delta file", () => {
  const lengths = [
    0,
    1,
    4096,
    WINDOW_BYTES - 1,
    WINDOW_BYTES,
    WINDOW_BYTES + 1,
    3 * WINDOW_BYTES + 5,
  ];

  test("leads from any length to any other", async () => {
    for (const baseBytes of lengths) {
      for (const targetBytes of lengths) {
        const target = noise(targetBytes, 1);
        const deltaBytes = await roundTrip(noise(baseBytes, 1), target);
        // What both have is the same, so only what is new costs.
        expect(deltaBytes).toBeLessThan(Math.max(0, targetBytes - baseBytes) + 130);
        if (targetBytes > 0) target[targetBytes >> 1] = 77;
        await roundTrip(noise(baseBytes, 1), target);
      }
    }
  });

  test("costs a few bytes a change", async () => {
    const base = noise(3 * WINDOW_BYTES, 1);
    const target = base.slice();
    for (let page = 0; page < 192; page += 20) target.fill(1, page * 4096 + 70, page * 4096 + 134);
    expect(await roundTrip(base, target)).toBeLessThan(96 + 10 * (64 + 5));
  });

  test("takes any edits", async () => {
    const edits = fc.array(fc.tuple(fc.nat(700_000), fc.uint8Array({ maxLength: 300 })), {
      maxLength: 20,
    });
    await fc.assert(
      fc.asyncProperty(
        edits,
        fc.nat(700_000),
        fc.nat(700_000),
        async (list, baseBytes, targetBytes) => {
          const target = noise(targetBytes, 1);
          for (const [offset, bytes] of list) {
            if (offset < targetBytes) target.set(bytes.subarray(0, targetBytes - offset), offset);
          }
          await roundTrip(noise(baseBytes, 1), target);
        },
      ),
      { numRuns: 15 },
    );
  });

  test("is the same file whether one thread makes it or two, strip after strip", async () => {
    // Long enough for the helper to start and take its share.
    const base = noise(12 * STRIP_BYTES + 4321, 1);
    const target = base.slice();
    for (const strip of [0, 1, 2, 7, 8, 11])
      target.fill(5, strip * STRIP_BYTES, strip * STRIP_BYTES + 9);
    target.fill(6, 5 * STRIP_BYTES - 3, 5 * STRIP_BYTES + 3);
    await roundTrip(base, target);
    const made = readFileSync(at("delta"));
    const joiner = new RecordJoiner();
    const files = { base: openSource(at("base")), target: openSource(at("new")) };
    const encoder = new StripEncoder(core, files.base, files.target);
    const pieces: Uint8Array[] = [];
    for (let index = 0; index <= 12; index++) {
      const strip = encoder.encode(index);
      pieces.push(...joiner.join(strip.records, strip.gapBytes));
    }
    closeSource(files.base);
    closeSource(files.target);
    expect(Buffer.concat(pieces)).toEqual(made.subarray(DELTA_HEADER_BYTES));
  });

  test("may be applied onto its own base", async () => {
    write(noise(5000, 1), noise(6000, 2));
    await makeDeltaFile(core, at("base"), at("new"), at("delta"));
    applyDeltaFile(core, at("base"), at("delta"), at("base"));
    expect(readFileSync(at("base"))).toEqual(readFileSync(at("new")));
  });
});

describe("a refused delta", () => {
  const attempt = (): Promise<DeltaFileError> =>
    failure(() => applyDeltaFile(core, at("base"), at("delta"), at("out")));

  async function prepare(): Promise<Uint8Array> {
    const target = noise(9000, 1);
    target.fill(3, 100, 130);
    target.fill(4, 8000, 8010);
    write(noise(9000, 1), target);
    await makeDeltaFile(core, at("base"), at("new"), at("delta"));
    writeFileSync(at("out"), "what was here before");
    return new Uint8Array(readFileSync(at("delta")));
  }

  function expectNothingWritten(): void {
    expect(readFileSync(at("out"), "utf8")).toBe("what was here before");
    expect(readdirSync(folder).filter((name) => name.endsWith(".tmp"))).toEqual([]);
  }

  test("names the base when it is another file, of the same length or not", async () => {
    await prepare();
    const other = noise(9000, 1);
    other[8999] = 1 ^ (other[8999] ?? 0);
    for (const base of [other, other.subarray(0, 8999), new Uint8Array(0)]) {
      writeFileSync(at("base"), base);
      const error = await attempt();
      expect(error.kind).toBe("wrong-base");
      expect(error.message).toStartWith(at("base"));
    }
    expectNothingWritten();
  });

  test("is damaged when cut at any byte", async () => {
    const bytes = await prepare();
    for (let count = 0; count < bytes.length; count++) {
      writeFileSync(at("delta"), bytes.subarray(0, count));
      expect((await attempt()).kind).toBe("damaged");
    }
    writeFileSync(at("delta"), new Uint8Array([...bytes, 0]));
    expect((await attempt()).message).toContain("behind its end");
    expectNothingWritten();
  });

  test("is damaged when any byte of it is changed", async () => {
    const bytes = await prepare();
    for (let i = 0; i < bytes.length; i++) {
      const damaged = bytes.slice();
      damaged[i] = (damaged[i] ?? 0) ^ 1;
      writeFileSync(at("delta"), damaged);
      expect((await attempt()).kind).toBe("damaged");
    }
    expectNothingWritten();
  });

  test("names what is missing or no file", async () => {
    await prepare();
    mkdirSync(at("folder"), { recursive: true });
    const make = async (base: string, target: string, delta: string) =>
      (await failure(() => makeDeltaFile(core, at(base), at(target), at(delta)))).message;
    expect(await make("nobody", "new", "delta")).toBe(`${at("nobody")} does not exist`);
    expect(await make("base", "folder", "delta")).toBe(`${at("folder")} is not a regular file`);
    expect(await make("base", "new", "no/delta")).toBe(
      `${at("no/delta")} cannot be written: its folder does not exist`,
    );
    expect(await make("base", "new", "folder")).toBe(
      `${at("folder")} cannot be written: it is a folder`,
    );
  });

  test("leaves nothing behind when there is no room", async () => {
    await prepare();
    writeFileSync(at("new"), noise(900_000, 9));
    const script = `
      import { createCore } from "${join(import.meta.dir, "../../../core/core.ts")}";
      import { makeDeltaFile } from "${join(import.meta.dir, "delta-make.ts")}";
      try { await makeDeltaFile(createCore(), ...process.argv.slice(-3)); } catch (e) { console.log(e.kind, e.message); }
    `;
    writeFileSync(at("limited.ts"), script);
    const command = `trap '' XFSZ; ulimit -f 200; exec "$0" "$@"`;
    const paths = [at("base"), at("new"), at("out")];
    const run = Bun.spawnSync(["sh", "-c", command, process.execPath, at("limited.ts"), ...paths], {
      env: { ...process.env, BUN_BE_BUN: "1" },
    });
    expect(run.stdout.toString()).toBe(
      `no-space ${at("out")} cannot be written: it would be too large for the file system\n`,
    );
    expectNothingWritten();
  });
});

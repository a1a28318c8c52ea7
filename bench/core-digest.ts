/**
 * Digest of 256 MiB in pages of 4 KiB, against Bun's native XXH3 over the whole buffer.
 *
 * Two ways of getting there. *In memory*: the bytes are in a buffer of the caller's, so ours first copies them to the core,
 * 16 KiB at a time; the native one reads them where they are. *From a file*, as the checkpoint store works: ours reads the
 * file straight into the core's window; the native one reads it into one buffer of its size and digests that.
 * Both sides of a pair take turns; a first turn of each is not counted.
 */
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { prng } from "../agent/runtime/prng.ts";
import { DIGEST_BYTES, PAGE_BYTES, WINDOW_BYTES } from "../core/abi.ts";
import { createCore } from "../core/core.ts";
import { type Measurement, median, medianDeviation } from "./bench.ts";

const BYTES = 256 << 20;
const RUNS = 11;
const PEER = "Bun.hash.xxHash3, native, whole buffer";

function gigabytesPerSecond(body: () => void): number {
  const startNs = Bun.nanoseconds();
  body();
  return BYTES / (Bun.nanoseconds() - startNs);
}

interface Pair {
  readonly bench: string;
  readonly what: string;
  readonly ours: () => void;
  readonly peer: () => void;
  readonly goal: Measurement["goal"];
  readonly note: string | null;
}

function measure(pair: Pair): Measurement {
  const ours: number[] = [];
  const peer: number[] = [];
  for (let run = -1; run < RUNS; run++) {
    const [a, b] = [gigabytesPerSecond(pair.ours), gigabytesPerSecond(pair.peer)];
    if (run < 0) continue;
    ours.push(a);
    peer.push(b);
  }
  return {
    bench: pair.bench,
    what: pair.what,
    ours: median(ours),
    peer: median(peer),
    peerName: PEER,
    unit: "GB/s",
    spread: medianDeviation(ours),
    runs: RUNS,
    goal: pair.goal,
    note: pair.note,
  };
}

function readAll(
  path: string,
  target: (at: number) => Uint8Array,
  use: (bytes: number) => void,
): void {
  const descriptor = openSync(path, "r");
  for (let at = 0; at < BYTES; ) {
    const window = target(at);
    const count = readSync(descriptor, window, 0, window.byteLength, at);
    use(count);
    at += count;
  }
  closeSync(descriptor);
}

export function run(): readonly Measurement[] {
  const random = prng(1);
  const buffer = new Uint8Array(BYTES);
  const words = new Uint32Array(buffer.buffer);
  for (let i = 0; i < words.length; i++) words[i] = random.u32();
  const digests = new Uint8Array((BYTES / PAGE_BYTES) * DIGEST_BYTES);
  const core = createCore();
  const folder = mkdtempSync(join(tmpdir(), "holdfast-bench-"));
  const path = join(folder, "data");
  writeFileSync(path, buffer);
  try {
    return [
      measure({
        bench: "core-digest-memory",
        what: "digest of 256 MiB in 4 KiB pages, from a buffer",
        ours: () => core.digestPages(buffer, digests),
        peer: () => Bun.hash.xxHash3(buffer),
        goal: { of: "ratio", better: "higher", must: 0.7, aim: 1 },
        note: "ours includes the copy into the core's memory",
      }),
      measure({
        bench: "core-digest-file",
        what: "digest of a 256 MiB file in 4 KiB pages, as the checkpoint store reads it",
        ours: () => {
          let at = 0;
          readAll(
            path,
            () => core.inputWindow(),
            (count) => {
              const made = core.digestWindow(count);
              digests.set(made, at);
              at += made.byteLength;
            },
          );
        },
        peer: () => {
          readAll(
            path,
            (at) => buffer.subarray(at, at + WINDOW_BYTES),
            () => undefined,
          );
          Bun.hash.xxHash3(buffer);
        },
        goal: null,
        note: "both read the file, which is in the page cache, by 256 KiB",
      }),
    ];
  } finally {
    rmSync(folder, { recursive: true });
  }
}

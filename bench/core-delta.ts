/**
 * `holdfast delta make` on two files of 256 MiB, 5 % of whose 4 KiB pages differ by 64 bytes each, as a whole process.
 *
 * Peers: `xdelta3` and `zstd --patch-from`, which look for moved content as well, and a process that only reads both files
 * through a buffer of 1 MiB. All take turns, the files are in the page cache; the data is random, so nothing can be
 * compressed, and the result is applied and compared once.
 */
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { prng } from "../agent/runtime/prng.ts";
import { assert } from "../core/assert.ts";
import { type Measurement, median, medianDeviation } from "./bench.ts";

const BYTES = 256 << 20;
const PAGE_BYTES = 4096;
const RUNS = 9;
const HOLDFAST = join(import.meta.dir, "../dist/holdfast");

const READER = `
import { openSync, readSync } from "node:fs";
const buffer = new Uint8Array(1 << 20);
for (const path of process.argv.slice(2)) {
  const descriptor = openSync(path, "r");
  while (readSync(descriptor, buffer) > 0) {}
}
`;

interface Contender {
  readonly name: string;
  readonly command: readonly string[];
  readonly output: string | null;
  readonly times: number[];
}

function makeFiles(folder: string): { readonly base: string; readonly target: string } {
  const random = prng(5);
  const words = new Uint32Array(BYTES / 4);
  for (let i = 0; i < words.length; i++) words[i] = random.u32();
  const bytes = new Uint8Array(words.buffer);
  const files = { base: join(folder, "base"), target: join(folder, "new") };
  writeFileSync(files.base, bytes);
  for (let page = 0; page < BYTES / PAGE_BYTES; page++) {
    if (random.unit() >= 0.05) continue;
    const start = page * PAGE_BYTES + random.below(PAGE_BYTES - 64);
    for (let i = 0; i < 64; i++) bytes[start + i] = random.below(256);
  }
  writeFileSync(files.target, bytes);
  return files;
}

function runOnce(command: readonly string[]): number {
  const startNs = Bun.nanoseconds();
  const run = Bun.spawnSync([...command], { stdout: "ignore", stderr: "pipe" });
  const ms = (Bun.nanoseconds() - startNs) / 1e6;
  assert(run.exitCode === 0, `${command[0]} failed: ${run.stderr.toString()}`);
  return ms;
}

function contenders(folder: string, base: string, target: string): readonly Contender[] {
  const reader = join(folder, "reader.ts");
  writeFileSync(reader, READER);
  const out = (name: string): string => join(folder, name);
  const all: readonly Omit<Contender, "times">[] = [
    {
      name: "holdfast delta make",
      command: [HOLDFAST, "delta", "make", base, target, out("hf")],
      output: out("hf"),
    },
    {
      name: "xdelta3 -e -0 -B 268435456 -s",
      command: ["xdelta3", "-f", "-e", "-0", "-B", "268435456", "-s", base, target, out("xd")],
      output: out("xd"),
    },
    {
      name: "zstd -1 --patch-from --long=28",
      command: [
        "zstd",
        "-q",
        "-f",
        "-1",
        `--patch-from=${base}`,
        "--long=28",
        target,
        "-o",
        out("zst"),
      ],
      output: out("zst"),
    },
    {
      name: "reading both files through 1 MiB (Bun)",
      command: [process.execPath, reader, base, target],
      output: null,
    },
  ];
  return all.map((one) => ({ ...one, times: [] }));
}

function compared(
  ours: Contender,
  peer: Contender,
  bench: string,
  goal: Measurement["goal"],
): Measurement {
  const isMissing = peer.times.length === 0;
  return {
    bench,
    what: "delta of two 256 MiB files, 5 % of the pages changed by 64 bytes, whole process",
    ours: median(ours.times),
    peer: isMissing ? null : median(peer.times),
    peerName: peer.name,
    unit: "ms",
    spread: medianDeviation(ours.times),
    runs: RUNS,
    goal,
    note: isMissing ? `not measured: ${peer.command[0]} is not installed` : null,
  };
}

function sizes(ours: Contender, peer: Contender): Measurement {
  const bytesOf = (one: Contender): number => statSync(one.output ?? "").size;
  const isMissing = peer.times.length === 0;
  return {
    bench: "core-delta-size-xdelta3",
    what: "size of the delta of two 256 MiB files, 5 % of the pages changed by 64 random bytes",
    ours: bytesOf(ours),
    peer: isMissing ? null : bytesOf(peer),
    peerName: peer.name,
    unit: "bytes",
    spread: null,
    runs: 1,
    goal: { of: "ratio", better: "lower", must: 1.1, aim: 0.9 },
    note: isMissing
      ? "not measured: xdelta3 is not installed"
      : "the changed bytes are random: they alone are more than 0.9 of xdelta3's file",
  };
}

/** Faster by a factor is a lower share of the peer's time. */
function times(must: number, aim: number): Measurement["goal"] {
  return { of: "ratio", better: "lower", must: 1 / must, aim: 1 / aim };
}

export function run(): readonly Measurement[] {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-bench-"));
  try {
    const { base, target } = makeFiles(folder);
    const all = contenders(folder, base, target);
    for (let turn = -1; turn < RUNS; turn++) {
      for (const { command, times: taken } of all) {
        if (Bun.which(command[0] ?? "") === null) continue;
        const ms = runOnce(command);
        if (turn >= 0) taken.push(ms);
      }
    }
    const [ours, xdelta, zstd, reader] = all as [Contender, Contender, Contender, Contender];
    const restored = join(folder, "restored");
    runOnce([HOLDFAST, "delta", "apply", base, restored, ours.output ?? ""]);
    assert(Buffer.compare(readFileSync(restored), readFileSync(target)) === 0, "it applies");
    return [
      compared(ours, xdelta, "core-delta-xdelta3", times(8, 20)),
      compared(ours, zstd, "core-delta-zstd", times(8, 20)),
      compared(ours, reader, "core-delta-reading", {
        of: "ratio",
        better: "lower",
        must: 1.6,
        aim: 1.1,
      }),
      sizes(ours, xdelta),
    ];
  } finally {
    rmSync(folder, { recursive: true });
  }
}

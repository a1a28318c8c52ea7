/**
 * How fast a checkpoint of 256 MiB is taken and sealed, for several shares of changed pages, beside what a plain copy of the
 * same regions to the same disk costs (write and fsync, no digests, no deltas). And how long the program waits for it.
 *
 * The regions lie on tmpfs, as they do under an agent; the store on the disk of the system's temporary folder. Ours and
 * the peer's runs take turns, so that both meet the same disk.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdtempSync,
  openSync,
  readSync,
  rmSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { RegionFile } from "../agent/checkpoint/checkpoint.ts";
import { openStore, type StoreClient } from "../agent/checkpoint/io/store-client.ts";
import { epoch, StoreAsker, version } from "../agent/checkpoint/io/store-harness.ts";
import { type Measurement, median, medianDeviation } from "./bench.ts";

const STATE_BYTES = 256 * 2 ** 20;
const PAGE_BYTES = 4096;
const RUNS = 5;
const JOB = "bench";

interface Samples {
  readonly sealedMs: number[];
  readonly heldMs: number[];
  readonly copyMs: number[];
  readonly storedBytes: number[];
}

/** Every page gets other bytes than it had, `share` of all pages, spread evenly. */
function dirty(fd: number, share: number, round: number): void {
  const pages = STATE_BYTES / PAGE_BYTES;
  const page = new Uint8Array(PAGE_BYTES);
  for (let index = 0; index < pages; index++) {
    if ((index * share) % 1 >= share || share === 0) continue;
    page.fill((round * 31 + index) % 251);
    new DataView(page.buffer).setUint32(0, round * pages + index + 1, true);
    writeSync(fd, page, 0, PAGE_BYTES, index * PAGE_BYTES);
  }
}

function plainCopy(source: string, target: string): number {
  const buffer = new Uint8Array(2 ** 20);
  const startNs = Bun.nanoseconds();
  const [from, to] = [openSync(source, "r"), openSync(target, "w")];
  for (let at = 0; at < STATE_BYTES; at += buffer.length) {
    readSync(from, buffer, 0, buffer.length, at);
    writeSync(to, buffer, 0, buffer.length, at);
  }
  fsyncSync(to);
  closeSync(from);
  closeSync(to);
  const ms = (Bun.nanoseconds() - startNs) / 1e6;
  rmSync(target);
  return ms;
}

class CheckpointBench {
  readonly #asker: StoreAsker;
  readonly #region: RegionFile;
  readonly #scratch: string;
  readonly #fd: number;
  #version = 0;

  constructor(store: StoreClient, region: RegionFile, scratch: string) {
    this.#asker = new StoreAsker(store);
    store.onEvent((event) => this.#asker.hear(event));
    this.#region = region;
    this.#scratch = scratch;
    this.#fd = openSync(region.path, "w+");
  }

  async checkpoint(): Promise<{ heldMs: number; sealedMs: number; bytes: number }> {
    this.#version++;
    const at = { job: JOB, version: version(this.#version), epoch: epoch(1) };
    const startNs = Bun.nanoseconds();
    const rest = { rank: 0, regions: [this.#region], mailbox: null, partner: null };
    const begun = this.#asker.begin({ kind: "capture", ...at, ...rest });
    await begun.captured;
    const heldMs = (Bun.nanoseconds() - startNs) / 1e6;
    const answer = await begun.answer;
    if (answer.kind === "failed") throw new Error(answer.detail);
    await this.#asker.must({ kind: "seal", ...at });
    const sealedMs = (Bun.nanoseconds() - startNs) / 1e6;
    await this.#asker.must({ kind: "collect", job: JOB, keepFrom: at.version, lineage: [] });
    return { heldMs, sealedMs, bytes: answer.bytes };
  }

  async measure(share: number): Promise<Samples> {
    const samples: Samples = { sealedMs: [], heldMs: [], copyMs: [], storedBytes: [] };
    dirty(this.#fd, 1, 100 + this.#version);
    await this.checkpoint();
    for (let run = 0; run < RUNS; run++) {
      dirty(this.#fd, share, this.#version);
      const { heldMs, sealedMs, bytes } = await this.checkpoint();
      samples.heldMs.push(heldMs);
      samples.sealedMs.push(sealedMs);
      samples.storedBytes.push(bytes);
      samples.copyMs.push(plainCopy(this.#region.path, this.#scratch));
    }
    return samples;
  }

  async timeRestore(folder: string): Promise<number> {
    const startNs = Bun.nanoseconds();
    const target = { regionsFolder: folder, mailboxPath: join(folder, "..", "mailbox") };
    const at = { job: JOB, rank: 0, version: version(this.#version), epoch: epoch(1) };
    await this.#asker.must({ kind: "restore", ...at, ...target });
    return (Bun.nanoseconds() - startNs) / 1e6;
  }

  close(): void {
    closeSync(this.#fd);
  }
}

function gigabytes(ms: number): number {
  return STATE_BYTES / ms / 1e6;
}

function measurements(percent: number, samples: Samples): readonly Measurement[] {
  const speeds = samples.sealedMs.map(gigabytes);
  const stored = Math.round(median(samples.storedBytes) / 2 ** 20);
  return [
    {
      bench: `checkpoint-seal-${percent}`,
      what: `capture and seal of 256 MiB, ${percent} % of the pages changed`,
      ours: median(speeds),
      peer: gigabytes(median(samples.copyMs)),
      peerName: "copy of all bytes with write and fsync",
      unit: "GB/s",
      spread: medianDeviation(speeds),
      runs: RUNS,
      goal: null,
      note: `bytes of state over time; ${stored} MiB were stored`,
    },
    {
      bench: `checkpoint-held-${percent}`,
      what: `time the program waits for a checkpoint of 256 MiB, ${percent} % of the pages changed`,
      ours: median(samples.heldMs),
      peer: median(samples.copyMs),
      peerName: "copy of all bytes with write and fsync",
      unit: "ms",
      spread: medianDeviation(samples.heldMs),
      runs: RUNS,
      goal: null,
      note: null,
    },
  ];
}

export async function run(): Promise<readonly Measurement[]> {
  const shared = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();
  const regionsFolder = mkdtempSync(join(shared, "holdfast-bench-"));
  const dataFolder = mkdtempSync(join(tmpdir(), "holdfast-bench-"));
  const region = { name: "state", path: join(regionsFolder, "state"), bytes: STATE_BYTES };
  try {
    const store = await openStore({ dataFolder });
    const bench = new CheckpointBench(store, region, join(dataFolder, "copy"));
    const lines: Measurement[] = [];
    for (const percent of [0, 5, 50, 100]) {
      lines.push(...measurements(percent, await bench.measure(percent / 100)));
    }
    const restoreMs: number[] = [];
    for (let at = 0; at < RUNS; at++) restoreMs.push(await bench.timeRestore(regionsFolder));
    lines.push({
      bench: "checkpoint-restore",
      what: "restore of 256 MiB in place from a full shard, every page verified",
      ours: median(restoreMs),
      peer: null,
      peerName: null,
      unit: "ms",
      spread: medianDeviation(restoreMs),
      runs: RUNS,
      goal: null,
      note: "the shard is in the page cache",
    });
    bench.close();
    await store.close();
    return lines;
  } finally {
    rmSync(regionsFolder, { recursive: true, force: true });
    rmSync(dataFolder, { recursive: true, force: true });
  }
}

/**
 * Goal: the training learns, and a rank that begins again from a restored state ends with the same bits. Method: ranks run
 * inside this process on a double of the SDK's context that sums in rank order, keeps copies of the protected regions,
 * and can end all ranks in the middle of a step, as a rollback does.
 */
import { describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildDataset } from "./build-dataset.ts";
import { CLASSES, type DigitSets, decodeDigits, encodeDigits, PIXELS } from "./digits.ts";
import {
  epochOrder,
  type TrainingContext,
  type TrainingOptions,
  type TrainingReport,
  trainRank,
} from "./training.ts";

class RolledBack extends Error {}

type Regions = Map<string, Uint8Array>;

/** All ranks of one attempt; `breakAfterSums` ends it inside that sum, with memory left as it was then. */
class DoubleJob {
  readonly regions: readonly Regions[];
  readonly reports: TrainingReport[] = [];
  /** Copies of all regions, one for each time all ranks were in checkpoint(). */
  readonly versions: (readonly Regions[])[] = [];
  readonly #size: number;
  readonly #breakAfterSums: number;
  #sums = 0;
  #waiting: { readonly values: Float32Array; readonly rank: number; readonly wake: Waker }[] = [];
  #checkpoints = 0;

  constructor(
    size: number,
    regions: readonly Regions[],
    breakAfterSums = Number.POSITIVE_INFINITY,
  ) {
    this.#size = size;
    this.regions = regions;
    this.#breakAfterSums = breakAfterSums;
  }

  context(rank: number): TrainingContext {
    return {
      rank,
      size: this.#size,
      protect: (name, Kind, length) => {
        const mine = this.regions[rank] as Regions;
        const bytes = length * new Kind(new ArrayBuffer(0), 0, 0).BYTES_PER_ELEMENT;
        const region = mine.get(name) ?? new Uint8Array(bytes);
        expect(region.length).toBe(bytes);
        mine.set(name, region);
        return new Kind(region.buffer as ArrayBuffer, 0, length);
      },
      share: (_name, Kind, length) => new Kind(new ArrayBuffer(length * 8), 0, length),
      allReduce: (values) =>
        new Promise((resolve, reject) => {
          this.#waiting.push({ values, rank, wake: { resolve, reject } });
          if (this.#waiting.length === this.#size) this.#sumAll();
        }),
      checkpoint: async () => {
        if (++this.#checkpoints % this.#size === 0) this.versions.push(this.regions.map(copied));
        return null;
      },
    };
  }

  #sumAll(): void {
    const all = this.#waiting.sort((a, b) => a.rank - b.rank);
    this.#waiting = [];
    if (++this.#sums > this.#breakAfterSums) {
      for (const one of all) one.wake.reject(new RolledBack());
      return;
    }
    const total = new Float32Array((all[0] as { values: Float32Array }).values.length);
    for (const { values } of all) {
      for (let i = 0; i < total.length; i++) {
        total[i] = (total[i] as number) + (values[i] as number);
      }
    }
    for (const one of all) {
      one.values.set(total);
      one.wake.resolve();
    }
  }

  async run(
    digits: DigitSets,
    options: TrainingOptions,
  ): Promise<readonly PromiseSettledResult<void>[]> {
    const ranks = Array.from({ length: this.#size }, (_, rank) =>
      trainRank(this.context(rank), digits, options, (report) => this.reports.push(report)),
    );
    return await Promise.allSettled(ranks);
  }
}

interface Waker {
  readonly resolve: () => void;
  readonly reject: (reason: Error) => void;
}

function copied(regions: Regions): Regions {
  return new Map([...regions].map(([name, bytes]) => [name, bytes.slice()]));
}

function blank(size: number): readonly Regions[] {
  return Array.from({ length: size }, () => new Map());
}

function realDigits(): DigitSets {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-digits-"));
  try {
    const path = join(folder, "digits.bin");
    buildDataset(join(import.meta.dir, "../../.."), path);
    return decodeDigits(new Uint8Array(readFileSync(path)));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function ends(job: DoubleJob): readonly (TrainingReport & { readonly event: "end" })[] {
  return job.reports.filter((report) => report.event === "end");
}

describe("training", () => {
  const digits = realDigits();

  test("the data set holds 8,000 digits to learn and 2,000 to be examined in, all labels in both", () => {
    expect(digits.train.labels.length).toBe(8_000);
    expect(digits.test.labels.length).toBe(2_000);
    expect(digits.train.images.length).toBe(8_000 * PIXELS);
    for (const set of [digits.train, digits.test]) {
      const counts = new Array<number>(CLASSES).fill(0);
      for (const label of set.labels) counts[label] = (counts[label] as number) + 1;
      expect(Math.min(...counts)).toBeGreaterThan(set.labels.length / 15);
    }
    expect(decodeDigits(encodeDigits(digits))).toEqual(digits);
  });

  test("a damaged data set is told, not read", () => {
    const file = encodeDigits({
      train: { labels: Uint8Array.of(1), images: new Uint8Array(PIXELS) },
      test: { labels: Uint8Array.of(2), images: new Uint8Array(PIXELS) },
    });
    expect(() => decodeDigits(file.subarray(0, 5))).toThrow("no header");
    expect(() => decodeDigits(file.subarray(0, 500))).toThrow("has 500 bytes");
    file[0] = 0;
    expect(() => decodeDigits(file)).toThrow("HFD1");
  });

  test("an epoch visits every example once, and each epoch in its own order", () => {
    const orders = [0, 1].map((epoch) => epochOrder(1_000, 5, epoch));
    for (const order of orders) {
      expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: 1_000 }, (_, i) => i));
    }
    expect(orders[0]).not.toEqual(orders[1] as Uint32Array);
    expect(epochOrder(1_000, 5, 1)).toEqual(orders[1] as Uint32Array);
  });

  test("one rank learns to tell more than 93 of 100 digits", async () => {
    const job = new DoubleJob(1, blank(1));
    await job.run(digits, { steps: 155, batch: 256, seed: 3 });
    expect(ends(job)[0]?.accuracy).toBeGreaterThan(0.93);
    const losses = job.reports.flatMap((report) => (report.event === "step" ? [report.loss] : []));
    expect(losses.length).toBe(155);
    expect(losses[0]).toBeGreaterThan(2);
  });

  test("four ranks end with the same bits, whether or not they were rolled back in between", async () => {
    const options: TrainingOptions = { steps: 40, batch: 64, seed: 9 };
    const whole = new DoubleJob(4, blank(4));
    await whole.run(digits, options);
    const digest = ends(whole)[0]?.digest;
    expect(ends(whole).map((end) => end.digest)).toEqual(new Array(4).fill(digest));

    const broken = new DoubleJob(4, blank(4), 23);
    const outcomes = await broken.run(digits, options);
    expect(outcomes.every((outcome) => outcome.status === "rejected")).toBe(true);
    expect(ends(broken)).toEqual([]);
    // Back to where 17 steps were done; the memory of step 23 is gone.
    const again = new DoubleJob(4, (broken.versions[16] as readonly Regions[]).map(copied));
    await again.run(digits, options);
    const begins = again.reports.filter((report) => report.event === "begin");
    expect(begins.map((begin) => begin.step)).toEqual([17, 17, 17, 17]);
    expect(ends(again).map((end) => end.digest)).toEqual(new Array(4).fill(digest));
  });

  test("another seed ends with other bits", async () => {
    const digests = [];
    for (const seed of [1, 2]) {
      const job = new DoubleJob(1, blank(1));
      await job.run(digits, { steps: 2, batch: 16, seed });
      digests.push(ends(job)[0]?.digest);
    }
    expect(digests[0]).not.toBe(digests[1] as string);
  });
});

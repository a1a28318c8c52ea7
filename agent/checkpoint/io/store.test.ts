/**
 * Goal: what was captured and sealed is what a restore writes, whatever the pages and however the chain grew; and what is
 * damaged, torn, stale or too large is told and changes nothing. Method: the real store on real folders, a model of the
 * contents beside it.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import fc from "fast-check";
import { createCore } from "../../../core/core.ts";
import type { RegionFile } from "../checkpoint.ts";
import type { StoreLimits } from "../limits.ts";
import { Store } from "./store.ts";
import { epoch, noise, Regions, StoreAsker, TemporaryFolder, version } from "./store-harness.ts";

const core = createCore();
const JOB = "j-0000000a";

type Contents = Readonly<Record<string, Uint8Array>>;

/** A store, its folder and one rank's regions. */
class Bench {
  readonly folder: TemporaryFolder = new TemporaryFolder();
  readonly regions: Regions = new Regions(join(this.folder.path, "regions"));
  readonly mailboxPath: string = join(this.folder.path, "mailbox");
  store!: Store;
  asker!: StoreAsker;

  async open(limits: Partial<StoreLimits> = {}): Promise<this> {
    const dataFolder = join(this.folder.path, "data");
    let asker: StoreAsker | null = null;
    this.store = await Store.open({ dataFolder, limits }, core, (event) => asker?.hear(event));
    asker = new StoreAsker(this.store);
    this.asker = asker;
    return this;
  }

  capture(at: number, files: readonly RegionFile[], mailbox: string | null = null, under = 1) {
    return this.asker.must({
      kind: "capture",
      job: JOB,
      rank: 0,
      version: version(at),
      epoch: epoch(under),
      regions: files,
      mailbox,
      partner: null,
    });
  }

  seal(at: number, under = 1): Promise<number> {
    return this.asker.must({ kind: "seal", job: JOB, version: version(at), epoch: epoch(under) });
  }

  async save(at: number, contents: Contents, under = 1): Promise<void> {
    await this.capture(at, this.regions.write(contents), null, under);
    await this.seal(at, under);
  }

  restore(at: number, under = 1) {
    return this.asker.ask({
      kind: "restore",
      job: JOB,
      rank: 0,
      version: version(at),
      epoch: epoch(under),
      regionsFolder: this.regions.folder,
      mailboxPath: this.mailboxPath,
    });
  }

  collect(keepFrom: number | null, lineage: readonly { epoch: number; base: number }[] = []) {
    return this.asker.must({
      kind: "collect",
      job: JOB,
      keepFrom: keepFrom === null ? null : version(keepFrom),
      lineage: lineage.map((back) => ({ epoch: epoch(back.epoch), base: version(back.base) })),
    });
  }

  held(): readonly string[] {
    return this.store.holdings().map((h) => {
      const parent = h.parent === null ? "" : `<${h.parent}`;
      return `${h.version}-${h.epoch}${parent}${h.sealed ? " sealed" : ""}`;
    });
  }

  pathOf(name: string): string {
    return join(this.folder.path, "data/checkpoints", name);
  }
}

interface Step {
  readonly changes: readonly {
    readonly at: number;
    readonly bytes: number;
    readonly fill: number;
  }[];
  readonly isSealed: boolean;
  readonly resize: boolean;
}

function changed(bytes: Uint8Array, step: Step): Uint8Array {
  const next = new Uint8Array(step.resize ? bytes.length + 4097 : bytes.length);
  next.set(bytes);
  for (const { at, bytes: count, fill } of step.changes) {
    const from = at % Math.max(1, next.length);
    next.fill(fill, from, from + count);
  }
  return next;
}

/** Takes a version a step; gives what each sealed one held. */
async function live(
  on: Bench,
  sizes: readonly number[],
  steps: readonly Step[],
): Promise<ReadonlyMap<number, Contents>> {
  let contents: Contents = Object.fromEntries(
    sizes.map((bytes, index) => [`r${index}`, new Uint8Array(bytes)]),
  );
  const sealed = new Map<number, Contents>();
  for (const [index, step] of steps.entries()) {
    contents = Object.fromEntries(
      Object.entries(contents).map(([name, bytes]) => [name, changed(bytes, step)]),
    );
    await on.capture(index + 1, on.regions.write(contents));
    if (!step.isSealed) continue;
    await on.seal(index + 1);
    sealed.set(index + 1, contents);
  }
  return sealed;
}

async function expectRestored(on: Bench, at: number, contents: Contents): Promise<void> {
  // A later version's regions may be longer, and are not made shorter under a program.
  for (const entry of readdirSync(on.regions.folder)) truncateSync(join(on.regions.folder, entry));
  expect(await on.restore(at)).toMatchObject({ kind: "done" });
  for (const [name, bytes] of Object.entries(contents))
    expect(on.regions.read(name)).toEqual(bytes);
}

async function messageOf(failing: Promise<unknown>): Promise<string> {
  try {
    await failing;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  return "nothing failed";
}

let bench: Bench;
beforeEach(async () => {
  bench = await new Bench().open();
});
afterEach(async () => {
  await bench.store.close();
  bench.folder.remove();
});

describe("a restore", () => {
  test("writes what was captured, with its mailbox, and zeros what the version does not have", async () => {
    const contents = { weights: noise(300_000, 1), "a/b c": noise(5000, 2), empty: noise(0, 3) };
    writeFileSync(bench.mailboxPath, "three messages");
    await bench.capture(1, bench.regions.write(contents), bench.mailboxPath);
    await bench.seal(1);
    const { ino } = statSync(bench.regions.pathOf("weights"));
    bench.regions.write({
      weights: noise(300_000, 9),
      "a/b c": noise(6000, 9),
      later: noise(9, 9),
    });
    writeFileSync(bench.mailboxPath, "other messages");
    expect(await bench.restore(1)).toMatchObject({ kind: "done", bytes: 305_000 });
    expect(bench.regions.read("weights")).toEqual(contents.weights);
    const longer = bench.regions.read("a/b c");
    expect(longer.subarray(0, 5000)).toEqual(contents["a/b c"]);
    expect(longer.subarray(5000)).toEqual(new Uint8Array(1000));
    expect(bench.regions.read("later")).toEqual(new Uint8Array(9));
    expect(statSync(bench.regions.pathOf("weights")).ino).toBe(ino);
    expect(readFileSync(bench.mailboxPath, "utf8")).toBe("three messages");
  });

  test("makes the regions anew where there are none, and takes a foreign mailbox away", async () => {
    await bench.save(1, { weights: noise(10_000, 1) });
    bench.regions.write({ weights: noise(0, 1) });
    writeFileSync(bench.mailboxPath, "of another version");
    await bench.restore(1);
    expect(bench.regions.read("weights")).toEqual(noise(10_000, 1));
    expect(existsSync(bench.mailboxPath)).toBe(false);
  });

  test("of version 0 zeros every region in place", async () => {
    bench.regions.write({ weights: noise(700_000, 1) });
    expect(await bench.restore(0)).toMatchObject({ kind: "done" });
    expect(bench.regions.read("weights")).toEqual(new Uint8Array(700_000));
  });

  test("of a version that is not held, or only from a later epoch, is refused", async () => {
    await bench.capture(1, bench.regions.write({ weights: noise(100, 1) }), null, 2);
    expect(await bench.restore(2, 2)).toMatchObject({ kind: "failed", failure: "not-found" });
    expect(await bench.restore(1, 1)).not.toMatchObject({ kind: "done" });
  });

  test("serves a node that missed the seal: whoever names a version knows that somebody sealed it", async () => {
    const contents = { weights: noise(100, 1) };
    await bench.capture(1, bench.regions.write(contents));
    bench.regions.write({ weights: noise(100, 2) });
    expect(await bench.restore(1)).toMatchObject({ kind: "done" });
    expect(bench.regions.read("weights")).toEqual(contents.weights);
  });

  test("after a rollback, a seal under the new plan marks what the old one wrote", async () => {
    await bench.capture(1, bench.regions.write({ weights: noise(100, 1) }), null, 1);
    expect(await bench.seal(1, 4)).toBeGreaterThan(0);
    expect(bench.store.holdings()).toMatchObject([{ version: 1, epoch: 1, sealed: true }]);
  });

  test("gives the original of every kept version, for random regions and changes", async () => {
    const change = fc.record({
      at: fc.nat(999_999),
      bytes: fc.integer({ min: 1, max: 30_000 }),
      fill: fc.nat(255),
    });
    const history = fc.record({
      sizes: fc.array(fc.integer({ min: 0, max: 40_000 }), { minLength: 1, maxLength: 3 }),
      steps: fc.array(
        fc.record({
          changes: fc.array(change, { maxLength: 4 }),
          isSealed: fc.boolean(),
          resize: fc.boolean(),
        }),
        { minLength: 1, maxLength: 12 },
      ),
    });
    await fc.assert(
      fc.asyncProperty(history, async ({ sizes, steps }) => {
        const other = await new Bench().open();
        const sealed = await live(other, sizes, steps);
        await other.collect(5);
        const kept = other.store.holdings().filter((holding) => holding.sealed);
        expect(kept.length).toBeGreaterThanOrEqual(Math.min(2, sealed.size));
        for (const held of kept) {
          await expectRestored(other, held.version, sealed.get(held.version) as Contents);
        }
        await other.store.close();
        other.folder.remove();
      }),
      { numRuns: 40 },
    );
  });
});

describe("a capture", () => {
  test("stores what changed since the newest sealed version, and never builds on an unsealed one", async () => {
    const weights = noise(400_000, 1);
    await bench.save(1, { weights });
    weights[100] = 1 ^ (weights[100] as number);
    await bench.capture(2, bench.regions.write({ weights }));
    weights[200_000] = 1 ^ (weights[200_000] as number);
    await bench.save(3, { weights });
    expect(bench.held()).toEqual(["1-1 sealed", "2-1<1", "3-1<1 sealed"]);
    const [full, , delta] = bench.store.holdings();
    expect(delta?.bytes).toBeLessThan(2 * 4096 + (full?.bytes as number) / 100);
  });

  test("leaves zeros out of a full shard", async () => {
    const bytes = await bench.capture(
      1,
      bench.regions.write({ weights: new Uint8Array(4_000_000) }),
    );
    expect(bytes).toBeLessThan(4_000_000 / 200);
    await bench.seal(1);
    bench.regions.write({ weights: noise(4_000_000, 1) });
    await bench.restore(1);
    expect(bench.regions.read("weights")).toEqual(new Uint8Array(4_000_000));
  });

  test("is complete in itself when everything changed, or the chain has grown long", async () => {
    await bench.save(1, { weights: noise(40_000, 1) });
    await bench.save(2, { weights: noise(40_000, 2) });
    const weights = noise(400_000, 3);
    for (let at = 3; at <= 13; at++) {
      weights[0] = at;
      await bench.save(at, { weights });
    }
    const full = bench.store.holdings().filter((h) => h.parent === null);
    expect(full.map((h) => Number(h.version))).toEqual([1, 2, 3, 12]);
  });

  test("after a rollback builds on what was restored, not on the abandoned future", async () => {
    const weights = noise(100_000, 1);
    await bench.save(1, { weights });
    await bench.save(2, { weights: weights.map((b, i) => (i === 5 ? b ^ 1 : b)) });
    await bench.restore(1, 2);
    await bench.save(3, { weights: weights.map((b, i) => (i === 7 ? b ^ 1 : b)) }, 2);
    expect(bench.held()).toEqual(["1-1 sealed", "2-1<1 sealed", "3-2<1 sealed"]);
    await bench.collect(1, [{ epoch: 2, base: 1 }]);
    expect(bench.held()).toEqual(["1-1 sealed", "3-2<1 sealed"]);
  });

  test("under an epoch that is over is refused", async () => {
    await bench.save(1, { weights: noise(100, 1) }, 3);
    const files = bench.regions.write({ weights: noise(100, 2) });
    const refusal = await messageOf(bench.capture(2, files, null, 2));
    expect(refusal).toContain("refused: epoch 2 of j-0000000a is over");
  });

  test("taken again before it is sealed replaces the first, and cannot be taken again after", async () => {
    const weights = noise(50_000, 1);
    await bench.capture(1, bench.regions.write({ weights: noise(50_000, 9) }));
    await bench.save(1, { weights });
    weights[30_000] = 1 ^ (weights[30_000] as number);
    await bench.save(2, { weights });
    await bench.restore(2);
    expect(bench.regions.read("weights")).toEqual(weights);
    const refusal = await messageOf(bench.capture(2, bench.regions.write({ weights })));
    expect(refusal).toContain("is sealed and cannot be taken again");
  });

  test("names the region that is shorter than was announced, and keeps nothing", async () => {
    const files = bench.regions.write({ weights: noise(100, 1) });
    const longer = files.map((file) => ({ ...file, bytes: 9999 }));
    const failure = await messageOf(bench.capture(1, longer));
    expect(failure).toContain("region 'weights' of 9999 bytes ends at 100");
    expect(bench.held()).toEqual([]);
    expect(readdirSync(bench.pathOf("tmp"))).toEqual([]);
  });

  test("waits for the disk rather than copy more than the bound", async () => {
    await bench.store.close();
    await bench.open({ copyBytesMax: 1 });
    const weights = noise(30_000_000, 1);
    await bench.save(1, { weights });
    bench.regions.write({ weights: noise(1, 1) });
    await bench.restore(1);
    expect(bench.regions.read("weights")).toEqual(weights);
  });

  test("of several ranks at once gives each its own", async () => {
    const ranks = Array.from({ length: 6 }, (_, rank) => {
      const regions = new Regions(join(bench.folder.path, `rank-${rank}`));
      return { rank, regions, files: regions.write({ w: noise(700_000 + rank, rank) }) };
    });
    await Promise.all(
      ranks.map(({ rank, files }) =>
        bench.asker.must({
          kind: "capture",
          job: JOB,
          rank,
          version: version(1),
          epoch: epoch(1),
          regions: files,
          mailbox: null,
          partner: null,
        }),
      ),
    );
    await bench.seal(1);
    for (const { rank, regions } of ranks) {
      regions.write({ w: noise(1, 0) });
      await bench.asker.must({
        kind: "restore",
        job: JOB,
        rank,
        version: version(1),
        epoch: epoch(1),
        regionsFolder: regions.folder,
        mailboxPath: bench.mailboxPath,
      });
      expect(regions.read("w")).toEqual(noise(700_000 + rank, rank));
    }
  });
});

describe("after a restart", () => {
  test("the store knows its shards and their seals, and no temporary file is left", async () => {
    await bench.save(1, { weights: noise(50_000, 1) });
    await bench.capture(2, bench.regions.write({ weights: noise(50_000, 2) }));
    writeFileSync(bench.pathOf("tmp/left.tmp"), "half a shard");
    const before = bench.held();
    await bench.store.close();
    await bench.open();
    expect(bench.held()).toEqual(before);
    expect(before).toEqual(["1-1 sealed", "2-1"]);
    expect(readdirSync(bench.pathOf("tmp"))).toEqual([]);
    expect(await bench.restore(1)).toMatchObject({ kind: "done" });
  });

  test("a torn mark seals nothing and does not swallow the next one", async () => {
    await bench.save(1, { weights: noise(100, 1) });
    await bench.save(2, { weights: noise(100, 2) });
    const path = bench.pathOf(`${JOB}/seals`);
    truncateSync(path, statSync(path).size - 3);
    await bench.store.close();
    await bench.open();
    expect(bench.held()).toEqual(["1-1 sealed", "2-1"]);
    await bench.seal(2);
    await bench.store.close();
    await bench.open();
    expect(bench.held()).toEqual(["1-1 sealed", "2-1 sealed"]);
  });

  test("a bit flipped anywhere in a shard, or a torn end, sets it aside", async () => {
    writeFileSync(bench.mailboxPath, "mail");
    const files = bench.regions.write({ weights: noise(9000, 1), step: noise(8, 2) });
    await bench.capture(1, files, bench.mailboxPath);
    await bench.seal(1);
    await bench.store.close();
    const path = bench.pathOf(`${JOB}/0/1-1.shard`);
    const sound = readFileSync(path);
    // Head, mailbox, payload, tail and footer: every field is hit, the payload in places.
    for (let at = 0; at < sound.length; at += at > 200 && at < 9000 ? 611 : 1) {
      const flipped = Buffer.from(sound);
      flipped[at] = (flipped[at] as number) ^ (1 << (at % 8));
      writeFileSync(path, flipped);
      await bench.open();
      expect([at, bench.held(), existsSync(path)]).toEqual([at, [], false]);
      expect(bench.store.damaged.length).toBe(1);
      await bench.store.close();
    }
    for (const bytes of [0, 7, 100, sound.length - 64, sound.length - 1]) {
      writeFileSync(path, sound.subarray(0, bytes));
      await bench.open();
      expect([bytes, bench.held(), existsSync(path)]).toEqual([bytes, [], false]);
      await bench.store.close();
    }
    expect(readdirSync(dirname(path))).toEqual(["1-1.shard.damaged"]);
    writeFileSync(path, sound);
    await bench.open();
    expect(bench.held()).toEqual(["1-1 sealed"]);
  });

  test("a folder of another format is refused in one line that says what to do", async () => {
    await bench.store.close();
    writeFileSync(bench.pathOf("format"), "0\n");
    expect(await messageOf(bench.open())).toMatch(/have format 0, .* reads format 1: use/);
    const strange = new Bench();
    mkdirSync(strange.pathOf("something"), { recursive: true });
    expect(await messageOf(strange.open())).toContain("have no format number");
    strange.folder.remove();
    writeFileSync(bench.pathOf("format"), "1\n");
    await bench.open();
  });
});

describe("damage that comes while the store runs", () => {
  test("is found by a restore, told, set aside, and the version before still restores", async () => {
    const weights = noise(100_000, 1);
    await bench.save(1, { weights });
    await bench.save(2, { weights: noise(100_000, 2) });
    const path = bench.pathOf(`${JOB}/0/2-1.shard`);
    const bytes = readFileSync(path);
    bytes[50_000] = (bytes[50_000] as number) ^ 4;
    writeFileSync(path, bytes);
    expect(await bench.restore(2)).toMatchObject({ kind: "failed", failure: "damaged" });
    expect(bench.asker.told.get(JOB)?.map((h) => Number(h.version))).toEqual([1]);
    expect(existsSync(`${path}.damaged`)).toBe(true);
    expect(await bench.restore(1)).toMatchObject({ kind: "done" });
    expect(bench.regions.read("weights")).toEqual(weights);
  });

  test("in a parent takes the parent out, and the child cannot be restored", async () => {
    const weights = noise(100_000, 1);
    await bench.save(1, { weights });
    await bench.save(2, { weights: weights.map((b, i) => (i === 9 ? b ^ 1 : b)) });
    truncateSync(bench.pathOf(`${JOB}/0/1-1.shard`), 5000);
    expect(await bench.restore(2)).toMatchObject({ kind: "failed", failure: "damaged" });
    expect(bench.held()).toEqual(["2-1<1 sealed"]);
    expect(await bench.restore(2)).toMatchObject({ kind: "failed", failure: "not-found" });
  });
});

describe("collecting", () => {
  test("keeps two sealed versions and their parents, and tells what is left", async () => {
    const weights = noise(100_000, 1);
    for (let at = 1; at <= 4; at++) {
      weights[at] = at;
      await bench.save(at, { weights });
    }
    await bench.save(5, { weights: noise(90_000, 5) });
    await bench.save(6, { weights: noise(90_000, 6) });
    await bench.collect(6);
    expect(bench.held()).toEqual(["5-1 sealed", "6-1 sealed"]);
    expect(bench.asker.told.get(JOB)?.length).toBe(2);
    expect(readdirSync(bench.pathOf(`${JOB}/0`)).sort()).toEqual(["5-1.shard", "6-1.shard"]);
  });

  test("a job that is over leaves nothing", async () => {
    await bench.save(1, { weights: noise(100, 1) });
    await bench.collect(null);
    expect(bench.held()).toEqual([]);
    expect(existsSync(bench.pathOf(JOB))).toBe(false);
    expect(bench.asker.told.get(JOB)).toEqual([]);
  });

  test("a name that is no job's is refused", async () => {
    for (const job of ["..", "a/b", "tmp", "", "."]) {
      const answer = await bench.asker.ask({ kind: "collect", job, keepFrom: null, lineage: [] });
      expect(answer).toMatchObject({ kind: "failed", failure: "refused" });
    }
  });
});

/**
 * Goal: whatever moment a store's process is killed at, what it said was sealed is there and whole afterwards, and nothing
 * half-done is. Method: a real process that checkpoints without pause, SIGKILL at random moments, a fresh scan each time;
 * and a file system that is really full.
 */
import { describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { createCore } from "../../../core/core.ts";
import { realPart } from "../../../test/real-part.ts";
import { Store } from "./store.ts";
import {
  canMount,
  contentsAt,
  epoch,
  noise,
  Regions,
  StoreAsker,
  smallDisk,
  TemporaryFolder,
  version,
} from "./store-harness.ts";

const mount = realPart("leave to mount a tmpfs", canMount, "run the tests as root");

const core = createCore();
const JOB = "j-0000000a";

async function open(dataFolder: string): Promise<{ store: Store; asker: StoreAsker }> {
  let asker: StoreAsker | null = null;
  const store = await Store.open({ dataFolder }, core, (event) => asker?.hear(event));
  asker = new StoreAsker(store);
  return { store, asker };
}

/** Lets a store process run and kills it. Gives the newest version it said was sealed. */
async function runAndKill(folder: string, first: number, afterMs: number): Promise<number> {
  const script = join(import.meta.dir, "store-crash-child.ts");
  const child = Bun.spawn([process.execPath, script, folder, join(folder, "r"), String(first)], {
    stdout: "pipe",
    stderr: "inherit",
  });
  let text = "";
  const decoder = new TextDecoder();
  for await (const piece of child.stdout) {
    // Counted from the first sealed version, so that the kill falls among captures and not into starting.
    if (text === "") setTimeout(() => child.kill("SIGKILL"), afterMs);
    text += decoder.decode(piece, { stream: true });
  }
  await child.exited;
  const lines = text.split("\n").filter((line) => line.startsWith("sealed "));
  return Number(lines.at(-1)?.slice("sealed ".length) ?? first - 1);
}

describe("a store whose process is killed", () => {
  test("has every version that it sealed, whole, and no temporary file", async () => {
    using folder = new TemporaryFolder();
    const regions = new Regions(join(folder.path, "r"));
    let next = 1;
    for (let round = 0; round < 8; round++) {
      const afterMs = Math.floor(Math.random() * 200);
      const told = await runAndKill(folder.path, next, afterMs);
      const { store, asker } = await open(folder.path);
      const sealed = store.holdings().filter((holding) => holding.sealed);
      const seen = `round ${round}, killed ${afterMs} ms after the first seal`;
      expect([seen, store.damaged]).toEqual([seen, []]);
      expect(readdirSync(join(folder.path, "checkpoints/tmp"))).toEqual([]);
      const newest = sealed.at(-1);
      expect(newest?.version).toBeGreaterThanOrEqual(told);
      expect(sealed.length).toBeGreaterThanOrEqual(Math.min(2, told));
      for (const { version: at } of sealed) {
        await asker.must({
          kind: "restore",
          job: JOB,
          rank: 0,
          version: at,
          epoch: epoch(1),
          regionsFolder: regions.folder,
          mailboxPath: join(folder.path, "mailbox"),
        });
        expect(Buffer.compare(regions.read("weights"), contentsAt(at))).toBe(0);
      }
      await store.close();
      next = Number(newest?.version ?? 0) + 1;
    }
  }, 60_000);
});

describe("a disk that is full", () => {
  mount("fails the capture in one line, and loses nothing", async () => {
    using folder = new TemporaryFolder();
    const disk = smallDisk(join(folder.path, "disk"));
    try {
      const data = join(folder.path, "disk/data");
      const regions = new Regions(join(folder.path, "r"));
      const { store, asker } = await open(data);
      const identity = { job: JOB, rank: 0, epoch: epoch(1) };
      const capture = (at: number, bytes: number) =>
        asker.ask({
          kind: "capture",
          ...identity,
          version: version(at),
          regions: regions.write({ weights: noise(bytes, at) }),
          mailbox: null,
          partner: null,
        });
      const seal = (at: number) => asker.must({ kind: "seal", ...identity, version: version(at) });
      expect(await capture(1, 3_000_000)).toMatchObject({ kind: "done" });
      await seal(1);
      const full = await capture(2, 9_000_000);
      expect(full).toMatchObject({ kind: "failed", failure: "no-space" });
      if (full.kind === "failed") {
        expect(full.detail).toBe(
          `no space left in ${data}/checkpoints for version 2 of rank 0 of ${JOB}: ` +
            "make room or give the agent a data folder on a larger disk",
        );
      }
      expect(readdirSync(join(data, "checkpoints/tmp"))).toEqual([]);
      expect(await capture(3, 3_000_000)).toMatchObject({ kind: "done" });
      await seal(3);
      expect(store.holdings().map((held) => Number(held.version))).toEqual([1, 3]);
      const target = { regionsFolder: regions.folder, mailboxPath: join(folder.path, "m") };
      await asker.must({ kind: "restore", ...identity, version: version(1), ...target });
      expect(regions.read("weights").subarray(0, 3_000_000)).toEqual(noise(3_000_000, 1));
      await store.close();
    } finally {
      disk?.unmount();
    }
  });
});

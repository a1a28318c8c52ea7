/**
 * All-reduce of 4 MiB of 32-bit floats over 4 ranks on loopback, through proxies, beside the same algorithm on the same sockets in
 * the programs themselves, without proxies.
 *
 * Method: real processes; a barrier before each all-reduce, time taken on rank 0, median of 40 after 5 to warm up; runs of ours and
 * of the peer in turn. Twice: on memory the proxy reaches (protected or shared regions: no copy), and on the program's own memory
 * (copied to the slab and back).
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FakeCluster } from "../agent/proxy/harness/fake-cluster.ts";
import { type Measurement, median, medianDeviation } from "./bench.ts";

const RUNS = 5;
const RANKS = 4;
const ROUNDS = "40";
const PROGRAMS = join(import.meta.dir, "../agent/proxy/harness/programs");

interface Times {
  readonly times: readonly number[];
}

async function throughProxies(memory: "own" | "shared"): Promise<number> {
  const cluster = new FakeCluster({ ranksOfNodes: new Array<number>(RANKS).fill(1) });
  try {
    await cluster.start([join(PROGRAMS, "all-reduce.ts")], { MEMORY: memory, ROUNDS });
    await cluster.exits(60_000);
    return median(cluster.results<Times>()[0]?.times ?? []);
  } finally {
    await cluster.stop();
  }
}

async function withoutProxies(): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), "hf-"));
  const env = { ...process.env, FOLDER: folder, SIZE: String(RANKS), ROUNDS, BUN_BE_BUN: "1" };
  const children = Array.from({ length: RANKS }, (_, rank) =>
    Bun.spawn([process.execPath, join(PROGRAMS, "plain-all-reduce.ts")], {
      env: { ...env, RANK: String(rank) },
      stdio: ["ignore", "pipe", "inherit"],
    }),
  );
  try {
    const first = children[0];
    if (first === undefined) throw new Error("no ranks");
    const said = (await new Response(first.stdout).json()) as Times;
    return median(said.times);
  } finally {
    for (const child of children) child.kill("SIGKILL");
    await Promise.all(children.map((child) => child.exited));
    rmSync(folder, { recursive: true, force: true });
  }
}

export async function run(): Promise<readonly Measurement[]> {
  const shared: number[] = [];
  const own: number[] = [];
  const plain: number[] = [];
  for (let i = 0; i < RUNS; i++) {
    plain.push(await withoutProxies());
    shared.push(await throughProxies("shared"));
    own.push(await throughProxies("own"));
  }
  const common = {
    peer: median(plain),
    peerName: "same algorithm and sockets, no proxy",
    unit: "ms",
    runs: RUNS,
    goal: { of: "ratio", better: "lower", must: 1.5, aim: 1.1 } as const,
  };
  return [
    {
      bench: "proxy-all-reduce-4mib-shared",
      what: "all-reduce of 4 MiB of floats, 4 ranks on loopback, memory the proxy reaches",
      ours: median(shared),
      spread: medianDeviation(shared),
      note: "protected and shared regions go without a copy",
      ...common,
    },
    {
      bench: "proxy-all-reduce-4mib-copied",
      what: "all-reduce of 4 MiB of floats, 4 ranks on loopback, memory of the program's own",
      ours: median(own),
      spread: medianDeviation(own),
      note: "copied into shared memory and back",
      ...common,
    },
  ];
}

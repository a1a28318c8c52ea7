/**
 * What a call costs between a program and its proxy: a call that does nothing, through shared memory and back, beside a byte
 * there and back over a Unix socket between two Bun processes.
 *
 * Method: one rank under a fake agent, real proxy and program processes; median over all calls of a run, median of the runs,
 * ours and peer in turn. Own cores: proxy and program bound to different processors. Shared core: both to one.
 */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { FakeCluster } from "../agent/proxy/harness/fake-cluster.ts";
import { type Measurement, median, medianDeviation, Unavailable } from "./bench.ts";

const RUNS = 5;
const PROGRAMS = join(import.meta.dir, "../agent/proxy/harness/programs");

interface Placing {
  readonly proxy: readonly string[];
  readonly program: readonly string[];
}

function onto(processor: number): readonly string[] {
  return ["taskset", "-c", String(processor)];
}

async function ours(placing: Placing): Promise<number> {
  const cluster = new FakeCluster({
    ranksOfNodes: [1],
    proxyPrefix: placing.proxy,
    programPrefix: placing.program,
  });
  try {
    await cluster.start([join(PROGRAMS, "null-call.ts")]);
    await cluster.exits(60_000);
    const [result] = cluster.results<{ readonly p50Ns: number }>();
    return (result?.p50Ns ?? Number.NaN) / 1000;
  } finally {
    await cluster.stop();
  }
}

async function overUnixSocket(placing: Placing): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), "hf-"));
  const main = join(PROGRAMS, "unix-call.ts");
  const env = { ...process.env, SOCKET: join(folder, "s"), BUN_BE_BUN: "1" };
  const server = Bun.spawn([...placing.proxy, process.execPath, main], {
    env: { ...env, ROLE: "server" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  try {
    await server.stdout.getReader().read();
    const client = Bun.spawn([...placing.program, process.execPath, main], {
      env,
      stdio: ["ignore", "pipe", "inherit"],
    });
    const said = await new Response(client.stdout).json();
    return (said as { readonly p50Ns: number }).p50Ns / 1000;
  } finally {
    server.kill("SIGKILL");
    await server.exited;
    rmSync(folder, { recursive: true, force: true });
  }
}

/** What two processes take that only pass a number back and forth: no call can cost less on this machine. */
async function bareExchange(): Promise<number> {
  const folder = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "hf-"));
  const main = join(PROGRAMS, "bare-exchange.ts");
  const env = { ...process.env, WORDS: join(folder, "words"), BUN_BE_BUN: "1" };
  writeFileSync(env.WORDS, new Uint8Array(4096));
  const server = Bun.spawn([...onto(1), process.execPath, main], {
    env: { ...env, ROLE: "server" },
    stdio: ["ignore", "ignore", "inherit"],
  });
  try {
    const client = Bun.spawn([...onto(0), process.execPath, main], {
      env,
      stdio: ["ignore", "pipe", "inherit"],
    });
    const said = await new Response(client.stdout).json();
    return (said as { readonly p50Ns: number }).p50Ns / 1000;
  } finally {
    server.kill("SIGKILL");
    await server.exited;
    rmSync(folder, { recursive: true, force: true });
  }
}

async function measure(
  bench: string,
  placing: Placing,
  goal: { readonly must: number; readonly aim: number; readonly where: string },
): Promise<Measurement> {
  const mine: number[] = [];
  const theirs: number[] = [];
  for (let i = 0; i < RUNS; i++) {
    mine.push(await ours(placing));
    theirs.push(await overUnixSocket(placing));
  }
  return {
    bench,
    what: `empty call program → proxy → program over shared memory, ${goal.where}, median`,
    ours: median(mine),
    peer: median(theirs),
    peerName: "one byte over a Unix socket, Bun",
    unit: "µs",
    spread: medianDeviation(mine),
    runs: RUNS,
    goal: { of: "ours", better: "lower", must: goal.must, aim: goal.aim },
    note: "the clock is read around every call: about 0.04 µs of it is the clock",
  };
}

export async function run(): Promise<readonly Measurement[]> {
  if (Bun.which("taskset") === null) throw new Unavailable("taskset (util-linux) is missing");
  const shared = { proxy: onto(0), program: onto(0) };
  const lines: Measurement[] = [];
  if (cpus().length > 1) {
    const own = { proxy: onto(1), program: onto(0) };
    const goal = { must: 1, aim: 0.2, where: "a core each" };
    const line = await measure("proxy-null-call-own-cores", own, goal);
    const floor = (await bareExchange()).toFixed(2);
    const note = `${line.note}; two processes that only pass a number to and fro take ${floor} µs`;
    lines.push({ ...line, note });
  }
  const goal = { must: 8, aim: 5, where: "one core for both" };
  lines.push(await measure("proxy-null-call-shared-core", shared, goal));
  return lines;
}

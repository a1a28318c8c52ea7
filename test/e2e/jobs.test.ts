/**
 * Goal: a job survives what may befall its node, its proxy, its program and the agent its user reads from, and loses nothing.
 * Method: real agents and a program whose last line depends on every step of every rank; it is compared with a run in peace.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { JobExplanation } from "../../agent/job/io/explain.ts";
import type { NodeStatus, RankStatus } from "../../agent/job/io/status.ts";
import type { WhatIfAnswer } from "../../agent/job/what-if.ts";
import { ask, holdfast, type TestAgent, TestCluster, until } from "./test-cluster.ts";

const MAIN = join(import.meta.dir, "../../agent/main.ts");
const COUNT = join(import.meta.dir, "programs/count.ts");
const STEPS = 60;
const PAUSE_MS = 20;

const cluster = new TestCluster();
const agents: TestAgent[] = [];

beforeAll(async () => {
  for (let index = 1; index <= 5; index++) agents.push(cluster.start(index));
  await cluster.settle(agents);
}, 30_000);

afterAll(() => cluster.close());

function agent(index: number): TestAgent {
  const found = agents[index - 1];
  if (found === undefined) throw new Error(`no agent ${index}`);
  return found;
}

/** A `holdfast run` under way. */
class Running {
  readonly child: Bun.Subprocess<"ignore", "pipe", "pipe">;
  readonly lines: string[] = [];
  readonly said: string[] = [];
  readonly #read: Promise<unknown>;

  constructor(at: string, args: readonly string[]) {
    this.child = Bun.spawn({
      cmd: [process.execPath, MAIN, "run", "--agent", at, ...args],
      cwd: import.meta.dir,
      stdio: ["ignore", "pipe", "pipe"],
    });
    const collect = async (stream: ReadableStream<Uint8Array>, lines: string[]) => {
      const decoder = new TextDecoder();
      let rest = "";
      for await (const chunk of stream) {
        const parts = (rest + decoder.decode(chunk, { stream: true })).split("\n");
        rest = parts.pop() ?? "";
        lines.push(...parts);
      }
    };
    this.#read = Promise.all([
      collect(this.child.stdout, this.lines),
      collect(this.child.stderr, this.said),
    ]);
  }

  async job(): Promise<string> {
    return until("the job's id", 5_000, () => {
      const line = this.said.find((text) => text.startsWith("holdfast: job "));
      return line?.slice("holdfast: job ".length) ?? null;
    });
  }

  async reaches(step: number): Promise<void> {
    await until(`step ${step}`, 20_000, () => this.lines.includes(`[0] step ${step}`) || null);
  }

  async ended(): Promise<number | null> {
    const timer = setTimeout(() => this.child.kill("SIGKILL"), 40_000);
    await this.child.exited;
    clearTimeout(timer);
    await this.#read;
    return this.child.exitCode;
  }

  /** The last line of each rank; what the work came to. */
  ends(): readonly string[] {
    return this.lines.filter((line) => line.includes("] end ")).sort();
  }
}

function count(at: TestAgent, ranks: number, spares: number): Running {
  const shape = ["-n", String(ranks), "--spares", String(spares), "--checkpoint-every", "40ms"];
  return new Running(at.at, [...shape, "--", COUNT, String(STEPS), String(PAUSE_MS)]);
}

/** What `ranks` ranks come to, computed here. */
function expectedEnds(ranks: number): readonly string[] {
  let value = 0;
  for (let step = 0; step < STEPS; step++) {
    let sum = 0;
    for (let rank = 0; rank < ranks; rank++) sum += value + rank + 1;
    value = (value * 3 + sum) % 1_000_003;
  }
  return Array.from({ length: ranks }, (_, rank) => `[${rank}] end ${value}`);
}

async function whereIs(job: string, rank: number): Promise<RankStatus & { node: NodeStatus }> {
  return until(`rank ${rank} of ${job}`, 5_000, async () => {
    for (const one of agents) {
      const node = one.child.signalCode === null ? await one.node() : null;
      const found = node?.ranks.find((status) => status.job === job && status.rank === rank);
      if (node && found && found.programPid > 0) return { ...found, node };
    }
    return null;
  });
}

function isGone(pid: number): boolean {
  return !existsSync(`/proc/${pid}`);
}

function killPid(pid: number): void {
  expect(pid).toBeGreaterThan(1);
  process.kill(pid, "SIGKILL");
}

/** Whatever a test did: every agent lives again and nothing runs. */
async function mend(): Promise<void> {
  for (const [index, one] of agents.entries()) {
    if (one.child.exitCode === null && one.child.signalCode === null) continue;
    agents[index] = cluster.start(index + 1);
  }
  await cluster.settle(agents);
}

afterEach(mend, 20_000);

describe("a job with a spare", () => {
  test("survives the node that runs it and that its user reads from, with nothing lost", async () => {
    const probe = count(agent(1), 3, 1);
    const { node } = await whereIs(await probe.job(), 1);
    await probe.ended();
    expect(probe.ends()).toEqual(expectedEnds(3));
    // Read from the very node that dies.
    const victim = agents.findIndex(({ id }) => id === node.id) + 1;
    const reader = agent(victim);
    const run = count(reader, 3, 1);
    const job = await run.job();
    const placed = await until("a rank on the reader's node", 5_000, async () => {
      const status = await reader.node();
      return status?.ranks.find((rank) => rank.job === job) ?? null;
    });
    await run.reaches(20);
    for (const pid of [placed.programPid, placed.proxyPid]) killPid(pid);
    await reader.kill();
    expect(await run.ended()).toBe(0);
    expect(run.ends()).toEqual(expectedEnds(3));
    expect(run.said.join("\n")).toContain(`${job} goes on`);
    const survivor = agents.find((one) => one !== reader);
    const story = await ask<JobExplanation>(survivor?.at ?? "", `/v1/jobs/${job}/explain`);
    expect(story?.events.some((event) => (event.version ?? 0) > 0)).toBe(true);
  }, 60_000);

  test("survives its program killed, then its proxy, on the same nodes", async () => {
    const run = count(agent(1), 3, 1);
    const job = await run.job();
    await run.reaches(10);
    const before = await whereIs(job, 1);
    killPid(before.programPid);
    await until("another program", 10_000, async () => {
      const now = await whereIs(job, 1);
      return now.programPid !== before.programPid && now.node.id === before.node.id ? now : null;
    });
    await run.reaches(30);
    const proxied = await whereIs(job, 2);
    killPid(proxied.proxyPid);
    const after = await until("another proxy", 10_000, async () => {
      const now = await whereIs(job, 2);
      return now.proxyPid !== proxied.proxyPid ? now : null;
    });
    // A proxy is relaunched under a living program.
    expect(after.programPid).toBe(proxied.programPid);
    expect(await run.ended()).toBe(0);
    // Each recovery says what it was for.
    const why = run.said.filter((line) => line.includes("recovers, epoch")).join("\n");
    expect(why).toContain("was killed (ended by signal SIGKILL)");
    expect(why).toContain(`proxy of ${job} on ${proxied.node.id}`);
    expect(run.ends()).toEqual(expectedEnds(3));
  }, 60_000);

  test("is told apart from one that would not survive, while it runs", async () => {
    const run = count(agent(1), 3, 1);
    const job = await run.job();
    await run.reaches(15);
    const { node } = await whereIs(job, 0);
    const whatIf = async (lose: string): Promise<readonly [number | null, WhatIfAnswer]> => {
      const args = ["what-if", "--json", "--agent", agent(1).at, "--lose", lose];
      const { code, stdout } = await holdfast(args);
      return [code, JSON.parse(stdout) as WhatIfAnswer];
    };
    const [oneCode, one] = await whatIf(node.id);
    expect(one.jobs.find((fate) => fate.job === job)).toMatchObject({ fate: "rolled-back" });
    expect(oneCode).toBe(0);
    const [threeCode, three] = await whatIf("n1,n2,n3");
    expect(three).toMatchObject({ hasMajority: false });
    expect(threeCode).toBe(1);
    expect(await run.ended()).toBe(0);
  }, 40_000);

  test("ends on every node when its user cancels it", async () => {
    const run = count(agent(1), 3, 1);
    const job = await run.job();
    await run.reaches(5);
    const { programPid } = await whereIs(job, 1);
    run.child.kill("SIGINT");
    expect(await run.ended()).not.toBe(0);
    await until("no program is left", 5_000, async () => {
      const nodes = await Promise.all(agents.map((each) => each.node()));
      return nodes.every((each) => each?.ranks.length === 0) || null;
    });
    await until("its process is gone", 5_000, () => isGone(programPid) || null);
  }, 40_000);
});

describe("a job without a spare", () => {
  test("is lost with a clear end, and goes on later from its sealed state", async () => {
    const run = count(agent(1), 5, 0);
    const job = await run.job();
    await run.reaches(25);
    await agent(5).kill();
    expect(await run.ended()).toBe(75);
    const verdict = run.said.at(-1) ?? "";
    expect(verdict).toContain(`holdfast run --resume ${job}`);
    await mend();
    const again = new Running(agent(2).at, ["--resume", job]);
    expect(await again.ended()).toBe(0);
    expect(again.ends()).toEqual(expectedEnds(5));
    const resumed = again.lines.filter((line) => line.includes("] from "));
    expect(resumed.some((line) => !line.includes("from 0 "))).toBe(true);
  }, 60_000);
});

describe("a cluster without a quorum", () => {
  test("freezes its jobs, says so to everybody who asks, and goes on when the nodes are back", async () => {
    const run = count(agent(5), 3, 0);
    const job = await run.job();
    await run.reaches(15);
    await Promise.all([1, 2, 3].map((index) => agent(index).kill()));
    await until("the reader is told", 10_000, () => {
      return (
        run.said.some((line) => line.includes(`${job} is frozen until nodes come back`)) || null
      );
    });
    for (const args of [
      ["run", "--", "true"],
      ["what-if", "--lose", "n4"],
    ]) {
      const [command = "", ...rest] = args;
      const ended = await holdfast([command, "--agent", agent(5).at, ...rest]);
      expect(ended.code).toBe(75);
      expect(ended.stderr).toContain("no quorum: 2 of 5 members heard, 3 needed");
    }
    await mend();
    expect(await run.ended()).toBe(0);
    expect(run.said.join("\n")).toContain("a quorum is back");
    expect(run.ends()).toEqual(expectedEnds(3));
  }, 60_000);
});

describe("an agent killed alone", () => {
  test("takes its programs and proxies along, and its restart cleans up", async () => {
    const run = count(agent(1), 2, 3);
    const job = await run.job();
    await run.reaches(10);
    const { node, programPid, proxyPid } = await whereIs(job, 1);
    const index = agents.findIndex(({ id }) => id === node.id) + 1;
    await agent(index).kill();
    await until("program and proxy are gone", 5_000, () => {
      return (isGone(programPid) && isGone(proxyPid)) || null;
    });
    expect(await run.ended()).toBe(0);
    expect(run.ends()).toEqual(expectedEnds(2));
    await mend();
    const shm = join(cluster.sharedMemory, node.id);
    const [folder] = readdirSync(shm);
    expect(readdirSync(join(shm, folder ?? ""))).not.toContain(job);
  }, 60_000);

  test("takes along a program that knows no SDK", async () => {
    const run = new Running(agent(1).at, ["-n", "2", "--", "sh", "-c", "sleep 300"]);
    const { node, programPid } = await whereIs(await run.job(), 1);
    await agents.find(({ id }) => id === node.id)?.kill();
    await until("the program is gone", 5_000, () => isGone(programPid) || null);
    const shm = join(cluster.sharedMemory, node.id);
    await until("its memory is free", 5_000, () => readdirSync(shm).length === 0 || null);
    run.child.kill("SIGINT");
    await run.ended();
  }, 30_000);
});

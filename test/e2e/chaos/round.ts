/**
 * One chaos round: five agents, a job, the strikes of a plan, and what has to hold afterwards.
 *
 * Holds: the job ends with 0 and the digests of a run without faults; or it is lost, for a reason that is true, and ends with
 * them once its nodes are back and it is resumed. Never later than the stated bounds, and when all agents have gone in good
 * order nothing of theirs is left: no process, no shared memory.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { processesMarked } from "../../../agent/cli/demo/io/process-table.ts";
import type { JobRecord } from "../../../agent/job/job.ts";
import { ask, type TestAgent, TestCluster, until } from "../test-cluster.ts";
import { type ChaosPlan, NODES, type Strike } from "./plan.ts";
import { type Prey, preyOf, signal } from "./prey.ts";
import { expectedDigests } from "./ring-model.ts";

const MAIN = join(import.meta.dir, "../../../agent/main.ts");
const PROGRAM = join(import.meta.dir, "../programs/ring.ts");

/** In the environment of all that a round starts. */
const MARK: readonly [string, string] = ["HOLDFAST_CHAOS", String(process.pid)];

const STOPPED_MS = 3_000;
/** After the last strike; by then a job with enough nodes computes again, and one without has to be helped. */
const HELP_AFTER_MS = 8_000;
/** From the help, or the resume, to the end of the job: its whole run, several recoveries, a machine that is busy. */
const END_WITHIN_MS = 60_000;
const SETTLE_WITHIN_MS = 20_000;
const CLEAN_WITHIN_MS = 6_000;
const EXIT_LOST = 75;

export interface RoundOutcome {
  readonly how: "well" | "resumed" | "failed";
  readonly failures: readonly string[];
  readonly story: readonly string[];
  /** Kept when it failed. */
  readonly folder: string;
  readonly ms: number;
}

interface Ended {
  readonly code: number | null;
  readonly verdict: string;
}

class Client {
  readonly child: Bun.Subprocess<"ignore", "pipe", "pipe">;
  readonly lines: string[] = [];
  readonly said: string[] = [];
  readonly #read: Promise<unknown>;

  constructor(args: readonly string[], env: Readonly<Record<string, string>>) {
    this.child = Bun.spawn({
      cmd: [process.execPath, MAIN, "run", ...args],
      env: { ...process.env, ...env },
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

  get isOver(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  async ended(): Promise<Ended> {
    await this.child.exited;
    await this.#read;
    return { code: this.child.exitCode, verdict: this.said.at(-1) ?? "" };
  }
}

class Round {
  readonly #plan: ChaosPlan;
  readonly #cluster: TestCluster;
  readonly #agents: TestAgent[] = [];
  readonly #results: string;
  readonly #sinceMs = performance.now();
  readonly #restarts: Promise<unknown>[] = [];
  readonly #stopped = new Set<number>();
  readonly #kills: Set<number> = new Set();
  readonly story: string[] = [];
  readonly failures: string[] = [];
  #struckLast = 0;
  #isOver = false;
  #wasReaderLost = false;

  constructor(plan: ChaosPlan) {
    this.#plan = plan;
    this.#cluster = new TestCluster({ [MARK[0]]: MARK[1] });
    this.#results = join(this.#cluster.folder, "results");
    mkdirSync(this.#results);
  }

  get folder(): string {
    return this.#cluster.folder;
  }

  get ms(): number {
    return performance.now() - this.#sinceMs;
  }

  #tell(text: string): void {
    this.story.push(`${(this.ms / 1000).toFixed(2).padStart(6)} s  ${text}`);
  }

  #fail(text: string): void {
    this.#tell(`FAILED: ${text}`);
    this.failures.push(text);
  }

  async run(): Promise<"well" | "resumed" | "failed"> {
    let how: "well" | "resumed" = "well";
    try {
      for (let index = 1; index <= NODES; index++) this.#agents.push(this.#cluster.start(index));
      await this.#cluster.settle(this.#agents, SETTLE_WITHIN_MS);
      const { client, job } = await this.#submit();
      this.#restarts.push(this.#strikeAll(client, job));
      const ended = await this.#outcome(client, job);
      this.#tell(`ended with ${ended.code}: ${ended.verdict}`);
      if (ended.code === EXIT_LOST) {
        this.#checkVerdict(ended.verdict, job);
        await this.#helpAll();
        await this.#resume(job);
        how = "resumed";
      } else if (ended.code !== 0) this.#fail(`ended with ${ended.code}: ${ended.verdict}`);
      this.#checkResults(client);
      await this.#helpAll();
      await this.#checkNothingRuns(job);
    } catch (error) {
      this.#fail(error instanceof Error ? error.message : String(error));
    }
    this.#isOver = true;
    await this.#calm();
    await this.#goHome();
    return this.failures.length === 0 ? how : "failed";
  }

  async #submit(): Promise<{ readonly client: Client; readonly job: string }> {
    const { ranks, spares, checkpointEveryMs, steps, pauseMs, readerIndex } = this.#plan;
    const every =
      checkpointEveryMs === null ? [] : ["--checkpoint-every", `${checkpointEveryMs}ms`];
    const client = this.#client([
      ...[
        "--agent",
        this.#cluster.at(readerIndex),
        "-n",
        String(ranks),
        "--spares",
        String(spares),
      ],
      ...[...every, "--", PROGRAM, String(steps), String(pauseMs), this.#results],
    ]);
    const job = await until("the job's id", 20_000, () => {
      const line = client.said.find((text) => text.startsWith("holdfast: job "));
      return line?.slice("holdfast: job ".length) ?? null;
    });
    this.#tell(`${job} is taken`);
    return { client, job };
  }

  #client(args: readonly string[]): Client {
    const [name, value] = MARK;
    return new Client(args, { [name]: value });
  }

  async #strikeAll(client: Client, job: string): Promise<void> {
    let last = 0;
    for (const strike of this.#plan.strikes) {
      await Bun.sleep(strike.afterMs);
      if (this.#isOver) return;
      last = await this.#strike(strike, { client, job, last });
      this.#struckLast = performance.now();
    }
  }

  /** Gives the index of the node it struck, 0 for none. */
  async #strike(
    strike: Strike,
    { client, job, last }: { readonly client: Client; readonly job: string; readonly last: number },
  ): Promise<number> {
    const { target } = strike;
    if (target === "client") {
      this.#wasReaderLost = !client.isOver;
      client.child.kill("SIGKILL");
      this.#tell("kill the client");
      return last;
    }
    if (target === "same-again") return this.#strikeAgain(strike, job, last);
    const found: {
      readonly index: number;
      readonly prey: Prey;
      readonly pids: readonly number[];
    }[] = [];
    const lead = target === "lead" ? await this.#lead() : null;
    for (const [at, agent] of this.#agents.entries()) {
      if (!isAlive(agent)) continue;
      const index = at + 1;
      if (target === "lead" && agent.id !== lead) continue;
      if (target === "reader" && index !== this.#plan.readerIndex) continue;
      const prey = preyOf(agent.child.pid, job, PROGRAM);
      for (const pids of groupsOf(target, agent.child.pid, prey)) found.push({ index, prey, pids });
    }
    const chosen = found[Math.floor(strike.pick * found.length)];
    if (chosen === undefined) {
      this.#tell(`nothing to strike: ${target}`);
      return last;
    }
    this.#hit(strike, chosen.index, chosen.pids);
    return chosen.index;
  }

  /** Kills the agent that was killed before, as soon as it is back. */
  async #strikeAgain(strike: Strike, job: string, last: number): Promise<number> {
    const index = last === 0 ? 1 : last;
    const old = this.#agents[index - 1];
    if (old === undefined) return last;
    if (isAlive(old)) {
      this.#hit({ ...strike, signal: "kill" }, index, [old.child.pid]);
      await old.child.exited;
    }
    this.#restart(index);
    const delayMs = Math.floor(strike.pick * 1_500);
    await Bun.sleep(delayMs);
    const agent = this.#agents[index - 1];
    if (agent === undefined || !isAlive(agent) || this.#isOver) return index;
    const prey = preyOf(agent.child.pid, job, PROGRAM);
    this.#hit(strike, index, groupsOf("node", agent.child.pid, prey)[0] ?? []);
    return index;
  }

  #hit(strike: Strike, index: number, pids: readonly number[]): void {
    const agent = this.#agents[index - 1];
    if (agent === undefined) return;
    const isStop = strike.signal === "stop";
    this.#tell(`${strike.signal} ${strike.target} of n${index}: ${pids.join(", ")}`);
    signal(pids, isStop ? "SIGSTOP" : "SIGKILL");
    if (isStop) {
      this.#stopped.add(index);
      const go = Bun.sleep(STOPPED_MS).then(() => {
        this.#stopped.delete(index);
        signal(pids, "SIGCONT");
      });
      this.#restarts.push(go);
      return;
    }
    if (!pids.includes(agent.child.pid)) return;
    this.#kills.add(index);
    this.#restarts.push(agent.child.exited);
    if (strike.restartAfterMs === null) return;
    const { restartAfterMs } = strike;
    const again = agent.child.exited.then(async () => {
      await Bun.sleep(restartAfterMs);
      if (!this.#isOver) this.#restart(index);
    });
    this.#restarts.push(again);
  }

  #restart(index: number): void {
    const old = this.#agents[index - 1];
    if (old === undefined || isAlive(old)) return;
    this.#tell(`restart n${index}`);
    this.#agents[index - 1] = this.#cluster.start(index);
  }

  async #lead(): Promise<string | null> {
    for (const agent of this.#agents) {
      const node = isAlive(agent) ? await agent.node() : null;
      if (this.#agents.some(({ id, child }) => id === node?.lead && child.exitCode === null)) {
        return node?.lead ?? null;
      }
    }
    return null;
  }

  /** Until the job is over. When it is not some time after the last strike, every node is brought back first. */
  async #outcome(client: Client, job: string): Promise<Ended> {
    const startedMs = performance.now();
    let helpedMs = Number.POSITIVE_INFINITY;
    for (;;) {
      const ended = await this.#endOf(client, job);
      if (ended !== null) return ended;
      const nowMs = performance.now();
      const quietSinceMs = this.#struckLast > 0 ? this.#struckLast : startedMs + 10_000;
      if (nowMs > quietSinceMs + HELP_AFTER_MS && helpedMs === Number.POSITIVE_INFINITY) {
        helpedMs = nowMs;
        for (let index = 1; index <= NODES; index++) this.#restart(index);
      }
      if (nowMs - helpedMs > END_WITHIN_MS) {
        throw new Error(
          `${job} hangs: no end within ${END_WITHIN_MS} ms of every node being there`,
        );
      }
      await Bun.sleep(25);
    }
  }

  async #endOf(client: Client, job: string): Promise<Ended | null> {
    if (client.isOver && client.child.signalCode === null) return client.ended();
    if (!this.#wasReaderLost) return null;
    const record = await this.#record(job);
    if (record?.state === "lost") return { code: EXIT_LOST, verdict: record.verdict ?? "" };
    if (record?.state !== "ended") return null;
    return { code: record.exitCode, verdict: record.verdict ?? "" };
  }

  async #record(job: string): Promise<JobRecord | null> {
    let newest: JobRecord | null = null;
    for (const agent of this.#agents) {
      if (!isAlive(agent)) continue;
      const record = await ask<JobRecord>(agent.at, `/v1/jobs/${job}`);
      if (record === null) continue;
      const isNewer =
        newest === null ||
        record.epoch > newest.epoch ||
        (record.epoch === newest.epoch && record.revision > newest.revision);
      if (isNewer) newest = record;
    }
    return newest;
  }

  /** A job may only be given up for something that was done to it. */
  #checkVerdict(verdict: string, job: string): void {
    const struck = new Set([...this.#kills, ...this.#stopped]);
    if (!verdict.includes(`holdfast run --resume ${job}`))
      this.#fail("the verdict names no way on");
    if (verdict.includes("no spare node is left")) {
      if (NODES - struck.size >= this.#plan.ranks) this.#fail("there were nodes enough");
    } else if (verdict.includes("no state is left")) {
      if (struck.size < 2) this.#fail("one copy of every state was there");
    } else this.#fail(`lost for a reason of its own: ${verdict}`);
  }

  async #resume(job: string): Promise<void> {
    this.#tell(`resume ${job}`);
    const client = this.#client(["--agent", this.#cluster.at(1), "--resume", job]);
    const timer = setTimeout(() => client.child.kill("SIGKILL"), END_WITHIN_MS);
    const { code, verdict } = await client.ended();
    clearTimeout(timer);
    this.#tell(`the resumed job ended with ${code}: ${verdict}`);
    if (code !== 0) this.#fail(`the resumed job ended with ${code}: ${verdict}`);
  }

  /** No strike is under way any more; one strike may bring about another restart. */
  async #calm(): Promise<void> {
    for (let known = -1; known !== this.#restarts.length; ) {
      known = this.#restarts.length;
      await Promise.allSettled(this.#restarts);
    }
  }

  /** Every agent runs, and all are in one view. */
  async #helpAll(): Promise<void> {
    await this.#calm();
    for (let index = 1; index <= NODES; index++) this.#restart(index);
    await this.#cluster.settle(this.#agents, SETTLE_WITHIN_MS);
  }

  #checkResults(client: Client): void {
    const wanted = expectedDigests(this.#plan.ranks, this.#plan.steps);
    for (const [rank, digest] of wanted.entries()) {
      const path = join(this.#results, `end-${rank}`);
      const lines = existsSync(path) ? readFileSync(path, "utf8").trim().split("\n") : [];
      if (lines.length === 0) this.#fail(`rank ${rank} never ended`);
      const wrong = lines.filter((line) => line !== digest);
      if (wrong.length > 0) this.#fail(`rank ${rank} ended with ${wrong.join()}, not ${digest}`);
    }
    for (const line of client.lines.filter((text) => text.includes("] end "))) {
      const [, rank, digest] = /^\[(\d+)\] end (\w+)$/.exec(line) ?? [];
      if (wanted[Number(rank)] !== digest) this.#fail(`the client was shown: ${line}`);
    }
  }

  async #checkNothingRuns(job: string): Promise<void> {
    const what = "no program of the job runs and its shared memory is gone";
    await this.#untilNothingIsLeft(what, () => {
      const running = this.#agents.flatMap((agent) => {
        const { programs, proxies } = preyOf(agent.child.pid, job, PROGRAM);
        return [...programs, ...proxies].map((pid) => `${agent.id}: ${pid} ${commandOf(pid)}`);
      });
      const files = this.#files().filter((path) => path.includes(job) || path.includes("removed-"));
      return [...running, ...files];
    });
  }

  async #untilNothingIsLeft(what: string, look: () => readonly string[]): Promise<void> {
    let left: readonly string[] = [];
    try {
      await until(what, CLEAN_WITHIN_MS, () => {
        left = look();
        return left.length === 0 || null;
      });
    } catch {
      this.#fail(`not within ${CLEAN_WITHIN_MS} ms: ${what}; left are ${left.join(", ")}`);
    }
  }

  /** In shared memory, without the folders that the test made. */
  #files(): readonly string[] {
    return readdirSync(this.#cluster.sharedMemory, { recursive: true })
      .map(String)
      .filter((path) => path.includes("/"));
  }

  /** All agents leave in good order, and nothing is left. */
  async #goHome(): Promise<void> {
    try {
      for (const agent of this.#agents) if (isAlive(agent)) agent.child.kill("SIGTERM");
      await until("every agent has ended", 15_000, () => !this.#agents.some(isAlive) || null);
      for (const { id, child } of this.#agents) {
        if (child.exitCode !== 0 && child.signalCode !== "SIGKILL") {
          this.#fail(`${id} ended with ${child.signalCode ?? child.exitCode}`);
        }
      }
      await this.#untilNothingIsLeft("no process is left", () =>
        ownProcesses().map((pid) => `${pid} ${commandOf(pid)}`),
      );
      await this.#untilNothingIsLeft("no shared memory is left", () => this.#files());
    } catch (error) {
      this.#fail(error instanceof Error ? error.message : String(error));
    }
    signal(ownProcesses(), "SIGKILL");
  }

  async close(): Promise<void> {
    await this.#cluster.close({ keepFolder: this.failures.length > 0 });
  }
}

function isAlive(agent: TestAgent): boolean {
  return agent.child.exitCode === null && agent.child.signalCode === null;
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim();
  } catch {
    return "(gone)";
  }
}

/** What a strike of this kind may choose from at one node: groups of processes that go together. */
function groupsOf(
  target: Strike["target"],
  agent: number,
  prey: Prey,
): readonly (readonly number[])[] {
  const all = [...prey.programs, ...prey.proxies, ...prey.warmProxies, agent];
  switch (target) {
    case "agent":
    case "lead":
    case "reader":
      return [[agent]];
    case "proxy":
      return prey.proxies.map((pid) => [pid]);
    case "warm-proxy":
      return prey.warmProxies.map((pid) => [pid]);
    case "guard":
      return prey.guards.map((pid) => [pid]);
    case "program":
      return prey.programs.map((pid) => [pid]);
    default:
      return [all];
  }
}

export async function runRound(plan: ChaosPlan): Promise<RoundOutcome> {
  const round = new Round(plan);
  const how = await round.run();
  await round.close();
  const { failures, story, folder, ms } = round;
  return { how, failures, story, folder, ms };
}

/** What the round that is under way has started and still runs. */
export function ownProcesses(): readonly number[] {
  return processesMarked(MARK.join("="));
}

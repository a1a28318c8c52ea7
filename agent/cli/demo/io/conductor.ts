/**
 * Runs a demo: a cluster of real agents, a training in which nodes are killed, the same training in peace, the comparison.
 *
 * It is a client as any other: it submits jobs and follows them over the agents' HTTP, and of what happens inside it knows only
 * what status, output and decision logs say. When the agent it talks to dies, it goes on with another.
 */

import type { DemoEvent, NodeRow, RunEnd, RunName } from "../events.ts";
import { drawKills, type Kill, parseKills } from "../kill-plan.ts";
import type { LoggedDecision } from "../phases.ts";
import { parseReport, RunTracker } from "../run-tracker.ts";
import type { Evidence, KillOutcome } from "../verdict.ts";
import type { AgentSeat, Agents } from "./agents.ts";
import {
  askStatus,
  followDecisions,
  followOutput,
  type JobEnd,
  type JobOrder,
  submitJob,
} from "./cluster-api.ts";
import { goneOf, killAll, victimsOf } from "./killing.ts";

export interface DemoPlan {
  readonly seed: number;
  readonly ranks: number;
  readonly steps: number;
  readonly kills: readonly Kill[];
  /** What both trainings run; the spares are the conductor's business. */
  readonly order: Omit<JobOrder, "spares">;
}

const POLL_MS = 50;
const START_WITHIN_MS = 15_000;
/** SIGKILL acts at once; a process that swaps or dumps may take a while to be gone. */
const GONE_WITHIN_MS = 2_000;
/** A training that tells nothing for this long hangs. */
const SILENT_MS_MAX = 20_000;

/** What `holdfast run` ends with when a job is lost and can be resumed. */
const EXIT_LOST = 75;

/** `wallMs`: when it happened, where that is known better than by its being told. */
export type Emit = (event: DemoEvent, wallMs?: number) => void;

export class DemoError extends Error {}

export class Conductor {
  readonly #plan: DemoPlan;
  readonly #agents: Agents;
  readonly #emit: Emit;
  /** Raised at the end: what the agents say while they are sent home is no part of the demo. */
  readonly #over = new AbortController();
  readonly #stop: AbortSignal;
  readonly #decisions: LoggedDecision[] = [];
  readonly #killed = new Set<string>();
  readonly #recovered = new Set<string>();
  readonly #mourned = new Set<string>();
  readonly #kills: KillOutcome[] = [];
  #rows: readonly NodeRow[] = [];
  #job: string | null = null;

  constructor(
    plan: DemoPlan,
    world: {
      readonly agents: Agents;
      readonly emit: Emit;
      readonly stop: AbortSignal;
    },
  ) {
    this.#plan = plan;
    this.#agents = world.agents;
    this.#emit = world.emit;
    this.#stop = AbortSignal.any([world.stop, this.#over.signal]);
  }

  /** Whether it proves anything is for others to judge. */
  async conduct(): Promise<Omit<Evidence, "calls">> {
    const { kills, ranks } = this.#plan;
    try {
      await this.#awaitCluster();
      for (const seat of this.#agents.seats) void this.#followDecisions(seat);
      void this.#pollStatus();
      const faulted = await this.#train("faulted", kills.length);
      const clean = faulted.exitCode === 0 ? await this.#train("clean", 0) : null;
      return { plannedKills: kills.length, kills: this.#kills, faulted, clean, ranks };
    } finally {
      this.#over.abort();
    }
  }

  async #awaitCluster(): Promise<void> {
    const untilMs = performance.now() + START_WITHIN_MS;
    const count = this.#agents.seats.length;
    for (;;) {
      this.#stop.throwIfAborted();
      for (const { id } of this.#agents.seats) {
        if (!this.#agents.isAlive(id)) {
          const how = this.#agents.endOf(id);
          const last = this.#agents.lastWords(id);
          throw new DemoError(`agent ${id} ended at its start (${how}); its last line: ${last}`);
        }
      }
      await this.#refreshStatus();
      const members = this.#rows.filter((row) => row.state === "alive");
      const epochs = new Set(members.map((row) => row.epoch));
      if (members.length === count && epochs.size === 1) return;
      if (performance.now() > untilMs) {
        throw new DemoError(
          `only ${members.length} of ${count} agents found each other within ${START_WITHIN_MS / 1000} s`,
        );
      }
      await Bun.sleep(POLL_MS);
    }
  }

  async #refreshStatus(): Promise<void> {
    for (const seat of this.#agents.alive()) {
      const rows = await askStatus(seat, this.#job);
      if (this.#stop.aborted) return;
      if (rows === null) continue;
      const known = rows.map((row) =>
        this.#killed.has(row.id)
          ? { ...row, state: "killed", rank: null, proxyPid: null, programPid: null, holds: [] }
          : row,
      );
      if (JSON.stringify(known) !== JSON.stringify(this.#rows)) {
        this.#rows = known;
        this.#emit({ kind: "nodes", nodes: known });
      }
      return;
    }
  }

  async #pollStatus(): Promise<void> {
    while (!this.#stop.aborted) {
      this.#mournAgents();
      await this.#refreshStatus();
      await Bun.sleep(POLL_MS);
    }
  }

  /** An agent that ended, and we did not do it: it was killed by hand, or by a defect of its own. */
  #mournAgents(): void {
    for (const { id } of this.#agents.seats) {
      if (this.#agents.isAlive(id) || this.#killed.has(id) || this.#mourned.has(id)) continue;
      this.#mourned.add(id);
      const how = this.#agents.endOf(id);
      const text = `agent ${id} ended (${how}); its last line: ${this.#agents.lastWords(id)}`;
      this.#emit({ kind: "note", text });
    }
  }

  async #followDecisions(seat: AgentSeat): Promise<void> {
    await followDecisions(seat, this.#stop, (decision) => {
      this.#decisions.push(decision);
      const { node, epoch, phase, text, atMs } = decision;
      this.#emit({ kind: "decision", node, epoch, phase, text }, atMs);
    });
  }

  async #train(run: RunName, faults: number): Promise<RunEnd> {
    const { order, ranks, steps, kills } = this.#plan;
    const sinceMs = performance.now();
    const job = await this.#submit({ ...order, spares: faults });
    this.#job = job;
    this.#emit({ kind: "run", run, job });
    const tracker = new RunTracker(run, ranks);
    const pending = faults > 0 ? [...kills] : [];
    let heardMs = performance.now();
    let killing: Promise<void> = Promise.resolve();
    const onLine = (_rank: number, line: string): void => {
      heardMs = performance.now();
      const report = parseReport(line);
      if (report === null) {
        this.#emit({ kind: "note", text: line });
        return;
      }
      if (!tracker.add(report)) return;
      const { atMs, ...bare } = report;
      this.#emit({ kind: "training", run, report: bare }, atMs);
      const next = pending[0];
      if (report.event === "step" && next !== undefined && report.step >= next.step) {
        pending.shift();
        killing = killing.then(() => this.#kill(next, tracker, over.signal));
      }
    };
    const quiet = new AbortController();
    const over = new AbortController();
    const watch = setInterval(() => {
      if (performance.now() - heardMs > SILENT_MS_MAX) quiet.abort();
    }, 500);
    try {
      const ended = await this.#followJob(job, onLine, AbortSignal.any([quiet.signal, this.#stop]));
      over.abort();
      await killing;
      const exitCode = ended.exitCode ?? EXIT_LOST;
      const reason = exitCode === 0 ? null : ended.verdict;
      const end = tracker.end({ exitCode, reason, ms: performance.now() - sinceMs });
      this.#emit({ kind: "run-end", end });
      return end;
    } catch (error) {
      if (!quiet.signal.aborted) throw error;
      throw new DemoError(
        `the training told nothing for ${SILENT_MS_MAX / 1000} s at step ${tracker.step} of ${steps}`,
      );
    } finally {
      clearInterval(watch);
      over.abort();
    }
  }

  async #submit(order: JobOrder): Promise<string> {
    let why = "no agent lives";
    for (const seat of this.#agents.alive()) {
      const answer = await submitJob(seat, order);
      if (answer.ok) return answer.value;
      why = answer.error;
    }
    throw new DemoError(`the job was not accepted: ${why}`);
  }

  /** Follows the output at one agent after the other until the job has ended. */
  async #followJob(
    job: string,
    onLine: (rank: number, line: string) => void,
    stop: AbortSignal,
  ): Promise<JobEnd> {
    const reader = { cursor: new Map<string, number>(), onLine };
    for (;;) {
      for (const seat of this.#agents.alive()) {
        stop.throwIfAborted();
        const end = await followOutput(seat, job, reader, stop);
        if (end !== null) return end;
      }
      stop.throwIfAborted();
      if (this.#agents.alive().length === 0) throw new DemoError("no agent lives any more");
      await Bun.sleep(POLL_MS);
    }
  }

  #victimRow(kill: Kill): NodeRow | null {
    const { victim } = kill;
    return (
      this.#rows.find((row) =>
        victim.kind === "node" ? row.id === victim.node : row.rank === victim.rank,
      ) ?? null
    );
  }

  async #kill(kill: Kill, tracker: RunTracker, over: AbortSignal): Promise<void> {
    await Bun.sleep(kill.delayMs);
    if (over.aborted) return;
    await this.#refreshStatus();
    const row = this.#victimRow(kill);
    if (row?.agentPid === null || row?.agentPid === undefined || row.rank === null) {
      const who = kill.victim.kind === "node" ? kill.victim.node : `rank ${kill.victim.rank}`;
      this.#emit({ kind: "note", text: `${who} has no program of the job: nobody to kill` });
      return;
    }
    const { agentPid, proxyPid, programPid, id: node, rank } = row;
    const victims = victimsOf({ job: this.#job ?? "", agentPid, proxyPid, programPid });
    const step = tracker.step;
    const killedAtMs = Date.now();
    killAll(victims);
    this.#killed.add(node);
    this.#emit({ kind: "kill", node, rank, step, victims });
    const gonePids = await goneOf(victims, GONE_WITHIN_MS);
    this.#kills.push({ node, step, victims, gonePids });
    this.#emit({ kind: "gone", node, pids: gonePids });
    const killed = { atMs: killedAtMs, step };
    while (!over.aborted && !this.#tellRecovery(node, killed, tracker)) await Bun.sleep(POLL_MS);
    this.#tellRecovery(node, killed, tracker);
  }

  /** False while not every rank computes again; tells it once. */
  #tellRecovery(
    node: string,
    killed: { readonly atMs: number; readonly step: number },
    tracker: RunTracker,
  ): boolean {
    if (this.#recovered.has(node)) return true;
    const recovery = tracker.recovery(killed.atMs, killed.step, this.#decisions);
    if (recovery === null) return false;
    this.#recovered.add(node);
    this.#emit({ kind: "recovered", node, recovery });
    return true;
  }
}

/** The kills of `--kill`, or those the seed draws. */
export function planKills(options: {
  readonly kill: string | undefined;
  readonly seed: number;
  readonly faults: number;
  readonly ranks: number;
  readonly steps: number;
}): readonly Kill[] {
  if (options.kill === undefined) return drawKills(options);
  const parsed = parseKills(options.kill, options.steps);
  if (!parsed.ok) throw new DemoError(parsed.error);
  return parsed.value;
}

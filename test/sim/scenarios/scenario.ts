/**
 * Named scenarios on the simulator: a cluster, verbs that read like a sentence, and the referee watching all along.
 *
 * Nothing is random in them but network and process times, by a fixed seed. A waiting verb fails with the end of the event
 * log, so that a failure can be read.
 */

import type { JobRecord } from "../../../agent/job/job.ts";
import type { Phase } from "../../../agent/job/node-events.ts";
import { whatIsUnsettled as settle } from "../settled.ts";
import type { WantedJob } from "../users.ts";
import { Cluster, type ClusterOptions, type Decision } from "../world/cluster.ts";
import type { SimNode } from "../world/node.ts";

const LOG_LINES_SHOWN = 60;
const WAIT_MS = 30_000;

export interface JobWish {
  readonly ranks: number;
  readonly spares?: number;
  readonly steps?: number;
  readonly stepMs?: number;
  readonly every?: number;
}

export class Scenario {
  readonly cluster: Cluster;
  readonly #jobs: WantedJob[] = [];
  #watch: ((decision: Decision, node: SimNode) => void)[] = [];

  constructor(options: Omit<ClusterOptions, "seed"> & { readonly seed?: number }) {
    this.cluster = new Cluster({
      seed: 1,
      keepLines: true,
      ...options,
      onDecision: (decision, node) => {
        for (const look of this.#watch) look(decision, node);
      },
    });
    this.cluster.startAll();
    this.wait("the cluster has one view", () => this.well() === null);
  }

  node(id: string): SimNode {
    return this.cluster.node(id);
  }

  /** A job that is submitted, taken, and has made its first sealed version. */
  job(wish: JobWish): string {
    const id = this.submit(wish);
    this.wait(`${id} has sealed twice`, () => (this.record(id)?.sealed ?? 0) >= 2);
    return id;
  }

  submit({ ranks, spares = 0, steps = 1_000_000, stepMs = 50, every = 4 }: JobWish): string {
    const id = `j-${(this.#jobs.length + 1).toString(16).padStart(8, "0")}`;
    const argv = ["train", String(steps), String(stepMs), String(every)];
    const spec = { id, argv, cwd: "/", env: {}, ranks, spares, checkpointEveryMs: null };
    const asked = this.cluster.living().find((node) => !node.frozen) as SimNode;
    const token = this.cluster.request(asked, { kind: "run", spec });
    this.#jobs.push({ id, spec, token });
    this.wait(`${id} is taken`, () => this.cluster.replies.some((reply) => reply.token === token));
    const refused = this.cluster.replies.find((reply) => reply.token === token)?.refused;
    if (refused != null) throw this.#failure(`${id} is refused: ${refused}`);
    return id;
  }

  /** As most living nodes would tell a user. */
  record(id: string): JobRecord | undefined {
    let newest: JobRecord | undefined;
    for (const node of this.cluster.living()) {
      const record = node.machine?.records().find((r) => r.spec.id === id);
      if (record === undefined) continue;
      const isNewer =
        newest === undefined ||
        record.epoch > newest.epoch ||
        (record.epoch === newest.epoch && record.revision > newest.revision);
      if (isNewer) newest = record;
    }
    return newest;
  }

  steps(id: string): number {
    return this.cluster.referee.jobs.get(id)?.steps ?? 0;
  }

  /** The first time that somebody decides something of this phase, this happens right after. */
  when(phase: Phase, strike: (node: SimNode) => void): void {
    let isOpen = true;
    this.#watch.push((decision, node) => {
      if (!isOpen || decision.phase !== phase) return;
      isOpen = false;
      this.cluster.time.after(0, () => strike(node));
    });
  }

  /** The same for a decision whose words match. */
  whenSaid(words: RegExp, strike: (node: SimNode) => void): void {
    let isOpen = true;
    this.#watch.push((decision, node) => {
      if (!isOpen || !words.test(decision.text)) return;
      isOpen = false;
      this.cluster.time.after(0, () => strike(node));
    });
  }

  run(ms: number): void {
    this.cluster.runFor(ms);
    this.cluster.referee.checkBounds();
  }

  wait(what: string, isThere: () => boolean, limitMs: number = WAIT_MS): void {
    const came = this.cluster.runWhile(() => !isThere(), limitMs);
    if (!came) throw this.#failure(`within ${limitMs} ms it does not come that ${what}`);
  }

  /** null: one view of all that live, every job well. */
  well(): string | null {
    return settle(this.cluster, this.#jobs)?.text ?? null;
  }

  untilWell(limitMs: number = WAIT_MS): void {
    if (this.cluster.runWhile(() => this.well() !== null, limitMs)) return;
    throw this.#failure(`not well after ${limitMs} ms: ${this.well()}`);
  }

  /** It computes, and more than what a rollback repeats. */
  goesOn(id: string): void {
    const before = this.steps(id);
    this.wait(`${id} makes 40 more steps`, () => this.steps(id) >= before + 40);
  }

  said(words: RegExp): readonly string[] {
    return this.cluster.log.lines().filter((line) => words.test(line));
  }

  #failure(text: string): Error {
    const lines = this.cluster.log.lines().slice(-LOG_LINES_SHOWN).join("\n");
    return new Error(`${text}\n${lines}`);
  }
}

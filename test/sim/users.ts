/**
 * The users of a simulated cluster: they submit jobs, now and then ask for a lost one to be resumed, and once the faults
 * have ended they want one more job to run.
 */
import type { JobSpec } from "../../agent/job/job.ts";
import type { Prng } from "../../agent/runtime/prng.ts";
import type { Unsettled } from "./settled.ts";
import type { Cluster } from "./world/cluster.ts";

export interface WantedJob {
  readonly id: string;
  readonly spec: JobSpec;
  readonly token: string;
}

const RESUME_EVERY_MS = 3_000;

/** A view of all and a recovery fit several times. */
const SETTLED_BY_MS = 8_000;

function freeWorkers(cluster: Cluster): number {
  const busy = new Set<string>();
  for (const record of cluster.living()[0]?.machine?.records() ?? []) {
    if (record.state === "ended" || record.state === "lost") continue;
    for (const node of record.placement) busy.add(node);
    // One that waits for its nodes may be given any.
    if (record.placement.length === 0) return 0;
  }
  const workers = cluster.living().filter((node) => node.place.role === "worker");
  return workers.filter((node) => !busy.has(node.id)).length;
}

export class Users {
  readonly #cluster: Cluster;
  readonly #random: Prng;
  readonly #untilMs: number;
  readonly #jobs: WantedJob[] = [];
  #calm = false;
  /** Submitted in calm. */
  #last: WantedJob | null = null;

  constructor(cluster: Cluster, random: Prng, untilMs: number) {
    this.#cluster = cluster;
    this.#random = random;
    this.#untilMs = untilMs;
  }

  /** Jobs that an agent has taken. */
  wanted(): readonly WantedJob[] {
    return this.#jobs.filter((job) =>
      this.#cluster.replies.some((reply) => reply.token === job.token && reply.refused === null),
    );
  }

  begin(): void {
    this.submit();
    const more = this.#random.below(3);
    for (let i = 0; i < more; i++) {
      const atMs = this.#random.unit() * (this.#untilMs - this.#cluster.time.nowMs());
      this.#cluster.time.after(atMs, () => this.submit());
    }
    this.#resumeLost();
  }

  calm(): void {
    this.#calm = true;
    if (!this.#cluster.membershipOnly) {
      this.#cluster.time.after(SETTLED_BY_MS, () => {
        if (freeWorkers(this.#cluster) > 0) this.#last = this.submit(1);
      });
    }
  }

  /** The job that was submitted in calm has to be taken while there is room for it. */
  whatIsRefused(): Unsettled | null {
    const last = this.#last;
    if (last === null) return null;
    const reply = this.#cluster.replies.find(({ token }) => token === last.token);
    if (reply?.refused === null) return null;
    const rule = "request not taken";
    if (reply === undefined) return { rule, text: `nobody answered about ${last.id}` };
    if (freeWorkers(this.#cluster) === 0) return null;
    return { rule, text: `${last.id} is refused although there is room: ${reply.refused}` };
  }

  /** `ranks` given: no spare, and a program that ends well. */
  submit(ranksWanted: number | null = null): WantedJob | null {
    const workers = this.#cluster.nodes.filter((node) => node.place.role === "worker");
    const living = this.#cluster.living();
    const node = living[this.#random.below(Math.max(1, living.length))];
    if (node === undefined) return null;
    const ranks = ranksWanted ?? 1 + this.#random.below(Math.max(1, workers.length - 1));
    const hasSpare = ranksWanted === null && ranks < workers.length;
    const spare = hasSpare && this.#random.below(2) === 0 ? 1 : 0;
    const stepMs = 80 + this.#random.below(400);
    // Half of them outlast the history.
    const steps = this.#random.below(2) === 0 ? 1_000_000 : 20 + this.#random.below(150);
    const every = 2 + this.#random.below(8);
    const argv = ["train", String(steps), String(stepMs), String(every)];
    const fate = ranksWanted === null ? this.#random.below(20) : -1;
    if (fate === 0) argv.push(String(10 + this.#random.below(60)));
    if (fate === 1) argv[0] = "no-such-program";
    const id = `j-${(this.#jobs.length + 1).toString(16).padStart(8, "0")}`;
    const spec: JobSpec = {
      id,
      argv,
      cwd: "/",
      env: {},
      ranks,
      spares: spare,
      checkpointEveryMs: null,
    };
    const token = this.#cluster.request(node, { kind: "run", spec });
    const job = { id, spec, token };
    this.#jobs.push(job);
    return job;
  }

  #resumeLost(): void {
    this.#cluster.time.after(RESUME_EVERY_MS, () => {
      for (const { id } of this.wanted()) {
        const node = this.#cluster.living().find((up) => !up.stopped && !up.frozen);
        const record = node?.machine?.records().find((r) => r.spec.id === id);
        if (node === undefined || record?.state !== "lost") continue;
        if (this.#calm || this.#random.below(3) === 0) {
          this.#cluster.request(node, { kind: "resume", job: id });
        }
      }
      this.#resumeLost();
    });
  }
}

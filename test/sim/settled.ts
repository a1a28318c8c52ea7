/**
 * Whether a cluster that nothing disturbs any more is well: one view of all that live, nobody frozen, every job that was taken
 * computes, or has ended, or is lost for a reason that is true (the referee checks the reason when it is given).
 */
import type { JobRecord } from "../../agent/job/job.ts";
import type { WantedJob } from "./users.ts";
import type { Cluster } from "./world/cluster.ts";

export interface Unsettled {
  readonly rule: string;
  readonly text: string;
}

/** A step, a checkpoint and its seal fit many times. */
const PROGRESS_WITHIN_MS = 3_000;

export function whatIsUnsettled(cluster: Cluster, jobs: readonly WantedJob[]): Unsettled | null {
  return whatIsWrongWithViews(cluster) ?? firstOf(jobs, (job) => whatIsWrongWithJob(cluster, job));
}

function firstOf<T>(list: readonly T[], look: (item: T) => Unsettled | null): Unsettled | null {
  for (const item of list) {
    const found = look(item);
    if (found !== null) return found;
  }
  return null;
}

function whatIsWrongWithViews(cluster: Cluster): Unsettled | null {
  const living = cluster.living();
  const first = living[0]?.machine?.view();
  if (first == null) return { rule: "no view", text: `${living[0]?.id} has no view` };
  for (const node of living) {
    const frozen = node.machine?.frozen() ?? null;
    if (frozen !== null) return { rule: "stays frozen", text: `${node.id} is frozen: ${frozen}` };
    const view = node.machine?.view();
    if (view?.epoch !== first.epoch) {
      return {
        rule: "views differ",
        text: `${living[0]?.id} is under epoch ${first.epoch}, ${node.id} under ${view?.epoch}`,
      };
    }
    if (!first.members.some((m) => m.id === node.id && m.instance === node.instance())) {
      return { rule: "left out", text: `${node.id} lives and is not in the view` };
    }
  }
  const gone = first.members.find((member) => !living.some((node) => node.id === member.id));
  return gone === undefined ? null : { rule: "dead member", text: `${gone.id} is in the view` };
}

function whatIsWrongWithJob(cluster: Cluster, job: WantedJob): Unsettled | null {
  let record: JobRecord | undefined;
  for (const node of cluster.living()) {
    const known = node.machine?.records().find((r) => r.spec.id === job.id);
    if (known === undefined)
      return { rule: "job forgotten", text: `${node.id} knows no ${job.id}` };
    record ??= known;
    if (known.epoch !== record.epoch || known.revision !== record.revision) {
      return {
        rule: "records differ",
        text: `${job.id}: ${node.id} has ${known.epoch}.${known.revision} ${known.state}, another ${record.epoch}.${record.revision} ${record.state}`,
      };
    }
  }
  if (record === undefined) return { rule: "job forgotten", text: `nobody knows ${job.id}` };
  if (record.state === "ended") return whatIsWrongWithEnd(cluster, job, record);
  if (record.state === "lost") return null;
  if (record.state === "starting" && hasNoRoom(cluster, job)) return null;
  const facts = cluster.referee.jobs.get(job.id);
  const idleMs = cluster.time.nowMs() - (facts?.lastStepMs ?? 0);
  if (record.state === "running" && idleMs <= PROGRESS_WITHIN_MS) return null;
  return {
    rule: "job does not go on",
    text: `${job.id} is ${record.state} under epoch ${record.epoch}, its last step was ${Math.round(idleMs)} ms ago`,
  };
}

function hasNoRoom(cluster: Cluster, job: WantedJob): boolean {
  const workers = cluster.living().filter((node) => node.place.role === "worker").length;
  let busy = 0;
  for (const record of cluster.living()[0]?.machine?.records() ?? []) {
    if (record.spec.id !== job.id && record.state !== "ended" && record.state !== "lost") {
      busy += record.placement.length;
    }
  }
  return workers - busy < job.spec.ranks;
}

function whatIsWrongWithEnd(cluster: Cluster, job: WantedJob, record: JobRecord): Unsettled | null {
  const [program, steps = "", , , failAt] = job.spec.argv;
  const facts = cluster.referee.jobs.get(job.id);
  const rule = "untrue end";
  const says = `${job.id} ended with code ${record.exitCode} (${record.verdict})`;
  if (program === "no-such-program") {
    return record.exitCode === 127 ? null : { rule, text: `${says}, but there is no such program` };
  }
  if (record.exitCode === 0) {
    return facts?.finished.size === job.spec.ranks
      ? null
      : { rule, text: `${says}, but only ${facts?.finished.size ?? 0} ranks made ${steps} steps` };
  }
  if (record.exitCode === 3 && failAt !== undefined) return null;
  return { rule, text: `${says}, for no reason of the program` };
}

/**
 * What the lead does with each job once every member of a view has reported: leave it, start or recover it, or declare
 * it lost.
 *
 * Pure: from the merged record and the reports. Does not send, persist or wait. A job is left alone only when each of its
 * ranks runs, under the record's epoch, on the node where the record says; anything else is a recovery, whatever
 * the cause was, so that no cause can be forgotten.
 */
import type { Version } from "../checkpoint/checkpoint.ts";
import { compareNodeIds, type NodeId, type View } from "../membership/membership.ts";
import type { JobRecord, ReportMessage } from "./job.ts";
import { onLineage } from "./parts.ts";
import {
  type Candidate,
  type CandidateOrder,
  type PlaceOutcome,
  partnersOf,
  place,
} from "./placement.ts";
import { isOver } from "./records.ts";

/** A program that dies by itself dies again wherever it is started: it is not started for ever. */
const SETBACKS_MAX = 10;

export type Reports = ReadonlyMap<NodeId, ReportMessage>;

export type JobPlan =
  | { readonly kind: "leave" }
  | {
      readonly kind: "recover";
      readonly placement: readonly NodeId[];
      readonly partners: readonly (NodeId | null)[];
      readonly why: string;
      readonly setbacks: number;
    }
  /** First start, and not enough nodes yet. */
  | { readonly kind: "wait"; readonly why: string }
  | { readonly kind: "lost"; readonly verdict: string };

/** What a plan is made from. */
export interface Situation {
  readonly view: View;
  readonly reports: Reports;
  /** Nodes that run other jobs. */
  readonly busy: ReadonlySet<NodeId>;
  readonly order: CandidateOrder;
}

export function planJob(record: JobRecord, situation: Situation): JobPlan {
  const { view, reports } = situation;
  if (isOver(record)) return { kind: "leave" };
  const why = whatIsWrong(record, view, reports);
  if (why === null) return { kind: "leave" };
  const setbacks = setbacksOf(record, reports);
  if (setbacks > SETBACKS_MAX) {
    return {
      kind: "lost",
      verdict: `${why}; that was the ${SETBACKS_MAX + 1}th time in a row without a newer state: the fault is in the job. What is sealed is kept: once mended, \`holdfast run --resume ${record.spec.id}\``,
    };
  }
  const placed = placeJob(record, situation);
  if (!("missing" in placed)) return { kind: "recover", ...placed, why, setbacks };
  const ranks = `rank${placed.missing.length > 1 ? "s" : ""} ${placed.missing.join(", ")}`;
  if (record.placement.length === 0) {
    return { kind: "wait", why: `no free node for ${ranks}` };
  }
  return {
    kind: "lost",
    verdict: `${why}; no spare node is left for ${ranks}. Its sealed states are kept: add nodes, then \`holdfast run --resume ${record.spec.id}\``,
  };
}

/** null when every rank runs as the record says, or has ended. */
export function whatIsWrong(record: JobRecord, view: View, reports: Reports): string | null {
  if (record.state === "starting") return "first start";
  const wrong: string[] = [];
  for (let rank = 0; rank < record.spec.ranks; rank++) {
    const node = record.placement[rank] as NodeId;
    if (!view.members.some((member) => member.id === node))
      wrong.push(`${node} (rank ${rank}) left`);
    else if (!isWell(record, rank, reports.get(node))) {
      wrong.push(
        faultOf(record, rank, reports.get(node)) ?? `rank ${rank} does not run on ${node}`,
      );
    }
  }
  if (wrong.length > 0) return [...new Set(wrong)].join("; ");
  return record.state === "running" ? null : "the recovery before did not end";
}

function isWell(record: JobRecord, rank: number, report: ReportMessage | undefined): boolean {
  if (record.exits.some((exit) => exit.rank === rank)) return true;
  return (
    report?.running.some(
      (r) => r.job === record.spec.id && r.rank === rank && r.epoch === record.epoch,
    ) ?? false
  );
}

function faultOf(
  record: JobRecord,
  rank: number,
  report: ReportMessage | undefined,
): string | undefined {
  return report?.faults.find(
    (f) => f.job === record.spec.id && (f.kind === "proxy" || f.rank === rank),
  )?.detail;
}

/** With the one that is planned now. Nodes that leave are no fault of the job. */
function setbacksOf(record: JobRecord, reports: Reports): number {
  const { spec, epoch, lineage } = record;
  const base = lineage.at(-1)?.base ?? 0;
  const before = newestSealed(record, reports) > base ? 0 : record.setbacks;
  const isOwnFault = [...reports.values()].some(({ faults }) =>
    faults.some((fault) => fault.job === spec.id && fault.epoch === epoch),
  );
  return before + (isOwnFault ? 1 : 0);
}

function placeJob(record: JobRecord, { reports, busy, order }: Situation): PlaceOutcome {
  const available = new Set<NodeId>();
  const candidates: Candidate[] = [];
  for (const [node, report] of reports) {
    if (report.proxy === null) continue;
    available.add(node);
    if (busy.has(node)) continue;
    const held = new Set<number>();
    for (const h of report.holdings) {
      if (h.job === record.spec.id && h.sealed && h.version >= record.sealed) held.add(h.rank);
    }
    candidates.push({ node, load: report.load, holdsShards: held.size });
  }
  // Reports come in any order; equals are taken in the order of nodes.
  candidates.sort((a, b) => compareNodeIds(a.node, b.node));
  return place({
    rankCount: record.spec.ranks,
    previous: record.placement,
    available,
    candidates,
    order,
  });
}

/** The nodes that run ranks of other jobs: not candidates for this one. */
export function busyNodes(records: readonly JobRecord[], job: string): ReadonlySet<NodeId> {
  const busy = new Set<NodeId>();
  for (const record of records) {
    if (record.spec.id === job || isOver(record)) continue;
    for (const node of record.placement) busy.add(node);
  }
  return busy;
}

/** One above every version number that anybody in the view has seen: never given twice within one view. */
export function nextVersion(record: JobRecord, reports: Reports): Version {
  let newest: number = record.sealed;
  for (const back of record.lineage) newest = Math.max(newest, back.base);
  for (const report of reports.values()) {
    for (const holding of report.holdings) {
      if (holding.job === record.spec.id) newest = Math.max(newest, holding.version);
    }
  }
  return (newest + 1) as Version;
}

/** The newest version of the job's history that anybody has sealed. */
export function newestSealed(record: JobRecord, reports: Reports): Version {
  let newest = record.sealed;
  for (const report of reports.values()) {
    for (const h of onLineage(report.holdings, record.lineage)) {
      if (h.job === record.spec.id && h.sealed && h.version > newest) newest = h.version;
    }
  }
  return newest;
}

/** Who keeps the copies when a partner of a job that runs on has left; null when nobody is missing. */
export function mendedPartners(
  record: JobRecord,
  { members }: View,
): readonly (NodeId | null)[] | null {
  const isThere = (node: NodeId | null): boolean => members.some((member) => member.id === node);
  const spare = members.find((m) => m.role === "worker" && !record.placement.includes(m.id));
  const wanted = partnersOf(record.placement, spare?.id ?? null);
  const isMissing = record.partners.some((partner, rank) =>
    partner === null ? (wanted[rank] ?? null) !== null : !isThere(partner),
  );
  return isMissing ? wanted : null;
}

/** Whether going back to the very start would lose work. */
export function wasEverSealed(record: JobRecord, reports: Reports): boolean {
  if (record.sealed > 0) return true;
  for (const report of reports.values()) {
    const usable = onLineage(report.holdings, record.lineage);
    if (usable.some((h) => h.job === record.spec.id && h.sealed)) return true;
  }
  return false;
}

export interface Demand {
  readonly ranks: number;
  readonly spares: number;
  readonly freeNodes: number;
  readonly workerNodes: number;
  /** Worker nodes that can take no rank, since no proxy starts there. */
  readonly withoutProxy: readonly NodeId[];
}

/** Why a request to run cannot be taken now; null when it can. */
export function refusal(demand: Demand): string | null {
  const { ranks, spares, freeNodes, workerNodes, withoutProxy } = demand;
  const wanted = ranks + spares;
  if (wanted <= freeNodes) return null;
  const broken =
    withoutProxy.length === 0
      ? ""
      : `. No proxy starts on ${withoutProxy.join(", ")}: the log of the agent there says why`;
  return (
    `${ranks} ranks and ${spares} spares need ${wanted} free nodes, there are ${freeNodes} ` +
    `(of ${workerNodes} worker nodes). Ask for fewer, or add nodes with \`holdfast agent --join\`${broken}`
  );
}

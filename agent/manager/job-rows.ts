/**
 * Jobs with their sealed versions, from what nodes report.
 *
 * Which versions somebody holds is told by each node for itself; a version from which every rank can go on has as many ranks as
 * the job. Decides nothing about which version a recovery takes: the proxies do.
 */
import type { ReportedRank } from "../callhome/report.ts";
import type { JobRow, JobVersionRow } from "./api.ts";
import type { KeptReport } from "./fleet.ts";

const VERSIONS_MAX = 64;

export interface JobSource {
  readonly node: string;
  readonly ranks: readonly ReportedRank[];
  readonly holds: readonly Omit<ReportedRank, "epoch">[];
}

/** O(what is held of that job). */
function versionsOf(job: string, sources: readonly JobSource[]): readonly JobVersionRow[] {
  const versions = new Map<number, { nodes: Set<string>; ranks: Set<number> }>();
  for (const { node, ranks, holds } of sources) {
    for (const held of [...ranks, ...holds]) {
      if (held.job !== job) continue;
      for (const version of held.sealed) {
        const known = versions.get(version) ?? { nodes: new Set(), ranks: new Set() };
        known.nodes.add(node);
        known.ranks.add(held.rank);
        versions.set(version, known);
      }
    }
  }
  return [...versions]
    .sort(([a], [b]) => b - a)
    .slice(0, VERSIONS_MAX)
    .map(([version, { nodes, ranks }]) => ({
      version,
      nodes: [...nodes].sort(),
      ranks: ranks.size,
    }));
}

export function jobRows(
  report: KeptReport,
  sources: readonly JobSource[],
  nowMs: number,
): readonly JobRow[] {
  return report.jobs.map((job) => ({
    ...job,
    versions: versionsOf(job.id, sources),
    reportedBy: report.node,
    reportedMs: nowMs,
  }));
}

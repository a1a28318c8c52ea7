/**
 * The plan of a recovery as the nodes of the job are told it: the record under the new epoch, and all they need to join,
 * select and restore without asking anybody again.
 */
import { type Holding, isOnLineage } from "../checkpoint/checkpoint.ts";
import type { Epoch, NodeId, View } from "../membership/membership.ts";
import type { AssignMessage, JobRecord } from "./job.ts";
import { shardUrlOf } from "./parts.ts";
import { type JobPlan, nextVersion, type Reports, wasEverSealed } from "./planning.ts";
import { revise } from "./records.ts";

export type RecoverPlan = Extract<JobPlan, { kind: "recover" }>;

export function recoveringRecord(
  record: JobRecord,
  { placement, partners, why, setbacks }: RecoverPlan,
  epoch: Epoch,
  atMs: number,
): JobRecord {
  const moved = placement.flatMap((node, rank) =>
    record.placement[rank] === node ? [] : [`rank ${rank} → ${node}`],
  );
  const what = [why, ...(moved.length > 0 ? [moved.join(", ")] : [])].join(": ");
  const change = { epoch, state: "recovering", placement, partners, setbacks, exits: [] } as const;
  return revise(record, change, { atMs, what });
}

export function assignMessage(record: JobRecord, view: View, reports: Reports): AssignMessage {
  const job = record.spec.id;
  const placed = new Set<NodeId>(record.placement);
  return {
    kind: "assign",
    epoch: record.epoch,
    record,
    proxies: [...reports].flatMap(([node, { proxy }]) =>
      proxy !== null && placed.has(node) ? [proxy] : [],
    ),
    holdings: [...reports].map(([node, { holdings }]) => ({
      node,
      holdings: holdings.filter((h) => h.job === job).map((h) => asSealed(h, record)),
    })),
    shardUrls: view.members.map((member) => ({ node: member.id, url: shardUrlOf(member) })),
    nextVersion: nextVersion(record, reports),
    everSealed: wasEverSealed(record, reports),
  };
}

/** The lead may know of a seal that came after its holder had reported: what is sealed once is sealed for all. */
function asSealed(holding: Holding, { sealed, lineage }: JobRecord): Holding {
  const isKnown = holding.version === sealed && isOnLineage(holding, lineage);
  return isKnown && !holding.sealed ? { ...holding, sealed: true } : holding;
}

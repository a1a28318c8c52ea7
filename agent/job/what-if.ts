/**
 * What would happen if these nodes died now? Asked of a healthy cluster; nothing is changed.
 *
 * The same decisions as in a real recovery: majority of the view, placement, selection (injected: it lives with the
 * proxies). `lossMs` is the work since the selected version was sealed.
 */
import type { NodeHoldings, Selection, Version } from "../checkpoint/checkpoint.ts";
import { majorityOf, type NodeId, type View } from "../membership/membership.ts";
import type { JobRecord, NodeLoad } from "./job.ts";
import { type CandidateOrder, place } from "./placement.ts";
import { busyNodes } from "./planning.ts";
import { isOver } from "./records.ts";

export interface WhatIfQuestion {
  readonly view: View;
  readonly lost: readonly NodeId[];
  readonly records: readonly JobRecord[];
  /** What every node holds, of all jobs. */
  readonly holdings: readonly NodeHoldings[];
  /** When this agent saw a version sealed, milliseconds since 1970; null when it did not. */
  readonly sealedAtMs: (job: string, version: Version) => number | null;
  readonly nowMs: number;
}

export interface WhatIfTools {
  readonly order: CandidateOrder;
  readonly select: (input: {
    readonly size: number;
    readonly holdings: readonly NodeHoldings[];
    readonly lineage: JobRecord["lineage"];
    readonly poisoned: readonly Version[];
    readonly everSealed: boolean;
    readonly lost: readonly NodeHoldings[];
  }) => Selection;
}

export interface JobFate {
  readonly job: string;
  /** `untouched`: none of its nodes dies. `frozen`: the rest has no majority, so nobody acts until nodes come back. */
  readonly fate: "untouched" | "rolled-back" | "frozen" | "lost";
  readonly version: Version | null;
  /** null when it is not known. */
  readonly lossMs: number | null;
  /** Node of each rank afterwards. */
  readonly placement: readonly NodeId[];
  readonly why: readonly string[];
}

export interface WhatIfAnswer {
  readonly lost: readonly NodeId[];
  readonly survivors: readonly NodeId[];
  readonly hasMajority: boolean;
  readonly jobs: readonly JobFate[];
}

/** Loads do not matter to whether a job survives: every spare counts as an equal. */
const EQUAL_LOAD: NodeLoad = { cores: 1, freeMemoryBytes: 0, loadAverage: 0 };

export function whatIf(question: WhatIfQuestion, tools: WhatIfTools): WhatIfAnswer {
  const gone = new Set(question.lost);
  const survivors = question.view.members.filter((member) => !gone.has(member.id));
  const hasMajority = survivors.length >= majorityOf(question.view.members.length);
  const jobs = question.records
    .filter((record) => !isOver(record))
    .map((record) => fateOf(record, question, tools, hasMajority));
  return { lost: question.lost, survivors: survivors.map((m) => m.id), hasMajority, jobs };
}

function fateOf(
  record: JobRecord,
  question: WhatIfQuestion,
  tools: WhatIfTools,
  hasMajority: boolean,
): JobFate {
  const job = record.spec.id;
  const gone = new Set(question.lost);
  const none = { job, version: null, lossMs: null, placement: [] };
  if (!hasMajority) {
    const { view } = question;
    const left = view.members.length - gone.size;
    const why = `${left} of ${view.members.length} members are no majority: the rest would freeze, neither roll back nor write, until nodes come back`;
    return { ...none, fate: "frozen", why: [why] };
  }
  if (!record.placement.some((node) => gone.has(node))) {
    const why = "none of its nodes is among the lost";
    return { ...none, fate: "untouched", placement: record.placement, why: [why] };
  }
  const selection = selectAfter(record, question, tools);
  const placed = placeAfter(record, question, tools.order);
  if ("missing" in placed) {
    const why = `no spare node is left for rank${placed.missing.length > 1 ? "s" : ""} ${placed.missing.join(", ")}`;
    return { ...none, fate: "lost", version: selection.version, why: [why] };
  }
  if (selection.version === null) {
    return { ...none, fate: "lost", why: selection.explanation };
  }
  const sealedAtMs = question.sealedAtMs(job, selection.version);
  return {
    job,
    fate: "rolled-back",
    version: selection.version,
    lossMs: sealedAtMs === null ? null : Math.max(0, question.nowMs - sealedAtMs),
    placement: placed.placement,
    why: selection.explanation,
  };
}

function selectAfter(record: JobRecord, question: WhatIfQuestion, tools: WhatIfTools): Selection {
  const job = record.spec.id;
  const gone = new Set(question.lost);
  const mine = question.holdings.map(({ node, holdings }) => ({
    node,
    holdings: holdings.filter((holding) => holding.job === job),
  }));
  return tools.select({
    size: record.spec.ranks,
    holdings: mine.filter(({ node }) => !gone.has(node)),
    lineage: record.lineage,
    poisoned: record.poisoned,
    everSealed: record.sealed > 0 || mine.some(({ holdings }) => holdings.some((h) => h.sealed)),
    lost: mine.filter(({ node }) => gone.has(node)),
  });
}

function placeAfter(record: JobRecord, question: WhatIfQuestion, order: CandidateOrder) {
  const gone = new Set(question.lost);
  const busy = busyNodes(question.records, record.spec.id);
  const workers = question.view.members
    .filter((member) => member.role === "worker" && !gone.has(member.id))
    .map((member) => member.id);
  return place({
    rankCount: record.spec.ranks,
    previous: record.placement,
    available: new Set(workers),
    candidates: workers
      .filter((node) => !busy.has(node))
      .map((node) => ({ node, load: EQUAL_LOAD, holdsShards: 0 })),
    order,
  });
}

/**
 * The job records a node knows, and the rule that orders them.
 *
 * Decides which of two records of a job is the newer one and how a record changes; does not decide when. A record of a
 * higher epoch wins, then the higher revision: only the lead of an epoch writes records of it, so two different records
 * never share both numbers.
 */
import type { Rollback, Selection, Version } from "../checkpoint/checkpoint.ts";
import type { Epoch, NodeId } from "../membership/membership.ts";
import type { JobHistoryEntry, JobRecord, JobSpec } from "./job.ts";

/** The story of a job keeps its newest lines; a job that recovers every 15 s for an hour still fits. */
export const HISTORY_LINES_MAX = 200;

/** More rollbacks than the version window has versions cannot matter to any shard that selection looks at. */
export const LINEAGE_ENTRIES_MAX = 64;

/** Ended jobs that a node remembers. */
export const ENDED_JOBS_MAX = 100;

export function isNewer(a: JobRecord, b: JobRecord): boolean {
  return a.epoch > b.epoch || (a.epoch === b.epoch && a.revision > b.revision);
}

export function isOver(record: JobRecord): boolean {
  return record.state === "ended" || record.state === "lost";
}

export function newRecord(spec: JobSpec, epoch: Epoch, atMs: number): JobRecord {
  return {
    spec,
    epoch,
    revision: 0,
    state: "starting",
    placement: [],
    partners: [],
    lineage: [],
    poisoned: [],
    sealed: 0 as Version,
    exits: [],
    setbacks: 0,
    exitCode: null,
    verdict: null,
    history: [{ epoch, atMs, what: `accepted: ${spec.argv.join(" ")}, ${spec.ranks} ranks` }],
  };
}

/** The next revision under the same epoch, with a line for its story. */
export function revise(
  record: JobRecord,
  change: Partial<Omit<JobRecord, "spec" | "revision" | "history">>,
  line: { readonly atMs: number; readonly what: string; readonly selection?: Selection } | null,
): JobRecord {
  const epoch = change.epoch ?? record.epoch;
  const entry: JobHistoryEntry[] = line === null ? [] : [{ epoch, ...line }];
  return {
    ...record,
    ...change,
    revision: epoch === record.epoch ? record.revision + 1 : 0,
    history: [...record.history, ...entry].slice(-HISTORY_LINES_MAX),
  };
}

/**
 * The lineage after going back to `base` at `epoch`. An earlier entry with a base that is not lower says nothing that
 * the new one does not say.
 */
export function withRollback(
  lineage: readonly Rollback[],
  epoch: Epoch,
  base: Version,
): readonly Rollback[] {
  const kept = lineage.filter((back) => back.base < base);
  return [...kept, { epoch, base }].slice(-LINEAGE_ENTRIES_MAX);
}

export function ranksOf(record: JobRecord, node: NodeId): number[] {
  const ranks: number[] = [];
  for (let rank = 0; rank < record.placement.length; rank++) {
    if (record.placement[rank] === node) ranks.push(rank);
  }
  return ranks;
}

export function nodesOf(record: JobRecord): NodeId[] {
  return [...new Set(record.placement)];
}

/** Who keeps shards: the nodes of the ranks, and partners that run none. */
export function keepersOf(record: JobRecord): NodeId[] {
  const partners = record.partners.filter((partner) => partner !== null);
  return [...new Set([...record.placement, ...partners])];
}

/** The newest record of each job. */
export class RecordBook {
  readonly #records = new Map<string, JobRecord>();

  constructor(saved: readonly JobRecord[]) {
    for (const record of saved) this.adopt(record);
  }

  get(job: string): JobRecord | undefined {
    return this.#records.get(job);
  }

  all(): readonly JobRecord[] {
    return [...this.#records.values()];
  }

  /** Keeps the record if it is newer than what is known; says whether it was. */
  adopt(record: JobRecord): boolean {
    const known = this.#records.get(record.spec.id);
    if (known !== undefined && !isNewer(record, known)) return false;
    // Set anew so that the order of the map is the order of the last change.
    this.#records.delete(record.spec.id);
    this.#records.set(record.spec.id, record);
    return true;
  }

  /** A version was sealed: remembered with the record, but not a change that others must be told. */
  noteSealed(job: string, version: Version): void {
    const record = this.#records.get(job);
    if (record === undefined || record.sealed >= version) return;
    this.#records.set(job, { ...record, sealed: version });
  }

  /** The ended jobs beyond the bound, oldest first; they are forgotten here. */
  forgetOldest(): string[] {
    const over = this.all().filter(isOver);
    const gone = over.slice(0, Math.max(0, over.length - ENDED_JOBS_MAX)).map((r) => r.spec.id);
    for (const job of gone) this.#records.delete(job);
    return gone;
  }
}

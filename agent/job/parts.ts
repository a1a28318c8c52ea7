/** What the parts of a node's job code share: one of each a node, made by `NodeMachine`. */
import {
  type Holding,
  isOnLineage,
  type Rollback,
  type Version,
} from "../checkpoint/checkpoint.ts";
import type { Member } from "../membership/membership.ts";
import type { EffectSink } from "./effects.ts";
import type { JobRecord } from "./job.ts";
import type { NodeConfig } from "./node-events.ts";
import type { Programs } from "./programs.ts";
import type { ProxyPool } from "./proxy-pool.ts";
import type { RecordBook } from "./records.ts";

export interface NodeParts {
  readonly config: NodeConfig;
  readonly book: RecordBook;
  readonly pool: ProxyPool;
  readonly programs: Programs;
  readonly shards: LocalShards;
}

/** What the node's own store holds, as its last event said. */
export class LocalShards {
  readonly #byJob = new Map<string, readonly Holding[]>();

  constructor(holdings: readonly Holding[]) {
    for (const job of new Set(holdings.map((h) => h.job))) {
      this.set(
        job,
        holdings.filter((h) => h.job === job),
      );
    }
  }

  set(job: string, holdings: readonly Holding[]): void {
    if (holdings.length === 0) this.#byJob.delete(job);
    else this.#byJob.set(job, holdings);
  }

  of(job: string): readonly Holding[] {
    return this.#byJob.get(job) ?? [];
  }

  all(): readonly Holding[] {
    return [...this.#byJob.values()].flat();
  }

  has(job: string, rank: number, version: Version, lineage: readonly Rollback[]): boolean {
    return holdsChain(onLineage(this.of(job), lineage), rank, version);
  }

  /** Sealed versions of a job on this node that belong to its history, oldest first. */
  sealed(job: string, lineage: readonly Rollback[]): readonly Version[] {
    const versions = new Set<Version>();
    for (const h of onLineage(this.of(job), lineage)) if (h.sealed) versions.add(h.version);
    return [...versions].sort((a, b) => a - b);
  }
}

/** Without what an abandoned future left behind: it may bear the same version numbers. */
export function onLineage(
  holdings: readonly Holding[],
  lineage: readonly Rollback[],
): readonly Holding[] {
  return holdings.filter((holding) => isOnLineage(holding, lineage));
}

/** Whether a version of a rank and every parent it is a delta against are there. O(chain × holdings). */
export function holdsChain(holdings: readonly Holding[], rank: number, version: Version): boolean {
  let wanted: Version | null = version;
  while (wanted !== null) {
    const step: Version = wanted;
    const shard = holdings.find((h) => h.rank === rank && h.version === step);
    if (shard === undefined) return false;
    // A parent is always older, so the walk ends.
    if (shard.parent !== null && shard.parent >= step) return false;
    wanted = shard.parent;
  }
  return true;
}

/** Every agent serves its shards under this path of its own address. */
export function shardUrlOf(member: Member): string {
  const host = member.address.includes(":") ? `[${member.address}]` : member.address;
  return `http://${host}:${member.port}/v1/shards`;
}

/** What an abandoned future left behind must never be taken, or sealed, for the state of the same number. */
export function collectAbandoned(
  shards: LocalShards,
  { spec, lineage }: JobRecord,
  sink: EffectSink,
): void {
  const job = spec.id;
  const held = shards.of(job);
  if (onLineage(held, lineage).length === held.length) return;
  const keepFrom = 0 as Version;
  const token = sink.token();
  sink.push({ kind: "store", command: { kind: "collect", token, job, keepFrom, lineage } });
}

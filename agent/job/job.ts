/**
 * The job contract: what a user asks for, what is kept about it, and what the decision code of a node (`node.ts`) is told
 * and asks to be done.
 *
 * A job record is replicated: each member of the view keeps it on disk, the newest (epoch, revision) wins, and the lead of
 * the view (its first living member) is the only one who writes a new one. A recovery is three rounds between lead and members,
 * all under one epoch; a fault during any of them is a new view, hence a higher epoch, hence a new recovery:
 *
 *   report  (members → lead)   what this node holds, runs, and knows of the jobs; its warm proxy's endpoint
 *   assign  (lead → members)   placement, proxies, holdings: proxies are relaunched and select; regions are restored
 *   resume  (lead → members)   once all are ready with the same version: the record says so, the programs run
 */
import type { Holding, Rollback, Selection, Version } from "../checkpoint/checkpoint.ts";
import type { Epoch, NodeId } from "../membership/membership.ts";
import type { ProxyEndpoint } from "../proxy/proxy.ts";

export interface JobSpec {
  /** `j-` and eight hexadecimal digits; given by the agent that took the job. */
  readonly id: string;
  /** What the user typed after `--`. */
  readonly argv: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly ranks: number;
  /** Nodes to be kept free for this job when it starts. */
  readonly spares: number;
  /** null: every call of checkpoint() takes one. */
  readonly checkpointEveryMs: number | null;
}

export type JobState =
  /** Waiting for nodes, or being placed for the first time. */
  | "starting"
  | "running"
  | "recovering"
  /** Every rank ended, or one ended with a code other than 0. */
  | "ended"
  /** No spare, or no state left to restore; its sealed states are kept for `run --resume`. */
  | "lost";

export interface RankExit {
  readonly rank: number;
  readonly code: number;
}

/** One line of a job's story; what `job explain` prints. */
export interface JobHistoryEntry {
  readonly epoch: Epoch;
  /** Wall clock of the lead, milliseconds since 1970. */
  readonly atMs: number;
  readonly what: string;
  readonly selection?: Selection;
}

export interface JobRecord {
  readonly spec: JobSpec;
  readonly epoch: Epoch;
  /** Counts the changes under one epoch. */
  readonly revision: number;
  readonly state: JobState;
  /** Node of each rank; empty while never placed. */
  readonly placement: readonly NodeId[];
  /** Node that keeps the copy of each rank's shards; null when the job has one node only. */
  readonly partners: readonly (NodeId | null)[];
  readonly lineage: readonly Rollback[];
  readonly poisoned: readonly Version[];
  /** The newest version known to be sealed; 0 for none. */
  readonly sealed: Version;
  readonly exits: readonly RankExit[];
  /** The job's exit code once ended. */
  readonly exitCode: number | null;
  /** One line: why it ended or was lost, and what to do. */
  readonly verdict: string | null;
  /** The newest 200. */
  readonly history: readonly JobHistoryEntry[];
}

/** A local fault that a member reports: the node lives, part of the job on it does not. */
export type LocalFault =
  | { readonly kind: "proxy"; readonly job: string; readonly detail: string }
  | { readonly kind: "program"; readonly job: string; readonly rank: number; readonly detail: string }
  | { readonly kind: "damaged"; readonly job: string; readonly rank: number; readonly version: Version };

export interface RunningRank {
  readonly job: string;
  readonly rank: number;
  readonly pid: number;
  /** The epoch of the assignment it runs under. */
  readonly epoch: Epoch;
}

export interface NodeLoad {
  readonly cores: number;
  readonly freeMemoryBytes: number;
  readonly loadAverage: number;
}

/** Messages between agents, about jobs. Every one carries the epoch of the view it belongs to. */
export type JobMessage =
  | {
      readonly kind: "report";
      readonly epoch: Epoch;
      readonly records: readonly JobRecord[];
      readonly holdings: readonly Holding[];
      readonly running: readonly RunningRank[];
      readonly faults: readonly LocalFault[];
      readonly proxy: ProxyEndpoint;
      readonly shardUrl: string;
      readonly load: NodeLoad;
    }
  | { readonly kind: "record"; readonly epoch: Epoch; readonly record: JobRecord }
  | {
      readonly kind: "assign";
      readonly epoch: Epoch;
      readonly record: JobRecord;
      readonly proxies: readonly ProxyEndpoint[];
      readonly holdings: readonly { readonly node: NodeId; readonly holdings: readonly Holding[] }[];
      readonly shardUrls: readonly { readonly node: NodeId; readonly url: string }[];
      readonly nextVersion: Version;
      /** Ranks that start in a new process, wherever they are. */
      readonly fresh: readonly number[];
    }
  | {
      readonly kind: "ready";
      readonly epoch: Epoch;
      readonly job: string;
      readonly selection: Selection;
      /** null: restored and idle. Else why this node cannot, and the recovery is tried again without it or that version. */
      readonly failure: string | null;
    }
  | { readonly kind: "resume"; readonly epoch: Epoch; readonly record: JobRecord; readonly version: Version }
  | {
      readonly kind: "durable";
      readonly epoch: Epoch;
      readonly job: string;
      readonly rank: number;
      readonly version: Version;
    }
  | { readonly kind: "seal"; readonly epoch: Epoch; readonly job: string; readonly version: Version }
  | { readonly kind: "exited"; readonly epoch: Epoch; readonly job: string; readonly exit: RankExit }
  | { readonly kind: "submit"; readonly epoch: Epoch; readonly token: string; readonly request: JobRequest }
  | {
      readonly kind: "submitted";
      readonly epoch: Epoch;
      readonly token: string;
      readonly refused: string | null;
    };

export type JobRequest =
  | { readonly kind: "run"; readonly spec: JobSpec }
  | { readonly kind: "resume"; readonly job: string }
  | { readonly kind: "cancel"; readonly job: string };

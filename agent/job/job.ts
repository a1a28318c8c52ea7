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
import type {
  Holding,
  NodeHoldings,
  Rollback,
  Selection,
  ShardSource,
  Version,
} from "../checkpoint/checkpoint.ts";
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
  /** What the job's proxies show each other, 64 hexadecimal digits; goes to nobody but its nodes. Absent: of an earlier release. */
  readonly key?: string;
  /** Whether what the proxies say to each other is encrypted. */
  readonly isEncrypted?: boolean;
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
  /** For a code other than 0: one line that says what happened. */
  readonly detail: string;
}

/** An end under the plan of `epoch`; void once the job has a newer plan. */
export interface PendingExit {
  readonly job: string;
  readonly epoch: Epoch;
  readonly exit: RankExit;
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
  /** Recoveries in a row after the end of a program or proxy, with no newer version sealed between them. */
  readonly setbacks: number;
  /** The job's exit code once ended. */
  readonly exitCode: number | null;
  /** One line: why it ended or was lost, and what to do. */
  readonly verdict: string | null;
  /** The newest 200. */
  readonly history: readonly JobHistoryEntry[];
}

/** A local fault that a member reports: the node lives, part of the job on it does not. */
export type LocalFault =
  | { readonly kind: "proxy"; readonly job: string; readonly epoch: Epoch; readonly detail: string }
  | {
      readonly kind: "program";
      readonly job: string;
      readonly epoch: Epoch;
      readonly rank: number;
      readonly detail: string;
    };

export interface RunningRank {
  readonly job: string;
  readonly rank: number;
  readonly pid: number;
  /** The epoch of the assignment it runs under. */
  readonly epoch: Epoch;
  readonly proxyPid: number;
}

export interface NodeLoad {
  readonly cores: number;
  readonly freeMemoryBytes: number;
  readonly loadAverage: number;
}

/** How far a member is with an assignment; sent with every retry so that the lead can tell slow from stuck. */
export type RecoveryStage = "assigned" | "joined" | "idle" | "selected" | "restoring" | "restored";

export interface ReportMessage {
  readonly kind: "report";
  readonly epoch: Epoch;
  readonly records: readonly JobRecord[];
  readonly holdings: readonly Holding[];
  readonly running: readonly RunningRank[];
  readonly faults: readonly LocalFault[];
  /** Ends that the lead has not recorded yet. */
  readonly exits: readonly PendingExit[];
  /** null: a witness, or the proxy does not start here; such a node gets no rank. */
  readonly proxy: ProxyEndpoint | null;
  readonly load: NodeLoad;
}

export interface AssignMessage {
  readonly kind: "assign";
  readonly epoch: Epoch;
  readonly record: JobRecord;
  readonly proxies: readonly ProxyEndpoint[];
  readonly holdings: readonly NodeHoldings[];
  readonly shardUrls: readonly ShardSource[];
  readonly nextVersion: Version;
  /** Whether any version of this job was ever sealed. */
  readonly everSealed: boolean;
}

export interface ReadyMessage {
  readonly kind: "ready";
  readonly epoch: Epoch;
  readonly job: string;
  readonly selection: Selection;
  /** null: restored and idle. Else why this node cannot; the recovery is tried again under a higher epoch. */
  readonly failure: string | null;
}

/**
 * Messages between agents, about jobs. Links lose what is under way when they close, so whoever waits repeats itself:
 * a member repeats `report`, `progress` or `ready` until the lead says `settled`, `durable` until the seal comes, `exited` until
 * the record shows it; the lead repeats `record` and `seal` until they are acknowledged.
 *
 * `epoch` is the view's for report, settled, assign, progress, ready, resume, resumed, submit, submitted; it is the
 * record's (the plan in force) for record, recorded, durable, seal, sealed and exited. What does not match is dropped.
 */
export type JobMessage =
  | ReportMessage
  | AssignMessage
  | ReadyMessage
  | { readonly kind: "settled"; readonly epoch: Epoch }
  | {
      readonly kind: "progress";
      readonly epoch: Epoch;
      readonly job: string;
      readonly stage: RecoveryStage;
    }
  | {
      readonly kind: "resume";
      readonly epoch: Epoch;
      readonly record: JobRecord;
      readonly version: Version;
    }
  | { readonly kind: "resumed"; readonly epoch: Epoch; readonly job: string }
  | { readonly kind: "record"; readonly epoch: Epoch; readonly record: JobRecord }
  | {
      readonly kind: "recorded";
      readonly epoch: Epoch;
      readonly job: string;
      readonly revision: number;
    }
  | {
      readonly kind: "durable";
      readonly epoch: Epoch;
      readonly job: string;
      readonly rank: number;
      readonly version: Version;
    }
  | {
      readonly kind: "seal";
      readonly epoch: Epoch;
      readonly job: string;
      readonly version: Version;
    }
  | {
      readonly kind: "sealed";
      readonly epoch: Epoch;
      readonly job: string;
      readonly version: Version;
    }
  | {
      readonly kind: "exited";
      readonly epoch: Epoch;
      readonly job: string;
      readonly exit: RankExit;
    }
  | {
      readonly kind: "submit";
      readonly epoch: Epoch;
      readonly token: string;
      readonly request: JobRequest;
    }
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

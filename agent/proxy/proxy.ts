/**
 * The proxy contract: what an agent and a proxy process say to each other over the proxy's control socket.
 *
 * A proxy is one process per job and node. It is the only holder of the communication library's state, so it can be
 * replaced under living programs: the agent ends the old process and assigns a fresh one the new epoch. An agent keeps one
 * unassigned proxy warm (started and listening), so that a recovery does not wait for a process to start; its port is
 * therefore known before it is assigned.
 *
 * Order of a recovery, seen from one proxy:
 *   listening → (assign) → joined (connected to the other proxies) and idle (each local program waits in the SDK)
 *   → selected → (agent restores regions) → (resume) → programs run
 *
 * Messages are JSON, one a line, over a Unix socket; the agent is the server. Bulk bytes never go this way.
 * A proxy whose control socket closes ends itself and so do its programs.
 */
import type {
  NodeHoldings,
  RegionFile,
  Rollback,
  Selection,
  Version,
} from "../checkpoint/checkpoint.ts";
import type { Epoch, NodeId } from "../membership/membership.ts";

/** Where the proxy of a node listens for other proxies. */
export interface ProxyEndpoint {
  readonly node: NodeId;
  readonly host: string;
  readonly port: number;
}

export interface LocalRank {
  readonly rank: number;
  /** The shared memory file of this rank; made by the proxy when `fresh`, else mapped as it is. */
  readonly segment: string;
  /** Folder of the region files of this rank. */
  readonly regionsFolder: string;
  /** No program lives here yet: it will be started once the state is restored. */
  readonly fresh: boolean;
}

export interface JobSecret {
  /** 64 hexadecimal digits. */
  readonly key: string;
  /** Whether what the proxies say to each other is encrypted besides. */
  readonly isEncrypted: boolean;
}

export type AgentToProxy =
  | {
      readonly kind: "assign";
      readonly job: string;
      readonly epoch: Epoch;
      readonly node: NodeId;
      readonly size: number;
      /** Node of each rank; index = rank. */
      readonly placement: readonly NodeId[];
      readonly proxies: readonly ProxyEndpoint[];
      readonly local: readonly LocalRank[];
      /** null: every call of checkpoint() takes one. */
      readonly checkpointEveryMs: number | null;
      /** What every node of the view holds of this job: the plurality of states to select from. */
      readonly holdings: readonly NodeHoldings[];
      readonly lineage: readonly Rollback[];
      /** Versions that failed on use. */
      readonly poisoned: readonly Version[];
      /** Whether any version of this job was ever sealed: if so, starting from 0 would lose work and is not selected. */
      readonly everSealed: boolean;
      /** The first version number that may be given to a checkpoint under this epoch. */
      readonly nextVersion: Version;
      /** A program that does not reach a call within this time counts as stuck. */
      readonly idleWithinMs: number;
      /** What the job's proxies show each other; null: a job without a key. */
      readonly secret: JobSecret | null;
    }
  | {
      /** The state of a capture is safely copied: the program's checkpoint() returns. */
      readonly kind: "captured";
      readonly epoch: Epoch;
      readonly rank: number;
      readonly version: Version;
      /** null: good. Else checkpoint() reports it, and the version does not count. */
      readonly failure: string | null;
    }
  | {
      /** Everything is restored everywhere: load the mailboxes, let the programs run from `version`. */
      readonly kind: "resume";
      readonly epoch: Epoch;
      readonly version: Version;
      /** Saved messages under way, a file for each rank that has one. */
      readonly mailboxes: readonly { readonly rank: number; readonly path: string }[];
    }
  | { readonly kind: "quit" };

export type ProxyToAgent =
  | { readonly kind: "listening"; readonly pid: number; readonly port: number }
  /** Connected with every other proxy of the assignment. */
  | { readonly kind: "joined"; readonly epoch: Epoch }
  /** Every local program that lives is waiting in the SDK and will not touch its regions. */
  | { readonly kind: "idle"; readonly epoch: Epoch }
  /** This program did not reach a call in time; the agent ends it and starts it anew from the restored state. */
  | { readonly kind: "stuck"; readonly epoch: Epoch; readonly rank: number }
  | { readonly kind: "selected"; readonly epoch: Epoch; readonly selection: Selection }
  /** A program has joined through the SDK. */
  | {
      readonly kind: "attached";
      readonly epoch: Epoch;
      readonly rank: number;
      readonly pid: number;
    }
  /** A rank is in checkpoint(), channels are drained: copy its regions. */
  | {
      readonly kind: "capture";
      readonly epoch: Epoch;
      readonly rank: number;
      readonly version: Version;
      readonly regions: readonly RegionFile[];
      readonly mailbox: string | null;
    }
  /** A connection to another proxy closed: a hint, not a verdict. */
  | { readonly kind: "peer-lost"; readonly epoch: Epoch; readonly node: NodeId }
  /** The assignment cannot go on (selections differ, a peer speaks garbage): one line that says why. */
  | { readonly kind: "failed"; readonly epoch: Epoch; readonly reason: string };

/** How a program finds its proxy: set by the agent in the program's environment. */
export const PROGRAM_ENV = {
  job: "HOLDFAST_JOB",
  rank: "HOLDFAST_RANK",
  size: "HOLDFAST_SIZE",
  segment: "HOLDFAST_SEGMENT",
  regionsFolder: "HOLDFAST_REGIONS",
  control: "HOLDFAST_CONTROL",
} as const;

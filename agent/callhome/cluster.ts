/**
 * What call home sees of the cluster: how this node is, what changes, the jobs. Types; the agent gives what fits them.
 */
import type { Epoch, NodeId, View } from "../membership/membership.ts";
import type { ReportedStatus } from "./report.ts";

/** Of a job's record. */
export interface ClusterJob {
  readonly spec: {
    readonly id: string;
    readonly argv: readonly string[];
    readonly ranks: number;
  };
  readonly epoch: Epoch;
  readonly revision: number;
  readonly state: "starting" | "running" | "recovering" | "ended" | "lost";
  readonly placement: readonly NodeId[];
  /** Who keeps the copy of each rank's states; null: nobody. */
  readonly partners: readonly (NodeId | null)[];
  /** Where it went back to, oldest first. */
  readonly lineage?: readonly { readonly epoch: number; readonly base: number }[] | undefined;
  readonly sealed: number;
  readonly exitCode: number | null;
  readonly verdict: string | null;
}

export type ClusterChange =
  | { readonly kind: "view"; readonly view: View; readonly previous: View | null }
  | { readonly kind: "frozen"; readonly reason: string }
  | { readonly kind: "thawed" }
  | { readonly kind: "job"; readonly record: ClusterJob };

/** With the node's id. */
export interface ClusterStatus extends ReportedStatus {
  readonly id: string;
}

export interface ClusterWatch {
  status(): ClusterStatus;
  records(): readonly ClusterJob[];
  /** Calls back at each change, until what it returns is called. */
  onChange(callback: (change: ClusterChange) => void): () => void;
}

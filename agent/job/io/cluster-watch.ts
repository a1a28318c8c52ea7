/**
 * What a companion of an agent may see of the cluster: how things are, and what changes, as it happens.
 *
 * Told after the decision code has acted on it; a callback must not throw, and changes nothing here.
 */
import type { View } from "../../membership/membership.ts";
import type { JobRecord } from "../job.ts";
import type { NodeStatus } from "./status.ts";

export type ClusterChange =
  /** Agreed and on disk. `previous`: the newest one that this run knew before; null for its first. */
  | { readonly kind: "view"; readonly view: View; readonly previous: View | null }
  | { readonly kind: "frozen"; readonly reason: string }
  | { readonly kind: "thawed" }
  /** Newer than the one before, and on disk. */
  | { readonly kind: "job"; readonly record: JobRecord };

export interface ClusterWatch {
  /** As `GET /v1/node` answers. */
  status(): NodeStatus;
  records(): readonly JobRecord[];
  /** Calls back at each change, until what it returns is called. */
  onChange(callback: (change: ClusterChange) => void): () => void;
}

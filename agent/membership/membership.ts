/**
 * The membership contract: who is in the cluster, who is heard, and which view is in force.
 *
 * Two words are kept apart. `standing` is a detector's opinion and may differ between nodes. The *view* is agreed: a
 * numbered list of members, epoch e + 1 being decided by a majority of the members of epoch e, so no epoch ever has two
 * views. Everything that acts (jobs, checkpoints, attachments) carries the epoch and acts only under a view.
 */
declare const nodeIdBrand: unique symbol;
declare const epochBrand: unique symbol;

/** `[a-z0-9-]{1,32}`, stable over restarts. */
export type NodeId = string & { readonly [nodeIdBrand]: never };

/** The number of a view, from 1 up. 0 means: no view yet. */
export type Epoch = number & { readonly [epochBrand]: never };

export type Role = "worker" | "witness";

export interface Member {
  readonly id: NodeId;
  /** Drawn when the data folder was made. A wiped node is another voter, though it has the same id. */
  readonly instance: string;
  /** Counts restarts; written to disk before the first message of a run. */
  readonly incarnation: number;
  /** IP literal. */
  readonly address: string;
  /** Probes (UDP) and HTTP (TCP) share the number. */
  readonly port: number;
  /** A witness votes and never runs programs. */
  readonly role: Role;
}

export interface View {
  readonly epoch: Epoch;
  /** Sorted by `compareNodeIds`; never empty; ids unique. */
  readonly members: readonly Member[];
  /** Why this view came: `n3 unreachable`, `n5 joined`, `n2 asks for an epoch: proxy of j1 died`. */
  readonly reason: string;
}

export type Standing = "alive" | "suspect" | "unreachable" | "dead" | "left";

/** n2 before n10: digits compare as numbers. The first living member of a view is its lead. */
export function compareNodeIds(a: NodeId, b: NodeId): number {
  const tokensA = a.match(/\d+|\D+/g) ?? [];
  const tokensB = b.match(/\d+|\D+/g) ?? [];
  for (let i = 0; i < Math.min(tokensA.length, tokensB.length); i++) {
    const x = tokensA[i] as string;
    const y = tokensB[i] as string;
    if (x === y) continue;
    const difference = Number(x) - Number(y);
    if (!Number.isNaN(difference) && difference !== 0) return difference;
    return x < y ? -1 : 1;
  }
  return tokensA.length - tokensB.length || (a < b ? -1 : a > b ? 1 : 0);
}

/** How many of `voterCount` are a majority. */
export function majorityOf(voterCount: number): number {
  return Math.floor(voterCount / 2) + 1;
}

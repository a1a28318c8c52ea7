/**
 * The checkpoint contract: what a stored state is, who holds which, and what the store of a node is asked to do.
 *
 * A *version* is one coordinated checkpoint of a job: a shard per rank. A shard is kept by its owner (the rank's node) and by
 * its partner. It is durable when its bytes and digests are on that node's disk, sealed when every shard of the version
 * is durable everywhere it must be and the commit mark is written. Only a version that somebody has sealed is selected;
 * then any durable shard of it serves, also on a node that missed the mark.
 *
 * Version numbers of a job rise and are never given twice to what one view can see. After a rollback, shards that
 * belong to the abandoned future are told from those of the new one by the epoch that wrote them: see `isOnLineage`.
 */
import type { Epoch, NodeId } from "../membership/membership.ts";

declare const versionBrand: unique symbol;
/** From 1 up; 0 is the initial state, before any checkpoint, which needs no shard. */
export type Version = number & { readonly [versionBrand]: never };

/** Selection looks at the newest 64 versions that anybody holds. */
export const VERSION_WINDOW = 64;

/** At `epoch` the job went back to `base`; what an older epoch wrote after `base` is void. */
export interface Rollback {
  readonly epoch: Epoch;
  readonly base: Version;
}

/** One shard on one node. */
export interface Holding {
  readonly job: string;
  readonly rank: number;
  readonly version: Version;
  /** The epoch of the plan under which it was written. */
  readonly epoch: Epoch;
  /** The version it is a delta against; null when it is complete in itself. */
  readonly parent: Version | null;
  readonly sealed: boolean;
  /** Bytes on disk. */
  readonly bytes: number;
}

/** All holdings of one node, as it reports them. */
export interface NodeHoldings {
  readonly node: NodeId;
  readonly holdings: readonly Holding[];
}

/** Whether a shard belongs to the history that the job goes on with. */
export function isOnLineage(
  shard: { readonly version: Version; readonly epoch: Epoch },
  lineage: readonly Rollback[],
): boolean {
  return lineage.every((back) => shard.epoch >= back.epoch || shard.version <= back.base);
}

/** What the proxies select; the same on every node, or the recovery starts again. */
export interface Selection {
  /** 0: from the start, allowed only while no version was ever sealed. null: no state can be restored. */
  readonly version: Version | null;
  /** Hash of all that went in, compared between proxies before anybody acts. */
  readonly inputDigest: string;
  /** One line a version, newest first: `v7: rank 2 has no shard left (held by n3, lost)`, `v6: chosen`. */
  readonly explanation: readonly string[];
}

/** Where a shard can be read over HTTP. */
export interface ShardSource {
  readonly node: NodeId;
  readonly url: string;
}

export interface RegionFile {
  readonly name: string;
  readonly path: string;
  readonly bytes: number;
}

/** What the decision code asks of a node's store. Every command is answered by one event with its token. */
export type StoreCommand =
  | {
      readonly kind: "capture";
      readonly token: number;
      readonly job: string;
      readonly rank: number;
      readonly version: Version;
      readonly epoch: Epoch;
      readonly regions: readonly RegionFile[];
      /** Messages that were under way across the cut, as the proxy saved them. */
      readonly mailbox: string | null;
      /** Gets a copy; null when there is no other node. */
      readonly partner: ShardSource | null;
    }
  | {
      /**
       * The commit mark of a version, on every shard of it that this node holds. `epoch` is the plan's that asks; after a
       * rollback the shards of the version were written under an older one: the newest up to it are meant.
       */
      readonly kind: "seal";
      readonly token: number;
      readonly job: string;
      readonly version: Version;
      readonly epoch: Epoch;
    }
  | {
      /** Pulls a version and the parents it needs, verifies, keeps them as own shards. Sources are tried in order. */
      readonly kind: "fetch";
      readonly token: number;
      readonly job: string;
      readonly rank: number;
      readonly version: Version;
      readonly epoch: Epoch;
      readonly sources: readonly ShardSource[];
    }
  | {
      /** Writes the regions of a version in place (same inode: a program may have them mapped); zero-fills the others. */
      readonly kind: "restore";
      readonly token: number;
      readonly job: string;
      readonly rank: number;
      /** 0 zero-fills every region. */
      readonly version: Version;
      readonly epoch: Epoch;
      /** Folder of the region files; a region's file is `encodeURIComponent(name)`. */
      readonly regionsFolder: string;
      /** Where the saved mailbox goes. */
      readonly mailboxPath: string;
    }
  | {
      /** Copies a version that is already here to a (new) partner. */
      readonly kind: "replicate";
      readonly token: number;
      readonly job: string;
      readonly rank: number;
      readonly version: Version;
      readonly epoch: Epoch;
      readonly partner: ShardSource;
    }
  | {
      /** Deletes what is off the lineage or below `keepFrom` and no kept version's parent; `keepFrom` null: the whole job. */
      readonly kind: "collect";
      readonly token: number;
      readonly job: string;
      readonly keepFrom: Version | null;
      readonly lineage: readonly Rollback[];
    };

export type StoreFailure =
  | "no-space"
  | "damaged"
  | "not-found"
  | "unreachable"
  | "refused"
  | "io"
  | "too-large";

/** `captured` comes first (the program may go on), `done` when durable here and at the partner, or `failed`. */
export type StoreEvent =
  | { readonly kind: "captured"; readonly token: number }
  | { readonly kind: "done"; readonly token: number; readonly bytes: number }
  | {
      readonly kind: "failed";
      readonly token: number;
      readonly failure: StoreFailure;
      /** One line that names the thing and what to do. */
      readonly detail: string;
    }
  /** The holdings changed (a shard came, was sealed, collected or found damaged): the whole list of that job. */
  | { readonly kind: "holdings"; readonly job: string; readonly holdings: readonly Holding[] };

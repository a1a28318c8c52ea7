/**
 * What a store's handle (agent's thread) and its Worker say to each other. Structured clones, in order, no shared memory:
 * bulk bytes go through files only.
 */
import type { Epoch } from "../../membership/membership.ts";
import type { Pass } from "../../net/io/pass.ts";
import type { Holding, StoreCommand, StoreEvent, Version } from "../checkpoint.ts";
import type { StoreLimits } from "../limits.ts";

export interface StoreOptions {
  /** The agent's data folder; the store lives in `checkpoints/` below it. */
  readonly dataFolder: string;
  readonly limits?: Partial<StoreLimits>;
}

/** A shard that a peer sent and that lies in a temporary file of this store. */
export interface Arrival {
  readonly job: string;
  readonly rank: number;
  readonly version: Version;
  /** The epoch that wrote the shard. */
  readonly epoch: Epoch;
  readonly sealed: boolean;
  /** Whole digest in hexadecimal, as the sender announced it; null when it did not. */
  readonly digest: string | null;
  readonly path: string;
}

export type TransferProblem =
  | "bad-request"
  | "stale-epoch"
  | "missing-parent"
  | "damaged"
  | "not-found"
  | "too-large"
  | "no-space"
  | "io"
  | "unreachable";

export type Admission =
  | { readonly kind: "kept" }
  | { readonly kind: "problem"; readonly problem: TransferProblem; readonly detail: string };

export type ToStore =
  | { readonly kind: "open"; readonly options: StoreOptions }
  | { readonly kind: "command"; readonly command: StoreCommand }
  | { readonly kind: "epoch"; readonly job: string; readonly epoch: Epoch }
  | { readonly kind: "admit"; readonly id: number; readonly arrival: Arrival }
  /** With what to ask other nodes from now on. */
  | { readonly kind: "pass"; readonly pass: Pass }
  | { readonly kind: "close" };

export type FromStore =
  | {
      readonly kind: "opened";
      readonly holdings: readonly Holding[];
      /** One line for each shard that was set aside. */
      readonly damaged: readonly string[];
    }
  /** The data folder cannot be used: one line that names it and says what to do. */
  | { readonly kind: "refused"; readonly detail: string }
  | { readonly kind: "event"; readonly event: StoreEvent }
  | { readonly kind: "admitted"; readonly id: number; readonly admission: Admission }
  | { readonly kind: "closed" };

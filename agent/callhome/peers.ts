/**
 * What nodes tell each other about calling home: whether one has a direct way, and how another reaches its BMC.
 *
 *   GET  /v1/callhome/way       → WayAnswer
 *   GET  /v1/callhome/bmc       → BmcsAnswer: by role agent, since it says where the node's BMC is
 *   POST /v1/callhome/parcels   as in `protocol.ts`: passed on to the destination by the asked node's own direct way
 *
 * Types and their schemas; who is asked when, and in which order peers are taken, is `io/peers-finder.ts`.
 */
import { z } from "zod";

export const WAY_PATH = "/v1/callhome/way";
export const BMCS_PATH = "/v1/callhome/bmc";

export interface WayAnswer {
  readonly node: string;
  /** Such an agent passes parcels on. */
  readonly hasDirect: boolean;
  /** What its own direct way last did. */
  readonly direct: "unknown" | "works" | "broken";
  /** Events of its own that wait. */
  readonly waiting: number;
  /** Parcels of others that it passes on just now. */
  readonly relaying: number;
  /** Dead nodes whose BMC it watches, and reaches. */
  readonly standsInFor: readonly string[];
}

/** One that answered, as the order of peers sees it. */
export interface PeerCandidate extends WayAnswer {
  readonly roundTripMs: number;
}

/** Best first; those that are no use are left out. By the core's `rank`, where the agent is put together. */
export type PeerOrder = (candidates: readonly PeerCandidate[]) => readonly PeerCandidate[];

/** A BMC as other nodes reach it, and what the node's own watch remembers of it. */
export interface ReachableBmc {
  /** `--bmc-lan`: with a user, never with a password. */
  readonly url: string;
  /** GUID as in the events' `system`; null: not known yet. */
  readonly system: string | null;
  /** `WatchMemory` of the node's own watch, so that the one who stands in gives events the same ids. */
  readonly memory: unknown;
}

/** `GET …?not=DIGEST`: `bmcs` is null where it is as the asker knows it. */
export interface BmcsAnswer {
  readonly node: string;
  readonly digest: string;
  readonly bmcs: readonly ReachableBmc[] | null;
}

const name = z.string().min(1).max(256);
const count = z.number().int().min(0);

export const wayAnswerSchema: z.ZodType<WayAnswer> = z.object({
  node: name,
  hasDirect: z.boolean(),
  direct: z.enum(["unknown", "works", "broken"]),
  waiting: count,
  relaying: count,
  standsInFor: z.array(name).max(256),
});

export const bmcsAnswerSchema: z.ZodType<BmcsAnswer> = z.object({
  node: name,
  digest: z.string().max(64),
  bmcs: z
    .array(
      z.object({ url: z.string().min(1).max(1_024), system: name.nullable(), memory: z.json() }),
    )
    .max(16)
    .nullable(),
});

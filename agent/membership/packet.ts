/**
 * What goes over UDP between agents: types and bounds. The bytes are in `packet-codec.ts`.
 *
 * Every packet names its sender in full (it is in itself the claim "I am alive, at this address") and its epoch, so
 * that whoever is behind finds out. Claims of others ride along.
 *
 * Claims about one member are ordered by (incarnation, rebuttal), then by severity: alive < suspect < unreachable < left.
 * Incarnation counts restarts; rebuttal counts how often the member contradicted within one run, and only the
 * member itself raises it.
 */
import type { Epoch, Member, NodeId } from "./membership.ts";

export interface Endpoint {
  /** IP literal. */
  readonly address: string;
  readonly port: number;
}

export type ClaimStanding = "alive" | "suspect" | "unreachable" | "left";

export interface Claim {
  readonly member: Member;
  readonly rebuttal: number;
  readonly standing: ClaimStanding;
  /** Who found so; for `alive` and `left` the member itself. Counts as one confirmation. */
  readonly accuser: NodeId;
}

export interface PacketHead {
  readonly from: Member;
  readonly rebuttal: number;
  /** The newest epoch the sender knows; 0 for none. */
  readonly epoch: Epoch | 0;
  /** `clusterTag` of the sender's cluster; 0 when it belongs to none yet. */
  readonly cluster: number;
  /** At most CLAIMS_MAX. */
  readonly claims: readonly Claim[];
}

export type Packet = PacketHead &
  (
    | {
        readonly kind: "ping";
        readonly seq: number;
        /** The instance meant; empty: whoever is there (a seed). */
        readonly target: string;
      }
    | { readonly kind: "ack"; readonly seq: number }
    | {
        /** Try this one for me. */
        readonly kind: "ping-req";
        readonly seq: number;
        readonly target: string;
        readonly endpoint: Endpoint;
      }
    /** I tried, it did not answer me in time: so at least you and I hear each other. */
    | { readonly kind: "nack"; readonly seq: number }
    | { readonly kind: "gossip" }
  );

/** With every string at its longest a packet of this many claims still fits in PACKET_BYTES_MAX. */
export const CLAIMS_MAX = 6;
/** Below the smallest MTU in use, with room for headers. */
export const PACKET_BYTES_MAX = 1400;
export const ID_BYTES_MAX = 32;
export const INSTANCE_BYTES_MAX = 40;
/** The longest IPv6 literal with a zone. */
export const ADDRESS_BYTES_MAX = 48;

export const NO_CLAIMS: readonly Claim[] = [];

/** FNV-1a of the cluster's name: tells two clusters on one network apart; never 0. */
export function clusterTag(cluster: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < cluster.length; i++) {
    hash = Math.imul(hash ^ cluster.charCodeAt(i), 0x01000193) >>> 0;
  }
  return hash === 0 ? 1 : hash;
}

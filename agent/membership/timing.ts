/**
 * Every time and bound of membership, in one place, with its reason.
 *
 * Defaults are for clusters of up to some dozens of nodes on one network. The aim: a host that is cut off without a trace
 * is known to all others in about 0.9 s at 5 nodes (serf's defaults need 5 to 7 s), while an observer that is itself
 * stalled accuses no one. Times grow with log10 of the size, never linearly.
 */
import { assert } from "../../core/assert.ts";

export interface MembershipTiming {
  /** One probe a node per interval; also the pace of the housekeeping round. */
  readonly probeIntervalMs: number;
  /** Wait for a direct answer before others are asked to try; stretched by own bad health. */
  readonly directTimeoutMs: number;
  /** Then wait for the indirect answers and the TCP check. */
  readonly indirectTimeoutMs: number;
  /** Probes sent because of a hint or another's suspicion: ping and TCP check at the same moment. */
  readonly hintTimeoutMs: number;
  /** How many others are asked to try. */
  readonly indirectProbes: number;
  /** Shortest suspicion = this · max(1, log10 n) · probeIntervalMs. */
  readonly suspicionMultiplier: number;
  /** Longest suspicion = this · shortest; it shrinks with each confirmation. */
  readonly suspicionMaxMultiplier: number;
  /** Confirmations after which the shortest time holds. */
  readonly suspicionConfirmations: number;
  /** A host whose kernel still accepts TCP while its agent is silent is stalled, not gone: so long it is waited for. */
  readonly stalledToleranceMs: number;
  /** A step later than this was held up: its timers are moved by the time that was stolen. */
  readonly lateToleranceMs: number;
  /** A step later than this: all that was under way is void, and no verdict for `stallGraceMs`. */
  readonly stallMs: number;
  readonly stallGraceMs: number;
  /** Pace of gossip while there is news; silent otherwise. */
  readonly gossipIntervalMs: number;
  /** Each piece of news is sent this · ceil(log10(n + 1)) times by each node. */
  readonly gossipMultiplier: number;
  /** Pace at which dead members, seeds and lost members are tried again, for ever. */
  readonly retryMs: number;
  /** No packet from a majority for so long: freeze. */
  readonly freezeMs: number;
  /** Two workers that cannot talk directly, though others reach both, are held apart for so long before one has to go. */
  readonly cutMs: number;
  /** The next in line proposes when the one before it has not done so for so long. */
  readonly takeoverMs: number;
  /** With weak evidence against one and suspicion of others, wait so long: a multi-node failure becomes one change. */
  readonly batchMs: number;
  /** Nodes that start together come in together. */
  readonly joinBatchMs: number;
  /** First resend of an unanswered view message; doubles up to eight times this. */
  readonly resendMs: number;
  /** A phase of a proposal that has no majority by then is given up and begun again. */
  readonly phaseMs: number;
  /** After its start a node gives the members of its saved view so long to show up before it counts them out. */
  readonly bootGraceMs: number;
  /** An expelled node must have been heard for so long before it is let in again; doubles with each time. */
  readonly readmitMs: number;
  /** A founder with seeds first asks them whether the cluster is there already. */
  readonly foundWaitMs: number;
}

export const DEFAULT_TIMING: MembershipTiming = {
  probeIntervalMs: 200,
  directTimeoutMs: 100,
  indirectTimeoutMs: 150,
  hintTimeoutMs: 120,
  indirectProbes: 3,
  suspicionMultiplier: 1.5,
  suspicionMaxMultiplier: 6,
  suspicionConfirmations: 2,
  stalledToleranceMs: 6500,
  lateToleranceMs: 20,
  stallMs: 300,
  stallGraceMs: 400,
  gossipIntervalMs: 50,
  gossipMultiplier: 4,
  retryMs: 1000,
  freezeMs: 2000,
  cutMs: 1000,
  takeoverMs: 200,
  batchMs: 600,
  joinBatchMs: 60,
  resendMs: 60,
  phaseMs: 1000,
  bootGraceMs: 1500,
  readmitMs: 400,
  foundWaitMs: 1000,
};

/** Most members a view may have; a ballot's low digits name one of them. */
export const MEMBERS_MAX = 256;
/** Most nodes known at a time: members, joiners, and the dead that are retried. */
export const PEERS_MAX = 512;
/** Indirect probes done for others at a time; more are not answered. */
export const RELAYS_MAX = 256;
/** News waiting to be spread; the most often sent goes first when there is more. */
export const NEWS_MAX = 256;

export function assertTiming(t: MembershipTiming): void {
  for (const [name, value] of Object.entries(t)) {
    assert(Number.isFinite(value) && value > 0, `timing.${name} must be a positive number`);
  }
  assert(t.directTimeoutMs < t.probeIntervalMs, "a direct probe ends before the next begins");
  assert(t.lateToleranceMs < t.directTimeoutMs, "lateness is noticed before it costs a probe");
  assert(t.stallGraceMs >= t.probeIntervalMs, "the grace after a stall is a round at least");
}

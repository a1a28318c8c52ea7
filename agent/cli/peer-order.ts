/**
 * In which order a node's peers are asked to pass its events on: by the core's `rank` kernel, as spares are.
 *
 * A way that works counts most, then how little the peer has to do, then how near it is. The core is made at the first
 * question, since most nodes never ask.
 */

import { CANDIDATES_MAX, CHOICES_MAX } from "../../core/abi.ts";
import { type Core, createCore } from "../../core/core.ts";
import type { PeerCandidate, PeerOrder } from "../callhome/peers.ts";

const WEIGHTS = [4, 2, 1];
const PRIORS = [0.5, 0.5, 0.5];
/** So many events at a peer make it half as good. */
const BUSY_EVENTS = 64;
/** So long a round trip makes it half as good. */
const FAR_MS = 50;

export function orderPeers(core: () => Core = createCore): PeerOrder {
  let made: Core | null = null;
  return (candidates) => {
    if (candidates.length < 2) return candidates;
    made ??= core();
    const count = Math.min(candidates.length, CANDIDATES_MAX, CHOICES_MAX);
    const table = made.rankTable();
    for (let i = 0; i < count; i++) {
      const { direct, waiting, relaying, roundTripMs } = candidates[i] as PeerCandidate;
      table.metrics[i] = direct === "works" ? 1 : 0.5;
      table.metrics[CANDIDATES_MAX + i] = 1 / (1 + (waiting + relaying) / BUSY_EVENTS);
      table.metrics[2 * CANDIDATES_MAX + i] = 1 / (1 + roundTripMs / FAR_MS);
      table.agesMs[i] = 0;
    }
    const chosen = made.rank({
      candidateCount: count,
      weights: WEIGHTS,
      priors: PRIORS,
      halfLifeMs: Number.POSITIVE_INFINITY,
      choiceCount: count,
    });
    return [...chosen].map((index) => candidates[index] as PeerCandidate);
  };
}

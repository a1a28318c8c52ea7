/**
 * Where the ranks of a job run, and who keeps the copies of their shards.
 *
 * Decides from one snapshot (the reports of a view). A survivor stays where it is: its program lives there and its shards
 * are there. A lost rank goes to the best candidate by the core's `rank`. One rank a node: nodes are bare metal,
 * and a node that runs another job's rank is not a candidate.
 */
import { CANDIDATES_MAX, CHOICES_MAX } from "../../core/abi.ts";
import type { Core } from "../../core/core.ts";
import type { NodeId } from "../membership/membership.ts";
import type { NodeLoad } from "./job.ts";

export interface Candidate {
  readonly node: NodeId;
  readonly load: NodeLoad;
  /** How many of the ranks looked for have their newest shards here already. */
  readonly holdsShards: number;
}

export interface Placement {
  readonly placement: readonly NodeId[];
  readonly partners: readonly (NodeId | null)[];
}

/** Orders candidates best first; ties by node order, so every node would choose the same. */
export type CandidateOrder = (candidates: readonly Candidate[]) => readonly Candidate[];

export interface PlaceQuestion {
  readonly rankCount: number;
  /** Where the ranks were; empty on first start. */
  readonly previous: readonly NodeId[];
  /** Nodes that may keep the ranks they have. */
  readonly available: ReadonlySet<NodeId>;
  /** Nodes that may get new ranks. */
  readonly candidates: readonly Candidate[];
  readonly order: CandidateOrder;
}

/** The ranks that found no node when there are too few. */
export type PlaceOutcome = Placement | { readonly missing: readonly number[] };

/** O(ranks × candidates). */
export function place(question: PlaceQuestion): PlaceOutcome {
  const { rankCount, previous, available, candidates, order } = question;
  const placement: (NodeId | null)[] = [];
  const lost: number[] = [];
  for (let rank = 0; rank < rankCount; rank++) {
    const node = previous[rank];
    if (node !== undefined && available.has(node)) placement.push(node);
    else {
      placement.push(null);
      lost.push(rank);
    }
  }
  const free = order(candidates.filter((c) => !placement.includes(c.node)));
  if (free.length < lost.length) return { missing: lost.slice(free.length) };
  lost.forEach((rank, index) => {
    placement[rank] = (free[index] as Candidate).node;
  });
  const nodes = placement as NodeId[];
  const spare = free[lost.length]?.node ?? null;
  return { placement: nodes, partners: partnersOf(nodes, spare) };
}

/** The next node of the ring keeps the copy; a job on one node uses a spare, and has no copy where there is none. */
export function partnersOf(
  placement: readonly NodeId[],
  spare: NodeId | null,
): readonly (NodeId | null)[] {
  const ring = [...new Set(placement)];
  return placement.map((node) => {
    if (ring.length < 2) return spare;
    return ring[(ring.indexOf(node) + 1) % ring.length] as NodeId;
  });
}

/** Shards at hand save a transfer, memory keeps the program alive, load tells who is busy with something else. */
const WEIGHTS = [4, 2, 1];
const PRIORS = [0, 0, 0];

/**
 * A node this close to the best counts as the best. Loads are averages read at different moments, so equal nodes never read
 * quite the same; without this the noise would choose, and nobody could foretell where a job goes.
 */
const MEMORY_NOISE = 1 / 8;
const IDLENESS_NOISE = 1 / 2;

function withoutNoise(value: number, best: number, noise: number): number {
  return best - value < noise ? best : value;
}

/** The order by the core's `rank` kernel: the same that answers discovery. Candidates beyond its table keep their order. */
export function orderByCore(core: Core): CandidateOrder {
  return (candidates) => {
    if (candidates.length < 2) return candidates;
    const count = Math.min(candidates.length, CANDIDATES_MAX, CHOICES_MAX);
    const table = core.rankTable();
    const memoryMax = Math.max(1, ...candidates.map((c) => c.load.freeMemoryBytes));
    const idleness = candidates.map(({ load }) => 1 - Math.min(1, load.loadAverage / load.cores));
    const idlenessMax = Math.max(...idleness);
    for (let i = 0; i < count; i++) {
      const { holdsShards, load } = candidates[i] as Candidate;
      const memory = withoutNoise(load.freeMemoryBytes / memoryMax, 1, MEMORY_NOISE);
      const idle = withoutNoise(idleness[i] as number, idlenessMax, IDLENESS_NOISE);
      table.metrics[i] = holdsShards;
      table.metrics[CANDIDATES_MAX + i] = memory;
      table.metrics[2 * CANDIDATES_MAX + i] = idle;
      table.agesMs[i] = 0;
    }
    const chosen = core.rank({
      candidateCount: count,
      weights: WEIGHTS,
      priors: PRIORS,
      halfLifeMs: Number.POSITIVE_INFINITY,
      choiceCount: count,
    });
    return [...chosen]
      .map((index) => candidates[index] as Candidate)
      .concat(candidates.slice(count));
  };
}

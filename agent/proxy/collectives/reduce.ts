/**
 * Reduce to a root. Small: everybody sends to the root, which adds in rank order. Large: a ring first leaves a part of the sum
 * with each rank (`reduceScatterSchedule`), then the root collects the parts. Works on the output in place, so on every rank
 * the data given is used up; the program keeps a copy where it needs one.
 */
import {
  chain,
  modulo,
  partOf,
  type Schedule,
  type ScheduledReceive,
  type ScheduledSend,
  segmentsOf,
} from "./schedule.ts";

/** Below this the number of steps counts, above it the number of bytes. */
export const DIRECT_BYTES_MAX = 32_768;

/** Everything to the root at once; the order of summation is the order of ranks. */
export function directReduceSchedule(
  rank: number,
  size: number,
  shape: { readonly root: number; readonly bytes: number },
): Schedule {
  const { root, bytes } = shape;
  const receives: ScheduledReceive[] = [];
  const sends: ScheduledSend[] = [];
  for (const segment of segmentsOf({ offset: 0, bytes })) {
    if (rank !== root) {
      sends.push({ peer: root, from: "input", ...segment, after: 0 });
      continue;
    }
    for (let peer = 0; peer < size; peer++) {
      receives.push({ peer, ...segment, combine: peer === 0 ? "copy" : "reduce" });
    }
  }
  return { needsInputCopy: rank === root, copies: [], receives, sends };
}

/**
 * After it, rank r holds the sum of part r + 1. Step k: part r − k goes to the next rank, part r − k − 1 comes from the one
 * before and is added; so part p is summed in the order p, p + 1, … around the ring, on whichever machine ranks live.
 */
export function reduceScatterSchedule(rank: number, size: number, bytes: number): Schedule {
  const next = modulo(rank + 1, size);
  const previous = modulo(rank - 1, size);
  const receives: ScheduledReceive[] = [];
  const sends: ScheduledSend[] = [];
  let base = 0;
  for (let step = 0; step < size - 1; step++) {
    const outgoing = segmentsOf(partOf(bytes, modulo(rank - step, size), size));
    for (const [index, segment] of outgoing.entries()) {
      // What goes out in this step is what came in during the one before.
      const after = step === 0 ? 0 : base + index + 1;
      sends.push({ peer: next, from: "output", ...segment, after });
    }
    base = receives.length;
    for (const segment of segmentsOf(partOf(bytes, modulo(rank - step - 1, size), size))) {
      receives.push({ peer: previous, ...segment, combine: "reduce" });
    }
  }
  return { needsInputCopy: false, copies: [], receives, sends };
}

function collectSchedule(
  rank: number,
  size: number,
  shape: { readonly root: number; readonly bytes: number },
): Schedule {
  const { root, bytes } = shape;
  const receives: ScheduledReceive[] = [];
  const sends: ScheduledSend[] = [];
  for (let peer = 0; peer < size; peer++) {
    if (peer === root || (rank !== root && rank !== peer)) continue;
    for (const segment of segmentsOf(partOf(bytes, modulo(peer + 1, size), size))) {
      if (rank === root) receives.push({ peer, ...segment, combine: "copy" });
      else sends.push({ peer: root, from: "output", ...segment, after: 0 });
    }
  }
  return { needsInputCopy: false, copies: [], receives, sends };
}

export function reduceSchedule(
  rank: number,
  size: number,
  shape: { readonly root: number; readonly bytes: number },
): Schedule {
  if (shape.bytes <= DIRECT_BYTES_MAX) return directReduceSchedule(rank, size, shape);
  return chain(reduceScatterSchedule(rank, size, shape.bytes), collectSchedule(rank, size, shape));
}

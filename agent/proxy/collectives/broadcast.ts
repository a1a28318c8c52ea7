/**
 * Broadcast down a binomial tree, segment by segment: a rank passes a segment on as soon as it has it. In place: output is
 * input. Depth ⌈log2 size⌉.
 */
import {
  modulo,
  type Schedule,
  type ScheduledReceive,
  type ScheduledSend,
  segmentsOf,
} from "./schedule.ts";

/** Children of a rank, numbered from the root; the one with the largest subtree first. */
function childrenOf(relative: number, size: number): readonly number[] {
  const lowest =
    relative === 0 ? 2 ** Math.ceil(Math.log2(Math.max(size, 1))) : relative & -relative;
  const children: number[] = [];
  for (let distance = lowest / 2; distance >= 1; distance /= 2) {
    if (relative + distance < size) children.push(relative + distance);
  }
  return children;
}

export function broadcastSchedule(
  rank: number,
  size: number,
  shape: { readonly root: number; readonly bytes: number },
): Schedule {
  const { root, bytes } = shape;
  const relative = modulo(rank - root, size);
  const children = childrenOf(relative, size).map((child) => modulo(child + root, size));
  const parent = modulo((relative & (relative - 1)) + root, size);
  const receives: ScheduledReceive[] = [];
  const sends: ScheduledSend[] = [];
  for (const segment of segmentsOf({ offset: 0, bytes })) {
    if (relative !== 0) receives.push({ peer: parent, ...segment, combine: "copy" });
    const after = receives.length;
    for (const peer of children) sends.push({ peer, from: "output", ...segment, after });
  }
  return { needsInputCopy: false, copies: [], receives, sends };
}

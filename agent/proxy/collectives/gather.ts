/** Gather: every rank's block to its place in the root's output. `bytes` is that of one block. */
import {
  type Schedule,
  type ScheduledReceive,
  type ScheduledSend,
  segmentsOf,
} from "./schedule.ts";

export function gatherSchedule(
  rank: number,
  size: number,
  shape: { readonly root: number; readonly bytes: number },
): Schedule {
  const { root, bytes } = shape;
  const receives: ScheduledReceive[] = [];
  const sends: ScheduledSend[] = [];
  if (rank !== root) {
    for (const segment of segmentsOf({ offset: 0, bytes })) {
      sends.push({ peer: root, from: "input", ...segment, after: 0 });
    }
    return { needsInputCopy: false, copies: [], receives, sends };
  }
  for (let peer = 0; peer < size; peer++) {
    if (peer === rank) continue;
    for (const segment of segmentsOf({ offset: peer * bytes, bytes })) {
      receives.push({ peer, ...segment, combine: "copy" });
    }
  }
  const copies = [{ inputOffset: 0, outputOffset: rank * bytes, bytes }];
  return { needsInputCopy: false, copies, receives, sends };
}

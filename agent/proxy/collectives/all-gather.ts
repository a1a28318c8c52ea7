/**
 * All-gather: every rank's block to everybody, around a ring: step k passes on the block that came in step k − 1. `bytes` is
 * that of one block.
 */
import {
  modulo,
  type Schedule,
  type ScheduledReceive,
  type ScheduledSend,
  segmentsOf,
} from "./schedule.ts";

export function allGatherSchedule(rank: number, size: number, bytes: number): Schedule {
  const next = modulo(rank + 1, size);
  const previous = modulo(rank - 1, size);
  const receives: ScheduledReceive[] = [];
  const sends: ScheduledSend[] = [];
  let base = 0;
  for (let step = 0; step < size - 1; step++) {
    const outgoing = segmentsOf({ offset: modulo(rank - step, size) * bytes, bytes });
    for (const [index, segment] of outgoing.entries()) {
      const after = step === 0 ? 0 : base + index + 1;
      sends.push({ peer: next, from: "output", ...segment, after });
    }
    base = receives.length;
    const block = modulo(rank - step - 1, size) * bytes;
    for (const segment of segmentsOf({ offset: block, bytes })) {
      receives.push({ peer: previous, ...segment, combine: "copy" });
    }
  }
  const copies = [{ inputOffset: 0, outputOffset: rank * bytes, bytes }];
  return { needsInputCopy: false, copies, receives, sends };
}

/**
 * All-to-all by pairs: in step k a rank sends to the one k further on and receives from the one k before, so at any time each
 * has one sender. `bytes` is that of one block.
 */
import {
  modulo,
  type Schedule,
  type ScheduledReceive,
  type ScheduledSend,
  segmentsOf,
} from "./schedule.ts";

export function allToAllSchedule(rank: number, size: number, bytes: number): Schedule {
  const receives: ScheduledReceive[] = [];
  const sends: ScheduledSend[] = [];
  for (let step = 1; step < size; step++) {
    const to = modulo(rank + step, size);
    const from = modulo(rank - step, size);
    const after = receives.length;
    for (const segment of segmentsOf({ offset: to * bytes, bytes })) {
      sends.push({ peer: to, from: "input", ...segment, after });
    }
    for (const segment of segmentsOf({ offset: from * bytes, bytes })) {
      receives.push({ peer: from, ...segment, combine: "copy" });
    }
  }
  const own = rank * bytes;
  const copies = [{ inputOffset: own, outputOffset: own, bytes }];
  return { needsInputCopy: false, copies, receives, sends };
}

/** Barrier by dissemination: after round k a rank has heard, directly or not, of 2^(k+1) ranks. ⌈log2 size⌉ rounds. */
import { modulo, type Schedule, type ScheduledReceive, type ScheduledSend } from "./schedule.ts";

export function barrierSchedule(rank: number, size: number): Schedule {
  const receives: ScheduledReceive[] = [];
  const sends: ScheduledSend[] = [];
  for (let distance = 1; distance < size; distance *= 2) {
    const to = modulo(rank + distance, size);
    const after = receives.length;
    sends.push({ peer: to, from: "input", offset: 0, bytes: 0, after });
    const peer = modulo(rank - distance, size);
    receives.push({ peer, offset: 0, bytes: 0, combine: "copy" });
  }
  return { needsInputCopy: false, copies: [], receives, sends };
}

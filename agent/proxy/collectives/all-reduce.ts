/**
 * All-reduce in place. Large: ring reduce-scatter, then ring all-gather, each rank moving 2 (size − 1) / size of the data.
 * Small with few ranks: everybody to everybody, added in rank order, one step. Small with many: to rank 0 and back.
 */
import { broadcastSchedule } from "./broadcast.ts";
import { DIRECT_BYTES_MAX, directReduceSchedule, reduceScatterSchedule } from "./reduce.ts";
import {
  chain,
  EMPTY_SCHEDULE,
  modulo,
  partOf,
  type Schedule,
  type ScheduledReceive,
  type ScheduledSend,
  segmentsOf,
} from "./schedule.ts";

/** size − 1 frames out and in at every rank: beyond this a tree is cheaper. */
const EXCHANGE_SIZE_MAX = 8;

function exchangeSchedule(rank: number, size: number, bytes: number): Schedule {
  const receives: ScheduledReceive[] = [];
  const sends: ScheduledSend[] = [];
  for (let peer = 0; peer < size; peer++) {
    receives.push({ peer, offset: 0, bytes, combine: peer === 0 ? "copy" : "reduce" });
    if (peer !== rank) sends.push({ peer, from: "input", offset: 0, bytes, after: 0 });
  }
  return { needsInputCopy: true, copies: [], receives, sends };
}

/** After a reduce-scatter: part r + 1 is whole at rank r and goes around once. */
function spreadSchedule(rank: number, size: number, bytes: number): Schedule {
  const next = modulo(rank + 1, size);
  const previous = modulo(rank - 1, size);
  const receives: ScheduledReceive[] = [];
  const sends: ScheduledSend[] = [];
  let base = 0;
  for (let step = 0; step < size - 1; step++) {
    const outgoing = segmentsOf(partOf(bytes, modulo(rank + 1 - step, size), size));
    for (const [index, segment] of outgoing.entries()) {
      // At step 0 the part that became whole last: its segments are the last receives of the reduce-scatter.
      const after = step === 0 ? index + 1 - outgoing.length : base + index + 1;
      sends.push({ peer: next, from: "output", ...segment, after });
    }
    base = receives.length;
    for (const segment of segmentsOf(partOf(bytes, modulo(rank - step, size), size))) {
      receives.push({ peer: previous, ...segment, combine: "copy" });
    }
  }
  return { needsInputCopy: false, copies: [], receives, sends };
}

export function allReduceSchedule(rank: number, size: number, bytes: number): Schedule {
  if (size === 1 || bytes === 0) return EMPTY_SCHEDULE;
  if (bytes > DIRECT_BYTES_MAX) {
    return chain(reduceScatterSchedule(rank, size, bytes), spreadSchedule(rank, size, bytes));
  }
  if (size <= EXCHANGE_SIZE_MAX) return exchangeSchedule(rank, size, bytes);
  const root = 0;
  return chain(
    directReduceSchedule(rank, size, { root, bytes }),
    broadcastSchedule(rank, size, { root, bytes }),
  );
}

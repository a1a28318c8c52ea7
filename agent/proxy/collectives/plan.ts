/** The schedule of a collective call, and the label by which two ranks tell that they make the same call. */
import { assert } from "../../../core/assert.ts";
import type { Call } from "../communication-library.ts";
import { OP } from "../segment-layout.ts";
import { allGatherSchedule } from "./all-gather.ts";
import { allReduceSchedule } from "./all-reduce.ts";
import { allToAllSchedule } from "./all-to-all.ts";
import { barrierSchedule } from "./barrier.ts";
import { broadcastSchedule } from "./broadcast.ts";
import { gatherSchedule } from "./gather.ts";
import { reduceSchedule } from "./reduce.ts";
import type { Schedule } from "./schedule.ts";

const NAMES: Readonly<Record<number, string>> = {
  [OP.barrier]: "barrier",
  [OP.finalize]: "the end of run()",
  [OP.broadcast]: "broadcast",
  [OP.reduce]: "reduce",
  [OP.allReduce]: "all-reduce",
  [OP.gather]: "gather",
  [OP.allGather]: "all-gather",
  [OP.allToAll]: "all-to-all",
};

export function isCollective(op: number): boolean {
  return op in NAMES;
}

/** Equal on all ranks of one collective. */
export interface CollectiveLabel {
  /** Operation in bits 0 … 7, number type in 8 … 15, reduction in 16 … 23. */
  readonly code: number;
  /** Bytes of the input; of all-to-all: of everything. */
  readonly bytes: number;
  /** 0 where there is none. */
  readonly root: number;
}

export function labelOf(call: Call): CollectiveLabel {
  const hasRoot = call.op === OP.broadcast || call.op === OP.reduce || call.op === OP.gather;
  return {
    code: call.op | ((call.numberType ?? 0) << 8) | ((call.reduce ?? 0) << 16),
    bytes: call.input.bytes,
    root: hasRoot ? call.peer : 0,
  };
}

export function describeLabel(label: CollectiveLabel): string {
  const name = NAMES[label.code & 0xff] ?? "an unknown collective";
  return `${name} of ${label.bytes} bytes, root ${label.root}`;
}

export function planCollective(call: Call, size: number): Schedule {
  const { rank } = call;
  const { bytes } = call.input;
  switch (call.op) {
    case OP.barrier:
    case OP.finalize:
      return barrierSchedule(rank, size);
    case OP.broadcast:
      return broadcastSchedule(rank, size, { root: call.peer, bytes });
    case OP.reduce:
      return reduceSchedule(rank, size, { root: call.peer, bytes });
    case OP.allReduce:
      return allReduceSchedule(rank, size, bytes);
    case OP.gather:
      return gatherSchedule(rank, size, { root: call.peer, bytes });
    case OP.allGather:
      return allGatherSchedule(rank, size, bytes);
    case OP.allToAll:
      return allToAllSchedule(rank, size, bytes / size);
    default:
      assert(false, `operation ${call.op} is no collective`);
  }
}

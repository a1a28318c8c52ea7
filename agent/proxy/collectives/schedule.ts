/**
 * A collective as data: what one rank sends and receives, in which order, and what waits for what.
 *
 * Receives are completed strictly in the order of the list, whatever the network does: that alone fixes the order of
 * summation, so a result has equal bits on every rank and at every run. A send may start once the first `after` receives are
 * complete; sends to one peer start in list order. The i-th send of a to b within a collective is the i-th receive of b from a.
 * A receive whose peer is the rank itself takes the rank's own contribution.
 *
 * Pure numbers; run by `collective-runner.ts`, checked against plain computation in the tests.
 */
export interface ScheduledSend {
  readonly peer: number;
  /** `input`: what the program gave. `output`: where the result grows. Equal memory for in-place collectives. */
  readonly from: "input" | "output";
  readonly offset: number;
  readonly bytes: number;
  readonly after: number;
}

export interface ScheduledReceive {
  readonly peer: number;
  /** In the output. */
  readonly offset: number;
  readonly bytes: number;
  readonly combine: "copy" | "reduce";
}

export interface Schedule {
  /** The input is overwritten while it is still needed: work on a copy of it. */
  readonly needsInputCopy: boolean;
  /** Done at once: own input to its place in the output. */
  readonly copies: readonly {
    readonly inputOffset: number;
    readonly outputOffset: number;
    readonly bytes: number;
  }[];
  readonly receives: readonly ScheduledReceive[];
  readonly sends: readonly ScheduledSend[];
}

export const EMPTY_SCHEDULE: Schedule = {
  needsInputCopy: false,
  copies: [],
  receives: [],
  sends: [],
};

/** A segment passes through the second-level cache once: received, added, sent on. Also the most bytes of one frame. */
export const SEGMENT_BYTES_MAX = 131_072;

export interface Range {
  readonly offset: number;
  readonly bytes: number;
}

/** Cuts a range in segments; a range of 0 bytes has none. Element boundaries are kept: segments are multiples of 64. */
export function segmentsOf(range: Range): readonly Range[] {
  const segments: Range[] = [];
  for (let done = 0; done < range.bytes; done += SEGMENT_BYTES_MAX) {
    const bytes = Math.min(SEGMENT_BYTES_MAX, range.bytes - done);
    segments.push({ offset: range.offset + done, bytes });
  }
  return segments;
}

/** Part `index` of `count` nearly equal parts, cut at multiples of 64 bytes. */
export function partOf(bytes: number, index: number, count: number): Range {
  const lines = Math.ceil(bytes / 64);
  const start = Math.min(Math.floor((lines * index) / count) * 64, bytes);
  const end = Math.min(Math.floor((lines * (index + 1)) / count) * 64, bytes);
  return { offset: start, bytes: end - start };
}

export function modulo(value: number, size: number): number {
  return ((value % size) + size) % size;
}

/** `second` begins where `first` has ended, on the same output. */
export function chain(first: Schedule, second: Schedule): Schedule {
  const shift = first.receives.length;
  return {
    needsInputCopy: first.needsInputCopy,
    copies: first.copies,
    receives: [...first.receives, ...second.receives],
    sends: [
      ...first.sends,
      ...second.sends.map((send) => ({ ...send, after: send.after + shift })),
    ],
  };
}

/**
 * Changed blocks and encoded records by looking at each byte: what the delta kernel is compared with.
 */
import type { ChangedRange } from "../comparer.ts";

const BLOCK_BYTES = 64;
const GAP_BYTES = 8;

function byteAt(bytes: Uint8Array, at: number): number {
  return bytes[at] ?? 0;
}

export function changedRanges(before: Uint8Array, after: Uint8Array): readonly ChangedRange[] {
  const ranges: { offset: number; bytes: number }[] = [];
  for (let block = 0; block < after.length; block += BLOCK_BYTES) {
    const end = Math.min(block + BLOCK_BYTES, after.length);
    let isChanged = false;
    for (let at = block; at < end; at++) {
      if (byteAt(before, at) !== byteAt(after, at)) isChanged = true;
    }
    if (!isChanged) continue;
    const last = ranges.at(-1);
    if (last !== undefined && last.offset + last.bytes === block) last.bytes += end - block;
    else ranges.push({ offset: block, bytes: end - block });
  }
  return ranges;
}

function varint(value: number): readonly number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
  return [...bytes, rest];
}

/** The records of one pair of windows, the first of an encoding. */
export function encodeWindow(before: Uint8Array, after: Uint8Array): Uint8Array {
  const runs: { start: number; end: number }[] = [];
  for (let at = 0; at < after.length; at++) {
    if (byteAt(before, at) === byteAt(after, at)) continue;
    const last = runs.at(-1);
    if (last !== undefined && at - last.end < GAP_BYTES) last.end = at + 1;
    else runs.push({ start: at, end: at + 1 });
  }
  const records: number[] = [];
  let end = 0;
  for (const run of runs) {
    records.push(...varint(run.start - end), ...varint(run.end - run.start));
    records.push(...after.subarray(run.start, run.end));
    end = run.end;
  }
  return Uint8Array.from(records);
}

/**
 * Where the two windows differ: as runs of changed blocks, or encoded for `docs/delta-format.md`.
 *
 * `before` is the older side, `input` the newer. A block is 64 bytes: one 64-bit word has a bit for each byte that
 * differs, and runs of bytes are cut out of it by counting zeros. Equal data is skipped 256 bytes at a time.
 * The bytes between a partial last block's end and the block's end are cleared in both windows first.
 */
import { BLOCK_BYTES, DELTA_GAP_BYTES, RUNS_MAX, WINDOW_BYTES } from "../abi";
import { before, input, output } from "./layout";

const BLOCK: u32 = BLOCK_BYTES;
const GAP: u32 = DELTA_GAP_BYTES;
const STRIDE: u32 = 256;

/** Equal bytes since the last record of the encoding, carried from window to window. */
let gapBytes: u64 = 0;
/** End of what is encoded in `output`. */
let cursor: usize = 0;

function clearPartialBlock(byteCount: u32): void {
  const rest = ((byteCount + BLOCK - 1) & ~(BLOCK - 1)) - byteCount;
  memory.fill(before + (byteCount as usize), 0, rest as usize);
  memory.fill(input + (byteCount as usize), 0, rest as usize);
}

function difference(offset: usize): v128 {
  return v128.xor(v128.load(before + offset), v128.load(input + offset));
}

function difference64(offset: usize): v128 {
  return v128.or(
    v128.or(difference(offset), difference(offset + 16)),
    v128.or(difference(offset + 32), difference(offset + 48)),
  );
}

/** Offset of the first changed block at or after `offset` (a multiple of 64), at most `end` rounded up. */
function nextChangedBlock(offset: u32, end: u32): u32 {
  let at = offset;
  while (at + STRIDE <= end) {
    const p = at as usize;
    const first = v128.or(difference64(p), difference64(p + 64));
    const second = v128.or(difference64(p + 128), difference64(p + 192));
    if (v128.any_true(v128.or(first, second))) break;
    at += STRIDE;
  }
  while (at < end && !v128.any_true(difference64(at as usize))) at += BLOCK;
  return at;
}

/** Puts pairs (offset, bytes) of u32 into `output`; the last is clipped to byteCount. Returns how many. */
export function changedBlockRuns(byteCount: u32): u32 {
  assert(byteCount <= (WINDOW_BYTES as u32));
  clearPartialBlock(byteCount);
  let runCount: u32 = 0;
  let start = nextChangedBlock(0, byteCount);
  while (start < byteCount) {
    let end = start + BLOCK;
    while (end < byteCount && v128.any_true(difference64(end as usize))) end += BLOCK;
    if (end > byteCount) end = byteCount;
    assert(runCount < (RUNS_MAX as u32));
    const pair = output + ((runCount as usize) << 3);
    store<u32>(pair, start);
    store<u32>(pair, end - start, 4);
    runCount++;
    start = nextChangedBlock((end + BLOCK - 1) & ~(BLOCK - 1), byteCount);
  }
  return runCount;
}

function sameBits(offset: usize): u64 {
  const same = i8x16.eq(v128.load(before + offset), v128.load(input + offset));
  return (i8x16.bitmask(same) as u64) & 0xffff;
}

/** Bit i: byte i of the block differs. */
function changedBits(block: usize): u64 {
  const low = sameBits(block) | (sameBits(block + 16) << 16);
  const high = (sameBits(block + 32) << 32) | (sameBits(block + 48) << 48);
  return ~(low | high);
}

/** LEB128: 7 bits a byte, the lowest first, the high bit set on all but the last. */
function putVarint(value: u64): void {
  let rest = value;
  while (rest >= 0x80) {
    store<u8>(cursor++, (rest | 0x80) as u8);
    rest >>>= 7;
  }
  store<u8>(cursor++, rest as u8);
}

/** A record; `end` is where the one before ended. Copies by 16 bytes: what it writes past the end is overwritten. */
function putRecord(end: u32, start: u32, byteCount: u32): void {
  putVarint(gapBytes + ((start - end) as u64));
  putVarint(byteCount as u64);
  const source = input + (start as usize);
  for (let offset: u32 = 0; offset < byteCount; offset += 16) {
    v128.store(cursor + (offset as usize), v128.load(source + (offset as usize)));
  }
  cursor += byteCount as usize;
  gapBytes = 0;
}

/** Equal bytes since the last record. */
export function encodeGap(): f64 {
  return gapBytes as f64;
}

/** Passes over bytes that are known to be equal. */
export function encodeSkip(byteCount: u32): void {
  gapBytes += byteCount as u64;
}

export function encodeBegin(): void {
  gapBytes = 0;
}

/**
 * Records for the first bytes of the windows, into `output`. Returns how many bytes; at most byteCount + 13, since
 * every record but the first follows at least GAP equal bytes and needs at most 6 for its two numbers.
 */
export function encodeWindow(byteCount: u32): u32 {
  assert(byteCount <= (WINDOW_BYTES as u32));
  clearPartialBlock(byteCount);
  cursor = output;
  let recordsEnd: u32 = 0;
  // The open run; empty when start and end are equal.
  let start: u32 = 0;
  let end: u32 = 0;
  let block = nextChangedBlock(0, byteCount);
  while (block < byteCount) {
    let bits = changedBits(block as usize);
    let position = block;
    while (bits !== 0) {
      const skip = ctz(bits) as u32;
      bits >>>= skip as u64;
      position += skip;
      const changed = ctz(~bits) as u32;
      if (start === end) start = position;
      else if (position - end >= GAP) {
        putRecord(recordsEnd, start, end - start);
        recordsEnd = end;
        start = position;
      }
      end = position + changed;
      position = end;
      bits = changed < 64 ? bits >>> (changed as u64) : 0;
    }
    block = nextChangedBlock(block + BLOCK, byteCount);
  }
  if (start !== end) {
    putRecord(recordsEnd, start, end - start);
    recordsEnd = end;
  }
  gapBytes += (byteCount - recordsEnd) as u64;
  return (cursor - output) as u32;
}

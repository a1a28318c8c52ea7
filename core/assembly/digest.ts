/**
 * Digests of pages, and of streams of any length, from the fixed regions. Bytes and results as in `xxh3.ts`.
 */
import { DIGEST_BYTES, PAGE_BYTES, STREAM_BYTES, WINDOW_BYTES } from "../abi";
import { digests, input, stream, streamState } from "./layout";
import { begin, consume, finish, STRIPE_BYTES } from "./xxh3";
import { digestShort, SHORT_BYTES_MAX } from "./xxh3-short";

const PAGE: usize = PAGE_BYTES;
const STREAM: usize = STREAM_BYTES;
const WINDOW: usize = WINDOW_BYTES;

/** A page's own accumulators: a stream may be open meanwhile. */
const accumulators: usize = memory.data(64, 64);

function digestPage(source: usize, byteCount: usize, result: usize): void {
  if (byteCount <= SHORT_BYTES_MAX) {
    digestShort(source, byteCount, result);
    return;
  }
  begin(accumulators);
  finish(accumulators, source, byteCount, byteCount as u64, result);
}

/** O(byteCount). */
function digestAll(source: usize, byteCount: usize): void {
  let result = digests;
  for (let offset: usize = 0; offset < byteCount; offset += PAGE) {
    digestPage(source + offset, min(PAGE, byteCount - offset), result);
    result += DIGEST_BYTES;
  }
}

/** Page digests of the first bytes of the input window. */
export function digestInputPages(byteCount: u32): void {
  assert((byteCount as usize) <= WINDOW);
  digestAll(input, byteCount as usize);
}

/** Page digests of the first bytes of the stream buffer; leaves an open stream alone but for its buffer. */
export function digestStreamPages(byteCount: u32): void {
  assert((byteCount as usize) <= STREAM);
  digestAll(stream, byteCount as usize);
}

export function streamBegin(): void {
  begin(streamState);
}

/** Takes in a full stream buffer, which is not the last. */
export function streamNext(): void {
  consume(streamState, stream, STREAM / STRIPE_BYTES);
  // The last stripe of the whole input may begin in this buffer.
  memory.copy(stream - 64, stream + STREAM - 64, 64);
}

/** Takes in the last buffer (empty only when all is) and puts the digest at the beginning of the digests. */
export function streamEnd(byteCount: u32, totalBytes: f64): void {
  assert((byteCount as usize) <= STREAM && totalBytes >= (byteCount as f64));
  if (totalBytes <= (SHORT_BYTES_MAX as f64)) {
    assert(totalBytes === (byteCount as f64));
    digestShort(stream, byteCount as usize, digests);
  } else {
    finish(streamState, stream, byteCount as usize, totalBytes as u64, digests);
  }
}

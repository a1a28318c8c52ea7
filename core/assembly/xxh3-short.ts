/**
 * XXH3-128 of at most 240 bytes: five forms by length. The last page of a region may be that short.
 */
import {
  avalanche,
  foldedProduct,
  highProduct,
  PRIME32_2,
  PRIME64_1,
  PRIME64_2,
  PRIME64_3,
  PRIME64_4,
  secretAt,
} from "./xxh3";

export const SHORT_BYTES_MAX: usize = 240;

/** The two halves of the sum that the 17 to 240 byte forms keep. */
let sumLow: u64 = 0;
let sumHigh: u64 = 0;

function put(result: usize, low: u64, high: u64): void {
  store<u64>(result, bswap(high));
  store<u64>(result, bswap(low), 8);
}

/** The finalizer of XXH64. */
function avalanche64(hash: u64): u64 {
  let h = hash ^ (hash >>> 33);
  h *= PRIME64_2;
  h ^= h >>> 29;
  h *= PRIME64_3;
  return h ^ (h >>> 32);
}

function digest1To3(source: usize, byteCount: usize, result: usize): void {
  const first = load<u8>(source) as u32;
  const middle = load<u8>(source + (byteCount >> 1)) as u32;
  const last = load<u8>(source + byteCount - 1) as u32;
  const low: u32 = (first << 16) | (middle << 24) | last | ((byteCount as u32) << 8);
  const high: u32 = rotl<u32>(bswap<u32>(low), 13);
  const secretLow = (secretAt(0) as u32) ^ ((secretAt(0) >>> 32) as u32);
  const secretHigh = (secretAt(8) as u32) ^ ((secretAt(8) >>> 32) as u32);
  put(result, avalanche64((low ^ secretLow) as u64), avalanche64((high ^ secretHigh) as u64));
}

function digest4To8(source: usize, byteCount: usize, result: usize): void {
  const word = (load<u32>(source) as u64) | ((load<u32>(source + byteCount - 4) as u64) << 32);
  const key = word ^ (secretAt(16) ^ secretAt(24));
  const multiplier = PRIME64_1 + ((byteCount as u64) << 2);
  let low = key * multiplier;
  let high = highProduct(key, multiplier);
  high += low << 1;
  low ^= high >>> 3;
  low ^= low >>> 35;
  low *= 0x9fb21c651e98df25;
  low ^= low >>> 28;
  put(result, low, avalanche(high));
}

function digest9To16(source: usize, byteCount: usize, result: usize): void {
  const first = load<u64>(source);
  const last = load<u64>(source + byteCount - 8);
  const key = first ^ last ^ (secretAt(32) ^ secretAt(40));
  let low = key * PRIME64_1;
  let high = highProduct(key, PRIME64_1);
  low += ((byteCount as u64) - 1) << 54;
  const keyed = last ^ (secretAt(48) ^ secretAt(56));
  high += keyed + (keyed & 0xffffffff) * (PRIME32_2 - 1);
  low ^= bswap(high);
  put(
    result,
    avalanche(low * PRIME64_2),
    avalanche(highProduct(low, PRIME64_2) + high * PRIME64_2),
  );
}

function mix16(source: usize, secretOffset: usize): u64 {
  return foldedProduct(
    load<u64>(source) ^ secretAt(secretOffset),
    load<u64>(source, 8) ^ secretAt(secretOffset + 8),
  );
}

/** Adds two pieces of 16 bytes to the sums. */
function mix32(first: usize, second: usize, secretOffset: usize): void {
  sumLow += mix16(first, secretOffset);
  sumLow ^= load<u64>(second) + load<u64>(second, 8);
  sumHigh += mix16(second, secretOffset + 16);
  sumHigh ^= load<u64>(first) + load<u64>(first, 8);
}

function putSums(byteCount: usize, result: usize): void {
  const low = sumLow + sumHigh;
  const high = sumLow * PRIME64_1 + sumHigh * PRIME64_4 + (byteCount as u64) * PRIME64_2;
  put(result, avalanche(low), 0 - avalanche(high));
}

function digest17To128(source: usize, byteCount: usize, result: usize): void {
  sumLow = (byteCount as u64) * PRIME64_1;
  sumHigh = 0;
  const end = source + byteCount;
  if (byteCount > 96) mix32(source + 48, end - 64, 96);
  if (byteCount > 64) mix32(source + 32, end - 48, 64);
  if (byteCount > 32) mix32(source + 16, end - 32, 32);
  mix32(source, end - 16, 0);
  putSums(byteCount, result);
}

function digest129To240(source: usize, byteCount: usize, result: usize): void {
  sumLow = (byteCount as u64) * PRIME64_1;
  sumHigh = 0;
  for (let offset: usize = 0; offset < 128; offset += 32) {
    mix32(source + offset, source + offset + 16, offset);
  }
  sumLow = avalanche(sumLow);
  sumHigh = avalanche(sumHigh);
  for (let offset: usize = 128; offset + 32 <= byteCount; offset += 32) {
    mix32(source + offset, source + offset + 16, offset - 128 + 3);
  }
  mix32(source + byteCount - 16, source + byteCount - 32, 103);
  putSums(byteCount, result);
}

/** Any length up to SHORT_BYTES_MAX. */
export function digestShort(source: usize, byteCount: usize, result: usize): void {
  assert(byteCount <= SHORT_BYTES_MAX);
  if (byteCount > 128) digest129To240(source, byteCount, result);
  else if (byteCount > 16) digest17To128(source, byteCount, result);
  else if (byteCount > 8) digest9To16(source, byteCount, result);
  else if (byteCount > 3) digest4To8(source, byteCount, result);
  else if (byteCount > 0) digest1To3(source, byteCount, result);
  else {
    put(result, avalanche64(secretAt(64) ^ secretAt(72)), avalanche64(secretAt(80) ^ secretAt(88)));
  }
}

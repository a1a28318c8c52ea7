/**
 * XXH3, 128 bits, default secret, seed 0: the long form's inner loop and the mixing that all forms share.
 *
 * A *stripe* is 64 bytes, a *block* 16 stripes; the secret moves by 8 bytes a stripe and starts again with each block,
 * after a *scramble*. Eight 64-bit accumulators; for lane i of a stripe:
 *
 *   key = data[i] ^ secret[i]     acc[i ^ 1] += data[i]     acc[i] += low32(key) * high32(key)
 *
 * The first sum is kept apart over a block and exchanged once at its end. Lanes 0 to 3 are multiplied as vectors and
 * lanes 4 to 7 as scalars, since this keeps both kinds of ports of a core busy: 20 GB/s, against 15 to 18 either way
 * alone. Two stripes a turn, for the same reason.
 *
 * Frozen: the result is XXH3-128 as published (https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md).
 */

export const STRIPE_BYTES: usize = 64;
const BLOCK_STRIPES: usize = 16;

export const PRIME32_1: u64 = 0x9e3779b1;
export const PRIME32_2: u64 = 0x85ebca77;
export const PRIME32_3: u64 = 0xc2b2ae3d;
export const PRIME64_1: u64 = 0x9e3779b185ebca87;
export const PRIME64_2: u64 = 0xc2b2ae3d27d4eb4f;
export const PRIME64_3: u64 = 0x165667b19e3779f9;
export const PRIME64_4: u64 = 0x85ebca77c2b2ae63;
export const PRIME64_5: u64 = 0x27d4eb2f165667c5;

/** 192 bytes of the published default secret, as little-endian words. */
const SECRET: usize = memory.data<u64>(
  [
    0xbe4ba423396cfeb8, 0x1cad21f72c81017c, 0xdb979083e96dd4de, 0x1f67b3b7a4a44072,
    0x78e5c0cc4ee679cb, 0x2172ffcc7dd05a82, 0x8e2443f7744608b8, 0x4c263a81e69035e0,
    0xcb00c391bb52283c, 0xa32e531b8b65d088, 0x4ef90da297486471, 0xd8acdea946ef1938,
    0x3f349ce33f76faa8, 0x1d4f0bc7c7bbdcf9, 0x3159b4cd4be0518a, 0x647378d9c97e9fc8,
    0xc3ebd33483acc5ea, 0xeb6313faffa081c5, 0x49daf0b751dd0d17, 0x9e68d429265516d3,
    0xfca1477d58be162b, 0xce31d07ad1b8f88f, 0x280416958f3acb45, 0x7e404bbbcafbd7af,
  ],
  16,
);
/** Where the secret of the scramble, of the last stripe and of the two merges begin. */
const SCRAMBLE_OFFSET: usize = 128;
const LAST_STRIPE_OFFSET: usize = 121;
const MERGE_LOW_OFFSET: usize = 11;
const MERGE_HIGH_OFFSET: usize = 117;

export function secretAt(offset: usize): u64 {
  return load<u64>(SECRET + offset);
}

/** Low 64 bits of a · b, exclusive-or their high 64 bits. */
export function foldedProduct(a: u64, b: u64): u64 {
  return (a * b) ^ highProduct(a, b);
}

/** High 64 bits of a · b. */
export function highProduct(a: u64, b: u64): u64 {
  const aLow = a & 0xffffffff;
  const aHigh = a >>> 32;
  const bLow = b & 0xffffffff;
  const bHigh = b >>> 32;
  const middle = aHigh * bLow + ((aLow * bLow) >>> 32);
  return aHigh * bHigh + (middle >>> 32) + ((aLow * bHigh + (middle & 0xffffffff)) >>> 32);
}

export function avalanche(hash: u64): u64 {
  let h = hash ^ (hash >>> 37);
  h *= 0x165667919e3779f9;
  return h ^ (h >>> 32);
}

export function begin(accumulators: usize): void {
  store<u64>(accumulators, PRIME32_3, 0);
  store<u64>(accumulators, PRIME64_1, 8);
  store<u64>(accumulators, PRIME64_2, 16);
  store<u64>(accumulators, PRIME64_3, 24);
  store<u64>(accumulators, PRIME64_4, 32);
  store<u64>(accumulators, PRIME32_2, 40);
  store<u64>(accumulators, PRIME64_5, 48);
  store<u64>(accumulators, PRIME32_1, 56);
}

function vectorProduct(data: v128, secret: usize): v128 {
  const key = v128.xor(data, v128.load(secret));
  return i64x2.extmul_low_i32x4_u(
    v128.shuffle<i32>(key, key, 0, 2, 0, 2),
    v128.shuffle<i32>(key, key, 1, 3, 1, 3),
  );
}

function scalarProduct(source: usize, secret: usize): u64 {
  const key = load<u64>(source) ^ load<u64>(secret);
  return (key & 0xffffffff) * (key >>> 32);
}

function exchanged(sum: v128): v128 {
  return v128.shuffle<i64>(sum, sum, 1, 0);
}

function scrambled2(pair: v128, secret: usize): v128 {
  const mixed = v128.xor(v128.xor(pair, i64x2.shr_u(pair, 47)), v128.load(secret));
  return i64x2.mul(mixed, i64x2.splat(PRIME32_1));
}

function scrambled(accumulator: u64, secret: usize): u64 {
  return (accumulator ^ (accumulator >>> 47) ^ load<u64>(secret)) * PRIME32_1;
}

/**
 * Takes in stripes, from the first of a block, with a scramble after each full block. The accumulators stay in registers
 * over all of them. O(stripeCount).
 */
export function consume(accumulators: usize, source: usize, stripeCount: usize): void {
  let products0 = v128.load(accumulators);
  let products1 = v128.load(accumulators, 16);
  let product4 = load<u64>(accumulators, 32);
  let product5 = load<u64>(accumulators, 40);
  let product6 = load<u64>(accumulators, 48);
  let product7 = load<u64>(accumulators, 56);
  let p = source;
  let left = stripeCount;
  while (left > 0) {
    const count = min(left, BLOCK_STRIPES);
    left -= count;
    let sum0 = i64x2.splat(0);
    let sum1 = sum0;
    let sum2 = sum0;
    let sum3 = sum0;
    let secret: usize = SECRET;
    const pairsEnd = SECRET + (count & ~(<usize>1)) * 8;
    while (secret < pairsEnd) {
      const data0 = v128.load(p);
      const data1 = v128.load(p, 16);
      const next0 = v128.load(p, 64);
      const next1 = v128.load(p, 80);
      sum0 = i64x2.add(i64x2.add(sum0, data0), next0);
      sum1 = i64x2.add(i64x2.add(sum1, data1), next1);
      sum2 = i64x2.add(i64x2.add(sum2, v128.load(p, 32)), v128.load(p, 96));
      sum3 = i64x2.add(i64x2.add(sum3, v128.load(p, 48)), v128.load(p, 112));
      products0 = i64x2.add(products0, vectorProduct(data0, secret));
      products1 = i64x2.add(products1, vectorProduct(data1, secret + 16));
      products0 = i64x2.add(products0, vectorProduct(next0, secret + 8));
      products1 = i64x2.add(products1, vectorProduct(next1, secret + 24));
      product4 += scalarProduct(p + 32, secret + 32) + scalarProduct(p + 96, secret + 40);
      product5 += scalarProduct(p + 40, secret + 40) + scalarProduct(p + 104, secret + 48);
      product6 += scalarProduct(p + 48, secret + 48) + scalarProduct(p + 112, secret + 56);
      product7 += scalarProduct(p + 56, secret + 56) + scalarProduct(p + 120, secret + 64);
      p += 2 * STRIPE_BYTES;
      secret += 16;
    }
    if ((count & 1) !== 0) {
      const data0 = v128.load(p);
      const data1 = v128.load(p, 16);
      sum0 = i64x2.add(sum0, data0);
      sum1 = i64x2.add(sum1, data1);
      sum2 = i64x2.add(sum2, v128.load(p, 32));
      sum3 = i64x2.add(sum3, v128.load(p, 48));
      products0 = i64x2.add(products0, vectorProduct(data0, secret));
      products1 = i64x2.add(products1, vectorProduct(data1, secret + 16));
      product4 += scalarProduct(p + 32, secret + 32);
      product5 += scalarProduct(p + 40, secret + 40);
      product6 += scalarProduct(p + 48, secret + 48);
      product7 += scalarProduct(p + 56, secret + 56);
      p += STRIPE_BYTES;
    }
    products0 = i64x2.add(products0, exchanged(sum0));
    products1 = i64x2.add(products1, exchanged(sum1));
    product4 += i64x2.extract_lane(sum2, 1);
    product5 += i64x2.extract_lane(sum2, 0);
    product6 += i64x2.extract_lane(sum3, 1);
    product7 += i64x2.extract_lane(sum3, 0);
    if (count === BLOCK_STRIPES) {
      const scramble = SECRET + SCRAMBLE_OFFSET;
      products0 = scrambled2(products0, scramble);
      products1 = scrambled2(products1, scramble + 16);
      product4 = scrambled(product4, scramble + 32);
      product5 = scrambled(product5, scramble + 40);
      product6 = scrambled(product6, scramble + 48);
      product7 = scrambled(product7, scramble + 56);
    }
  }
  v128.store(accumulators, products0);
  v128.store(accumulators, products1, 16);
  store<u64>(accumulators, product4, 32);
  store<u64>(accumulators, product5, 40);
  store<u64>(accumulators, product6, 48);
  store<u64>(accumulators, product7, 56);
}

function merged(accumulators: usize, secretOffset: usize, start: u64): u64 {
  let sum = start;
  for (let lane: usize = 0; lane < 64; lane += 16) {
    sum += foldedProduct(
      load<u64>(accumulators + lane) ^ secretAt(secretOffset + lane),
      load<u64>(accumulators + lane, 8) ^ secretAt(secretOffset + lane + 8),
    );
  }
  return avalanche(sum);
}

/**
 * The rest of a long input, at least 1 byte of it, of which the last 64 bytes end at source + byteCount (the first of
 * them may lie before `source`), then the result: high half, low half, both big-endian.
 */
export function finish(
  accumulators: usize,
  source: usize,
  byteCount: usize,
  totalBytes: u64,
  result: usize,
): void {
  assert(byteCount > 0 && totalBytes > 240);
  consume(accumulators, source, (byteCount - 1) / STRIPE_BYTES);
  const last = source + byteCount - STRIPE_BYTES;
  for (let lane: usize = 0; lane < 64; lane += 8) {
    const data = load<u64>(last + lane);
    const other = load<u64>(accumulators + (lane ^ 8));
    store<u64>(accumulators + (lane ^ 8), other + data);
    const product = scalarProduct(last + lane, SECRET + LAST_STRIPE_OFFSET + lane);
    store<u64>(accumulators + lane, load<u64>(accumulators + lane) + product);
  }
  const low = merged(accumulators, MERGE_LOW_OFFSET, totalBytes * PRIME64_1);
  const high = merged(accumulators, MERGE_HIGH_OFFSET, ~(totalBytes * PRIME64_2));
  store<u64>(result, bswap(high));
  store<u64>(result, bswap(low), 8);
}

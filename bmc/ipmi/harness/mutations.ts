/**
 * Bytes that are nearly right: what decoders are tried with, by the million, the same for the same seed.
 *
 * Most damage is small, since what is all wrong is refused at the first check and tells nothing of the second.
 */
export class MutationRandom {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0 || 1;
  }

  /** Xorshift, 32 bits: fast, and good enough to choose places. */
  next(): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x >>> 0;
    return this.#state;
  }

  /** 0 … count − 1. */
  below(count: number): number {
    return this.next() % count;
  }
}

/** Bytes that lie at the borders of lengths, flags and signs. */
const BORDERS = [0x00, 0x01, 0x07, 0x10, 0x1f, 0x20, 0x3f, 0x7f, 0x80, 0xc1, 0xfe, 0xff] as const;
const GROWTH_MAX = 24;

function flip(bytes: Uint8Array, random: MutationRandom): void {
  if (bytes.byteLength === 0) return;
  const offset = random.below(bytes.byteLength);
  const kind = random.below(3);
  if (kind === 0) bytes[offset] = (bytes[offset] ?? 0) ^ (1 << random.below(8));
  else if (kind === 1) bytes[offset] = BORDERS[random.below(BORDERS.length)] ?? 0;
  else bytes[offset] = random.below(256);
}

/** Moves a part of it to another place, as a lost or doubled piece of a reading would. */
function splice(bytes: Uint8Array, random: MutationRandom): void {
  if (bytes.byteLength < 2) return;
  const count = 1 + random.below(bytes.byteLength - 1);
  const source = random.below(bytes.byteLength - count + 1);
  bytes.copyWithin(random.below(bytes.byteLength - count + 1), source, source + count);
}

/**
 * Writes a damaged copy of `source` into `target` and gives its length: shorter, as long, or a little longer. What lies behind
 * it in `target` is left as it was, so that a decoder that reads past the end reads something.
 */
export function mutate(source: Uint8Array, target: Uint8Array, random: MutationRandom): number {
  const kind = random.below(8);
  let bytes = source.byteLength;
  if (kind <= 1 && bytes > 0) bytes = random.below(bytes);
  else if (kind === 2) bytes += random.below(GROWTH_MAX);
  bytes = Math.min(bytes, target.byteLength);
  const copied = Math.min(bytes, source.byteLength);
  target.set(source.subarray(0, copied));
  for (let offset = copied; offset < bytes; offset++) target[offset] = random.below(256);
  const view = target.subarray(0, bytes);
  if (kind === 3) splice(view, random);
  const flipCount = random.below(5);
  for (let count = 0; count < flipCount; count++) flip(view, random);
  return bytes;
}

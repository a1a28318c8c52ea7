/**
 * XXH3-128 written down from the specification, with 64-bit arithmetic in bigints and no care for speed: what the kernel is
 * compared with. https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md
 */

const MASK = (1n << 64n) - 1n;
const P32_1 = 0x9e3779b1n;
const P32_2 = 0x85ebca77n;
const P32_3 = 0xc2b2ae3dn;
const P64_1 = 0x9e3779b185ebca87n;
const P64_2 = 0xc2b2ae3d27d4eb4fn;
const P64_3 = 0x165667b19e3779f9n;
const P64_4 = 0x85ebca77c2b2ae63n;
const P64_5 = 0x27d4eb2f165667c5n;

const SECRET = Uint8Array.fromHex(
  "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671f" +
    "cb79e64eccc0e578825ad07dccff7221b8084674f743248ee03590e6813a264c" +
    "3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8" +
    "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364" +
    "eac5ac8334d3ebc3c581a0fffa1363eb170ddd51b7f0da49d316552629d4689e" +
    "2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e",
);

function word32(bytes: Uint8Array, at: number): bigint {
  return BigInt(new DataView(bytes.buffer, bytes.byteOffset + at, 4).getUint32(0, true));
}

function word(bytes: Uint8Array, at: number): bigint {
  return new DataView(bytes.buffer, bytes.byteOffset + at, 8).getBigUint64(0, true);
}

function secretPair(at: number): bigint {
  return word(SECRET, at) ^ word(SECRET, at + 8);
}

function swapped(value: bigint, bytes: number): bigint {
  let out = 0n;
  for (let i = 0; i < bytes; i++) out = (out << 8n) | ((value >> BigInt(8 * i)) & 0xffn);
  return out;
}

function avalanche(hash: bigint): bigint {
  const h = ((hash ^ (hash >> 37n)) * 0x165667919e3779f9n) & MASK;
  return h ^ (h >> 32n);
}

function avalanche64(hash: bigint): bigint {
  let h = ((hash ^ (hash >> 33n)) * P64_2) & MASK;
  h = ((h ^ (h >> 29n)) * P64_3) & MASK;
  return h ^ (h >> 32n);
}

function folded(a: bigint, b: bigint): bigint {
  const product = a * b;
  return (product & MASK) ^ (product >> 64n);
}

function joined(low: bigint, high: bigint): bigint {
  return ((high & MASK) << 64n) | (low & MASK);
}

function digest1To3(bytes: Uint8Array): bigint {
  const n = bytes.length;
  const [first, middle, last] = [bytes[0], bytes[n >> 1], bytes[n - 1]].map((b) => BigInt(b ?? 0));
  const low = ((first ?? 0n) << 16n) | ((middle ?? 0n) << 24n) | (last ?? 0n) | (BigInt(n) << 8n);
  const turned = swapped(low, 4);
  const high = ((turned << 13n) | (turned >> 19n)) & 0xffff_ffffn;
  const secretLow = word32(SECRET, 0) ^ word32(SECRET, 4);
  const secretHigh = word32(SECRET, 8) ^ word32(SECRET, 12);
  return joined(avalanche64(low ^ secretLow), avalanche64(high ^ secretHigh));
}

function digest4To8(bytes: Uint8Array): bigint {
  const n = bytes.length;
  const key = (word32(bytes, 0) | (word32(bytes, n - 4) << 32n)) ^ secretPair(16);
  const product = key * ((P64_1 + (BigInt(n) << 2n)) & MASK);
  let low = product & MASK;
  const high = ((product >> 64n) + (low << 1n)) & MASK;
  low ^= high >> 3n;
  low = ((low ^ (low >> 35n)) * 0x9fb21c651e98df25n) & MASK;
  return joined(low ^ (low >> 28n), avalanche(high));
}

function digest9To16(bytes: Uint8Array): bigint {
  const n = bytes.length;
  const first = word(bytes, 0);
  const last = word(bytes, n - 8);
  const product = (first ^ last ^ secretPair(32)) * P64_1;
  let low = ((product & MASK) + (BigInt(n - 1) << 54n)) & MASK;
  const keyed = last ^ secretPair(48);
  const high = ((product >> 64n) + keyed + (keyed & 0xffff_ffffn) * (P32_2 - 1n)) & MASK;
  low ^= swapped(high, 8);
  const second = low * P64_2;
  return joined(avalanche(second & MASK), avalanche(((second >> 64n) + high * P64_2) & MASK));
}

/** The two sums of the 17 to 240 byte forms. */
class Mixer {
  low: bigint;
  high = 0n;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.low = (BigInt(bytes.length) * P64_1) & MASK;
  }

  #mix16(at: number, secretAt: number): bigint {
    return folded(
      word(this.#bytes, at) ^ word(SECRET, secretAt),
      word(this.#bytes, at + 8) ^ word(SECRET, secretAt + 8),
    );
  }

  #sum(at: number): bigint {
    return (word(this.#bytes, at) + word(this.#bytes, at + 8)) & MASK;
  }

  mix32(first: number, second: number, secretAt: number): void {
    this.low = ((this.low + this.#mix16(first, secretAt)) & MASK) ^ this.#sum(second);
    this.high = ((this.high + this.#mix16(second, secretAt + 16)) & MASK) ^ this.#sum(first);
  }

  finish(): bigint {
    const n = BigInt(this.#bytes.length);
    const high = (this.low * P64_1 + this.high * P64_4 + n * P64_2) & MASK;
    return joined(avalanche((this.low + this.high) & MASK), (1n << 64n) - avalanche(high));
  }
}

function digest17To240(bytes: Uint8Array): bigint {
  const n = bytes.length;
  const mixer = new Mixer(bytes);
  if (n <= 128) {
    for (let i = Math.ceil(n / 32) - 1; i >= 0; i--) mixer.mix32(16 * i, n - 16 * (i + 1), 32 * i);
    return mixer.finish();
  }
  for (let i = 0; i < 4; i++) mixer.mix32(32 * i, 32 * i + 16, 32 * i);
  mixer.low = avalanche(mixer.low);
  mixer.high = avalanche(mixer.high);
  for (let i = 4; 32 * (i + 1) <= n; i++) mixer.mix32(32 * i, 32 * i + 16, 3 + 32 * (i - 4));
  mixer.mix32(n - 16, n - 32, 103);
  return mixer.finish();
}

function addStripe(sums: bigint[], bytes: Uint8Array, at: number, secretAt: number): void {
  for (let lane = 0; lane < 8; lane++) {
    const data = word(bytes, at + 8 * lane);
    const key = data ^ word(SECRET, secretAt + 8 * lane);
    sums[lane ^ 1] = ((sums[lane ^ 1] ?? 0n) + data) & MASK;
    sums[lane] = ((sums[lane] ?? 0n) + (key & 0xffff_ffffn) * (key >> 32n)) & MASK;
  }
}

function merged(sums: readonly bigint[], secretAt: number, start: bigint): bigint {
  let total = start;
  for (let i = 0; i < 4; i++) {
    total += folded(
      (sums[2 * i] ?? 0n) ^ word(SECRET, secretAt + 16 * i),
      (sums[2 * i + 1] ?? 0n) ^ word(SECRET, secretAt + 16 * i + 8),
    );
  }
  return avalanche(total & MASK);
}

function digestLong(bytes: Uint8Array): bigint {
  const n = bytes.length;
  let sums = [P32_3, P64_1, P64_2, P64_3, P64_4, P32_2, P64_5, P32_1];
  const stripeCount = Math.floor((n - 1) / 64);
  for (let stripe = 0; stripe < stripeCount; stripe++) {
    addStripe(sums, bytes, 64 * stripe, 8 * (stripe % 16));
    if (stripe % 16 === 15) {
      sums = sums.map(
        (sum, lane) => ((sum ^ (sum >> 47n) ^ word(SECRET, 128 + 8 * lane)) * P32_1) & MASK,
      );
    }
  }
  addStripe(sums, bytes, n - 64, 121);
  const low = merged(sums, 11, (BigInt(n) * P64_1) & MASK);
  return joined(low, merged(sums, 117, ~(BigInt(n) * P64_2) & MASK));
}

function digestNumber(bytes: Uint8Array): bigint {
  if (bytes.length > 240) return digestLong(bytes);
  if (bytes.length > 16) return digest17To240(bytes);
  if (bytes.length > 8) return digest9To16(bytes);
  if (bytes.length > 3) return digest4To8(bytes);
  if (bytes.length > 0) return digest1To3(bytes);
  return joined(avalanche64(secretPair(64)), avalanche64(secretPair(80)));
}

/** XXH3-128, seed 0, canonical. */
export function digest(bytes: Uint8Array): Uint8Array {
  return Uint8Array.fromHex(digestNumber(bytes).toString(16).padStart(32, "0"));
}

export function digestPages(bytes: Uint8Array, digests: Uint8Array): void {
  for (let at = 0; at < bytes.length; at += 4096) {
    digests.set(digest(bytes.subarray(at, at + 4096)), (at / 4096) * 16);
  }
}

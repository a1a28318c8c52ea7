/**
 * The cryptography of `../crypto.ts`, by the runtime's own library.
 */
import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  randomBytes,
  timingSafeEqual,
} from "node:crypto";
import type { AesCbc, HmacAlgorithm, IpmiCrypto } from "../crypto.ts";

/**
 * A Buffer's `slice` is a view where an array's is a copy, and decoders copy what they keep by it: no Buffer leaves this file.
 * Copied, since a view on a small array costs the runtime more than its bytes do.
 */
function unbuffered(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes);
}

/** Random bytes are fetched so many at once: a call costs as much for one block as for all of them. */
const RANDOM_POOL_BYTES = 1_024;

/** Fills the front of `target` with a block of random bytes, each of which is given out once. */
function randomBlocks(): (target: Uint8Array) => void {
  let pool = randomBytes(RANDOM_POOL_BYTES);
  let offset = 0;
  return (target) => {
    if (offset === RANDOM_POOL_BYTES) {
      pool = randomBytes(RANDOM_POOL_BYTES);
      offset = 0;
    }
    for (let index = 0; index < BLOCK_BYTES; index++) target[index] = pool[offset++] as number;
  };
}

const AES = "aes-128-cbc";
const BLOCK_BYTES = 16;
const DIGEST_BYTES: Readonly<Record<HmacAlgorithm, number>> = { md5: 16, sha1: 20, sha256: 32 };
/** The runtime wants room for its longest digest. */
const DIGEST_BYTES_ROOM = 64;

/**
 * One cipher and one decipher for the whole session instead of two per packet, a fifth of the cost.
 *
 * A CBC context that goes on from packet to packet encrypts a random block first: its ciphertext is the packet's IV, as
 * unpredictable as the key is unknown (NIST SP 800-38A, appendix C), and what follows is chained to it as to any IV. When
 * decrypting, only the block of the IV comes out as nonsense, and is dropped.
 */
function aesCbc(key: Uint8Array): AesCbc {
  const cipher = createCipheriv(AES, key, randomBytes(BLOCK_BYTES)).setAutoPadding(false);
  const decipher = createDecipheriv(AES, key, randomBytes(BLOCK_BYTES)).setAutoPadding(false);
  const fillRandom = randomBlocks();
  return {
    encrypt: (plain) => {
      const blocks = new Uint8Array(BLOCK_BYTES + plain.byteLength);
      fillRandom(blocks);
      blocks.set(plain, BLOCK_BYTES);
      return unbuffered(cipher.update(blocks));
    },
    decrypt: (ivAndCiphertext) => unbuffered(decipher.update(ivAndCiphertext)).slice(BLOCK_BYTES),
  };
}

export const realCrypto: IpmiCrypto = {
  hmac: (algorithm: HmacAlgorithm, key, data) =>
    unbuffered(createHmac(algorithm, key).update(data).digest()),
  keyedHmac: (algorithm, key) => {
    const keyed = new Bun.CryptoHasher(algorithm, key);
    // Written to memory of ours: cheaper than a Buffer for each.
    const digest = new Uint8Array(DIGEST_BYTES_ROOM);
    return (data) => {
      keyed.copy().update(data).digest(digest);
      return digest.slice(0, DIGEST_BYTES[algorithm]);
    };
  },
  md5: (data) => unbuffered(createHash("md5").update(data).digest()),
  sha256: (data) => unbuffered(createHash("sha256").update(data).digest()),
  aesEncrypt: (key, iv, data) => {
    const cipher = createCipheriv(AES, key, iv).setAutoPadding(false);
    return unbuffered(Buffer.concat([cipher.update(data), cipher.final()]));
  },
  aesDecrypt: (key, iv, data) => {
    const cipher = createDecipheriv(AES, key, iv).setAutoPadding(false);
    return unbuffered(Buffer.concat([cipher.update(data), cipher.final()]));
  },
  aesCbc,
  random: (count) => unbuffered(randomBytes(count)),
  isEqual: (a, b) => a.byteLength === b.byteLength && timingSafeEqual(a, b),
};

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
 */
function unbuffered(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

const AES = "aes-128-cbc";
const BLOCK_BYTES = 16;

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
  return {
    encrypt: (plain) => {
      const blocks = new Uint8Array(BLOCK_BYTES + plain.byteLength);
      blocks.set(randomBytes(BLOCK_BYTES));
      blocks.set(plain, BLOCK_BYTES);
      return unbuffered(cipher.update(blocks));
    },
    decrypt: (ivAndCiphertext) =>
      unbuffered(decipher.update(ivAndCiphertext)).subarray(BLOCK_BYTES),
  };
}

export const realCrypto: IpmiCrypto = {
  hmac: (algorithm: HmacAlgorithm, key, data) =>
    unbuffered(createHmac(algorithm, key).update(data).digest()),
  keyedHmac: (algorithm, key) => {
    const keyed = new Bun.CryptoHasher(algorithm, key);
    return (data) => unbuffered(keyed.copy().update(data).digest());
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

/**
 * The cryptography and randomness that RMCP+ needs, as functions that a pure session is given.
 *
 * The real ones are in `io/crypto.ts`; a test gives fixed randomness, so that a whole session can be compared bit for bit.
 */
export type HmacAlgorithm = "sha1" | "sha256" | "md5";

/** AES-128-CBC with one key, for packet after packet. */
export interface AesCbc {
  /** Of whole blocks. Gives IV ‖ ciphertext; the IV is unpredictable to whoever does not know the key. */
  encrypt(plain: Uint8Array): Uint8Array;
  /** Of IV ‖ ciphertext, whole blocks, at least two. */
  decrypt(ivAndCiphertext: Uint8Array): Uint8Array;
}

export interface IpmiCrypto {
  hmac(algorithm: HmacAlgorithm, key: Uint8Array, data: Uint8Array): Uint8Array;
  /** `hmac` with a key that is used again and again. */
  keyedHmac(algorithm: HmacAlgorithm, key: Uint8Array): (data: Uint8Array) => Uint8Array;
  md5(data: Uint8Array): Uint8Array;
  sha256(data: Uint8Array): Uint8Array;
  /** AES-128-CBC without padding of its own: `data` is a multiple of 16 bytes. */
  aesEncrypt(key: Uint8Array, iv: Uint8Array, data: Uint8Array): Uint8Array;
  aesDecrypt(key: Uint8Array, iv: Uint8Array, data: Uint8Array): Uint8Array;
  aesCbc(key: Uint8Array): AesCbc;
  /** Unpredictable bytes. */
  random(count: number): Uint8Array;
  /** In a time that does not depend on where they differ; false for different lengths. */
  isEqual(a: Uint8Array, b: Uint8Array): boolean;
}

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
import type { HmacAlgorithm, IpmiCrypto } from "../crypto.ts";

const AES = "aes-128-cbc";

export const realCrypto: IpmiCrypto = {
  hmac: (algorithm: HmacAlgorithm, key, data) => createHmac(algorithm, key).update(data).digest(),
  md5: (data) => createHash("md5").update(data).digest(),
  aesEncrypt: (key, iv, data) => {
    const cipher = createCipheriv(AES, key, iv).setAutoPadding(false);
    return Buffer.concat([cipher.update(data), cipher.final()]);
  },
  aesDecrypt: (key, iv, data) => {
    const cipher = createDecipheriv(AES, key, iv).setAutoPadding(false);
    return Buffer.concat([cipher.update(data), cipher.final()]);
  },
  random: (count) => randomBytes(count),
  isEqual: (a, b) => a.byteLength === b.byteLength && timingSafeEqual(a, b),
};

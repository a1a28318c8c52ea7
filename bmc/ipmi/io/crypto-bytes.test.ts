/**
 * Goal: what the cryptography gives is plain bytes, never a Buffer, whose `slice` would be a view where decoders mean a copy.
 * Method: every function that gives bytes.
 */
import { expect, test } from "bun:test";
import { realCrypto } from "./crypto.ts";

test("no Buffer comes out of the cryptography", () => {
  const block = new Uint8Array(16);
  const cbc = realCrypto.aesCbc(block);
  const given: Readonly<Record<string, Uint8Array>> = {
    hmac: realCrypto.hmac("sha256", block, block),
    keyedHmac: realCrypto.keyedHmac("sha1", block)(block),
    md5: realCrypto.md5(block),
    sha256: realCrypto.sha256(block),
    aesEncrypt: realCrypto.aesEncrypt(block, block, block),
    aesDecrypt: realCrypto.aesDecrypt(block, block, block),
    encrypt: cbc.encrypt(block),
    decrypt: cbc.decrypt(new Uint8Array(32)),
    random: realCrypto.random(8),
  };
  for (const [name, bytes] of Object.entries(given)) {
    expect([name, Buffer.isBuffer(bytes)]).toEqual([name, false]);
    const first = bytes[0];
    bytes.slice()[0] = (first ?? 0) ^ 0xff;
    expect(bytes[0]).toBe(first);
  }
});

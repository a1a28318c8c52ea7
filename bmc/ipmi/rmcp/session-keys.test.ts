/**
 * Keys, codes and packets against recorded sessions, bit for bit, both suites and both directions; then properties of the
 * packets with random keys and mutilated bytes.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { realCrypto } from "../io/crypto.ts";
import { countingCrypto, SESSION_VECTORS, TEST_PASSWORD } from "../test-vectors.ts";
import { CIPHER_SUITES } from "./cipher-suite.ts";
import { paddedKey, rakp2Code, rakp3Code, rakp4CheckValue, sessionKeys } from "./session-keys.ts";
import { decodeSessionPacket, PAYLOAD_IPMI, PacketCipher } from "./session-packet.ts";

const hex = (text: string): Uint8Array => Uint8Array.fromHex(text);

function packetOf(datagram: Uint8Array) {
  const packet = decodeSessionPacket(datagram);
  if (!packet.ok || packet.value.version !== "2.0") throw new Error("no RMCP+ packet");
  return packet.value;
}

describe("session keys", () => {
  for (const vector of SESSION_VECTORS) {
    test(`${vector.name}: every code and key is the recorded one`, () => {
      const { suite, exchange } = vector;
      const key = paddedKey(TEST_PASSWORD);
      const keys = sessionKeys(realCrypto, suite, key, exchange);
      expect(rakp2Code(realCrypto, suite, key, exchange).toHex()).toBe(vector.rakp2);
      expect(rakp3Code(realCrypto, suite, key, exchange).toHex()).toBe(vector.rakp3);
      expect(keys.sik.toHex()).toBe(vector.sik);
      expect(keys.k1.toHex()).toBe(vector.k1);
      expect(keys.k2.toHex()).toBe(vector.k2);
      expect(rakp4CheckValue(realCrypto, suite, keys.sik, exchange).toHex()).toBe(vector.rakp4);
    });

    const { packet } = vector;
    if (packet === null) continue;
    test(`${vector.name}: the recorded packet is opened, and made again bit for bit`, () => {
      const key = paddedKey(TEST_PASSWORD);
      const keys = sessionKeys(realCrypto, vector.suite, key, vector.exchange);
      const datagram = hex(`0600ff07${packet.sealed}`);
      const opened = new PacketCipher(realCrypto, vector.suite, keys).open(packetOf(datagram));
      expect(opened.ok && opened.value.toHex()).toBe(packet.plain);
      const cipher = new PacketCipher(countingCrypto(hex(packet.iv)), vector.suite, keys);
      const again = cipher.seal(PAYLOAD_IPMI, vector.exchange.bmcId, 3, hex(packet.plain));
      expect(again.toHex()).toBe(datagram.toHex());
    });
  }
});

const keysOf = (seed: Uint8Array) => ({ sik: seed, k1: seed, k2: seed });
const someBytes = fc.uint8Array({ minLength: 20, maxLength: 32 });

describe("packets of a session", () => {
  for (const suite of CIPHER_SUITES) {
    test(`suite ${suite.id}: what is sealed is opened, whatever its length and order`, () => {
      const payloads = fc.array(fc.uint8Array({ maxLength: 80 }), { minLength: 1, maxLength: 8 });
      fc.assert(
        fc.property(someBytes, payloads, (seed, plains) => {
          const sender = new PacketCipher(realCrypto, suite, keysOf(seed));
          const receiver = new PacketCipher(realCrypto, suite, keysOf(seed));
          const sealed = plains.map((plain, index) => sender.seal(0, 0xfffffffe, index, plain));
          // Backwards: neither side may depend on which packet came before.
          for (let index = plains.length - 1; index >= 0; index--) {
            const packet = packetOf(sealed[index] as Uint8Array);
            expect(packet.sessionId).toBe(0xfffffffe);
            expect(packet.sequence).toBe(index);
            expect(receiver.open(packet)).toEqual({ ok: true, value: expect.anything() });
            const opened = receiver.open(packet);
            expect(opened.ok && opened.value.toHex()).toBe((plains[index] as Uint8Array).toHex());
          }
        }),
        { numRuns: 60 },
      );
    });

    test(`suite ${suite.id}: one changed bit anywhere behind the RMCP header and nothing is opened`, () => {
      const cipher = new PacketCipher(realCrypto, suite, keysOf(new Uint8Array(32).fill(7)));
      const sealed = cipher.seal(0, 1, 1, hex("2018c881043b043c"));
      for (let bit = 32; bit < sealed.byteLength * 8; bit++) {
        const changed = sealed.slice();
        changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7));
        const packet = decodeSessionPacket(changed);
        if (!packet.ok || packet.value.version !== "2.0") continue;
        expect(cipher.open(packet.value).ok).toBe(false);
      }
    });
  }

  test("two packets with the same text look different: no IV is used twice", () => {
    const keys = keysOf(new Uint8Array(32).fill(9));
    const cipher = new PacketCipher(realCrypto, CIPHER_SUITES[0] as never, keys);
    const ivs = new Set<string>();
    for (let n = 0; n < 1000; n++) ivs.add(cipher.seal(0, 1, 1, keys.k1).subarray(16, 32).toHex());
    expect(ivs.size).toBe(1000);
  });
});

/** Headers there and back; the replay window against a plain set; which key is sent under while one takes over. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  decodeSealHeader,
  encodeSealHeader,
  generationToSend,
  KEY_SETTLES_MS,
  nonceOf,
  REPLAY_WINDOW,
  ReplayWindow,
  SALT_BYTES,
  SEAL_BYTES,
} from "./sealed-datagram.ts";

describe("a sealed datagram's header", () => {
  test("is read as it was written", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 0xffff_ffff }),
        fc.uint8Array({ minLength: SALT_BYTES, maxLength: SALT_BYTES }),
        fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
        (generation, salt, counter) => {
          const bytes = new Uint8Array(SEAL_BYTES + 1);
          encodeSealHeader({ generation, salt, counter }, bytes);
          expect(decodeSealHeader(bytes)).toEqual({ generation, salt, counter });
        },
      ),
    );
  });

  test("of another kind, or with nothing behind it, is none", () => {
    const bytes = new Uint8Array(SEAL_BYTES + 1);
    encodeSealHeader({ generation: 1, salt: new Uint8Array(16), counter: 1 }, bytes);
    expect(decodeSealHeader(bytes)).not.toBeNull();
    expect(decodeSealHeader(bytes.subarray(0, SEAL_BYTES))).toBeNull();
    expect(decodeSealHeader(new Uint8Array(0))).toBeNull();
    for (const at of [0, 1, 2, 3]) {
      const other = bytes.slice();
      other[at] = (other[at] ?? 0) ^ 1;
      expect(decodeSealHeader(other)).toBeNull();
    }
    const zero = bytes.slice().fill(0, 24, 32);
    expect(decodeSealHeader(zero)).toBeNull();
    expect(decodeSealHeader(bytes.slice().fill(255, 24, 32))).toBeNull();
  });

  test("gives each counter a nonce of its own", () => {
    const nonces = [1, 2, 256, 2 ** 32, 2 ** 52].map((counter) => nonceOf(counter).toHex());
    expect(new Set(nonces).size).toBe(5);
    expect(nonces[0]).toBe("000000000100000000000000");
  });
});

describe("a replay window", () => {
  test("takes what a plain set of counters takes, for whatever lies within it", () => {
    const steps = fc.array(fc.integer({ min: -REPLAY_WINDOW - 40, max: 300 }), { maxLength: 300 });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 10_000 }), steps, (start, jumps) => {
        const window = new ReplayWindow();
        const taken = new Set<number>();
        let newest = 0;
        for (const jump of [start, ...jumps]) {
          const counter = Math.max(1, newest + jump);
          const isNew = counter + REPLAY_WINDOW > newest && !taken.has(counter);
          expect(window.take(counter)).toBe(isNew);
          taken.add(counter);
          newest = Math.max(newest, counter);
        }
      }),
    );
  });

  test("takes the same counter once, also after a long jump", () => {
    const window = new ReplayWindow();
    expect([1, 1, 5, 3, 3, 5].map((counter) => window.take(counter))).toEqual([
      ...[true, false, true, true, false, false],
    ]);
    expect(window.take(1_000_000)).toBe(true);
    expect(window.take(1_000_000 - REPLAY_WINDOW + 1)).toBe(true);
    expect(window.take(1_000_000 - REPLAY_WINDOW)).toBe(false);
    expect(window.take(4)).toBe(false);
  });
});

describe("the key that is sent under", () => {
  test("is the newest at the start, and the one before for a while after another came", () => {
    expect(generationToSend([3, 2], null, 0, 0)).toBe(3);
    expect(generationToSend([4, 3], 3, 1_000, 1_000 + KEY_SETTLES_MS - 1)).toBe(3);
    expect(generationToSend([4, 3], 3, 1_000, 1_000 + KEY_SETTLES_MS)).toBe(4);
  });

  test("is the newest at once when the one before is not believed any more", () => {
    expect(generationToSend([5, 4], 3, 1_000, 1_001)).toBe(5);
    expect(generationToSend([], 3, 0, 1)).toBeNull();
  });
});

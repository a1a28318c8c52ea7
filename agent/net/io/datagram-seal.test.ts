/**
 * Goal: only nodes that hold the cluster key are heard, each packet once, and a rotation loses none.
 * Method: identities of a real authority; every byte of a packet flipped; clocks by hand.
 */
import { describe, expect, test } from "bun:test";
import { testIdentities } from "../../identity/harness/test-authority.ts";
import { KEY_SETTLES_MS, SEAL_BYTES } from "../sealed-datagram.ts";
import { DatagramSeal, sealedCodec } from "./datagram-seal.ts";

const PACKET = new TextEncoder().encode("a packet of membership");

function text(bytes: Uint8Array | null): string | null {
  return bytes === null ? null : new TextDecoder().decode(bytes);
}

function sealed(seal: DatagramSeal): Uint8Array {
  const bytes = seal.seal(PACKET);
  if (bytes === null) throw new Error("there is a key");
  return bytes;
}

describe("a sealed datagram", () => {
  test("is opened by another node, once", async () => {
    const ids = await testIdentities("c1");
    const a = new DatagramSeal(await ids.of("agent", "a"));
    const b = new DatagramSeal(await ids.of("agent", "b"));
    const bytes = sealed(a);
    expect(bytes.byteLength).toBe(PACKET.byteLength + SEAL_BYTES);
    expect(Buffer.from(bytes).includes(Buffer.from(PACKET))).toBe(false);
    expect(text(b.open(bytes))).toBe("a packet of membership");
    expect(b.open(bytes)).toBeNull();
    expect([...b.takeDrops()]).toEqual([["replayed", 1]]);
    expect([...b.takeDrops()]).toEqual([]);
  });

  test("with any bit changed, cut, or of another cluster is dropped and counted", async () => {
    const ids = await testIdentities("c1");
    const a = new DatagramSeal(await ids.of("agent", "a"));
    const b = new DatagramSeal(await ids.of("agent", "b"));
    const bytes = sealed(a);
    for (let at = 0; at < bytes.byteLength; at++) {
      const changed = bytes.slice();
      changed[at] = (changed[at] ?? 0) ^ 0x10;
      expect([at, b.open(changed)]).toEqual([at, null]);
      expect([at, b.open(bytes.subarray(0, at))]).toEqual([at, null]);
    }
    const other = new DatagramSeal(await (await testIdentities("c2")).of("agent", "a"));
    expect(b.open(sealed(other))).toBeNull();
    expect(b.open(PACKET)).toBeNull();
    const drops = b.takeDrops();
    const count = [...drops.values()].reduce((sum, one) => sum + one, 0);
    expect(count).toBe(2 * bytes.byteLength + 2);
    expect(drops.get("not-opened") ?? 0).toBeGreaterThan(bytes.byteLength / 2);
    expect(text(b.open(bytes))).toBe("a packet of membership");
  });

  test("never comes twice from one sender, nor the same from a sender that was started anew", async () => {
    const ids = await testIdentities("c1");
    const identity = await ids.of("agent", "a");
    const first = new DatagramSeal(identity);
    const again = new DatagramSeal(identity);
    const all = [sealed(first), sealed(first), sealed(again), sealed(again)];
    expect(new Set(all.map((bytes) => Buffer.from(bytes).toString("hex"))).size).toBe(4);
    const b = new DatagramSeal(await ids.of("agent", "b"));
    expect(all.map((bytes) => text(b.open(bytes)))).toEqual(
      all.map(() => "a packet of membership"),
    );
  });

  test("is heard all through a rotation, whoever hears of the new key first", async () => {
    const ids = await testIdentities("c1");
    let nowMs = 0;
    const early = new DatagramSeal(await ids.of("agent", "a"), () => nowMs);
    const late = new DatagramSeal(await ids.of("agent", "b"), () => nowMs);
    expect(early.open(sealed(late))).not.toBeNull();
    expect(late.open(sealed(early))).not.toBeNull();
    await ids.rotateClusterKey();
    // Both know of it here; `early` still sends under the old one, so one who does not know would hear it.
    const before = sealed(early);
    expect(new DataView(before.buffer).getUint32(4, true)).toBe(1);
    expect(late.open(before)).not.toBeNull();
    nowMs = KEY_SETTLES_MS;
    const after = sealed(early);
    expect(new DataView(after.buffer).getUint32(4, true)).toBe(2);
    expect(late.open(after)).not.toBeNull();
    await ids.rotateClusterKey();
    await ids.rotateClusterKey();
    // Two rotations later the first is not believed any more, and what was sealed with the second neither.
    expect(late.open(before)).toBeNull();
    expect([...late.takeDrops().keys()]).toEqual(["unknown-key"]);
    expect(late.open(sealed(early))).not.toBeNull();
  });

  test("is what a codec under the seal writes and reads", async () => {
    const ids = await testIdentities("c1");
    const plain = {
      encode: (packet: string) => new TextEncoder().encode(packet),
      decode: (bytes: Uint8Array) => new TextDecoder().decode(bytes),
    };
    const a = sealedCodec(new DatagramSeal(await ids.of("agent", "a")), plain);
    const b = sealedCodec(new DatagramSeal(await ids.of("agent", "b")), plain);
    expect(b.decode(a.encode("hello"))).toBe("hello");
    expect(b.decode(plain.encode("hello"))).toBeNull();
  });
});

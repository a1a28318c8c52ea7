/**
 * Goal: every packet survives its bytes, fits in a datagram, and no bytes whatever make the decoder throw. Method: golden
 * bytes of version 1, which may not change, and properties over arbitrary packets, truncations and bit flips.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Epoch, Member, NodeId } from "./membership.ts";
import { CLAIMS_MAX, type Claim, PACKET_BYTES_MAX, type Packet } from "./packet.ts";
import { decodePacket, encodePacket, readPacket } from "./packet-codec.ts";

const u32 = fc.nat(0xffff_ffff);
const text = (alphabet: string, maxLength: number): fc.Arbitrary<string> =>
  fc.string({ unit: fc.constantFrom(...alphabet), minLength: 1, maxLength });
const id = text("abz019-", 32).map((value) => value as NodeId);
const instance = text("abzABZ019-", 40);
const address = text("0123456789abcdef:.%", 48);
const port = fc.integer({ min: 1, max: 65_535 });

const member: fc.Arbitrary<Member> = fc.record({
  id,
  instance,
  address,
  port,
  incarnation: u32,
  role: fc.constantFrom("worker" as const, "witness" as const),
});
const claim: fc.Arbitrary<Claim> = fc.record({
  member,
  rebuttal: u32,
  standing: fc.constantFrom("alive", "suspect", "unreachable", "left"),
  accuser: id,
});
const head = {
  from: member,
  rebuttal: u32,
  epoch: u32.map((value) => value as Epoch),
  cluster: u32,
  claims: fc.array(claim, { maxLength: CLAIMS_MAX }),
};
const packet: fc.Arbitrary<Packet> = fc.oneof(
  fc.record({
    ...head,
    kind: fc.constant("ping" as const),
    seq: u32,
    target: fc.oneof(instance, fc.constant("")),
  }),
  fc.record({ ...head, kind: fc.constantFrom("ack" as const, "nack" as const), seq: u32 }),
  fc.record({
    ...head,
    kind: fc.constant("ping-req" as const),
    seq: u32,
    target: instance,
    endpoint: fc.record({ address, port }),
  }),
  fc.record({ ...head, kind: fc.constant("gossip" as const) }),
);

const n1: Member = {
  id: "n1" as NodeId,
  instance: "a1",
  incarnation: 3,
  address: "10.0.0.1",
  port: 7000,
  role: "worker",
};

describe("packets as bytes", () => {
  test("a ping of version 1 has these bytes, for ever", () => {
    const bytes = encodePacket({
      kind: "ping",
      seq: 258,
      target: "b2",
      from: n1,
      rebuttal: 1,
      epoch: 5 as Epoch,
      cluster: 0xdeadbeef,
      claims: [{ member: n1, rebuttal: 2, standing: "suspect", accuser: "n2" as NodeId }],
    });
    const memberHex = "026e31026131083130 2e302e302e31581b0300000000".replaceAll(" ", "");
    expect(Buffer.from(bytes).toString("hex")).toBe(
      `68660100efbeadde050000000201000001000000${memberHex}02623201${memberHex}0200000001026e32`,
    );
  });

  test("what is encoded is decoded, with as many claims as fit, in one datagram", () => {
    fc.assert(
      fc.property(packet, (value) => {
        const bytes = encodePacket(value);
        expect(bytes.length).toBeLessThanOrEqual(PACKET_BYTES_MAX);
        expect(decodePacket(bytes)).toEqual(value);
      }),
      { numRuns: 300 },
    );
  });

  test("with every string at its longest all claims still fit", () => {
    const long: Member = {
      ...n1,
      id: "n".repeat(32) as NodeId,
      instance: "i".repeat(40),
      address: "f".repeat(48),
    };
    const claims: Claim[] = Array.from({ length: CLAIMS_MAX }, () => ({
      member: long,
      rebuttal: 1,
      standing: "alive",
      accuser: long.id,
    }));
    const bytes = encodePacket({
      kind: "ping-req",
      seq: 1,
      target: long.instance,
      endpoint: { address: long.address, port: 1 },
      from: long,
      rebuttal: 0,
      epoch: 1 as Epoch,
      cluster: 1,
      claims,
    });
    expect(bytes.length).toBeLessThanOrEqual(PACKET_BYTES_MAX);
    expect(decodePacket(bytes)?.claims.length).toBe(CLAIMS_MAX);
  });

  test("random, cut and flipped bytes are refused or read as a packet, and never throw", () => {
    fc.assert(
      fc.property(packet, fc.uint8Array({ maxLength: 1600 }), fc.nat(), (value, noise, n) => {
        readPacket(noise);
        const bytes = encodePacket(value);
        expect(readPacket(bytes.subarray(0, n % bytes.length)).ok).toBe(false);
        const flipped = bytes.slice();
        flipped[n % bytes.length] = (flipped[n % bytes.length] ?? 0) ^ (1 << (n % 8));
        const result = readPacket(flipped);
        // What is still a packet is a canonical one.
        if (result.ok) expect(encodePacket(result.value)).toEqual(flipped);
        const longer = new Uint8Array([...bytes, 0]);
        expect(readPacket(longer).ok).toBe(false);
      }),
      { numRuns: 300 },
    );
  });

  test("an unknown version is named", () => {
    const bytes = new Uint8Array(64);
    bytes.set([0x68, 0x66, 9]);
    expect(readPacket(bytes)).toEqual({ ok: false, error: { kind: "bad-version", version: 9 } });
  });
});

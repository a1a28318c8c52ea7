/**
 * Goal: an encrypted stream carries every byte in order whatever the sizes, shows none of them on the wire, and ends at the first
 * changed record. Method: two sockets on loopback, driven by hand; a third that changes what passes.
 */
import { afterEach, describe, expect, test } from "bun:test";
import { ffiBuffer } from "../../../core/io/native.ts";
import { libc } from "../../runtime/io/ffi.ts";
import { connectionKeys, isSameProof, keyOf, proofOf, type Transcript } from "./peer-secret.ts";
import { RECORD_BYTES_MAX, SealedStream } from "./sealed-stream.ts";
import { accept, connectTcp, listenTcp } from "./socket.ts";

const fds: number[] = [];
afterEach(() => {
  for (const fd of fds.splice(0)) libc.close(fd);
});

async function pair(): Promise<readonly [number, number]> {
  const { fd: listener, port } = listenTcp("127.0.0.1");
  const one = connectTcp("127.0.0.1", port);
  let two = -1;
  for (let look = 0; two < 0 && look < 500; look++) {
    two = accept(listener);
    if (two < 0) await Bun.sleep(2);
  }
  fds.push(listener, one, two);
  return [one, two];
}

const A = new Uint8Array(32).fill(1);
const B = new Uint8Array(32).fill(2);
const NOTHING = new Uint8Array(0);

/** Sends all and gives what came at the other end. */
async function carry(from: SealedStream, to: SealedStream, data: Uint8Array): Promise<Uint8Array> {
  const got = new Uint8Array(data.byteLength);
  let sent = 0;
  let received = 0;
  const endMs = performance.now() + 10_000;
  while (received < got.byteLength && performance.now() < endMs) {
    const size = 1 + ((sent * 7919) % 200_000);
    if (sent < data.byteLength) sent += Math.max(0, from.send(data.subarray(sent, sent + size)));
    else from.flush();
    const room = 1 + ((received * 104_729) % 100_000);
    const took = to.receive(got.subarray(received, received + room));
    if (took.kind === "broken") throw new Error(took.why);
    if (took.kind === "bytes") received += took.bytes;
    else await Bun.sleep(0);
  }
  expect(from.hasUnsent).toBe(false);
  expect(to.hasAhead).toBe(false);
  return got;
}

function pattern(bytes: number): Uint8Array {
  return Uint8Array.from({ length: bytes }, (_, at) => (at * 31 + (at >> 8)) & 255);
}

function readRaw(fd: number, bytes: number): Uint8Array {
  const memory = ffiBuffer(bytes);
  const got = libc.recv(fd, memory.pointer, bytes, 0);
  return memory.u8.slice(0, got);
}

describe("an encrypted stream", () => {
  test("carries bytes both ways in pieces of any size", async () => {
    const [one, two] = await pair();
    const left = new SealedStream(one, { send: A, receive: B }, NOTHING);
    const right = new SealedStream(two, { send: B, receive: A }, NOTHING);
    const data = pattern(3_000_000);
    expect(Bun.hash(await carry(left, right, data))).toBe(Bun.hash(data));
    const back = pattern(RECORD_BYTES_MAX + 1);
    expect(Bun.hash(await carry(right, left, back))).toBe(Bun.hash(back));
  });

  test("goes on from what was read of the socket before", async () => {
    const [one, two] = await pair();
    const left = new SealedStream(one, { send: A, receive: B }, NOTHING);
    left.send(pattern(1_000));
    await Bun.sleep(20);
    const ahead = readRaw(two, 500);
    expect(ahead.byteLength).toBe(500);
    const right = new SealedStream(two, { send: B, receive: A }, ahead);
    const got = new Uint8Array(2_000);
    expect(right.receive(got)).toEqual({ kind: "bytes", bytes: 1_000 });
    expect(Buffer.from(got).subarray(0, 1_000).equals(pattern(1_000))).toBe(true);
  });

  test("shows nothing of what it carries, and the same bytes never look the same", async () => {
    const [one, two] = await pair();
    const left = new SealedStream(one, { send: A, receive: B }, NOTHING);
    const secret = new TextEncoder().encode("the weights of the model");
    left.send(secret);
    left.send(secret);
    await Bun.sleep(20);
    const raw = Buffer.from(readRaw(two, 4_096));
    expect(raw.byteLength).toBe(2 * (20 + secret.byteLength));
    expect(raw.includes(Buffer.from("weights"))).toBe(false);
    const half = raw.byteLength / 2;
    expect(raw.subarray(0, half).equals(raw.subarray(half))).toBe(false);
  });

  test("ends at a record that was changed, doubled, left out, or under another key", async () => {
    const spoil: Readonly<Record<string, (records: readonly Uint8Array[]) => Uint8Array[]>> = {
      changed: ([first = NOTHING]) => [first.map((byte, at) => (at === 30 ? byte ^ 1 : byte))],
      "of another length": ([first = NOTHING]) => [
        first.map((byte, at) => (at === 1 ? 200 : byte)),
      ],
      doubled: ([first = NOTHING]) => [first, first],
      "left out": ([, second = NOTHING]) => [second],
    };
    for (const [name, change] of Object.entries(spoil)) {
      const [one, two] = await pair();
      const left = new SealedStream(one, { send: A, receive: B }, NOTHING);
      left.send(pattern(100));
      left.send(pattern(100));
      await Bun.sleep(10);
      const raw = readRaw(two, 4_096);
      const records = [raw.subarray(0, 120), raw.subarray(120)];
      const bytes = Buffer.concat(change(records));
      const right = new SealedStream(two, { send: B, receive: A }, bytes);
      const results = [right.receive(new Uint8Array(200)), right.receive(new Uint8Array(200))];
      expect([name, results.some(({ kind }) => kind === "broken")]).toEqual([
        ...[name, name !== "of another length"],
      ]);
      // A length that is never reached is waited for, and nothing of it is believed.
      expect(results.at(-1)?.kind).not.toBe("bytes");
    }
    const [one, two] = await pair();
    new SealedStream(one, { send: A, receive: B }, NOTHING).send(pattern(10));
    await Bun.sleep(10);
    const wrong = new SealedStream(two, { send: A, receive: B }, NOTHING);
    expect(wrong.receive(new Uint8Array(10)).kind).toBe("broken");
  });
});

describe("a proof of the job's key", () => {
  const transcript: Transcript = {
    ...{ job: "j-1", epoch: 3, dialler: "n1", acceptor: "n2", isEncrypted: false },
    ...{ diallerNonce: "00".repeat(16), acceptorNonce: "11".repeat(16) },
  };

  test("is another one for every other key, side, and word of what was said", () => {
    const proofs = [
      proofOf(A, "dials", transcript),
      proofOf(A, "accepts", transcript),
      proofOf(B, "dials", transcript),
      ...Object.entries({
        ...{ job: "j-2", epoch: 4, dialler: "n3", acceptor: "n3", isEncrypted: true },
        ...{ diallerNonce: "02".repeat(16), acceptorNonce: "02".repeat(16) },
      }).map(([name, value]) => proofOf(A, "dials", { ...transcript, [name]: value })),
    ].map((proof) => proof.toHex());
    expect(new Set(proofs).size).toBe(proofs.length);
    expect(proofOf(A, "dials", transcript).toHex()).toBe(proofs[0] as string);
  });

  test("is the same only when every byte is", () => {
    const proof = proofOf(A, "dials", transcript);
    expect(isSameProof(proof, proof.slice())).toBe(true);
    expect(isSameProof(proof.subarray(1), proof)).toBe(false);
    expect(
      isSameProof(
        proof.map((byte, at) => (at === 31 ? byte ^ 128 : byte)),
        proof,
      ),
    ).toBe(false);
    expect(keyOf("zz".repeat(32))).toBeNull();
    expect(keyOf("ab".repeat(32))).toHaveLength(32);
  });

  test("gives each direction of each connection keys of its own", () => {
    const { fromDialler, fromAcceptor } = connectionKeys(A, transcript);
    const other = connectionKeys(A, { ...transcript, diallerNonce: "02".repeat(16) });
    const keys = [fromDialler, fromAcceptor, other.fromDialler, other.fromAcceptor];
    expect(new Set(keys.map((key) => key.toHex())).size).toBe(4);
    // HKDF by another implementation.
    const { hkdfSync } = process.getBuiltinModule("node:crypto");
    const salt = Buffer.from("00".repeat(16) + "11".repeat(16), "hex");
    const lines = ["j-1", 3, "n1", "n2", "00".repeat(16), "11".repeat(16), false];
    const info = `holdfast proxy 1 from dialler\n${lines.map((one) => JSON.stringify(one)).join("\n")}`;
    expect(Buffer.from(hkdfSync("sha256", A, salt, info, 32)).toString("hex")).toBe(
      fromDialler.toHex(),
    );
  });
});

/**
 * Goal: proxies of a job with a key talk to nobody who does not know it, and compute the same, encrypted or not.
 * Method: real proxies and programs on loopback; strangers that know everything but the key.
 */
import { afterEach, describe, expect, test } from "bun:test";
import { createConnection, type Socket } from "node:net";
import { join } from "node:path";
import { decodeFrameHeader, encodeFrameHeader, FRAME, FRAME_HEADER_BYTES } from "./frame.ts";
import { waitFor } from "./harness/fake-agent.ts";
import { FakeCluster, type FakeClusterOptions } from "./harness/fake-cluster.ts";
import { newNonce } from "./io/peer-secret.ts";
import { frameHeader } from "./send-side.ts";

const LIMIT_MS = 60_000;
const KEY = "5a".repeat(32);

function program(name: string): string[] {
  return [join(import.meta.dir, "harness", "programs", `${name}.ts`)];
}

let clusters: FakeCluster[] = [];

function cluster(options: FakeClusterOptions): FakeCluster {
  const made = new FakeCluster(options);
  clusters.push(made);
  return made;
}

afterEach(async () => {
  await Promise.all(clusters.map((made) => made.stop()));
  clusters = [];
});

async function digestsOf(secret: FakeClusterOptions["secret"]): Promise<readonly string[]> {
  const c = cluster({ ranksOfNodes: [1, 1, 1], ...(secret === undefined ? {} : { secret }) });
  await c.start(program("rounds"), { ROUNDS: "40" });
  expect(await c.exits()).toEqual([0, 0, 0]);
  return c.results<{ readonly digest: string }>().map(({ digest }) => digest);
}

function frame(kind: (typeof FRAME)[keyof typeof FRAME], epoch: number, payload: Uint8Array) {
  const bytes = new Uint8Array(FRAME_HEADER_BYTES + payload.byteLength);
  const header = frameHeader(kind, { epoch, payloadBytes: payload.byteLength });
  encodeFrameHeader(header, new DataView(bytes.buffer), 0);
  bytes.set(payload, FRAME_HEADER_BYTES);
  return bytes;
}

interface Stranger {
  readonly socket: Socket;
  readonly heard: Uint8Array[];
  readonly closed: Promise<void>;
}

function dial(port: number): Promise<Stranger> {
  return new Promise((resolve, reject) => {
    const heard: Uint8Array[] = [];
    const socket = createConnection(port, "127.0.0.1");
    const closed = new Promise<void>((done) => socket.on("close", () => done()));
    socket.on("data", (bytes: Buffer) => heard.push(bytes));
    socket.on("error", reject);
    socket.on("connect", () => resolve({ socket, heard, closed }));
  });
}

function helloOf(more: Readonly<Record<string, string>>): Uint8Array {
  const hello = { protocol: 1, job: "j-00000001", epoch: 1, node: "n1", ...more };
  return frame(FRAME.hello, 1, new TextEncoder().encode(JSON.stringify(hello)));
}

describe("a job with a key", () => {
  test(
    "computes the same as one without, encrypted or not",
    async () => {
      const plain = await digestsOf(undefined);
      expect(await digestsOf({ key: KEY, isEncrypted: false })).toEqual(plain);
      expect(await digestsOf({ key: KEY, isEncrypted: true })).toEqual(plain);
    },
    LIMIT_MS,
  );

  test(
    "passes every call and large messages encrypted",
    async () => {
      const secret = { key: KEY, isEncrypted: true };
      const calls = cluster({ ranksOfNodes: [1, 2], secret });
      await calls.start(program("collectives"));
      expect(await calls.exits(LIMIT_MS)).toEqual([0, 0, 0]);
      const messages = cluster({ ranksOfNodes: [1, 1], secret });
      await messages.start(program("messages"));
      expect(await messages.exits(LIMIT_MS)).toEqual([0, 0]);
    },
    LIMIT_MS * 2,
  );

  test(
    "takes nobody who says everything right and does not know the key",
    async () => {
      const c = cluster({ ranksOfNodes: [1, 1], secret: { key: KEY, isEncrypted: false } });
      await c.start(program("rounds"), { ROUNDS: "60", ROUND_MS: "5" });
      await waitFor("round 3", () =>
        [...c.programs.values()].every(({ lines }) => lines.includes("round 3")),
      );
      const port = c.proxies[1]?.port ?? 0;
      const without = await dial(port);
      without.socket.write(helloOf({}));
      await without.closed;
      expect(without.heard).toEqual([]);
      const guess = await dial(port);
      guess.socket.write(helloOf({ nonce: newNonce() }));
      await waitFor("its hello", () => guess.heard.length > 0);
      const said = Buffer.concat(guess.heard);
      const header = decodeFrameHeader(new DataView(said.buffer, said.byteOffset), 0);
      expect(header.ok && header.value.kind).toBe(FRAME.hello);
      const { proof } = JSON.parse(said.subarray(FRAME_HEADER_BYTES).toString()) as {
        proof: string;
      };
      // The proof of the other side, sent back.
      guess.socket.write(frame(FRAME.proof, 1, Uint8Array.fromHex(proof)));
      await guess.closed;
      const hasty = await dial(port);
      hasty.socket.write(
        Buffer.concat([helloOf({ nonce: newNonce() }), frame(FRAME.eager, 1, new Uint8Array(8))]),
      );
      await hasty.closed;
      expect(await c.exits()).toEqual([0, 0]);
      const kinds = c.proxies.flatMap(({ messages }) => messages.map(({ kind }) => kind));
      expect(kinds).not.toContain("peer-lost");
    },
    LIMIT_MS,
  );

  test(
    "is not joined by a proxy that was given another key",
    async () => {
      const c = cluster({
        ranksOfNodes: [1, 1],
        secret: { key: KEY, isEncrypted: false },
        secretOfLast: { key: "00".repeat(32), isEncrypted: false },
      });
      void c.start(program("rounds"), { ROUNDS: "1" }).catch(() => undefined);
      await waitFor("both proxies", () => c.proxies.length === 2);
      await Bun.sleep(1_500);
      const kinds = c.proxies.flatMap(({ messages }) => messages.map(({ kind }) => kind));
      expect(kinds).toContain("listening");
      expect(kinds).not.toContain("joined");
    },
    LIMIT_MS,
  );
});

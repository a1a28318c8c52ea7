/**
 * Seals and opens datagrams with the cluster key: authenticated encryption, and each packet is taken once.
 *
 * What cannot be opened is dropped: it is counted by reason and told once a minute, since anybody can send anything to a UDP port.
 * Derived keys are kept for `SENDERS_MAX` runs of senders, the one heard longest ago goes first; only a packet that was opened
 * makes one be kept, so strangers cannot push out anybody. Who is forgotten is heard again with a fresh replay window: an old
 * run's packets are then refused by the incarnation within.
 */
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from "node:crypto";
import type { ClusterKey, Identity } from "../../identity/identity.ts";
import type { PacketCodec } from "../../runtime/io/datagrams.ts";
import {
  decodeSealHeader,
  encodeSealHeader,
  generationToSend,
  nonceOf,
  ReplayWindow,
  SALT_BYTES,
  SEAL_BYTES,
  SEAL_HEADER_BYTES,
  SEAL_INFO,
  SEAL_TAG_BYTES,
} from "../sealed-datagram.ts";

const CIPHER = "aes-256-gcm";
export const SENDERS_MAX = 4096;
const TELL_EVERY_MS = 60_000;

export const DROP_REASONS = ["not-sealed", "unknown-key", "not-opened", "replayed"] as const;
export type DropReason = (typeof DROP_REASONS)[number];

interface Sender {
  readonly generation: number;
  readonly key: Uint8Array;
  readonly window: ReplayWindow;
}

interface Sending {
  readonly generation: number;
  readonly salt: Uint8Array;
  readonly key: Uint8Array;
  counter: number;
}

function derive(key: Uint8Array, salt: Uint8Array): Uint8Array {
  return new Uint8Array(hkdfSync("sha256", key, salt, SEAL_INFO, 32));
}

export class DatagramSeal {
  readonly #identity: Identity;
  readonly #nowMs: () => number;
  readonly #forget: () => void;
  /** By salt. Invariant: in the order in which they were last heard. */
  readonly #senders = new Map<string, Sender>();
  #keys: readonly ClusterKey[];
  #newestSinceMs: number;
  #sending: Sending | null = null;
  readonly #drops = new Map<DropReason, number>();

  constructor(identity: Identity, nowMs: () => number = () => performance.now()) {
    this.#identity = identity;
    this.#nowMs = nowMs;
    this.#keys = identity.clusterKeys();
    this.#newestSinceMs = nowMs();
    this.#forget = identity.onChange(() => this.#renew());
  }

  /** null: there is no key to seal with. */
  seal(packet: Uint8Array): Uint8Array | null {
    const sending = this.#sendingNow();
    if (sending === null) return null;
    const bytes = new Uint8Array(packet.byteLength + SEAL_BYTES);
    const { generation, salt } = sending;
    const counter = ++sending.counter;
    encodeSealHeader({ generation, salt, counter }, bytes);
    const cipher = createCipheriv(CIPHER, sending.key, nonceOf(counter));
    cipher.setAAD(bytes.subarray(0, SEAL_HEADER_BYTES));
    bytes.set(cipher.update(packet), SEAL_HEADER_BYTES);
    cipher.final();
    bytes.set(cipher.getAuthTag(), bytes.byteLength - SEAL_TAG_BYTES);
    return bytes;
  }

  /** null: dropped, and counted. */
  open(bytes: Uint8Array): Uint8Array | null {
    const header = decodeSealHeader(bytes);
    if (header === null) return this.#drop("not-sealed");
    const name = Buffer.from(header.salt).toString("latin1");
    const known = this.#senders.get(name);
    const sender = known ?? this.#senderOf(header.generation, header.salt);
    if (sender === null || sender.generation !== header.generation)
      return this.#drop("unknown-key");
    const packet = decrypt(sender.key, header.counter, bytes);
    if (packet === null) return this.#drop("not-opened");
    if (!sender.window.take(header.counter)) return this.#drop("replayed");
    this.#senders.delete(name);
    this.#senders.set(name, sender);
    if (this.#senders.size > SENDERS_MAX) {
      const oldest = this.#senders.keys().next();
      if (oldest.done !== true) this.#senders.delete(oldest.value);
    }
    return packet;
  }

  /** What was dropped since the last call. */
  takeDrops(): ReadonlyMap<DropReason, number> {
    const drops = new Map(this.#drops);
    this.#drops.clear();
    return drops;
  }

  close(): void {
    this.#forget();
  }

  #drop(reason: DropReason): null {
    this.#drops.set(reason, (this.#drops.get(reason) ?? 0) + 1);
    return null;
  }

  #renew(): void {
    const newest = this.#keys[0]?.generation;
    this.#keys = this.#identity.clusterKeys();
    if (this.#keys[0]?.generation !== newest) this.#newestSinceMs = this.#nowMs();
    const believed = new Set(this.#keys.map(({ generation }) => generation));
    for (const [name, { generation }] of this.#senders) {
      if (!believed.has(generation)) this.#senders.delete(name);
    }
  }

  #senderOf(generation: number, salt: Uint8Array): Sender | null {
    const key = this.#keys.find((one) => one.generation === generation);
    if (key === undefined) return null;
    return { generation, key: derive(key.key, salt), window: new ReplayWindow() };
  }

  #sendingNow(): Sending | null {
    const generations = this.#keys.map(({ generation }) => generation);
    const current = this.#sending?.generation ?? null;
    const wanted = generationToSend(generations, current, this.#newestSinceMs, this.#nowMs());
    if (wanted === current) return this.#sending;
    const key = this.#keys.find(({ generation }) => generation === wanted);
    if (key === undefined) {
      this.#sending = null;
      return null;
    }
    const salt = new Uint8Array(randomBytes(SALT_BYTES));
    const { generation } = key;
    this.#sending = { generation, salt, key: derive(key.key, salt), counter: 0 };
    return this.#sending;
  }
}

/** null: it was not sealed with that key, or has changed since. */
function decrypt(key: Uint8Array, counter: number, bytes: Uint8Array): Uint8Array | null {
  const decipher = createDecipheriv(CIPHER, key, nonceOf(counter));
  decipher.setAAD(bytes.subarray(0, SEAL_HEADER_BYTES));
  decipher.setAuthTag(bytes.subarray(bytes.byteLength - SEAL_TAG_BYTES));
  const packet = decipher.update(
    bytes.subarray(SEAL_HEADER_BYTES, bytes.byteLength - SEAL_TAG_BYTES),
  );
  try {
    decipher.final();
    return packet;
  } catch {
    return null;
  }
}

/** Packets under the seal; what cannot be sealed is not sent. */
export function sealedCodec<Packet>(
  seal: DatagramSeal,
  codec: PacketCodec<Packet>,
): PacketCodec<Packet> {
  return {
    encode: (packet) => seal.seal(codec.encode(packet)) ?? new Uint8Array(0),
    decode: (bytes) => {
      const opened = seal.open(bytes);
      return opened === null ? null : codec.decode(opened);
    },
  };
}

/** One line a minute at most, until what it returns is called. */
export function tellDrops(seal: DatagramSeal, tell: (line: string) => void): () => void {
  const timer = setInterval(() => {
    const drops = [...seal.takeDrops()];
    if (drops.length === 0) return;
    const counts = drops.map(([reason, count]) => `${count} ${reason}`).join(", ");
    tell(`datagrams that are not of this cluster were dropped in the last minute: ${counts}`);
  }, TELL_EVERY_MS);
  timer.unref();
  return () => clearInterval(timer);
}

/**
 * Sealed datagrams as bytes, and which of them are new. Holds no key and does no cryptography.
 *
 *   offset  bytes  field                              little endian
 *        0      2  magic       "hs"
 *        2      1  version     1
 *        3      1  zero
 *        4      4  generation  of the cluster key
 *        8     16  salt        random, drawn by the sender when it starts and whenever it takes another key
 *       24      8  counter     of this salt, from 1
 *       32         the packet under AES-256-GCM, then its tag of 16 bytes
 *
 * The key is HKDF-SHA256(cluster key, salt, "holdfast datagram 1"), the nonce four zero bytes and the counter, the associated
 * data the 32 bytes before. All nodes share one cluster key, so nonces drawn at random would come twice at about 2^32 packets, and
 * counters alone would start anew with each process. A salt of 128 bits gives each run of a sender a key of its own, in which
 * its counter never comes back.
 *
 * Invariant: of one salt no counter is taken twice. Frozen: nodes of two releases talk to each other during an upgrade.
 */
export const SEAL_HEADER_BYTES = 32;
export const SEAL_TAG_BYTES = 16;
export const SALT_BYTES = 16;
/** What sealing adds; 1,400 bytes of packet still fit into one Ethernet frame over IPv6. */
export const SEAL_BYTES: number = SEAL_HEADER_BYTES + SEAL_TAG_BYTES;
export const SEAL_INFO = "holdfast datagram 1";

const MAGIC_0 = 0x68;
const MAGIC_1 = 0x73;
const VERSION = 1;

export interface SealHeader {
  readonly generation: number;
  readonly salt: Uint8Array;
  /** Safe integer from 1. */
  readonly counter: number;
}

export function encodeSealHeader(header: SealHeader, into: Uint8Array): void {
  const view = new DataView(into.buffer, into.byteOffset, SEAL_HEADER_BYTES);
  into[0] = MAGIC_0;
  into[1] = MAGIC_1;
  into[2] = VERSION;
  into[3] = 0;
  view.setUint32(4, header.generation, true);
  into.set(header.salt, 8);
  view.setBigUint64(24, BigInt(header.counter), true);
}

/** null: not a sealed datagram of this version. */
export function decodeSealHeader(bytes: Uint8Array): SealHeader | null {
  if (bytes.byteLength <= SEAL_BYTES) return null;
  const isOurs = bytes[0] === MAGIC_0 && bytes[1] === MAGIC_1 && bytes[2] === VERSION;
  if (!isOurs || bytes[3] !== 0) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, SEAL_HEADER_BYTES);
  const counter = Number(view.getBigUint64(24, true));
  if (!Number.isSafeInteger(counter) || counter < 1) return null;
  return { generation: view.getUint32(4, true), salt: bytes.subarray(8, 24), counter };
}

export function nonceOf(counter: number): Uint8Array {
  const nonce = new Uint8Array(12);
  new DataView(nonce.buffer).setBigUint64(4, BigInt(counter), true);
  return nonce;
}

const WINDOW_WORDS = 32;
/** A packet that is so many behind the newest of its sender is not taken any more; the network does not reorder so far. */
export const REPLAY_WINDOW: number = (WINDOW_WORDS - 1) * 32;

/** Which counters of one salt were taken: a ring of bits below the newest (as in RFC 6479). O(1), 128 bytes. */
export class ReplayWindow {
  readonly #bits = new Uint32Array(WINDOW_WORDS);
  #newest = 0;

  /** Whether it is the first of that counter, and not too old to tell. Only for packets that were opened. */
  take(counter: number): boolean {
    if (counter + REPLAY_WINDOW <= this.#newest) return false;
    const word = Math.floor(counter / 32);
    if (counter > this.#newest) {
      const from = Math.floor(this.#newest / 32);
      // Words that were passed over hold bits of counters a whole ring ago.
      for (let step = 1; step <= Math.min(word - from, WINDOW_WORDS); step++) {
        this.#bits[(from + step) % WINDOW_WORDS] = 0;
      }
      this.#newest = counter;
    }
    const slot = word % WINDOW_WORDS;
    const bit = 1 << (counter % 32);
    const taken = this.#bits[slot] ?? 0;
    if ((taken & bit) !== 0) return false;
    this.#bits[slot] = taken | bit;
    return true;
  }
}

/** A key that was just handed out reaches the others within this time; until then the one before it is sent under. */
export const KEY_SETTLES_MS = 60_000;

/**
 * Which generation to send under. `generations` newest first; `sinceMs`: when the newest was first seen here. Falls back to the
 * newest at once when the one before is not believed any more.
 */
export function generationToSend(
  generations: readonly number[],
  current: number | null,
  sinceMs: number,
  nowMs: number,
): number | null {
  const [newest = null] = generations;
  if (current === null || !generations.includes(current)) return newest;
  return nowMs - sinceMs >= KEY_SETTLES_MS ? newest : current;
}

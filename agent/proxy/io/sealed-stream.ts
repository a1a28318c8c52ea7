/**
 * An encrypted byte stream over a connected socket: records under AES-256-GCM, each direction with a key of its own.
 *
 *   offset  bytes  field
 *        0      4  bytes    of what follows the tag, 1..RECORD_BYTES_MAX, little endian; the associated data
 *        4     16  tag
 *       20         the bytes, encrypted
 *
 * The nonce is the record's number in its direction, so a record that is changed, left out, doubled or out of order does not open, and
 * the connection is given up. Bounded: one record is unsent at most, and what was read ahead fits into `READ_BYTES`.
 */
import type { CipherGCM, DecipherGCM } from "node:crypto";
import { ffiBuffer } from "../../../core/io/native.ts";
import { libc } from "../../runtime/io/ffi.ts";
import { MSG_DONTWAIT, MSG_NOSIGNAL, wouldBlock } from "./socket.ts";

const HEADER_BYTES = 20;
export const RECORD_BYTES_MAX = 65_536;
const READ_BYTES = 4 * (RECORD_BYTES_MAX + HEADER_BYTES);
const CIPHER = "aes-256-gcm";

type Crypto = typeof import("node:crypto");

/** Loaded by whoever encrypts only: it takes longer than all else that a proxy loads. */
function loadCrypto(): Crypto {
  return process.getBuiltinModule("node:crypto");
}

function nonceOf(record: number): Uint8Array {
  const nonce = new Uint8Array(12);
  new DataView(nonce.buffer).setBigUint64(4, BigInt(record), true);
  return nonce;
}

export interface SealedKeys {
  readonly send: Uint8Array;
  readonly receive: Uint8Array;
}

export type Received =
  | { readonly kind: "bytes"; readonly bytes: number }
  | { readonly kind: "none" }
  | { readonly kind: "broken"; readonly why: string };

export class SealedStream {
  readonly #fd: number;
  readonly #keys: SealedKeys;
  readonly #crypto = loadCrypto();
  readonly #out = ffiBuffer(HEADER_BYTES + RECORD_BYTES_MAX);
  #outStart = 0;
  #outEnd = 0;
  #sentCount = 0;
  readonly #in = ffiBuffer(READ_BYTES);
  #inStart = 0;
  #inEnd = 0;
  #receivedCount = 0;
  #isSpoilt = false;
  /** Of a record that was opened: what nobody has taken yet. */
  #plain: Uint8Array = new Uint8Array(0);

  /** `ahead`: what was read from the socket already. */
  constructor(fd: number, keys: SealedKeys, ahead: Uint8Array) {
    this.#fd = fd;
    this.#keys = keys;
    this.#in.u8.set(ahead);
    this.#inEnd = ahead.byteLength;
  }

  /** Bytes taken, encrypted and on their way; -1: none, `wouldBlock` says why. */
  send(bytes: Uint8Array): number {
    if (!this.flush()) return -1;
    const part = bytes.subarray(0, RECORD_BYTES_MAX);
    const { u8, view } = this.#out;
    view.setUint32(0, part.byteLength, true);
    const nonce = nonceOf(this.#sentCount++);
    const cipher: CipherGCM = this.#crypto.createCipheriv(CIPHER, this.#keys.send, nonce);
    cipher.setAAD(u8.subarray(0, 4));
    u8.set(cipher.update(part), HEADER_BYTES);
    cipher.final();
    u8.set(cipher.getAuthTag(), 4);
    this.#outStart = 0;
    this.#outEnd = HEADER_BYTES + part.byteLength;
    // What does not go now is `unsent`; a broken connection shows at the next call.
    this.flush();
    return part.byteLength;
  }

  /** Whether nothing is left; if something is, `wouldBlock` says why. */
  flush(): boolean {
    while (this.#outStart < this.#outEnd) {
      const address = this.#out.pointer + this.#outStart;
      const flags = MSG_DONTWAIT | MSG_NOSIGNAL;
      const sent = libc.send(this.#fd, address, this.#outEnd - this.#outStart, flags);
      if (sent < 0) return false;
      this.#outStart += sent;
    }
    return true;
  }

  get hasUnsent(): boolean {
    return this.#outStart < this.#outEnd;
  }

  /** Something can be received although the socket may have nothing more. */
  get hasAhead(): boolean {
    return this.#plain.byteLength > 0 || this.#hasRecord();
  }

  receive(into: Uint8Array): Received {
    if (this.#plain.byteLength === 0) {
      if (!this.#hasRecord()) {
        const read = this.#readMore();
        if (read !== null) return read;
      }
      if (!this.#hasRecord()) return { kind: "none" };
      const why = this.#open();
      if (why !== null) return { kind: "broken", why };
    }
    const part = this.#plain.subarray(0, into.byteLength);
    into.set(part);
    this.#plain = this.#plain.subarray(part.byteLength);
    return { kind: "bytes", bytes: part.byteLength };
  }

  #recordBytes(): number {
    return this.#in.view.getUint32(this.#inStart, true);
  }

  #hasRecord(): boolean {
    const there = this.#inEnd - this.#inStart;
    if (there < HEADER_BYTES) return false;
    const bytes = this.#recordBytes();
    // A length that none has is "there": it is refused when it is opened.
    return bytes > RECORD_BYTES_MAX || there >= HEADER_BYTES + bytes;
  }

  /** null: more is there, or was read before. */
  #readMore(): Received | null {
    if (this.#inStart > 0) {
      this.#in.u8.copyWithin(0, this.#inStart, this.#inEnd);
      this.#inEnd -= this.#inStart;
      this.#inStart = 0;
    }
    const room = READ_BYTES - this.#inEnd;
    const got = libc.recv(this.#fd, this.#in.pointer + this.#inEnd, room, MSG_DONTWAIT);
    if (got > 0) {
      this.#inEnd += got;
      return null;
    }
    if (got === 0) return { kind: "broken", why: "connection closed" };
    return wouldBlock() ? { kind: "none" } : { kind: "broken", why: "connection lost" };
  }

  /** null: opened. */
  #open(): string | null {
    const bytes = this.#recordBytes();
    const refused = "sends a record that does not open: it does not know the key, or was changed";
    // After one that did not open nothing that follows means anything, even if it would.
    if (this.#isSpoilt || bytes === 0 || bytes > RECORD_BYTES_MAX) return refused;
    const { u8 } = this.#in;
    const start = this.#inStart;
    const nonce = nonceOf(this.#receivedCount++);
    const decipher: DecipherGCM = this.#crypto.createDecipheriv(CIPHER, this.#keys.receive, nonce);
    decipher.setAAD(u8.subarray(start, start + 4));
    decipher.setAuthTag(u8.subarray(start + 4, start + HEADER_BYTES));
    const plain = decipher.update(u8.subarray(start + HEADER_BYTES, start + HEADER_BYTES + bytes));
    try {
      decipher.final();
    } catch {
      this.#isSpoilt = true;
      return refused;
    }
    this.#inStart += HEADER_BYTES + bytes;
    this.#plain = plain;
    return null;
  }
}

/**
 * Reading bytes that somebody else made: lengths are checked first, and what does not fit is a value, never an exception.
 *
 * `ByteReader` is for decoders that go through a layout from front to back. It never reads past the end: a decoder asks
 * `needs` once for what it is going to read, then reads. Multi-byte fields of IPMI are little-endian (§5.1), those of RMCP,
 * ASF and PET big-endian.
 */
import { assert } from "../../core/assert.ts";
import { type BmcError, bmcError } from "../bmc-error.ts";

export type DecodeError =
  | {
      readonly kind: "too-short";
      readonly what: string;
      readonly wantBytes: number;
      readonly gotBytes: number;
    }
  | { readonly kind: "bad-checksum"; readonly what: string }
  | { readonly kind: "bad-value"; readonly what: string; readonly value: number };

export function tooShort(what: string, wantBytes: number, gotBytes: number): DecodeError {
  return { kind: "too-short", what, wantBytes, gotBytes };
}

export function badChecksum(what: string): DecodeError {
  return { kind: "bad-checksum", what };
}

export function badValue(what: string, value: number): DecodeError {
  return { kind: "bad-value", what, value };
}

export function describeDecodeError(error: DecodeError): string {
  switch (error.kind) {
    case "too-short":
      return `${error.what}: ${error.wantBytes} bytes are needed, ${error.gotBytes} came`;
    case "bad-checksum":
      return `${error.what}: the checksum is wrong`;
    case "bad-value":
      return `${error.what}: 0x${error.value.toString(16)} is not allowed`;
  }
}

/** What a reply that cannot be read is to whoever asked for it. */
export function malformed(error: DecodeError): BmcError {
  const kind = error.kind === "bad-checksum" ? "bad-checksum" : "malformed";
  return bmcError(kind, describeDecodeError(error));
}

export class ByteReader {
  readonly #bytes: Uint8Array;
  #offset: number;

  constructor(bytes: Uint8Array, offset = 0) {
    this.#bytes = bytes;
    this.#offset = Math.min(offset, bytes.byteLength);
  }

  get offset(): number {
    return this.#offset;
  }

  get remaining(): number {
    return this.#bytes.byteLength - this.#offset;
  }

  /** null when `count` more bytes are there, else the error to return. */
  needs(what: string, count: number): DecodeError | null {
    return count <= this.remaining
      ? null
      : tooShort(what, this.#offset + count, this.#bytes.byteLength);
  }

  u8(): number {
    assert(this.#offset < this.#bytes.byteLength, "a decoder asks needs() first");
    return this.#bytes[this.#offset++] as number;
  }

  u16le(): number {
    return this.u8() | (this.u8() << 8);
  }

  u24le(): number {
    return this.u16le() | (this.u8() << 16);
  }

  u32le(): number {
    return (this.u16le() | (this.u16le() << 16)) >>> 0;
  }

  u16be(): number {
    return (this.u8() << 8) | this.u8();
  }

  u32be(): number {
    return ((this.u16be() << 16) | this.u16be()) >>> 0;
  }

  /** A view, not a copy: whoever keeps it copies it. */
  bytes(count: number): Uint8Array {
    assert(count <= this.remaining, "a decoder asks needs() first");
    const view = this.#bytes.subarray(this.#offset, this.#offset + count);
    this.#offset += count;
    return view;
  }

  rest(): Uint8Array {
    return this.bytes(this.remaining);
  }
}

/** −(sum) mod 256: a block followed by its checksum sums to 0 (§13.8, FRU §3). */
export function checksum(bytes: Uint8Array): number {
  let sum = 0;
  for (const byte of bytes) sum += byte;
  return -sum & 0xff;
}

export function toHex(bytes: Uint8Array): string {
  return bytes.toHex();
}

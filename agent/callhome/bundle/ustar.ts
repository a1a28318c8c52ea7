/**
 * Tar archives (POSIX.1-1988 ustar), as far as bundles need them: plain files with short names, written the same way each time.
 *
 *   offset  bytes  field          offset  bytes  field
 *        0    100  name              156      1  type      0 = file
 *      100      8  mode  0000644     157    100  link      empty
 *      108      8  uid   0           257      6  magic     ustar\0
 *      116      8  gid   0           263      2  version   00
 *      124     12  size  octal       265     80  owner, group, device, prefix: empty
 *      136     12  mtime octal       345    155  prefix    empty
 *      148      8  sum of the header's bytes with this field as spaces, octal
 *
 * A member is its header and its bytes, filled up with zeros to 512; two blocks of zeros end the archive. Why not a library: they
 * take names and types as they come, and what is read here was written by somebody else. The reader refuses whatever a
 * bundle never has: other types, links, names that lead elsewhere, a name twice, a sum that is wrong, an end that is missing.
 */
import { err, ok, type Result } from "../../../core/result.ts";

export const BLOCK_BYTES = 512;
const SIZE_MAX = 0o77777777777;

export interface TarMember {
  readonly name: string;
  readonly bytes: number;
  readonly mtimeSeconds: number;
}

export type TarError =
  | { readonly kind: "bad-name"; readonly detail: string }
  | { readonly kind: "bad-type"; readonly detail: string }
  | { readonly kind: "bad-header"; readonly detail: string }
  | { readonly kind: "twice"; readonly detail: string }
  | { readonly kind: "too-large"; readonly detail: string }
  | { readonly kind: "cut"; readonly detail: string };

/** Folders and a name in small letters, digits, dots and dashes; nothing leads up, nothing is hidden. */
export function isMemberName(name: string): boolean {
  return name.length <= 100 && /^[a-z0-9][a-z0-9._-]*(?:\/[a-z0-9][a-z0-9._-]*){0,7}$/.test(name);
}

function octal(value: number, digits: number): string {
  return value.toString(8).padStart(digits, "0");
}

/** The name has been checked by whoever plans the bundle. */
export function encodeTarHeader({ name, bytes, mtimeSeconds }: TarMember): Uint8Array {
  const header = new Uint8Array(BLOCK_BYTES);
  const put = (offset: number, text: string): void => {
    for (let index = 0; index < text.length; index++)
      header[offset + index] = text.charCodeAt(index);
  };
  put(0, name);
  put(100, "0000644");
  put(108, "0000000");
  put(116, "0000000");
  put(124, octal(bytes, 11));
  put(136, octal(Math.max(0, Math.floor(mtimeSeconds)), 11));
  put(148, "        ");
  put(156, "0");
  put(257, "ustar");
  put(263, "00");
  const sum = header.reduce((total, byte) => total + byte, 0);
  put(148, `${octal(sum, 6)}\0 `);
  return header;
}

/** Zeros behind a member's bytes. */
export function paddingOf(bytes: number): number {
  return (BLOCK_BYTES - (bytes % BLOCK_BYTES)) % BLOCK_BYTES;
}

export const TAR_END: Uint8Array = new Uint8Array(2 * BLOCK_BYTES);

function isZero(block: Uint8Array): boolean {
  return block.every((byte) => byte === 0);
}

function textAt(block: Uint8Array, offset: number, bytes: number): string {
  let text = "";
  for (let index = offset; index < offset + bytes; index++) {
    const byte = block[index] ?? 0;
    if (byte === 0) break;
    text += String.fromCharCode(byte);
  }
  return text;
}

function octalAt(block: Uint8Array, offset: number, bytes: number): number | null {
  const text = textAt(block, offset, bytes).trim();
  return /^[0-7]{1,12}$/.test(text) ? Number.parseInt(text, 8) : null;
}

function sumOf(block: Uint8Array): number {
  let sum = 0;
  for (let index = 0; index < BLOCK_BYTES; index++) {
    sum += index >= 148 && index < 156 ? 0x20 : (block[index] ?? 0);
  }
  return sum;
}

export function decodeTarHeader(block: Uint8Array): Result<TarMember, TarError> {
  if (block.length !== BLOCK_BYTES || octalAt(block, 148, 8) !== sumOf(block)) {
    return err({ kind: "bad-header", detail: "the sum of a member's header is wrong" });
  }
  if (textAt(block, 257, 6) !== "ustar") {
    return err({ kind: "bad-header", detail: "a member is not in the form of ustar" });
  }
  const name = textAt(block, 0, 100);
  const type = block[156] ?? 0;
  if (type !== 0x30 && type !== 0) {
    const letter = String.fromCharCode(type);
    return err({
      kind: "bad-type",
      detail: `${shown(name)} is no plain file (type ${shown(letter)})`,
    });
  }
  if (!isMemberName(name) || textAt(block, 345, 155) !== "") {
    return err({ kind: "bad-name", detail: `${shown(name)} is no name that a bundle has` });
  }
  const bytes = octalAt(block, 124, 12);
  const mtimeSeconds = octalAt(block, 136, 12);
  if (bytes === null || mtimeSeconds === null || bytes > SIZE_MAX) {
    return err({ kind: "bad-header", detail: `${name} has a size or time that is no number` });
  }
  return ok({ name, bytes, mtimeSeconds });
}

function shown(text: string): string {
  return JSON.stringify(text.slice(0, 100));
}

export type TarEvent =
  | { readonly kind: "member"; readonly member: TarMember }
  /** Bytes of the member before; a view that is valid until the next push. */
  | { readonly kind: "bytes"; readonly bytes: Uint8Array }
  /** The member before is whole. */
  | { readonly kind: "whole" };

export interface TarLimits {
  readonly membersMax: number;
  /** Of all members together. */
  readonly bytesMax: number;
}

/** Bytes in, members out; holds at most a block. After an error it takes nothing more. */
export class TarReader {
  readonly #limits: TarLimits;
  readonly #block = new Uint8Array(BLOCK_BYTES);
  readonly #names = new Set<string>();
  #blockBytes = 0;
  #leftBytes = 0;
  #skipBytes = 0;
  #totalBytes = 0;
  #zeroBlocks = 0;

  constructor(limits: TarLimits) {
    this.#limits = limits;
  }

  /** What comes after the end must be zeros too: archives are filled up to a record. */
  push(chunk: Uint8Array): Result<readonly TarEvent[], TarError> {
    const events: TarEvent[] = [];
    let at = 0;
    while (at < chunk.length) {
      if (this.#leftBytes > 0) {
        const take = Math.min(this.#leftBytes, chunk.length - at);
        events.push({ kind: "bytes", bytes: chunk.subarray(at, at + take) });
        this.#leftBytes -= take;
        if (this.#leftBytes === 0) events.push({ kind: "whole" });
        at += take;
      } else if (this.#skipBytes > 0) {
        const take = Math.min(this.#skipBytes, chunk.length - at);
        this.#skipBytes -= take;
        at += take;
      } else {
        const take = Math.min(BLOCK_BYTES - this.#blockBytes, chunk.length - at);
        this.#block.set(chunk.subarray(at, at + take), this.#blockBytes);
        this.#blockBytes += take;
        at += take;
        if (this.#blockBytes < BLOCK_BYTES) continue;
        const member = this.#header();
        if (!member.ok) return member;
        events.push(...member.value);
      }
    }
    return ok(events);
  }

  /** Once nothing more comes. */
  end(): TarError | null {
    const isWhole = this.#leftBytes === 0 && this.#skipBytes === 0 && this.#blockBytes === 0;
    if (isWhole && this.#zeroBlocks >= 2) return null;
    return { kind: "cut", detail: "the archive ends in the middle" };
  }

  #header(): Result<readonly TarEvent[], TarError> {
    this.#blockBytes = 0;
    if (isZero(this.#block)) {
      this.#zeroBlocks++;
      return ok([]);
    }
    if (this.#zeroBlocks > 0) {
      return err({ kind: "bad-header", detail: "something stands behind the archive's end" });
    }
    const member = decodeTarHeader(this.#block);
    if (!member.ok) return member;
    const { name, bytes } = member.value;
    if (this.#names.has(name)) return err({ kind: "twice", detail: `${name} is there twice` });
    this.#names.add(name);
    this.#totalBytes += bytes;
    const { membersMax, bytesMax } = this.#limits;
    if (this.#names.size > membersMax || this.#totalBytes > bytesMax) {
      const detail = `it holds more than ${membersMax} files or ${bytesMax} bytes`;
      return err({ kind: "too-large", detail });
    }
    this.#leftBytes = bytes;
    this.#skipBytes = paddingOf(bytes);
    const begun: TarEvent = { kind: "member", member: member.value };
    return ok(bytes === 0 ? [begun, { kind: "whole" }] : [begun]);
  }
}

/**
 * Fields of a FRU's areas: type/length and text (FRU Information Storage Definition 1.3, §13).
 *
 *   byte  b7:6 0 binary, 1 BCD plus (`0-9 space - .` only), 2 packed 6-bit ASCII, 3 text;  b5:0 count of bytes
 *         C1h: no more fields
 *
 * Text is Latin-1 where the area's language is English, else UCS-2; serial numbers always count as English. Binary is shown
 * as hex. Invariant: what is read never reaches past `end`, which is the area's checksum or the end of what was read.
 */
import { type DecodeError, tooShort } from "../decode.ts";
import {
  decodeBcdPlus,
  decodeLatin1,
  decodeSixBit,
  decodeUcs2,
  withoutControls,
} from "../sdr/type-length.ts";

const END_OF_FIELDS = 0xc1;
const ENGLISH: ReadonlySet<number> = new Set([0, 25]);

function textOf(code: number, bytes: Uint8Array, isEnglish: boolean): string {
  switch (code) {
    case 0:
      return bytes.byteLength === 0 ? "" : `0x${bytes.toHex()}`;
    case 1:
      return decodeBcdPlus(bytes);
    case 2:
      return decodeSixBit(bytes);
    default:
      return isEnglish ? decodeLatin1(bytes) : decodeUcs2(bytes);
  }
}

/** Goes through the fields of one area. */
export class FruFieldReader {
  readonly #bytes: Uint8Array;
  readonly #end: number;
  readonly #isEnglish: boolean;
  #offset: number;
  #isOver = false;
  #error: DecodeError | null = null;

  constructor(bytes: Uint8Array, start: number, end: number, language: number) {
    this.#bytes = bytes;
    this.#offset = start;
    this.#end = Math.min(end, bytes.byteLength);
    this.#isEnglish = ENGLISH.has(language);
  }

  /** What went wrong, after the last field. */
  get error(): DecodeError | null {
    return this.#error;
  }

  /** null: there is none any more. Empty: it is there and empty. */
  next(what: string, isSerial = false): string | null {
    const typeLength = this.#bytes[this.#offset];
    if (this.#isOver || this.#offset >= this.#end || typeLength === undefined) return null;
    if (typeLength === END_OF_FIELDS) return this.#over();
    const start = this.#offset + 1;
    const stop = start + (typeLength & 0x3f);
    if (stop > this.#end) {
      this.#error = tooShort(what, stop, this.#end);
      return this.#over();
    }
    this.#offset = stop;
    const bytes = this.#bytes.subarray(start, stop);
    return withoutControls(textOf(typeLength >> 6, bytes, this.#isEnglish || isSerial)).trim();
  }

  /** Custom fields, to the end mark. At most one a byte. */
  rest(what: string): readonly string[] {
    const texts: string[] = [];
    for (;;) {
      const text = this.next(`${what} ${texts.length + 1}`);
      if (text === null) return texts;
      texts.push(text);
    }
  }

  #over(): null {
    this.#isOver = true;
    return null;
  }
}

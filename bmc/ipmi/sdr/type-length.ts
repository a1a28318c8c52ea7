/**
 * Strings with a type/length byte in front, as records of sensors have them (IPMI 2.0 §43.15) and FRU fields too (FRU §13).
 *
 *   byte  b7:6 code                                            b4:0 count of bytes (b5:0 in a FRU)
 *         0  Unicode (in a FRU: binary)
 *         1  BCD plus: two characters a byte, high half first, 0-9 and `space - . : , _`
 *         2  6-bit ASCII: four characters in three bytes, first in the low bits, each + 20h
 *         3  8-bit ASCII and Latin-1
 *
 * Never throws: a string that runs past its record ends with the record. Control characters are left out, since texts end up
 * on terminals. Complexity: linear, at most 63 bytes.
 */

const BCD_PLUS = "0123456789 -.:,_";

export function decodeBcdPlus(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += `${BCD_PLUS.charAt(byte >> 4)}${BCD_PLUS.charAt(byte & 0x0f)}`;
  return text;
}

/** Bits that do not make up a whole character are padding. */
export function decodeSixBit(bytes: Uint8Array): string {
  let text = "";
  let bits = 0;
  let bitCount = 0;
  for (const byte of bytes) {
    bits |= byte << bitCount;
    bitCount += 8;
    while (bitCount >= 6) {
      text += String.fromCharCode(0x20 + (bits & 0x3f));
      bits >>= 6;
      bitCount -= 6;
    }
  }
  return text;
}

export function decodeLatin1(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

/** Little-endian; a byte left over is dropped, a half of a surrogate pair becomes U+FFFD. */
export function decodeUcs2(bytes: Uint8Array): string {
  let text = "";
  for (let index = 0; index + 1 < bytes.byteLength; index += 2) {
    text += String.fromCharCode((bytes[index] ?? 0) | ((bytes[index + 1] ?? 0) << 8));
  }
  return text.toWellFormed();
}

function isPlainAscii(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte >= 0x20 && byte < 0x7f);
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out.
const CONTROL_CHARACTERS = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g;

export function withoutControls(text: string): string {
  return text.replace(CONTROL_CHARACTERS, "");
}

/**
 * The name at `offset`, its type/length byte first; empty where there is none.
 *
 * Trailing spaces stay: names of shared records have a number put behind them. Plain ASCII with code 0 is taken for what it
 * looks like, since controllers are built that leave the code out; as UCS-2 it would be a row of rare ideographs.
 */
export function decodeName(record: Uint8Array, offset: number): string {
  const typeLength = record[offset];
  if (typeLength === undefined) return "";
  const start = offset + 1;
  const bytes = record.subarray(start, start + (typeLength & 0x1f));
  switch (typeLength >> 6) {
    case 0:
      return withoutControls(isPlainAscii(bytes) ? decodeLatin1(bytes) : decodeUcs2(bytes));
    case 1:
      return decodeBcdPlus(bytes);
    case 2:
      return decodeSixBit(bytes);
    default:
      return withoutControls(decodeLatin1(bytes));
  }
}

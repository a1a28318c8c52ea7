/**
 * The areas of a FRU: header, chassis, board, product (FRU Information Storage Definition 1.3, §8, §10-12).
 *
 *   offset  header                        chassis            board                    product
 *        0  b3:0 version 1                version            version                  version
 *        1  internal use area / 8         length / 8         length / 8               length / 8
 *        2  chassis area / 8              chassis type       language                 language
 *        3  board area / 8                part number …      minutes since 1996 (3-5) maker …
 *        4  product area / 8                                 (6) maker …
 *        5  multirecord area / 8
 *        7  checksum
 *
 * An offset of 0: there is no such area. Each area ends with a checksum that makes its sum 0. A wrong one is a problem to be
 * told, not a reason to hide the fields: they are bounded by the area all the same.
 */
import { err, ok, type Result } from "../../../core/result.ts";
import { badChecksum, badValue, type DecodeError, tooShort } from "../decode.ts";
import { boardDateText } from "./board-date.ts";
import { chassisTypeName } from "./chassis-type.ts";
import { FruFieldReader } from "./fru-field.ts";

export const FRU_HEADER_BYTES = 8;
const UNIT_BYTES = 8;

/** Offsets in bytes; 0 where there is no such area. */
export interface FruHeader {
  readonly internal: number;
  readonly chassis: number;
  readonly board: number;
  readonly product: number;
  readonly multirecord: number;
  readonly isSound: boolean;
}

export type FruFields = readonly (readonly [name: string, value: string])[];

export interface FruArea {
  readonly fields: FruFields;
  readonly problems: readonly DecodeError[];
}

export type FruAreaName = "chassis" | "board" | "product";

function u8(bytes: Uint8Array, offset: number): number {
  return bytes[offset] ?? 0;
}

function sumOf(bytes: Uint8Array, start: number, end: number): number {
  let sum = 0;
  for (let offset = start; offset < end; offset++) sum += u8(bytes, offset);
  return sum & 0xff;
}

export function decodeFruHeader(bytes: Uint8Array): Result<FruHeader, DecodeError> {
  if (bytes.byteLength < FRU_HEADER_BYTES) {
    return err(tooShort("FRU header", FRU_HEADER_BYTES, bytes.byteLength));
  }
  const version = u8(bytes, 0) & 0x0f;
  if (version !== 1) return err(badValue("FRU header: version", u8(bytes, 0)));
  return ok({
    internal: u8(bytes, 1) * UNIT_BYTES,
    chassis: u8(bytes, 2) * UNIT_BYTES,
    board: u8(bytes, 3) * UNIT_BYTES,
    product: u8(bytes, 4) * UNIT_BYTES,
    multirecord: u8(bytes, 5) * UNIT_BYTES,
    isSound: sumOf(bytes, 0, FRU_HEADER_BYTES) === 0,
  });
}

/** Length in bytes by the area's own second byte. */
export function fruAreaBytes(bytes: Uint8Array, start: number): number {
  return u8(bytes, start + 1) * UNIT_BYTES;
}

interface FieldName {
  readonly name: string;
  readonly isSerial?: boolean;
}

interface Layout {
  readonly fieldsOffset: number;
  readonly names: readonly FieldName[];
  readonly languageOffset: number | null;
}

const LAYOUTS: Readonly<Record<FruAreaName, Layout>> = {
  chassis: {
    fieldsOffset: 3,
    languageOffset: null,
    names: [{ name: "part" }, { name: "serial", isSerial: true }],
  },
  board: {
    fieldsOffset: 6,
    languageOffset: 2,
    names: [
      { name: "manufacturer" },
      { name: "product" },
      { name: "serial", isSerial: true },
      { name: "part" },
      { name: "file" },
    ],
  },
  product: {
    fieldsOffset: 3,
    languageOffset: 2,
    names: [
      { name: "manufacturer" },
      { name: "name" },
      { name: "part" },
      { name: "version" },
      { name: "serial", isSerial: true },
      { name: "asset" },
      { name: "file" },
    ],
  },
};

/** What an area has before its fields. */
function fixedFields(area: FruAreaName, bytes: Uint8Array, start: number): FruFields {
  if (area === "chassis") return [["chassis.type", chassisTypeName(u8(bytes, start + 2))]];
  if (area === "product") return [];
  const low = u8(bytes, start + 3) | (u8(bytes, start + 4) << 8);
  const date = boardDateText(low | (u8(bytes, start + 5) << 16));
  return date === null ? [] : [["board.date", date]];
}

/** Length, checksum and version; the area's end, with which fields are bounded whatever is wrong. */
function judgeArea(
  area: FruAreaName,
  bytes: Uint8Array,
  start: number,
): { readonly end: number; readonly problems: DecodeError[] } {
  const what = `${area} area`;
  const lengthBytes = fruAreaBytes(bytes, start);
  if (start + 2 > bytes.byteLength || start + lengthBytes > bytes.byteLength) {
    const want = start + Math.max(lengthBytes, 2);
    return { end: bytes.byteLength, problems: [tooShort(what, want, bytes.byteLength)] };
  }
  if (lengthBytes === 0) return { end: start, problems: [badValue(`${what}: length`, 0)] };
  const end = start + lengthBytes;
  const problems: DecodeError[] = [];
  const version = u8(bytes, start);
  if ((version & 0x0f) !== 1) problems.push(badValue(`${what}: version`, version));
  if (sumOf(bytes, start, end) !== 0) problems.push(badChecksum(what));
  return { end, problems };
}

/** `bytes` is the device as far as it was read, `start` is of the header. Empty fields are left out. */
export function decodeFruArea(area: FruAreaName, bytes: Uint8Array, start: number): FruArea {
  const { end, problems } = judgeArea(area, bytes, start);
  const layout = LAYOUTS[area];
  const first = start + layout.fieldsOffset;
  if (first >= end) return { fields: [], problems };
  const language = layout.languageOffset === null ? 0 : u8(bytes, start + layout.languageOffset);
  // The last byte is the area's checksum, never a field's.
  const reader = new FruFieldReader(bytes, first, Math.max(first, end - 1), language);
  const fields = [...fixedFields(area, bytes, start)];
  for (const { name, isSerial } of layout.names) {
    const text = reader.next(`${area} area: ${name}`, isSerial);
    if (text !== null && text !== "") fields.push([`${area}.${name}`, text]);
  }
  for (const [index, text] of reader.rest(`${area} area: custom field`).entries()) {
    if (text !== "") fields.push([`${area}.custom${index + 1}`, text]);
  }
  if (reader.error !== null) problems.push(reader.error);
  return { fields, problems };
}

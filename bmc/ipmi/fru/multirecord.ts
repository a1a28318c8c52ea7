/**
 * The multirecord area of a FRU: power supplies, their outputs and loads, addresses for management, makers' own (FRU §16-18).
 *
 *   offset  header of each record
 *        0  type: 00 supply, 01 DC output, 02 DC load, 03 management, 04/05 compatibility, 09/0A extended DC, C0-FF OEM
 *        1  b7 last; b3:0 format 2
 *        2  length of the data
 *        3  checksum of the data
 *        4  checksum of this header
 *
 * A wrong header checksum ends the chain, since its length leads to the next; a wrong data checksum is told, and the data
 * are shown. Bound: RECORDS_MAX records, each inside what was read.
 */
import { badChecksum, type DecodeError, tooShort } from "../decode.ts";
import { decodeLatin1, withoutControls } from "../sdr/type-length.ts";
import type { FruArea, FruFields } from "./fru-areas.ts";

export const MULTIRECORD_HEADER_BYTES = 5;
/** A device of 64 KB holds no more of any use; ends a chain that was made to be endless. */
export const MULTIRECORDS_MAX = 256;

export interface MultirecordHeader {
  readonly type: number;
  readonly isLast: boolean;
  readonly dataBytes: number;
  readonly dataSum: number;
  readonly isSound: boolean;
}

type Field = FruFields[number];

function u8(bytes: Uint8Array, offset: number): number {
  return bytes[offset] ?? 0;
}

function u16(bytes: Uint8Array, offset: number): number {
  return u8(bytes, offset) | (u8(bytes, offset + 1) << 8);
}

function i16(bytes: Uint8Array, offset: number): number {
  return (u16(bytes, offset) << 16) >> 16;
}

function sumOf(bytes: Uint8Array): number {
  return bytes.reduce((sum, byte) => (sum + byte) & 0xff, 0);
}

/** null: fewer than 5 bytes are there. */
export function decodeMultirecordHeader(
  bytes: Uint8Array,
  start: number,
): MultirecordHeader | null {
  if (start + MULTIRECORD_HEADER_BYTES > bytes.byteLength) return null;
  return {
    type: u8(bytes, start),
    isLast: (u8(bytes, start + 1) & 0x80) !== 0,
    dataBytes: u8(bytes, start + 2),
    dataSum: u8(bytes, start + 3),
    isSound: sumOf(bytes.subarray(start, start + MULTIRECORD_HEADER_BYTES)) === 0,
  };
}

/** In units of 10 mV. */
function volts(raw: number): string {
  return `${raw / 100} V`;
}

const COMBINED_VOLTS = ["12 V", "-12 V", "5 V", "3.3 V"] as const;
const SUPPLY_FLAGS = [
  "predictive failure pin",
  "power factor correction",
  "autoswitch",
  "hot swap",
] as const;

const SUPPLY_BYTES = 24;

function supplyFields(data: Uint8Array): readonly Field[] {
  const fields: Field[] = [["capacity", `${u16(data, 0) & 0x0fff} W`]];
  const add = (name: string, raw: number, none: number, text: string): void => {
    if (raw !== none) fields.push([name, text]);
  };
  add("peak-va", u16(data, 2), 0xffff, `${u16(data, 2)} VA`);
  add("inrush-current", u8(data, 4), 0xff, `${u8(data, 4)} A`);
  add("inrush-interval", u8(data, 5), 0, `${u8(data, 5)} ms`);
  const range = (low: number, high: number): string => `${volts(low)} to ${volts(high)}`;
  add("input-range1", u16(data, 8), 0, range(u16(data, 6), u16(data, 8)));
  add("input-range2", u16(data, 12), 0, range(u16(data, 10), u16(data, 12)));
  add("input-frequency", u8(data, 15), 0, `${u8(data, 14)} to ${u8(data, 15)} Hz`);
  add("dropout-tolerance", u8(data, 16), 0, `${u8(data, 16)} ms`);
  const flags = SUPPLY_FLAGS.filter((_, bit) => (u8(data, 17) & (1 << bit)) !== 0);
  if (flags.length > 0) fields.push(["features", flags.join(", ")]);
  add("peak-capacity", u16(data, 18) & 0x0fff, 0, `${u16(data, 18) & 0x0fff} W`);
  add("hold-up", u16(data, 18) >> 12, 0, `${u16(data, 18) >> 12} s`);
  const rails = [u8(data, 20) >> 4, u8(data, 20) & 0x0f].map((code) => COMBINED_VOLTS[code] ?? "?");
  add("combined", u16(data, 21), 0, `${u16(data, 21)} W on ${rails.join(" and ")}`);
  return fields;
}

const DC_BYTES = 13;

/** Unit of the currents: 1 mA, of extended records 10 or 100 mA. */
function currentUnit(type: number, first: number): number {
  if (type < 0x09) return 1;
  return (first & 0x10) === 0 ? 10 : 100;
}

function dcFields(type: number, data: Uint8Array): readonly Field[] {
  const isOutput = type === 0x01 || type === 0x09;
  const unit = currentUnit(type, u8(data, 0));
  const amperes = (offset: number): string => `${(u16(data, offset) * unit) / 1000} A`;
  const fields: Field[] = [
    ["nominal", volts(i16(data, 1))],
    [isOutput ? "deviation" : "range", `${volts(i16(data, 3))} to ${volts(i16(data, 5))}`],
    ["ripple", `${u16(data, 7)} mV`],
    ["current", `${amperes(9)} to ${amperes(11)}`],
  ];
  if (isOutput && (u8(data, 0) & 0x80) !== 0) fields.push(["standby", "yes"]);
  return fields;
}

const MANAGEMENT_NAMES = [
  "",
  "system-url",
  "system-name",
  "system-ping",
  "component-url",
  "component-name",
  "component-ping",
  "system-id",
] as const;

function managementFields(data: Uint8Array): readonly Field[] {
  const kind = u8(data, 0);
  const name = MANAGEMENT_NAMES[kind] ?? "";
  const value = data.subarray(1);
  if (name === "") return [[`kind${kind}`, `0x${value.toHex()}`]];
  const text = name === "system-id" ? value.toHex() : withoutControls(decodeLatin1(value)).trim();
  return text === "" ? [] : [[name, text]];
}

/** Maker first, as in OEM and compatibility records. */
function makerFields(data: Uint8Array): readonly Field[] {
  const maker = u8(data, 0) | (u8(data, 1) << 8) | (u8(data, 2) << 16);
  return [
    ["maker", `${maker}`],
    ["data", `0x${data.subarray(3).toHex()}`],
  ];
}

interface Decoded {
  readonly prefix: string;
  readonly bytesMin: number;
  readonly fields: (data: Uint8Array) => readonly Field[];
}

function layoutOf(type: number, data: Uint8Array): Decoded {
  const number = u8(data, 0) & 0x0f;
  switch (type) {
    case 0x00:
      return { prefix: "power-supply", bytesMin: SUPPLY_BYTES, fields: supplyFields };
    case 0x01:
    case 0x09:
      return {
        prefix: `dc-output${number}`,
        bytesMin: DC_BYTES,
        fields: (bytes) => dcFields(type, bytes),
      };
    case 0x02:
    case 0x0a:
      return {
        prefix: `dc-load${number}`,
        bytesMin: DC_BYTES,
        fields: (bytes) => dcFields(type, bytes),
      };
    case 0x03:
      return { prefix: "management", bytesMin: 1, fields: managementFields };
    case 0x04:
    case 0x05:
      return { prefix: "compatibility", bytesMin: 3, fields: makerFields };
    default:
      break;
  }
  const hex = type.toString(16).padStart(2, "0");
  if (type >= 0xc0) return { prefix: `oem-${hex}`, bytesMin: 3, fields: makerFields };
  const fields = (bytes: Uint8Array): readonly Field[] => [["data", `0x${bytes.toHex()}`]];
  return { prefix: `record-${hex}`, bytesMin: 0, fields };
}

function decodeRecord(
  type: number,
  data: Uint8Array,
  problems: DecodeError[],
): { readonly prefix: string; readonly fields: FruFields } {
  const { prefix, bytesMin, fields } = layoutOf(type, data);
  if (data.byteLength >= bytesMin) return { prefix, fields: fields(data) };
  problems.push(tooShort(`multirecord ${prefix}`, bytesMin, data.byteLength));
  return { prefix, fields: [] };
}

/** The second record of a kind is `oem-c0-2`: a name stands for one field. */
function freePrefix(prefix: string, counts: Map<string, number>): string {
  const count = (counts.get(prefix) ?? 0) + 1;
  counts.set(prefix, count);
  return count === 1 ? prefix : `${prefix}-${count}`;
}

/** `bytes` is the device as far as it was read, `start` is of the header. */
export function decodeMultirecords(bytes: Uint8Array, start: number): FruArea {
  const fields: Field[] = [];
  const problems: DecodeError[] = [];
  const counts = new Map<string, number>();
  let offset = start;
  for (let index = 1; index <= MULTIRECORDS_MAX; index++) {
    const what = `multirecord ${index}`;
    const header = decodeMultirecordHeader(bytes, offset);
    const dataStart = offset + MULTIRECORD_HEADER_BYTES;
    if (header === null) {
      problems.push(tooShort(what, dataStart, bytes.byteLength));
      break;
    }
    if (!header.isSound) {
      problems.push(badChecksum(`${what}: header`));
      break;
    }
    const dataEnd = dataStart + header.dataBytes;
    if (dataEnd > bytes.byteLength) {
      problems.push(tooShort(what, dataEnd, bytes.byteLength));
      break;
    }
    const data = bytes.subarray(dataStart, dataEnd);
    if (((sumOf(data) + header.dataSum) & 0xff) !== 0) problems.push(badChecksum(what));
    const record = decodeRecord(header.type, data, problems);
    const prefix = freePrefix(record.prefix, counts);
    fields.push(...record.fields.map(([name, value]): Field => [`${prefix}.${name}`, value]));
    if (header.isLast) break;
    offset = dataEnd;
  }
  return { fields, problems };
}

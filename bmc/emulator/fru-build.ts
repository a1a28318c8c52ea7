/**
 * A FRU inventory as bytes (FRU specification rev 1.3), written without a look at the decoder in `bmc/ipmi/fru/`.
 *
 *   common header, 8 bytes: 01h, offsets of internal, chassis, board, product, multirecord in units of 8, 00, checksum
 *   area: 01h, length in units of 8, …, type/length fields, C1h, zeros, checksum; each block sums to 0
 *   multirecord: type, b7 last + format 2, length, checksum of data, checksum of header, data
 */
import { checksum } from "../ipmi/decode.ts";
import type { FruConfig } from "./config.ts";

const FORMAT_VERSION = 0x01;
const END_OF_FIELDS = 0xc1;
const UNIT_BYTES = 8;
/** Longest that a field's six bits of length say; 1 with type 3 would read as the end, so a single letter is padded. */
const FIELD_CHARS_MAX = 63;
const ENGLISH = 25;

function field(text: string): readonly number[] {
  const padded = text.length === 1 ? `${text} ` : text.slice(0, FIELD_CHARS_MAX);
  if (padded.length === 0) return [0xc0];
  return [0xc0 | padded.length, ...[...padded].map((one) => one.charCodeAt(0) & 0xff)];
}

function area(head: readonly number[], fields: readonly string[]): readonly number[] {
  const body = [FORMAT_VERSION, 0, ...head, ...fields.flatMap(field), END_OF_FIELDS];
  while ((body.length + 1) % UNIT_BYTES !== 0) body.push(0);
  body[1] = (body.length + 1) / UNIT_BYTES;
  return [...body, checksum(Uint8Array.from(body))];
}

function chassisArea({ chassis }: FruConfig): readonly number[] {
  return chassis === undefined ? [] : area([chassis.type], [chassis.part, chassis.serial]);
}

function boardArea({ board }: FruConfig): readonly number[] {
  if (board === undefined) return [];
  const { dateMinutes: minutes } = board;
  const head = [ENGLISH, minutes & 0xff, (minutes >> 8) & 0xff, (minutes >> 16) & 0xff];
  const { maker, product, serial, part, custom = [] } = board;
  return area(head, [maker, product, serial, part, "", ...custom]);
}

function productArea({ product }: FruConfig): readonly number[] {
  if (product === undefined) return [];
  const { maker, name, part, version, serial, assetTag, custom = [] } = product;
  return area([ENGLISH], [maker, name, part, version, serial, assetTag, "", ...custom]);
}

function multirecords({ multirecords: list = [] }: FruConfig): readonly number[] {
  return list.flatMap(({ type, data }, index) => {
    const isLast = index === list.length - 1;
    const head = [type, (isLast ? 0x80 : 0) | 0x02, data.length, checksum(data)];
    return [...head, checksum(Uint8Array.from(head)), ...data];
  });
}

export interface FruImage {
  readonly bytes: Uint8Array;
  /** Of the board area's checksum byte, for the fault that spoils it; null without a board area. */
  readonly boardChecksumOffset: number | null;
}

/** Filled with zeros to a multiple of `blockBytes`, as an EEPROM is. */
export function buildFru(config: FruConfig, blockBytes = 256): FruImage {
  const body: number[] = [];
  const offsets = [0];
  const board = boardArea(config);
  let boardEnd: number | null = null;
  for (const part of [chassisArea(config), board, productArea(config), multirecords(config)]) {
    offsets.push(part.length === 0 ? 0 : (UNIT_BYTES + body.length) / UNIT_BYTES);
    body.push(...part);
    if (part === board && board.length > 0) boardEnd = UNIT_BYTES + body.length - 1;
  }
  const header = [FORMAT_VERSION, ...offsets, 0];
  const used = [...header, checksum(Uint8Array.from(header)), ...body];
  const bytes = new Uint8Array(Math.ceil(used.length / blockBytes) * blockBytes);
  bytes.set(used);
  return { bytes, boardChecksumOffset: boardEnd };
}

/**
 * FRU devices for tests: images built by the layout of the standard, and a BMC that gives them in pieces.
 */
import type { IpmiReply, IpmiRequest } from "../ipmi.ts";
import { reply, UNKNOWN_COMMAND } from "./scripted-bmc.ts";

/** Makes the sum of a block zero, at its end. */
function summed(bytes: readonly number[]): number[] {
  return [...bytes, -bytes.reduce((sum, byte) => sum + byte, 0) & 0xff];
}

export function textField(text: string): number[] {
  return [0xc0 | text.length, ...new TextEncoder().encode(text)];
}

/** Head with a length to be filled in at its second byte; fields; end mark, padding, checksum. */
export function fruArea(head: readonly number[], fields: readonly (readonly number[])[]): number[] {
  const body = [...head, ...fields.flat(), 0xc1];
  while ((body.length + 1) % 8 !== 0) body.push(0);
  body[1] = (body.length + 1) / 8;
  return summed(body);
}

export function multirecord(type: number, data: readonly number[], isLast: boolean): number[] {
  const dataSum = -data.reduce((sum, byte) => sum + byte, 0) & 0xff;
  return [...summed([type, isLast ? 0x82 : 0x02, data.length, dataSum]), ...data];
}

export interface FruAreas {
  readonly chassis?: readonly number[];
  readonly board?: readonly number[];
  readonly product?: readonly number[];
  readonly multirecords?: readonly number[];
}

export function fruImage(areas: FruAreas): Uint8Array {
  const body: number[] = [];
  const placed = (area: readonly number[] | undefined): number => {
    if (area === undefined) return 0;
    while (body.length % 8 !== 0) body.push(0);
    const offset = 1 + body.length / 8;
    body.push(...area);
    return offset;
  };
  const { chassis, board, product, multirecords } = areas;
  const offsets = [chassis, board, product, multirecords].map(placed);
  return Uint8Array.from([...summed([1, 0, ...offsets, 0]), ...body]);
}

export interface ScriptedFruOptions {
  readonly unitBytes?: 1 | 2;
  /** More bytes than this at once: the code. */
  readonly readBytesMax?: number;
  readonly tooMuch?: number;
  /** What the device says of its size; its own unless given. */
  readonly sizeBytes?: number;
  /** Every n-th read finds the device busy. */
  readonly busyEvery?: number;
}

/** Answers for device 0 only. */
export function fruHandler(
  image: Uint8Array,
  options: ScriptedFruOptions = {},
): (request: IpmiRequest) => IpmiReply {
  const { unitBytes = 1, readBytesMax = 255, tooMuch = 0xca, busyEvery = 0 } = options;
  const sizeBytes = options.sizeBytes ?? image.byteLength;
  let readCount = 0;
  return ({ netFn, command, data }) => {
    const [id = 0, low = 0, high = 0, count = 0] = data;
    if (netFn !== 0x0a || (command !== 0x10 && command !== 0x11)) return UNKNOWN_COMMAND;
    if (id !== 0) return reply(0xcb);
    if (command === 0x10) return reply(0, sizeBytes & 0xff, sizeBytes >> 8, unitBytes - 1);
    readCount++;
    if (busyEvery > 0 && readCount % busyEvery === 0) return reply(0x81);
    const bytes = count * unitBytes;
    if (bytes > readBytesMax) return reply(tooMuch);
    const start = (low | (high << 8)) * unitBytes;
    const piece = image.subarray(start, start + bytes);
    return reply(0, piece.byteLength / unitBytes, ...piece);
  };
}

/**
 * Read and Write FRU Data (IPMI 2.0 §34.2, §34.3).
 *
 *   byte  Read request        Read reply        Write request       Write reply
 *      0  FRU device id       count             FRU device id       count written
 *    1-2  offset              data              offset
 *      3  count                                 data
 *
 * Offsets and counts are in bytes or in words, as Get FRU Inventory Area Info says. Of a reply the data that came count, not
 * the count: controllers differ on its unit. 81h: the device is busy, again after 30 ms.
 */
import { assert } from "../../../core/assert.ts";
import { err, ok, type Result } from "../../../core/result.ts";
import { ByteReader, type DecodeError } from "../decode.ts";
import { type IpmiCommand, NET_FN } from "../ipmi.ts";

export interface FruRead {
  readonly fruId: number;
  readonly offset: number;
  readonly count: number;
}

export interface FruWrite {
  readonly fruId: number;
  readonly offset: number;
  readonly data: Uint8Array;
}

function encodeRead({ fruId, offset, count }: FruRead): Uint8Array {
  assert(offset >= 0 && offset <= 0xffff && count >= 1 && count <= 0xff, "within the FRU's reach");
  return Uint8Array.of(fruId, offset & 0xff, offset >> 8, count);
}

function decodeRead(data: Uint8Array): Result<Uint8Array, DecodeError> {
  const reader = new ByteReader(data);
  const short = reader.needs("Read FRU Data", 1);
  if (short !== null) return err(short);
  reader.u8();
  return ok(reader.rest().slice());
}

function encodeWrite({ fruId, offset, data }: FruWrite): Uint8Array {
  assert(offset >= 0 && offset <= 0xffff, "within the FRU's reach");
  return Uint8Array.of(fruId, offset & 0xff, offset >> 8, ...data);
}

function decodeWrite(data: Uint8Array): Result<number, DecodeError> {
  const reader = new ByteReader(data);
  const short = reader.needs("Write FRU Data", 1);
  return short === null ? ok(reader.u8()) : err(short);
}

/** Gives the data. */
export const readFruData: IpmiCommand<FruRead, Uint8Array> = {
  name: "Read FRU Data",
  netFn: NET_FN.storage,
  command: 0x11,
  encode: encodeRead,
  decode: decodeRead,
};

/** Gives how much was written: fewer than asked is no error of the command. */
export const writeFruData: IpmiCommand<FruWrite, number> = {
  name: "Write FRU Data",
  netFn: NET_FN.storage,
  command: 0x12,
  encode: encodeWrite,
  decode: decodeWrite,
};

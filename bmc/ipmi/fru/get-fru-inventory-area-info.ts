/**
 * Get FRU Inventory Area Info: how large a FRU device is, and how its offsets count (IPMI 2.0 §34.1).
 *
 *   byte  request         reply
 *      0  FRU device id   size in bytes (0-1)
 *      2                  b0 1 = offsets and counts are in words
 */
import { err, ok, type Result } from "../../../core/result.ts";
import { ByteReader, type DecodeError } from "../decode.ts";
import { type IpmiCommand, NET_FN } from "../ipmi.ts";

export interface FruAreaInfo {
  readonly sizeBytes: number;
  /** 1, or 2 where it counts words. */
  readonly unitBytes: 1 | 2;
}

function decode(data: Uint8Array): Result<FruAreaInfo, DecodeError> {
  const reader = new ByteReader(data);
  const short = reader.needs("Get FRU Inventory Area Info", 3);
  if (short !== null) return err(short);
  const sizeBytes = reader.u16le();
  return ok({ sizeBytes, unitBytes: (reader.u8() & 0x01) === 0 ? 1 : 2 });
}

export const getFruInventoryAreaInfo: IpmiCommand<number, FruAreaInfo> = {
  name: "Get FRU Inventory Area Info",
  netFn: NET_FN.storage,
  command: 0x10,
  encode: (fruId) => Uint8Array.of(fruId),
  decode,
};

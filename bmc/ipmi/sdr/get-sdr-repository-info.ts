/**
 * Get SDR Repository Info: how many records there are and when they last changed (IPMI 2.0 §33.9).
 *
 *   byte  reply
 *      0  version, BCD with the first digit low
 *    1-2  records
 *    3-4  free bytes: FFFFh unknown, FFFEh 64 K - 2 or more
 *    5-8  last addition
 *   9-12  last erasure
 *     13  b7 overflow, b6:5 modal update, b3 delete, b2 partial add, b1 reserve, b0 allocation info
 */
import { err, ok, type Result } from "../../../core/result.ts";
import { ByteReader, type DecodeError } from "../decode.ts";
import { type IpmiCommand, NET_FN } from "../ipmi.ts";
import { encodeNothing } from "../no-data.ts";

export interface SdrRepositoryInfo {
  /** Such as `5.1`. */
  readonly version: string;
  readonly recordCount: number;
  /** null: unknown. 65,534 stands for that and more. */
  readonly freeBytes: number | null;
  /** Raw times of the BMC: compared, never shown. */
  readonly lastAdd: number;
  readonly lastErase: number;
  readonly isOverflowed: boolean;
  readonly canReserve: boolean;
}

function decode(data: Uint8Array): Result<SdrRepositoryInfo, DecodeError> {
  const reader = new ByteReader(data);
  const short = reader.needs("Get SDR Repository Info", 14);
  if (short !== null) return err(short);
  const version = reader.u8();
  const recordCount = reader.u16le();
  const freeBytes = reader.u16le();
  const lastAdd = reader.u32le();
  const lastErase = reader.u32le();
  const flags = reader.u8();
  return ok({
    version: `${version & 0x0f}.${version >> 4}`,
    recordCount,
    freeBytes: freeBytes === 0xffff ? null : freeBytes,
    lastAdd,
    lastErase,
    isOverflowed: (flags & 0x80) !== 0,
    canReserve: (flags & 0x02) !== 0,
  });
}

export const getSdrRepositoryInfo: IpmiCommand<void, SdrRepositoryInfo> = {
  name: "Get SDR Repository Info",
  netFn: NET_FN.storage,
  command: 0x20,
  encode: encodeNothing,
  decode,
};

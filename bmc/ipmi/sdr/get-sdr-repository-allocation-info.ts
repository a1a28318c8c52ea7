/**
 * Get SDR Repository Allocation Info: in what units its memory is given out (IPMI 2.0 §33.10).
 *
 *   byte  reply
 *    0-1  units      2-3  bytes a unit, 0 = not told      4-5  free units      6-7  largest free block, in units
 *      8  largest record, in units
 */
import { err, ok, type Result } from "../../../core/result.ts";
import { ByteReader, type DecodeError } from "../decode.ts";
import { type IpmiCommand, NET_FN } from "../ipmi.ts";
import { encodeNothing } from "../no-data.ts";

export interface SdrAllocationInfo {
  readonly unitCount: number;
  /** null: not told. */
  readonly unitBytes: number | null;
  readonly freeUnitCount: number;
  readonly largestFreeUnitCount: number;
  readonly recordUnitCountMax: number;
}

function decode(data: Uint8Array): Result<SdrAllocationInfo, DecodeError> {
  const reader = new ByteReader(data);
  const short = reader.needs("Get SDR Repository Allocation Info", 9);
  if (short !== null) return err(short);
  const unitCount = reader.u16le();
  const unitBytes = reader.u16le();
  return ok({
    unitCount,
    unitBytes: unitBytes === 0 ? null : unitBytes,
    freeUnitCount: reader.u16le(),
    largestFreeUnitCount: reader.u16le(),
    recordUnitCountMax: reader.u8(),
  });
}

export const getSdrRepositoryAllocationInfo: IpmiCommand<void, SdrAllocationInfo> = {
  name: "Get SDR Repository Allocation Info",
  netFn: NET_FN.storage,
  command: 0x21,
  encode: encodeNothing,
  decode,
};

/**
 * Get SEL Allocation Info (IPMI 2.0 §31.3): how the room of the log is divided, where the BMC tells.
 *
 *   offset  bytes  field
 *        0      2  unitCount     0: not specified
 *        2      2  unitBytes     0: not specified
 *        4      2  freeUnits
 *        6      2  largestFree   in units
 *        8      1  recordUnits   the largest record, in units
 */
import { err, ok, type Result } from "../../../core/result.ts";
import { ByteReader, type DecodeError } from "../decode.ts";
import { type IpmiCommand, NET_FN } from "../ipmi.ts";

export interface SelAllocationInfo {
  readonly unitCount: number;
  readonly unitBytes: number;
  readonly freeUnits: number;
  readonly largestFree: number;
  readonly recordUnits: number;
}

export const getSelAllocationInfo: IpmiCommand<void, SelAllocationInfo> = {
  name: "Get SEL Allocation Info",
  netFn: NET_FN.storage,
  command: 0x41,
  encode: () => new Uint8Array(0),
  decode: decodeAllocation,
};

function decodeAllocation(data: Uint8Array): Result<SelAllocationInfo, DecodeError> {
  const reader = new ByteReader(data);
  const short = reader.needs("SEL allocation", 9);
  if (short !== null) return err(short);
  return ok({
    unitCount: reader.u16le(),
    unitBytes: reader.u16le(),
    freeUnits: reader.u16le(),
    largestFree: reader.u16le(),
    recordUnits: reader.u8(),
  });
}

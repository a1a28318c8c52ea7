/**
 * Get SEL Info (IPMI 2.0 §31.2): how much is in the event log, and when it was last written and last erased.
 *
 * The cheapest question about a log: a poll asks it first and reads nothing when the answer is the one of last time.
 * `lastErase` moves on the delete of a single record and on ageing too, so a change of it means "look again", never "all
 * is new". Times are the BMC's raw seconds, see `sel-time.ts`.
 *
 *   offset  bytes  field
 *        0      1  version       low digit first: 51h is 1.5, 02h is 2.0
 *        1      2  entryCount
 *        3      2  freeBytes     FFFFh: 65,535 or more
 *        5      4  lastAdd
 *        9      4  lastErase
 *       13      1  flags         7 overflow, 3 delete, 2 partial add, 1 reserve, 0 allocation information
 */
import { err, ok, type Result } from "../../../core/result.ts";
import { ByteReader, type DecodeError } from "../decode.ts";
import { type IpmiCommand, NET_FN } from "../ipmi.ts";

export const SEL_INFO_BYTES = 14;

export interface SelInfo {
  /** As sent: the low digit is the major version. */
  readonly version: number;
  readonly entryCount: number;
  /** null: 65,535 or more, the BMC cannot say how many. */
  readonly freeBytes: number | null;
  /** Seconds as the BMC counts them. */
  readonly lastAdd: number;
  readonly lastErase: number;
  /** Events were dropped because there was no room. */
  readonly isOverflowed: boolean;
  readonly canDelete: boolean;
  readonly canAddPartially: boolean;
  readonly canReserve: boolean;
  readonly canTellAllocation: boolean;
}

export const getSelInfo: IpmiCommand<void, SelInfo> = {
  name: "Get SEL Info",
  netFn: NET_FN.storage,
  command: 0x40,
  encode: () => new Uint8Array(0),
  decode: decodeSelInfo,
};

function decodeSelInfo(data: Uint8Array): Result<SelInfo, DecodeError> {
  const reader = new ByteReader(data);
  const short = reader.needs("SEL info", SEL_INFO_BYTES);
  if (short !== null) return err(short);
  const version = reader.u8();
  const entryCount = reader.u16le();
  const freeBytes = reader.u16le();
  const lastAdd = reader.u32le();
  const lastErase = reader.u32le();
  const flags = reader.u8();
  return ok({
    version,
    entryCount,
    freeBytes: freeBytes === 0xffff ? null : freeBytes,
    lastAdd,
    lastErase,
    isOverflowed: (flags & 0x80) !== 0,
    canDelete: (flags & 0x08) !== 0,
    canAddPartially: (flags & 0x04) !== 0,
    canReserve: (flags & 0x02) !== 0,
    canTellAllocation: (flags & 0x01) !== 0,
  });
}

/** The reply's data, for whoever plays a BMC. */
export function encodeSelInfo(info: SelInfo): Uint8Array {
  const bytes = new Uint8Array(SEL_INFO_BYTES);
  const view = new DataView(bytes.buffer);
  bytes[0] = info.version;
  view.setUint16(1, info.entryCount, true);
  view.setUint16(3, info.freeBytes ?? 0xffff, true);
  view.setUint32(5, info.lastAdd, true);
  view.setUint32(9, info.lastErase, true);
  bytes[13] =
    (info.isOverflowed ? 0x80 : 0) |
    (info.canDelete ? 0x08 : 0) |
    (info.canAddPartially ? 0x04 : 0) |
    (info.canReserve ? 0x02 : 0) |
    (info.canTellAllocation ? 0x01 : 0);
  return bytes;
}

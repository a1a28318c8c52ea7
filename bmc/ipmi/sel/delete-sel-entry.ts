/**
 * Delete SEL Entry (IPMI 2.0 §31.8): remove one record. Needs a reservation.
 *
 * Optional: many BMCs answer C1h, and bit 3 of the flags of Get SEL Info says so beforehand.
 *
 *   request                                  reply
 *   offset  bytes  field                     offset  bytes  field
 *        0      2  reservation                    0      2  recordId that was deleted
 *        2      2  recordId, 0 first, FFFFh last
 */
import { err, ok, type Result } from "../../../core/result.ts";
import { ByteReader, type DecodeError } from "../decode.ts";
import { type IpmiCommand, NET_FN } from "../ipmi.ts";

export interface DeleteSelRequest {
  readonly reservation: number;
  readonly recordId: number;
}

export const deleteSelEntry: IpmiCommand<DeleteSelRequest, number> = {
  name: "Delete SEL Entry",
  netFn: NET_FN.storage,
  command: 0x46,
  encode: ({ reservation, recordId }) =>
    Uint8Array.of(reservation & 0xff, reservation >>> 8, recordId & 0xff, recordId >>> 8),
  decode: decodeRecordId,
};

function decodeRecordId(data: Uint8Array): Result<number, DecodeError> {
  const reader = new ByteReader(data);
  const short = reader.needs("deleted SEL entry", 2);
  return short === null ? ok(reader.u16le()) : err(short);
}

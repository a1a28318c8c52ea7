/**
 * Get SEL Entry (IPMI 2.0 §31.5): one record, or a part of one, and the id of the record after it.
 *
 * A whole record (offset 0, count FFh) needs no reservation; a part does. The id of the reply's record can differ from the
 * id that was asked for: 0000h and FFFFh mean the first and the last. *Next* FFFFh is the end of the log; some BMCs give
 * cyclic or repeated next ids, which the reader has to bear, not this codec.
 *
 *   request                                  reply
 *   offset  bytes  field                     offset  bytes  field
 *        0      2  reservation, 0: none           0      2  nextRecordId
 *        2      2  recordId                       2   1-16  record, or the part that was asked for
 *        4      1  offset into the record
 *        5      1  count, FFh: all
 */
import { err, ok, type Result } from "../../../core/result.ts";
import { ByteReader, type DecodeError } from "../decode.ts";
import { type IpmiCommand, NET_FN } from "../ipmi.ts";

/** Asks for the first record of the log, whatever its id. */
export const SEL_FIRST = 0x0000;
/** Asks for the last; as a next id: there is none. */
export const SEL_LAST = 0xffff;
export const SEL_RECORD_BYTES = 16;
/** As a count: everything from the offset on. */
export const SEL_READ_ALL = 0xff;

export interface SelEntryRequest {
  /** 0 where none is needed: a whole record. */
  readonly reservation: number;
  readonly recordId: number;
  readonly offset: number;
  /** `SEL_READ_ALL` for all. */
  readonly count: number;
}

export interface SelEntryReply {
  readonly nextRecordId: number;
  /** A copy. 16 bytes when a whole record was asked for; whoever asked checks it. */
  readonly bytes: Uint8Array;
}

export const getSelEntry: IpmiCommand<SelEntryRequest, SelEntryReply> = {
  name: "Get SEL Entry",
  netFn: NET_FN.storage,
  command: 0x43,
  encode: encodeRequest,
  decode: decodeReply,
};

/** The request of a whole record, which needs no reservation. */
export function wholeSelEntry(recordId: number): SelEntryRequest {
  return { reservation: 0, recordId, offset: 0, count: SEL_READ_ALL };
}

function encodeRequest(request: SelEntryRequest): Uint8Array {
  return Uint8Array.of(
    request.reservation & 0xff,
    request.reservation >>> 8,
    request.recordId & 0xff,
    request.recordId >>> 8,
    request.offset,
    request.count,
  );
}

function decodeReply(data: Uint8Array): Result<SelEntryReply, DecodeError> {
  const reader = new ByteReader(data);
  const short = reader.needs("SEL entry", 3);
  if (short !== null) return err(short);
  return ok({ nextRecordId: reader.u16le(), bytes: data.slice(2) });
}

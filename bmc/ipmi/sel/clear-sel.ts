/**
 * Clear SEL (IPMI 2.0 §31.9): erase the whole log, or ask how far an erase has come.
 *
 * Needs a reservation that is still valid, so that a record which came after the last read is never erased unread: reserve,
 * read the rest, clear with that reservation. The letters are a safeguard of the standard against stray requests. While an
 * erase is under way, other SEL commands answer 81h.
 *
 *   request                                  reply
 *   offset  bytes  field                     offset  bytes  field
 *        0      2  reservation                    0      1  low digit: 0 in progress, 1 completed
 *        2      3  `C` `L` `R`
 *        5      1  AAh begin, 00h tell
 */
import { err, ok, type Result } from "../../../core/result.ts";
import { ByteReader, type DecodeError } from "../decode.ts";
import { type IpmiCommand, NET_FN } from "../ipmi.ts";

/** Completion code of SEL commands while an erase is under way (§31). */
export const SEL_ERASE_IN_PROGRESS = 0x81;

export interface ClearSelRequest {
  readonly reservation: number;
  readonly action: "begin" | "tell";
}

export interface ClearSelReply {
  readonly isErased: boolean;
}

export const clearSel: IpmiCommand<ClearSelRequest, ClearSelReply> = {
  name: "Clear SEL",
  netFn: NET_FN.storage,
  command: 0x47,
  encode: encodeRequest,
  decode: decodeReply,
};

function encodeRequest(request: ClearSelRequest): Uint8Array {
  const action = request.action === "begin" ? 0xaa : 0x00;
  const { reservation } = request;
  return Uint8Array.of(reservation & 0xff, reservation >>> 8, 0x43, 0x4c, 0x52, action);
}

function decodeReply(data: Uint8Array): Result<ClearSelReply, DecodeError> {
  const reader = new ByteReader(data);
  const short = reader.needs("SEL erasure status", 1);
  return short === null ? ok({ isErased: (reader.u8() & 0x0f) === 1 }) : err(short);
}

/**
 * Read Event Message Buffer (IPMI 2.0 §22.8): the event that the BMC holds for the system's software, which empties the buffer.
 *
 * It has the form of a log record; its id and its time need not be those of the record in the log. An empty buffer answers
 * 80h. The Linux driver reads it by itself and hands the event on, see the link of the system interface.
 *
 *   reply: 16 bytes, as in `../sel/sel-record.ts`
 */
import { err, ok, type Result } from "../../../core/result.ts";
import { ByteReader, type DecodeError } from "../decode.ts";
import { type IpmiCommand, NET_FN } from "../ipmi.ts";
import { encodeNothing } from "../no-data.ts";
import { SEL_RECORD_BYTES } from "../sel/get-sel-entry.ts";

/** Completion code: there is no event. */
export const EVENT_BUFFER_EMPTY = 0x80;

/** The 16 bytes, a copy. */
export const readEventMessageBuffer: IpmiCommand<void, Uint8Array> = {
  name: "Read Event Message Buffer",
  netFn: NET_FN.app,
  command: 0x35,
  encode: encodeNothing,
  decode: decodeEvent,
};

function decodeEvent(data: Uint8Array): Result<Uint8Array, DecodeError> {
  const reader = new ByteReader(data);
  const short = reader.needs("event message", SEL_RECORD_BYTES);
  return short === null ? ok(reader.bytes(SEL_RECORD_BYTES).slice()) : err(short);
}

/**
 * Add SEL Entry (IPMI 2.0 §31.6): write a record into the log.
 *
 * The BMC gives the id, and for types below E0h the time: those bytes of the request are ignored. This writes to the log
 * only; an event that shall be acted on goes by Platform Event (`../sensor/platform-event.ts`). A type that the BMC does not
 * take is answered 80h, a log that is full C4h.
 *
 *   request: the 16 bytes of the record      reply: 2 bytes, the id that it was given
 */
import { err, ok, type Result } from "../../../core/result.ts";
import { ByteReader, type DecodeError } from "../decode.ts";
import { type IpmiCommand, NET_FN } from "../ipmi.ts";
import { encodeSelRecord, type SelRecord } from "./sel-record.ts";

export const addSelEntry: IpmiCommand<SelRecord, number> = {
  name: "Add SEL Entry",
  netFn: NET_FN.storage,
  command: 0x44,
  encode: encodeSelRecord,
  decode: decodeRecordId,
};

function decodeRecordId(data: Uint8Array): Result<number, DecodeError> {
  const reader = new ByteReader(data);
  const short = reader.needs("added SEL entry", 2);
  return short === null ? ok(reader.u16le()) : err(short);
}

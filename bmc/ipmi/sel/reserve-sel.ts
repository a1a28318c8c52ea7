/**
 * Reserve SEL (IPMI 2.0 §31.4): a ticket for the commands that change the log or read a record in parts.
 *
 * Any event that is logged, and any other reservation, makes the ticket invalid: the BMC then answers C5h, and whoever holds
 * it reserves again and begins its record anew. Two tools can take it from each other without end, so retries are bounded.
 *
 *   offset  bytes  field
 *        0      2  reservation   never 0000h
 */
import { err, ok, type Result } from "../../../core/result.ts";
import { ByteReader, type DecodeError } from "../decode.ts";
import { type IpmiCommand, NET_FN } from "../ipmi.ts";

export const reserveSel: IpmiCommand<void, number> = {
  name: "Reserve SEL",
  netFn: NET_FN.storage,
  command: 0x42,
  encode: () => new Uint8Array(0),
  decode: decodeReservation,
};

function decodeReservation(data: Uint8Array): Result<number, DecodeError> {
  const reader = new ByteReader(data);
  const short = reader.needs("SEL reservation", 2);
  return short === null ? ok(reader.u16le()) : err(short);
}

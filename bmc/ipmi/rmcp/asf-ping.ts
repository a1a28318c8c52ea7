/**
 * ASF presence ping and pong (IPMI 2.0 §13.2.3, §13.2.4): is anything there, and does it speak IPMI?
 *
 * Asked before there is a session, by whoever searches for BMCs; not every BMC answers (OpenBMC does not), so its absence
 * proves nothing. Behind the RMCP header:
 *
 *   0  IANA of ASF, 4542, big-endian      ping: length 0
 *   4  type: 80h ping, 40h pong           pong: length 16, then
 *   5  tag                                 8  IANA of the maker, 4   12  OEM, 4
 *   6  reserved                           16  entities: b7 IPMI, b3:0 version of ASF
 *   7  length of what follows             17  interactions   18..23  reserved
 */
import { err, ok, type Result } from "../../../core/result.ts";
import { ByteReader, badValue, type DecodeError } from "../decode.ts";
import { RMCP_HEADER_BYTES, writeRmcpHeader } from "./rmcp.ts";

const ASF_IANA = 4542;
const TYPE_PING = 0x80;
const TYPE_PONG = 0x40;
const PONG_DATA_BYTES = 16;
const HEAD_BYTES = 8;

export type AsfMessage =
  | { readonly kind: "ping"; readonly tag: number }
  | { readonly kind: "pong"; readonly tag: number; readonly hasIpmi: boolean };

function asfHead(type: number, tag: number, dataBytes: number): Uint8Array {
  const bytes = new Uint8Array(RMCP_HEADER_BYTES + HEAD_BYTES + dataBytes);
  writeRmcpHeader(bytes, "asf");
  new DataView(bytes.buffer).setUint32(RMCP_HEADER_BYTES, ASF_IANA);
  bytes[8] = type;
  bytes[9] = tag;
  bytes[11] = dataBytes;
  return bytes;
}

/** The whole datagram. */
export function encodeAsfMessage(message: AsfMessage): Uint8Array {
  if (message.kind === "ping") return asfHead(TYPE_PING, message.tag, 0);
  const bytes = asfHead(TYPE_PONG, message.tag, PONG_DATA_BYTES);
  new DataView(bytes.buffer).setUint32(12, ASF_IANA);
  bytes[20] = message.hasIpmi ? 0x81 : 0x01;
  return bytes;
}

/** Of what follows the RMCP header. */
export function decodeAsfMessage(body: Uint8Array): Result<AsfMessage, DecodeError> {
  const reader = new ByteReader(body);
  const short = reader.needs("ASF message", HEAD_BYTES);
  if (short !== null) return err(short);
  const iana = reader.u32be();
  if (iana !== ASF_IANA) return err(badValue("ASF enterprise", iana));
  const [type, tag] = [reader.u8(), reader.u8()];
  if (type === TYPE_PING) return ok({ kind: "ping", tag });
  if (type !== TYPE_PONG) return err(badValue("ASF message type", type));
  const truncated = reader.needs("ASF pong", 11);
  if (truncated !== null) return err(truncated);
  reader.bytes(10);
  return ok({ kind: "pong", tag, hasIpmi: (reader.u8() & 0x80) !== 0 });
}

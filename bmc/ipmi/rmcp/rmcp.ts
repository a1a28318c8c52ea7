/**
 * The RMCP header that opens every datagram on port 623 (IPMI 2.0 §13.1.3).
 *
 *   0  version 06h
 *   1  reserved 00h
 *   2  sequence; FFh: no RMCP acknowledge is wanted, which IPMI always says
 *   3  b7 acknowledge, b4:0 class: 6 ASF, 7 IPMI
 */
import { err, ok, type Result } from "../../../core/result.ts";
import { badValue, type DecodeError, tooShort } from "../decode.ts";

export const RMCP_PORT = 623;
export const RMCP_HEADER_BYTES = 4;

const VERSION = 0x06;
const NO_ACKNOWLEDGE = 0xff;
const CLASS_ASF = 0x06;
const CLASS_IPMI = 0x07;

export type RmcpClass = "asf" | "ipmi";

export interface RmcpDatagram {
  readonly messageClass: RmcpClass;
  readonly sequence: number;
  /** A view of what follows the header. */
  readonly body: Uint8Array;
}

/** Writes the header to the first four bytes. */
export function writeRmcpHeader(bytes: Uint8Array, messageClass: RmcpClass): void {
  bytes[0] = VERSION;
  bytes[1] = 0;
  bytes[2] = NO_ACKNOWLEDGE;
  bytes[3] = messageClass === "asf" ? CLASS_ASF : CLASS_IPMI;
}

/** Of a whole datagram. An acknowledge (b7) carries nothing and is refused like a class that is not known. */
export function rmcpClassOf(bytes: Uint8Array): Result<RmcpClass, DecodeError> {
  if (bytes.byteLength < RMCP_HEADER_BYTES) {
    return err(tooShort("RMCP header", RMCP_HEADER_BYTES, bytes.byteLength));
  }
  const version = bytes[0] as number;
  if (version !== VERSION) return err(badValue("RMCP version", version));
  // b6:5 are reserved, and ignored.
  const classNumber = (bytes[3] as number) & 0x9f;
  if (classNumber === CLASS_IPMI) return ok("ipmi");
  return classNumber === CLASS_ASF ? ok("asf") : err(badValue("RMCP class", bytes[3] as number));
}

export function decodeRmcp(bytes: Uint8Array): Result<RmcpDatagram, DecodeError> {
  const messageClass = rmcpClassOf(bytes);
  if (!messageClass.ok) return messageClass;
  const body = bytes.subarray(RMCP_HEADER_BYTES);
  return ok({ messageClass: messageClass.value, sequence: bytes[2] as number, body });
}

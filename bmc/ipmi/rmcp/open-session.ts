/**
 * RMCP+ Open Session, both directions (IPMI 2.0 §13.17, §13.18, payload types 10h and 11h).
 *
 *   request, 32 bytes                     response, 36 bytes; with an error the first 8
 *    0  tag                                0  tag
 *    1  b3:0 privilege wanted, 0 highest   1  status (§13.24)
 *    2  reserved                           2  privilege, 3 reserved
 *    4  console session id                 4  console session id
 *    8  authentication record, 8           8  BMC session id
 *   16  integrity record, 8               12  authentication, 20 integrity, 28 confidentiality
 *   24  confidentiality record, 8
 *
 *   record: type 0, 1 or 2; 2 reserved; length 8; algorithm in b5:0; 3 reserved
 */
import { err, ok, type Result } from "../../../core/result.ts";
import { ByteReader, badValue, type DecodeError } from "../decode.ts";

export const PAYLOAD_OPEN_SESSION_REQUEST = 0x10;
export const PAYLOAD_OPEN_SESSION_RESPONSE = 0x11;

const RECORD_BYTES = 8;

export interface SessionAlgorithms {
  readonly authentication: number;
  readonly integrity: number;
  readonly confidentiality: number;
}

export interface OpenSessionRequest extends SessionAlgorithms {
  readonly tag: number;
  /** 0: the highest that the algorithms allow. */
  readonly privilege: number;
  readonly consoleId: number;
}

export type OpenSessionResponse =
  | {
      readonly isAccepted: true;
      readonly tag: number;
      readonly privilege: number;
      readonly consoleId: number;
      readonly bmcId: number;
      readonly algorithms: SessionAlgorithms;
    }
  | {
      readonly isAccepted: false;
      readonly tag: number;
      readonly status: number;
      /** 0 where the BMC sends less than 8 bytes. */
      readonly consoleId: number;
    };

function writeAlgorithms(bytes: Uint8Array, offset: number, of: SessionAlgorithms): void {
  [of.authentication, of.integrity, of.confidentiality].forEach((algorithm, type) => {
    const start = offset + type * RECORD_BYTES;
    bytes[start] = type;
    bytes[start + 3] = RECORD_BYTES;
    bytes[start + 4] = algorithm;
  });
}

function readAlgorithms(reader: ByteReader): Result<SessionAlgorithms, DecodeError> {
  const algorithms: number[] = [];
  for (let type = 0; type < 3; type++) {
    const record = reader.bytes(RECORD_BYTES);
    if (record[0] !== type) return err(badValue("algorithm record type", record[0] as number));
    // A length of 0 leaves the choice to the BMC, which we never do.
    if (record[3] !== RECORD_BYTES)
      return err(badValue("algorithm record length", record[3] as number));
    algorithms.push((record[4] as number) & 0x3f);
  }
  const [authentication = 0, integrity = 0, confidentiality = 0] = algorithms;
  return ok({ authentication, integrity, confidentiality });
}

export function encodeOpenSessionRequest(request: OpenSessionRequest): Uint8Array {
  const bytes = new Uint8Array(8 + 3 * RECORD_BYTES);
  bytes[0] = request.tag;
  bytes[1] = request.privilege & 0x0f;
  new DataView(bytes.buffer).setUint32(4, request.consoleId, true);
  writeAlgorithms(bytes, 8, request);
  return bytes;
}

export function decodeOpenSessionRequest(
  bytes: Uint8Array,
): Result<OpenSessionRequest, DecodeError> {
  const reader = new ByteReader(bytes);
  const short = reader.needs("Open Session request", 8 + 3 * RECORD_BYTES);
  if (short !== null) return err(short);
  const [tag, privilege] = [reader.u8(), reader.u8() & 0x0f];
  reader.bytes(2);
  const consoleId = reader.u32le();
  const algorithms = readAlgorithms(reader);
  if (!algorithms.ok) return algorithms;
  return ok({ tag, privilege, consoleId, ...algorithms.value });
}

export function encodeOpenSessionResponse(response: OpenSessionResponse): Uint8Array {
  const bytes = new Uint8Array(response.isAccepted ? 12 + 3 * RECORD_BYTES : 8);
  const view = new DataView(bytes.buffer);
  bytes[0] = response.tag;
  view.setUint32(4, response.consoleId, true);
  if (!response.isAccepted) {
    bytes[1] = response.status;
    return bytes;
  }
  bytes[2] = response.privilege & 0x0f;
  view.setUint32(8, response.bmcId, true);
  writeAlgorithms(bytes, 12, response.algorithms);
  return bytes;
}

export function decodeOpenSessionResponse(
  bytes: Uint8Array,
): Result<OpenSessionResponse, DecodeError> {
  const reader = new ByteReader(bytes);
  const short = reader.needs("Open Session response", 2);
  if (short !== null) return err(short);
  const [tag, status] = [reader.u8(), reader.u8()];
  if (status !== 0) {
    if (reader.remaining < 6) return ok({ isAccepted: false, tag, status, consoleId: 0 });
    reader.bytes(2);
    return ok({ isAccepted: false, tag, status, consoleId: reader.u32le() });
  }
  const truncated = reader.needs("Open Session response", 10 + 3 * RECORD_BYTES);
  if (truncated !== null) return err(truncated);
  const privilege = reader.u8() & 0x0f;
  reader.u8();
  const [consoleId, bmcId] = [reader.u32le(), reader.u32le()];
  const algorithms = readAlgorithms(reader);
  if (!algorithms.ok) return algorithms;
  return ok({
    isAccepted: true,
    tag,
    privilege,
    consoleId,
    bmcId,
    algorithms: algorithms.value,
  });
}

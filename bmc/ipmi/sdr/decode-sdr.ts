/**
 * One record of the SDR repository, of whichever type (IPMI 2.0 §33, §43).
 *
 *   offset  bytes  header
 *        0      2  record id
 *        2      1  version of the format, 51h
 *        3      1  type
 *        4      1  bytes that follow
 *
 * Bytes beyond the length of the header are not looked at; fewer are an error, since what is missing might be a name, a
 * factor or a threshold. Types that are not known stay as bytes.
 */
import { err, ok, type Result } from "../../../core/result.ts";
import { type DecodeError, tooShort } from "../decode.ts";
import {
  decodeEntityAssociation,
  decodeRelativeAssociation,
  type EntityAssociation,
} from "./entity-association.ts";
import {
  type ControllerConfirmation,
  type ControllerLocator,
  type DeviceLocator,
  decodeControllerConfirmation,
  decodeControllerLocator,
  decodeDeviceLocator,
  decodeFruLocator,
  type FruLocator,
} from "./locator-record.ts";
import {
  decodeCompactRecord,
  decodeEventOnlyRecord,
  decodeFullRecord,
  type SensorRecord,
} from "./sensor-record.ts";

export const SDR_HEADER_BYTES = 5;

export interface OemRecord {
  readonly kind: "oem";
  readonly recordId: number;
  readonly manufacturerId: number;
  readonly data: Uint8Array;
}

/** Message channel records and types of later versions: nothing here needs them. */
export interface OtherRecord {
  readonly kind: "other";
  readonly recordId: number;
  readonly type: number;
  /** After the header. */
  readonly data: Uint8Array;
}

export type SdrRecord =
  | SensorRecord
  | FruLocator
  | ControllerLocator
  | DeviceLocator
  | ControllerConfirmation
  | EntityAssociation
  | OemRecord
  | OtherRecord;

export interface SdrHeader {
  readonly recordId: number;
  readonly version: number;
  readonly type: number;
  /** Header and body. */
  readonly totalBytes: number;
}

function u8(record: Uint8Array, offset: number): number {
  return record[offset] ?? 0;
}

export function decodeSdrHeader(bytes: Uint8Array): Result<SdrHeader, DecodeError> {
  if (bytes.byteLength < SDR_HEADER_BYTES) {
    return err(tooShort("SDR header", SDR_HEADER_BYTES, bytes.byteLength));
  }
  return ok({
    recordId: u8(bytes, 0) | (u8(bytes, 1) << 8),
    version: u8(bytes, 2),
    type: u8(bytes, 3),
    totalBytes: SDR_HEADER_BYTES + u8(bytes, 4),
  });
}

function decodeOem(record: Uint8Array, recordId: number): Result<OemRecord, DecodeError> {
  if (record.byteLength < 8) return err(tooShort("OEM record", 8, record.byteLength));
  const manufacturerId = u8(record, 5) | (u8(record, 6) << 8) | (u8(record, 7) << 16);
  return ok({ kind: "oem", recordId, manufacturerId, data: record.slice(8) });
}

function decodeBody(record: Uint8Array, header: SdrHeader): Result<SdrRecord, DecodeError> {
  switch (header.type) {
    case 0x01:
      return decodeFullRecord(record);
    case 0x02:
      return decodeCompactRecord(record);
    case 0x03:
      return decodeEventOnlyRecord(record);
    case 0x08:
      return decodeEntityAssociation(record);
    case 0x09:
      return decodeRelativeAssociation(record);
    case 0x10:
      return decodeDeviceLocator(record);
    case 0x11:
      return decodeFruLocator(record);
    case 0x12:
      return decodeControllerLocator(record);
    case 0x13:
      return decodeControllerConfirmation(record);
    case 0xc0:
      return decodeOem(record, header.recordId);
    default:
      return ok({
        kind: "other",
        recordId: header.recordId,
        type: header.type,
        data: record.slice(SDR_HEADER_BYTES),
      });
  }
}

export function decodeSdr(bytes: Uint8Array): Result<SdrRecord, DecodeError> {
  const header = decodeSdrHeader(bytes);
  if (!header.ok) return header;
  const { totalBytes } = header.value;
  if (bytes.byteLength < totalBytes) return err(tooShort("SDR", totalBytes, bytes.byteLength));
  return decodeBody(bytes.subarray(0, totalBytes), header.value);
}

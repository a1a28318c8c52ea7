/**
 * The 16 bytes of an event log record (IPMI 2.0 §32.1-32.3), read into a closed union and written back bit for bit.
 *
 * Decides only what the standard's layout decides. What an event means is in `../event/`; what its seconds mean is in
 * `sel-time.ts`. Invariant: `encodeSelRecord(decodeSelRecord(bytes))` gives the same 16 bytes for every input, so nothing
 * of a record is ever lost, reserved bits included.
 *
 * This is the one decoder that a log of ten thousand entries goes through whole: fields are numbers in flat objects with one
 * shape per kind, and a system event makes no view and no copy.
 *
 *   offset  02h system event             C0-DFh OEM with time   E0-FFh OEM, and every other type
 *        0  record id, 2 bytes           the same               the same
 *        2  type                         type                   type
 *        3  timestamp, 4 bytes           timestamp              data, 13 bytes
 *        7  generator id, 2 bytes        manufacturer, 3 bytes
 *        9  event message revision
 *       10  sensor type                  data, 6 bytes
 *       11  sensor number
 *       12  bit 7 deassertion, 6:0 event/reading type
 *       13  event data 1-3
 */
import { err, ok, type Result } from "../../../core/result.ts";
import { type DecodeError, tooShort } from "../decode.ts";
import { SEL_RECORD_BYTES } from "./get-sel-entry.ts";

export interface SystemEventRecord {
  readonly kind: "event";
  /** A handle of the BMC: may change and be reused, never a key. */
  readonly recordId: number;
  /** Raw seconds, see `sel-time.ts`. */
  readonly timestamp: number;
  /** Both bytes as they are: low the address or software id, high channel and LUN. */
  readonly generatorId: number;
  /** 04h of IPMI 1.5 and 2.0, 03h of 1.0. */
  readonly revision: number;
  readonly sensorType: number;
  readonly sensorNumber: number;
  readonly isAssertion: boolean;
  /** Event/reading type, 00h..7Fh (§42.1). */
  readonly eventType: number;
  readonly data1: number;
  /** FFh: unspecified. */
  readonly data2: number;
  readonly data3: number;
}

export interface OemTimedRecord {
  readonly kind: "oem-timed";
  readonly recordId: number;
  /** C0h..DFh */
  readonly recordType: number;
  readonly timestamp: number;
  readonly manufacturerId: number;
  /** 6 bytes, a copy. */
  readonly data: Uint8Array;
}

export interface OemRecord {
  readonly kind: "oem";
  readonly recordId: number;
  /** E0h..FFh */
  readonly recordType: number;
  /** 13 bytes, a copy. */
  readonly data: Uint8Array;
}

/** A type that the standard does not define. */
export interface UnknownRecord {
  readonly kind: "unknown";
  readonly recordId: number;
  readonly recordType: number;
  /** 13 bytes, a copy. */
  readonly data: Uint8Array;
}

export type SelRecord = SystemEventRecord | OemTimedRecord | OemRecord | UnknownRecord;

/** Record type of a system event, the only one that the standard gives a meaning to. */
export const SYSTEM_EVENT_TYPE = 0x02;
/** Revision of event messages since IPMI 1.5 (§29.3). */
export const EVENT_MESSAGE_REVISION = 0x04;

/** Of the 16 bytes at `offset`. Never throws; O(1). */
export function decodeSelRecord(bytes: Uint8Array, offset = 0): Result<SelRecord, DecodeError> {
  if (offset < 0 || offset + SEL_RECORD_BYTES > bytes.length) {
    return err(tooShort("SEL record", SEL_RECORD_BYTES, Math.max(0, bytes.length - offset)));
  }
  const recordId = (bytes[offset] as number) | ((bytes[offset + 1] as number) << 8);
  const recordType = bytes[offset + 2] as number;
  if (recordType === SYSTEM_EVENT_TYPE) {
    const direction = bytes[offset + 12] as number;
    return ok({
      kind: "event",
      recordId,
      timestamp: u32le(bytes, offset + 3),
      generatorId: (bytes[offset + 7] as number) | ((bytes[offset + 8] as number) << 8),
      revision: bytes[offset + 9] as number,
      sensorType: bytes[offset + 10] as number,
      sensorNumber: bytes[offset + 11] as number,
      isAssertion: direction < 0x80,
      eventType: direction & 0x7f,
      data1: bytes[offset + 13] as number,
      data2: bytes[offset + 14] as number,
      data3: bytes[offset + 15] as number,
    });
  }
  return ok(decodeOther(bytes, offset, recordId, recordType));
}

function decodeOther(
  bytes: Uint8Array,
  offset: number,
  recordId: number,
  recordType: number,
): SelRecord {
  if (recordType >= 0xc0 && recordType <= 0xdf) {
    return {
      kind: "oem-timed",
      recordId,
      recordType,
      timestamp: u32le(bytes, offset + 3),
      manufacturerId:
        (bytes[offset + 7] as number) |
        ((bytes[offset + 8] as number) << 8) |
        ((bytes[offset + 9] as number) << 16),
      data: bytes.slice(offset + 10, offset + SEL_RECORD_BYTES),
    };
  }
  const data = bytes.slice(offset + 3, offset + SEL_RECORD_BYTES);
  const kind = recordType >= 0xe0 ? "oem" : "unknown";
  return { kind, recordId, recordType, data };
}

function u32le(bytes: Uint8Array, offset: number): number {
  return (
    ((bytes[offset] as number) |
      ((bytes[offset + 1] as number) << 8) |
      ((bytes[offset + 2] as number) << 16) |
      ((bytes[offset + 3] as number) << 24)) >>>
    0
  );
}

export function encodeSelRecord(record: SelRecord): Uint8Array {
  const bytes = new Uint8Array(SEL_RECORD_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, record.recordId, true);
  switch (record.kind) {
    case "event":
      bytes[2] = SYSTEM_EVENT_TYPE;
      view.setUint32(3, record.timestamp, true);
      view.setUint16(7, record.generatorId, true);
      bytes[9] = record.revision;
      bytes[10] = record.sensorType;
      bytes[11] = record.sensorNumber;
      bytes[12] = (record.isAssertion ? 0 : 0x80) | record.eventType;
      bytes[13] = record.data1;
      bytes[14] = record.data2;
      bytes[15] = record.data3;
      return bytes;
    case "oem-timed":
      bytes[2] = record.recordType;
      view.setUint32(3, record.timestamp, true);
      view.setUint16(7, record.manufacturerId & 0xffff, true);
      bytes[9] = record.manufacturerId >>> 16;
      bytes.set(record.data.subarray(0, 6), 10);
      return bytes;
    case "oem":
    case "unknown":
      bytes[2] = record.recordType;
      bytes.set(record.data.subarray(0, 13), 3);
      return bytes;
  }
}

/** The record as it is compared and hashed: its id is the BMC's to change, so it is zeroed. A copy. */
export function canonicalRecord(bytes: Uint8Array, offset = 0): Uint8Array {
  // Not by `slice`, which is a view where somebody gives a Buffer: the caller's record must not change.
  const copy = new Uint8Array(bytes.subarray(offset, offset + SEL_RECORD_BYTES));
  copy[0] = 0;
  copy[1] = 0;
  return copy;
}

/** What a generator id says (§32.1): an IPMB address, or the id of software. */
export interface Generator {
  /** As the byte stands: even an IPMB slave address, odd a software id shifted left by one. */
  readonly address: number;
  readonly isSoftware: boolean;
  /** Channel that the event came over; 0 the primary IPMB or the BMC itself. */
  readonly channel: number;
  readonly lun: number;
}

export function generatorOf(generatorId: number): Generator {
  return {
    address: generatorId & 0xff,
    isSoftware: (generatorId & 1) === 1,
    channel: generatorId >>> 12,
    lun: (generatorId >>> 8) & 0x03,
  };
}

/**
 * Reserve and Get of a record, from the SDR repository and from a device's own records (IPMI 2.0 §33.11, §33.12, §35.3, §35.4).
 *
 *   byte  Get request                                  reply
 *    0-1  reservation, 0 for a whole record            next record id, FFFFh after the last
 *    2-3  record id, 0 for the first                   the bytes asked for
 *      4  offset
 *      5  count, FFh for the whole record
 *
 * A reservation is lost when the records change and when somebody else reserves: C5h.
 */
import { err, ok, type Result } from "../../../core/result.ts";
import { ByteReader, type DecodeError } from "../decode.ts";
import { type IpmiCommand, NET_FN } from "../ipmi.ts";
import { encodeNothing } from "../no-data.ts";

export interface SdrRead {
  readonly reservation: number;
  readonly recordId: number;
  readonly offset: number;
  readonly count: number;
}

export interface SdrPiece {
  readonly nextRecordId: number;
  readonly bytes: Uint8Array;
}

export const SDR_ID_FIRST = 0x0000;
/** After the last. */
export const SDR_ID_END = 0xffff;
export const SDR_WHOLE = 0xff;

function decodeReservation(data: Uint8Array): Result<number, DecodeError> {
  const reader = new ByteReader(data);
  const short = reader.needs("reservation", 2);
  return short === null ? ok(reader.u16le()) : err(short);
}

function encodeRead(read: SdrRead): Uint8Array {
  const { reservation, recordId, offset, count } = read;
  const ids = [reservation & 0xff, reservation >> 8, recordId & 0xff, recordId >> 8];
  return Uint8Array.of(...ids, offset, count);
}

function decodePiece(data: Uint8Array): Result<SdrPiece, DecodeError> {
  const reader = new ByteReader(data);
  const short = reader.needs("Get SDR", 2);
  if (short !== null) return err(short);
  return ok({ nextRecordId: reader.u16le(), bytes: reader.rest().slice() });
}

export const reserveSdrRepository: IpmiCommand<void, number> = {
  name: "Reserve SDR Repository",
  netFn: NET_FN.storage,
  command: 0x22,
  encode: encodeNothing,
  decode: decodeReservation,
};

export const getSdr: IpmiCommand<SdrRead, SdrPiece> = {
  name: "Get SDR",
  netFn: NET_FN.storage,
  command: 0x23,
  encode: encodeRead,
  decode: decodePiece,
};

export const reserveDeviceSdrRepository: IpmiCommand<void, number> = {
  name: "Reserve Device SDR Repository",
  netFn: NET_FN.sensorEvent,
  command: 0x22,
  encode: encodeNothing,
  decode: decodeReservation,
};

export const getDeviceSdr: IpmiCommand<SdrRead, SdrPiece> = {
  name: "Get Device SDR",
  netFn: NET_FN.sensorEvent,
  command: 0x21,
  encode: encodeRead,
  decode: decodePiece,
};

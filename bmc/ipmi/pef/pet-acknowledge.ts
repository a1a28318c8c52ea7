/**
 * PET Acknowledge (IPMI 2.0 §30.8): tells the BMC that a trap has arrived, so that it stops sending it again.
 *
 * Needs no session. Each field comes from the trap; there they are big-endian, here little-endian.
 *
 *   offset  bytes  field
 *        0      2  sequence
 *        2      4  timestamp     of the trap: seconds since 1998
 *        6      1  eventSource
 *        7      1  sensorDevice
 *        8      1  sensorNumber
 *        9      3  event data 1-3
 */
import { err, ok, type Result } from "../../../core/result.ts";
import { ByteReader, type DecodeError } from "../decode.ts";
import { type IpmiCommand, NET_FN } from "../ipmi.ts";
import { decodeNothing } from "../no-data.ts";

const ACKNOWLEDGE_BYTES = 12;

export interface PetAcknowledge {
  readonly sequence: number;
  /** Seconds since 1998-01-01. */
  readonly timestamp: number;
  readonly eventSource: number;
  readonly sensorDevice: number;
  readonly sensorNumber: number;
  readonly eventData: readonly [number, number, number];
}

export const petAcknowledge: IpmiCommand<PetAcknowledge, null> = {
  name: "PET Acknowledge",
  netFn: NET_FN.sensorEvent,
  command: 0x17,
  encode: encodeAcknowledge,
  decode: decodeNothing,
};

function encodeAcknowledge(acknowledge: PetAcknowledge): Uint8Array {
  const bytes = new Uint8Array(ACKNOWLEDGE_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, acknowledge.sequence, true);
  view.setUint32(2, acknowledge.timestamp, true);
  bytes[6] = acknowledge.eventSource;
  bytes[7] = acknowledge.sensorDevice;
  bytes[8] = acknowledge.sensorNumber;
  bytes.set(acknowledge.eventData, 9);
  return bytes;
}

/** The request, for whoever plays a BMC. */
export function decodePetAcknowledge(data: Uint8Array): Result<PetAcknowledge, DecodeError> {
  const reader = new ByteReader(data);
  const short = reader.needs("PET Acknowledge", ACKNOWLEDGE_BYTES);
  if (short !== null) return err(short);
  return ok({
    sequence: reader.u16le(),
    timestamp: reader.u32le(),
    eventSource: reader.u8(),
    sensorDevice: reader.u8(),
    sensorNumber: reader.u8(),
    eventData: [reader.u8(), reader.u8(), reader.u8()],
  });
}

/**
 * Get Sensor Event Status and Re-arm Sensor Events (IPMI 2.0 §35.13, §35.12).
 *
 *   byte  status reply                                        re-arm request
 *      0  b7 0 = events off, b6 0 = not scanned, b5 1 = unavailable   sensor number
 *      1  assertion events that occurred (1-2), optional      b7 0 = all, 1 = those of the masks
 *      2                                                      assertion mask (2-3)
 *      3  deassertion events that occurred (3-4), optional    deassertion mask (4-5)
 *
 * A sensor that does not re-arm itself keeps its status, and makes no further event, until it is re-armed.
 */
import { err, ok, type Result } from "../../../core/result.ts";
import { ByteReader, type DecodeError } from "../decode.ts";
import { type IpmiCommand, NET_FN } from "../ipmi.ts";
import { decodeNothing } from "../no-data.ts";

export interface SensorEventStatus {
  readonly areEventsOn: boolean;
  readonly isScanned: boolean;
  readonly isUnavailable: boolean;
  /** Bit n: event n, n up to 14. */
  readonly assertion: number;
  readonly deassertion: number;
}

function maskAt(data: Uint8Array, offset: number): number {
  return (data[offset] ?? 0) | (((data[offset + 1] ?? 0) & 0x7f) << 8);
}

function decode(data: Uint8Array): Result<SensorEventStatus, DecodeError> {
  const reader = new ByteReader(data);
  const short = reader.needs("Get Sensor Event Status", 1);
  if (short !== null) return err(short);
  const flags = reader.u8();
  return ok({
    areEventsOn: (flags & 0x80) !== 0,
    isScanned: (flags & 0x40) !== 0,
    isUnavailable: (flags & 0x20) !== 0,
    assertion: maskAt(data, 1),
    deassertion: maskAt(data, 3),
  });
}

export interface Rearm {
  readonly sensorNumber: number;
  /** null: all events of the sensor. */
  readonly events: { readonly assertion: number; readonly deassertion: number } | null;
}

function encodeRearm({ sensorNumber, events }: Rearm): Uint8Array {
  if (events === null) return Uint8Array.of(sensorNumber, 0);
  const { assertion, deassertion } = events;
  const masks = [assertion & 0xff, assertion >> 8, deassertion & 0xff, deassertion >> 8];
  return Uint8Array.of(sensorNumber, 0x80, ...masks);
}

export const getSensorEventStatus: IpmiCommand<number, SensorEventStatus> = {
  name: "Get Sensor Event Status",
  netFn: NET_FN.sensorEvent,
  command: 0x2b,
  encode: (sensorNumber) => Uint8Array.of(sensorNumber),
  decode,
};

export const rearmSensorEvents: IpmiCommand<Rearm, null> = {
  name: "Re-arm Sensor Events",
  netFn: NET_FN.sensorEvent,
  command: 0x2a,
  encode: encodeRearm,
  decode: decodeNothing,
};

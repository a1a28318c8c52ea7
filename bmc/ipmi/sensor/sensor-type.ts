/**
 * Set and Get Sensor Type (IPMI 2.0 §35.15, §35.16): for sensors that no record describes.
 *
 *   byte  Set request              Get reply
 *      0  sensor number            sensor type
 *      1  sensor type              b6:0 event/reading type
 *      2  b6:0 event/reading type
 */
import { err, ok, type Result } from "../../../core/result.ts";
import { ByteReader, type DecodeError } from "../decode.ts";
import { type IpmiCommand, NET_FN } from "../ipmi.ts";
import { decodeNothing } from "../no-data.ts";

export interface SensorTypes {
  readonly sensorType: number;
  readonly eventType: number;
}

function decode(data: Uint8Array): Result<SensorTypes, DecodeError> {
  const reader = new ByteReader(data);
  const short = reader.needs("Get Sensor Type", 2);
  if (short !== null) return err(short);
  return ok({ sensorType: reader.u8(), eventType: reader.u8() & 0x7f });
}

export const setSensorType: IpmiCommand<SensorTypes & { readonly sensorNumber: number }, null> = {
  name: "Set Sensor Type",
  netFn: NET_FN.sensorEvent,
  command: 0x2e,
  encode: ({ sensorNumber, sensorType, eventType }) =>
    Uint8Array.of(sensorNumber, sensorType, eventType & 0x7f),
  decode: decodeNothing,
};

export const getSensorType: IpmiCommand<number, SensorTypes> = {
  name: "Get Sensor Type",
  netFn: NET_FN.sensorEvent,
  command: 0x2f,
  encode: (sensorNumber) => Uint8Array.of(sensorNumber),
  decode,
};

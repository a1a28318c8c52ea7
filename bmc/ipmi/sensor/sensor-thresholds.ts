/**
 * Set and Get Sensor Thresholds (IPMI 2.0 §35.8, §35.9).
 *
 *   byte  Set request                       Get reply
 *      0  sensor number                     mask of those that can be read
 *      1  mask of those that are set        LNC
 *    2-7  LNC, LC, LNR, UNC, UC, UNR        LC, LNR, UNC, UC, UNR (2-6)
 *
 * The order is that of the masks, and not that of the record (UNR first). Raw counts.
 */
import { err, ok, type Result } from "../../../core/result.ts";
import { ByteReader, type DecodeError } from "../decode.ts";
import { type IpmiCommand, NET_FN } from "../ipmi.ts";
import { decodeNothing } from "../no-data.ts";
import { THRESHOLDS, type ThresholdName } from "../sdr/sensor-record.ts";

/** Raw; those that the sensor has. */
export type RawThresholds = { readonly [name in ThresholdName]?: number };

function decode(data: Uint8Array): Result<RawThresholds, DecodeError> {
  const reader = new ByteReader(data);
  const short = reader.needs("Get Sensor Thresholds", 1 + THRESHOLDS.length);
  if (short !== null) return err(short);
  const mask = reader.u8();
  const thresholds: { [name in ThresholdName]?: number } = {};
  for (const [bit, name] of THRESHOLDS.entries()) {
    const raw = reader.u8();
    if ((mask & (1 << bit)) !== 0) thresholds[name] = raw;
  }
  return ok(thresholds);
}

function encode(args: {
  readonly sensorNumber: number;
  readonly thresholds: RawThresholds;
}): Uint8Array {
  let mask = 0;
  const bytes = THRESHOLDS.map((name, bit) => {
    const raw = args.thresholds[name];
    if (raw !== undefined) mask |= 1 << bit;
    return raw ?? 0;
  });
  return Uint8Array.of(args.sensorNumber, mask, ...bytes);
}

export const setSensorThresholds: IpmiCommand<
  { readonly sensorNumber: number; readonly thresholds: RawThresholds },
  null
> = {
  name: "Set Sensor Thresholds",
  netFn: NET_FN.sensorEvent,
  command: 0x26,
  encode,
  decode: decodeNothing,
};

export const getSensorThresholds: IpmiCommand<number, RawThresholds> = {
  name: "Get Sensor Thresholds",
  netFn: NET_FN.sensorEvent,
  command: 0x27,
  encode: (sensorNumber) => Uint8Array.of(sensorNumber),
  decode,
};

/**
 * Set and Get Sensor Hysteresis (IPMI 2.0 §35.6, §35.7).
 *
 *   byte  Set request        Get request        Get reply
 *      0  sensor number      sensor number      positive-going hysteresis
 *      1  FFh                FFh                negative-going hysteresis
 *      2  positive
 *      3  negative
 *
 * A condition that asserts at a threshold ends only when the reading has gone back by the hysteresis. Raw counts, without
 * the B term.
 */
import { err, ok, type Result } from "../../../core/result.ts";
import { ByteReader, type DecodeError } from "../decode.ts";
import { type IpmiCommand, NET_FN } from "../ipmi.ts";
import { decodeNothing } from "../no-data.ts";

export interface Hysteresis {
  readonly positive: number;
  readonly negative: number;
}

/** Reserved for a mask that the standard never defined. */
const MASK = 0xff;

function decode(data: Uint8Array): Result<Hysteresis, DecodeError> {
  const reader = new ByteReader(data);
  const short = reader.needs("Get Sensor Hysteresis", 2);
  return short === null ? ok({ positive: reader.u8(), negative: reader.u8() }) : err(short);
}

export const setSensorHysteresis: IpmiCommand<
  Hysteresis & { readonly sensorNumber: number },
  null
> = {
  name: "Set Sensor Hysteresis",
  netFn: NET_FN.sensorEvent,
  command: 0x24,
  encode: ({ sensorNumber, positive, negative }) =>
    Uint8Array.of(sensorNumber, MASK, positive, negative),
  decode: decodeNothing,
};

export const getSensorHysteresis: IpmiCommand<number, Hysteresis> = {
  name: "Get Sensor Hysteresis",
  netFn: NET_FN.sensorEvent,
  command: 0x25,
  encode: (sensorNumber) => Uint8Array.of(sensorNumber, MASK),
  decode,
};

/**
 * Get Sensor Reading Factors: M, B and the exponents of a sensor that is not linear, at one reading (IPMI 2.0 §35.5).
 *
 *   byte  request            reply
 *      0  sensor number      next reading for which the factors differ
 *    1-6  reading (byte 1)   factors, as bytes 24-29 of a full record
 */
import { err, ok, type Result } from "../../../core/result.ts";
import { type DecodeError, tooShort } from "../decode.ts";
import { type IpmiCommand, NET_FN } from "../ipmi.ts";
import { decodeFactors, type ReadingFactors } from "../sdr/sensor-record.ts";

export interface FactorsAtReading {
  readonly nextRaw: number;
  readonly factors: ReadingFactors;
}

const REPLY_BYTES = 7;

function decode(data: Uint8Array): Result<FactorsAtReading, DecodeError> {
  if (data.byteLength < REPLY_BYTES) {
    return err(tooShort("Get Sensor Reading Factors", REPLY_BYTES, data.byteLength));
  }
  return ok({ nextRaw: data[0] ?? 0, factors: decodeFactors(data, 1) });
}

export const getSensorReadingFactors: IpmiCommand<
  { readonly sensorNumber: number; readonly raw: number },
  FactorsAtReading
> = {
  name: "Get Sensor Reading Factors",
  netFn: NET_FN.sensorEvent,
  command: 0x23,
  encode: ({ sensorNumber, raw }) => Uint8Array.of(sensorNumber, raw),
  decode,
};

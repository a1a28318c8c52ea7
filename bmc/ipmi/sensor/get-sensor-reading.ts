/**
 * Get Sensor Reading (IPMI 2.0 §35.14).
 *
 *   byte  request         reply
 *      0  sensor number   reading, raw
 *      1                  b7 0 = its events are off, b6 0 = it is not scanned, b5 1 = reading unavailable
 *      2                  thresholds crossed (b5 UNR, b4 UC, b3 UNC, b2 LNR, b1 LC, b0 LNC), or states 7-0; optional
 *      3                  states 14-8, optional; b7 is reserved and sent as 1
 */
import { err, ok, type Result } from "../../../core/result.ts";
import { ByteReader, type DecodeError } from "../decode.ts";
import { type IpmiCommand, NET_FN } from "../ipmi.ts";

export interface RawReading {
  readonly raw: number;
  readonly areEventsOn: boolean;
  readonly isScanned: boolean;
  /** For a moment, as at the start of the BMC, or for as long as the entity is absent. */
  readonly isUnavailable: boolean;
  /** Bit n: threshold n is crossed, or state n asserted, n up to 14. null: this BMC did not send them. */
  readonly states: number | null;
}

function decode(data: Uint8Array): Result<RawReading, DecodeError> {
  const reader = new ByteReader(data);
  const short = reader.needs("Get Sensor Reading", 2);
  if (short !== null) return err(short);
  const raw = reader.u8();
  const flags = reader.u8();
  const hasStates = reader.remaining > 0;
  const low = hasStates ? reader.u8() : 0;
  const high = reader.remaining > 0 ? reader.u8() & 0x7f : 0;
  return ok({
    raw,
    areEventsOn: (flags & 0x80) !== 0,
    isScanned: (flags & 0x40) !== 0,
    isUnavailable: (flags & 0x20) !== 0,
    states: hasStates ? low | (high << 8) : null,
  });
}

export const getSensorReading: IpmiCommand<number, RawReading> = {
  name: "Get Sensor Reading",
  netFn: NET_FN.sensorEvent,
  command: 0x2d,
  encode: (sensorNumber) => Uint8Array.of(sensorNumber),
  decode,
};

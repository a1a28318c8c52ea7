/**
 * Get POH Counter: how long the system has been on in its life (IPMI 2.0 §28.14).
 *
 *   byte  reply
 *      0  minutes a count, usually 60
 *    1-4  count
 */
import { err, ok, type Result } from "../../../core/result.ts";
import { ByteReader, type DecodeError } from "../decode.ts";
import { type IpmiCommand, NET_FN } from "../ipmi.ts";
import { encodeNothing } from "../no-data.ts";

export interface PowerOnHours {
  readonly minutesPerCount: number;
  readonly count: number;
  readonly minutes: number;
}

function decode(data: Uint8Array): Result<PowerOnHours, DecodeError> {
  const reader = new ByteReader(data);
  const short = reader.needs("Get POH Counter", 5);
  if (short !== null) return err(short);
  const minutesPerCount = reader.u8();
  const count = reader.u32le();
  return ok({ minutesPerCount, count, minutes: minutesPerCount * count });
}

export const getPohCounter: IpmiCommand<void, PowerOnHours> = {
  name: "Get POH Counter",
  netFn: NET_FN.chassis,
  command: 0x0f,
  encode: encodeNothing,
  decode,
};

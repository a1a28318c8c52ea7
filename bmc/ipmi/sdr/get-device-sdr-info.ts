/**
 * Get Device SDR Info: what a controller that keeps records of its own sensors has (IPMI 2.0 §35.2).
 *
 *   byte  request                                      reply
 *      0  b0 1 = count records, 0 or missing = sensors  count, on the LUN that was asked
 *      1                                               b7 dynamic, b3:0 LUNs that have sensors
 *    2-5                                               a number that changes when the records do; only where dynamic
 */
import { err, ok, type Result } from "../../../core/result.ts";
import { ByteReader, type DecodeError } from "../decode.ts";
import { type IpmiCommand, NET_FN } from "../ipmi.ts";

export interface DeviceSdrInfo {
  readonly count: number;
  readonly luns: readonly number[];
  /** Sensors may come and go. */
  readonly isDynamic: boolean;
  readonly changeIndicator: number | null;
}

function decode(data: Uint8Array): Result<DeviceSdrInfo, DecodeError> {
  const reader = new ByteReader(data);
  const short = reader.needs("Get Device SDR Info", 2);
  if (short !== null) return err(short);
  const count = reader.u8();
  const flags = reader.u8();
  return ok({
    count,
    luns: [0, 1, 2, 3].filter((lun) => (flags & (1 << lun)) !== 0),
    isDynamic: (flags & 0x80) !== 0,
    changeIndicator: reader.remaining >= 4 ? reader.u32le() : null,
  });
}

export const getDeviceSdrInfo: IpmiCommand<"sensors" | "records", DeviceSdrInfo> = {
  name: "Get Device SDR Info",
  netFn: NET_FN.sensorEvent,
  command: 0x20,
  encode: (what) => Uint8Array.of(what === "records" ? 1 : 0),
  decode,
};

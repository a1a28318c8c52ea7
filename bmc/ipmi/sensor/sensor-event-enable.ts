/**
 * Set and Get Sensor Event Enable: which of a sensor's conditions become events (IPMI 2.0 §35.10, §35.11).
 *
 *   byte  Set request                                            Get reply
 *      0  sensor number                                          b7 events on, b6 scanned
 *      1  b7 events on, b6 scan, b5:4 1 enable / 2 disable those assertion mask (1-2)
 *    2-3  assertion mask                                         deassertion mask (3-4)
 *    4-5  deassertion mask
 *
 * Bytes at the end of a reply may be missing: masks of zero.
 */
import { err, ok, type Result } from "../../../core/result.ts";
import { ByteReader, type DecodeError } from "../decode.ts";
import { type IpmiCommand, NET_FN } from "../ipmi.ts";
import { decodeNothing } from "../no-data.ts";

export interface SensorEventEnable {
  readonly areEventsOn: boolean;
  readonly isScanned: boolean;
  /** Bit n: event n, n up to 14. */
  readonly assertion: number;
  readonly deassertion: number;
}

export interface SensorEventChange extends SensorEventEnable {
  readonly sensorNumber: number;
  /** `none`: only the two switches; the masks do not count. */
  readonly change: "none" | "enable" | "disable";
}

const CHANGES = ["none", "enable", "disable"] as const;

/** As many as there are, low byte first. */
function maskAt(data: Uint8Array, offset: number): number {
  return (data[offset] ?? 0) | (((data[offset + 1] ?? 0) & 0x7f) << 8);
}

function decode(data: Uint8Array): Result<SensorEventEnable, DecodeError> {
  const reader = new ByteReader(data);
  const short = reader.needs("Get Sensor Event Enable", 1);
  if (short !== null) return err(short);
  const flags = reader.u8();
  return ok({
    areEventsOn: (flags & 0x80) !== 0,
    isScanned: (flags & 0x40) !== 0,
    assertion: maskAt(data, 1),
    deassertion: maskAt(data, 3),
  });
}

function encode(change: SensorEventChange): Uint8Array {
  const switches = (change.areEventsOn ? 0x80 : 0) | (change.isScanned ? 0x40 : 0);
  const flags = switches | (CHANGES.indexOf(change.change) << 4);
  const { assertion, deassertion } = change;
  const masks = [assertion & 0xff, assertion >> 8, deassertion & 0xff, deassertion >> 8];
  return Uint8Array.of(change.sensorNumber, flags, ...masks);
}

export const setSensorEventEnable: IpmiCommand<SensorEventChange, null> = {
  name: "Set Sensor Event Enable",
  netFn: NET_FN.sensorEvent,
  command: 0x28,
  encode,
  decode: decodeNothing,
};

export const getSensorEventEnable: IpmiCommand<number, SensorEventEnable> = {
  name: "Get Sensor Event Enable",
  netFn: NET_FN.sensorEvent,
  command: 0x29,
  encode: (sensorNumber) => Uint8Array.of(sensorNumber),
  decode,
};

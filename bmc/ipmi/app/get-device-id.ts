/**
 * Get Device ID: what this controller is, and which of the standard's functions it has (IPMI 2.0 §20.1).
 *
 *   byte  reply, after the completion code
 *      0  device id
 *      1  b7 has device SDRs; b3:0 revision
 *      2  b7 busy with an update or its start; b6:0 major firmware revision
 *      3  minor firmware revision, BCD
 *      4  version of the standard, BCD with the first digit low: 02h = 2.0, 51h = 1.5
 *      5  functions, a bit each: see DEVICE_FEATURES
 *    6-8  manufacturer, IANA enterprise number, 20 bits
 *   9-10  product
 *  11-14  auxiliary firmware revision, optional
 */
import { err, ok, type Result } from "../../../core/result.ts";
import { ByteReader, type DecodeError } from "../decode.ts";
import { type IpmiCommand, NET_FN } from "../ipmi.ts";
import { encodeNothing } from "../no-data.ts";

/** By bit, from 0. */
export const DEVICE_FEATURES = [
  "sensors",
  "sdr",
  "sel",
  "fru",
  "event-receiver",
  "event-generator",
  "bridge",
  "chassis",
] as const;

export type DeviceFeature = (typeof DEVICE_FEATURES)[number];

export interface DeviceId {
  readonly deviceId: number;
  readonly revision: number;
  /** Records about its own sensors, by the Device SDR commands. */
  readonly hasDeviceSdrs: boolean;
  /** Firmware or SDRs are being updated, or it is starting: other commands may be refused. */
  readonly isBusy: boolean;
  readonly firmwareMajor: number;
  /** As sent; by the standard two BCD digits, on many controllers a plain number. */
  readonly firmwareMinor: number;
  /** Such as `9.08`: the minor one in the digits that it has in hexadecimal. */
  readonly firmware: string;
  /** Such as `2.0`. */
  readonly ipmiVersion: string;
  readonly supports: readonly DeviceFeature[];
  /** IANA enterprise number. */
  readonly manufacturerId: number;
  readonly productId: number;
  /** 4 bytes where they came. */
  readonly auxiliaryFirmware: Uint8Array | null;
}

const REPLY_BYTES_MIN = 11;
const AUXILIARY_BYTES = 4;

export function featuresOf(bits: number): readonly DeviceFeature[] {
  return DEVICE_FEATURES.filter((_, bit) => (bits & (1 << bit)) !== 0);
}

function decode(data: Uint8Array): Result<DeviceId, DecodeError> {
  const reader = new ByteReader(data);
  const short = reader.needs("Get Device ID", REPLY_BYTES_MIN);
  if (short !== null) return err(short);
  const deviceId = reader.u8();
  const revision = reader.u8();
  const major = reader.u8();
  const minor = reader.u8();
  const version = reader.u8();
  const features = reader.u8();
  const manufacturerId = reader.u24le() & 0x0f_ffff;
  const productId = reader.u16le();
  return ok({
    deviceId,
    revision: revision & 0x0f,
    hasDeviceSdrs: (revision & 0x80) !== 0,
    isBusy: (major & 0x80) !== 0,
    firmwareMajor: major & 0x7f,
    firmwareMinor: minor,
    firmware: `${major & 0x7f}.${minor.toString(16).padStart(2, "0")}`,
    ipmiVersion: `${version & 0x0f}.${version >> 4}`,
    supports: featuresOf(features),
    manufacturerId,
    productId,
    auxiliaryFirmware:
      reader.remaining >= AUXILIARY_BYTES ? reader.bytes(AUXILIARY_BYTES).slice() : null,
  });
}

export const getDeviceId: IpmiCommand<void, DeviceId> = {
  name: "Get Device ID",
  netFn: NET_FN.app,
  command: 0x01,
  encode: encodeNothing,
  decode,
};

/**
 * Get and Set SEL Time, Get and Set SEL Time UTC Offset (IPMI 2.0 §31.10-31.11a, §37), and what a timestamp means.
 *
 * A timestamp is seconds since 1970 by the clock that somebody set in the BMC: UTC on most machines of today, local time by
 * the letter of the standard; the UTC offset says which, where the BMC knows it. Up to 20000000h it counts since the log was
 * initialised (the clock was not set yet), FFFFFFFFh says that no time is known. Neither is ever shown as a date.
 *
 *   command  request                       reply
 *   48h      -                             4 bytes, seconds
 *   49h      4 bytes, seconds              -
 *   5Ch      -                             2 bytes, signed minutes, -1440..1440; 07FFh not specified
 *   5Dh      2 bytes, the same             -
 */
import { err, ok, type Result } from "../../../core/result.ts";
import { ByteReader, badValue, type DecodeError } from "../decode.ts";
import { type IpmiCommand, NET_FN } from "../ipmi.ts";

/** At and below: seconds since the log was initialised (§37). */
export const SEL_TIME_RELATIVE_MAX = 0x20000000;
export const SEL_TIME_UNKNOWN = 0xffffffff;
/** The offset that says: not specified. */
const OFFSET_UNKNOWN = 0x07ff;
const OFFSET_MINUTES_MAX = 1440;

export const getSelTime: IpmiCommand<void, number> = {
  name: "Get SEL Time",
  netFn: NET_FN.storage,
  command: 0x48,
  encode: () => new Uint8Array(0),
  decode: (data) => {
    const reader = new ByteReader(data);
    const short = reader.needs("SEL time", 4);
    return short === null ? ok(reader.u32le()) : err(short);
  },
};

export const setSelTime: IpmiCommand<number, null> = {
  name: "Set SEL Time",
  netFn: NET_FN.storage,
  command: 0x49,
  encode: (seconds) => {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, seconds, true);
    return bytes;
  },
  decode: () => ok(null),
};

/** Minutes that local time is ahead of UTC; null: the BMC's clock has no offset that it knows. */
export const getSelTimeUtcOffset: IpmiCommand<void, number | null> = {
  name: "Get SEL Time UTC Offset",
  netFn: NET_FN.storage,
  command: 0x5c,
  encode: () => new Uint8Array(0),
  decode: decodeOffset,
};

export const setSelTimeUtcOffset: IpmiCommand<number | null, null> = {
  name: "Set SEL Time UTC Offset",
  netFn: NET_FN.storage,
  command: 0x5d,
  encode: (minutes) => {
    const bytes = new Uint8Array(2);
    new DataView(bytes.buffer).setInt16(0, minutes ?? OFFSET_UNKNOWN, true);
    return bytes;
  },
  decode: () => ok(null),
};

function decodeOffset(data: Uint8Array): Result<number | null, DecodeError> {
  const reader = new ByteReader(data);
  const short = reader.needs("SEL time UTC offset", 2);
  if (short !== null) return err(short);
  const raw = reader.u16le();
  if (raw === OFFSET_UNKNOWN) return ok(null);
  const minutes = raw >= 0x8000 ? raw - 0x10000 : raw;
  const isAllowed = Math.abs(minutes) <= OFFSET_MINUTES_MAX;
  return isAllowed ? ok(minutes) : err(badValue("SEL time UTC offset", raw));
}

/**
 * Milliseconds since 1970 in UTC, or null where the BMC did not know the time. `offsetMinutes` is what Get SEL Time UTC
 * Offset told; null takes the BMC's clock for UTC, which is how nearly all of them are set.
 */
export function selTimeMs(timestamp: number, offsetMinutes: number | null = null): number | null {
  if (timestamp <= SEL_TIME_RELATIVE_MAX || timestamp === SEL_TIME_UNKNOWN) return null;
  return (timestamp - (offsetMinutes ?? 0) * 60) * 1000;
}

/** Seconds since the log was initialised, where the timestamp says just that. */
export function selUptimeSeconds(timestamp: number): number | null {
  return timestamp <= SEL_TIME_RELATIVE_MAX ? timestamp : null;
}

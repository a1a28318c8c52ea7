/**
 * Get System GUID and Get Device GUID: 16 bytes that name one system for ever (IPMI 2.0 §22.14, §20.8).
 *
 * The standard sends them least significant byte first, reversed against the usual text of a UUID; many BMCs send them the
 * other way round. So the bytes are an opaque key, in the order they came, and nobody here prints them as a UUID.
 */
import { err, ok, type Result } from "../../../core/result.ts";
import { ByteReader, type DecodeError } from "../decode.ts";
import { type IpmiCommand, NET_FN } from "../ipmi.ts";
import { encodeNothing } from "../no-data.ts";

export const GUID_BYTES = 16;

function decode(data: Uint8Array): Result<Uint8Array, DecodeError> {
  const reader = new ByteReader(data);
  const short = reader.needs("GUID", GUID_BYTES);
  return short === null ? ok(reader.bytes(GUID_BYTES).slice()) : err(short);
}

/** Of the system the BMC sits in. Allowed before a session; optional. */
export const getSystemGuid: IpmiCommand<void, Uint8Array> = {
  name: "Get System GUID",
  netFn: NET_FN.app,
  command: 0x37,
  encode: encodeNothing,
  decode,
};

/** Of the controller itself: what is asked where the system has no GUID. */
export const getDeviceGuid: IpmiCommand<void, Uint8Array> = {
  name: "Get Device GUID",
  netFn: NET_FN.app,
  command: 0x08,
  encode: encodeNothing,
  decode,
};

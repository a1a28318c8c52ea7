/**
 * Chassis Identify: makes the system show itself, usually by a blinking light (IPMI 2.0 §28.5).
 *
 *   byte  request
 *      0  seconds, 0 = off at once
 *      1  b0 1 = until told otherwise, optional: version 1.5 does not know it, so it is sent only where it is meant
 */
import { assert } from "../../../core/assert.ts";
import { type IpmiCommand, NET_FN } from "../ipmi.ts";
import { decodeNothing } from "../no-data.ts";

export const IDENTIFY_SECONDS_MAX = 0xff;

function encode(how: number | "on" | "off"): Uint8Array {
  if (how === "on") return Uint8Array.of(0, 1);
  const seconds = how === "off" ? 0 : how;
  assert(
    Number.isInteger(seconds) && seconds >= 0 && seconds <= IDENTIFY_SECONDS_MAX,
    "the seconds of Chassis Identify have 8 bits",
  );
  return Uint8Array.of(seconds);
}

export const chassisIdentify: IpmiCommand<number | "on" | "off", null> = {
  name: "Chassis Identify",
  netFn: NET_FN.chassis,
  command: 0x04,
  encode,
  decode: decodeNothing,
};

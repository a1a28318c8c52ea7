/**
 * Clear and Get Message Flags (IPMI 2.0 §22.3-22.4): what waits in the BMC for the system's software.
 *
 *   bit 0 receive message queue   1 event message buffer full   3 watchdog pre-timeout interrupt   7:5 OEM 2, 1, 0
 *
 * Get tells them; in Clear a 1 removes what it stands for: queued messages and the buffered event are lost by it.
 */
import { err, ok, type Result } from "../../../core/result.ts";
import { ByteReader, type DecodeError } from "../decode.ts";
import { type IpmiCommand, NET_FN } from "../ipmi.ts";
import { decodeNothing, encodeNothing } from "../no-data.ts";

export interface MessageFlags {
  readonly hasMessage: boolean;
  readonly hasEvent: boolean;
  readonly hasWatchdogInterrupt: boolean;
  /** Bits 7:5, moved down. */
  readonly oem: number;
}

export const clearMessageFlags: IpmiCommand<MessageFlags, null> = {
  name: "Clear Message Flags",
  netFn: NET_FN.app,
  command: 0x30,
  encode: (flags) =>
    Uint8Array.of(
      (flags.hasMessage ? 0x01 : 0) |
        (flags.hasEvent ? 0x02 : 0) |
        (flags.hasWatchdogInterrupt ? 0x08 : 0) |
        ((flags.oem & 0x07) << 5),
    ),
  decode: decodeNothing,
};

export const getMessageFlags: IpmiCommand<void, MessageFlags> = {
  name: "Get Message Flags",
  netFn: NET_FN.app,
  command: 0x31,
  encode: encodeNothing,
  decode: decodeFlags,
};

function decodeFlags(data: Uint8Array): Result<MessageFlags, DecodeError> {
  const reader = new ByteReader(data);
  const short = reader.needs("message flags", 1);
  if (short !== null) return err(short);
  const bits = reader.u8();
  return ok({
    hasMessage: (bits & 0x01) !== 0,
    hasEvent: (bits & 0x02) !== 0,
    hasWatchdogInterrupt: (bits & 0x08) !== 0,
    oem: bits >>> 5,
  });
}

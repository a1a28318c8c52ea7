/**
 * Set and Get BMC Global Enables (IPMI 2.0 §22.1-22.2): which of its message channels to the system the BMC uses.
 *
 * Set takes the whole byte, so read it first and change single bits; Set is allowed over the system interface only, where the
 * Linux driver does it itself. Without the event message buffer no event is pushed to the system.
 *
 *   bit 0 receive message queue interrupt   1 event message buffer full interrupt   2 event message buffer
 *       3 system event logging              7:5 OEM 2, 1, 0
 */
import { err, ok, type Result } from "../../../core/result.ts";
import { ByteReader, type DecodeError } from "../decode.ts";
import { type IpmiCommand, NET_FN } from "../ipmi.ts";
import { decodeNothing, encodeNothing } from "../no-data.ts";

export interface GlobalEnables {
  readonly receiveQueueInterrupt: boolean;
  readonly eventBufferInterrupt: boolean;
  readonly eventBuffer: boolean;
  readonly eventLogging: boolean;
  /** Bits 7:5, moved down. */
  readonly oem: number;
}

export const setBmcGlobalEnables: IpmiCommand<GlobalEnables, null> = {
  name: "Set BMC Global Enables",
  netFn: NET_FN.app,
  command: 0x2e,
  encode: (enables) =>
    Uint8Array.of(
      (enables.receiveQueueInterrupt ? 0x01 : 0) |
        (enables.eventBufferInterrupt ? 0x02 : 0) |
        (enables.eventBuffer ? 0x04 : 0) |
        (enables.eventLogging ? 0x08 : 0) |
        ((enables.oem & 0x07) << 5),
    ),
  decode: decodeNothing,
};

export const getBmcGlobalEnables: IpmiCommand<void, GlobalEnables> = {
  name: "Get BMC Global Enables",
  netFn: NET_FN.app,
  command: 0x2f,
  encode: encodeNothing,
  decode: decodeEnables,
};

function decodeEnables(data: Uint8Array): Result<GlobalEnables, DecodeError> {
  const reader = new ByteReader(data);
  const short = reader.needs("BMC global enables", 1);
  if (short !== null) return err(short);
  const bits = reader.u8();
  return ok({
    receiveQueueInterrupt: (bits & 0x01) !== 0,
    eventBufferInterrupt: (bits & 0x02) !== 0,
    eventBuffer: (bits & 0x04) !== 0,
    eventLogging: (bits & 0x08) !== 0,
    oem: bits >>> 5,
  });
}

/**
 * Where a BMC sends its traps over LAN: parameters 18 and 19 of Get and Set LAN Configuration Parameters (IPMI 2.0 §23.1-23.2).
 *
 * Destination 0 is volatile and belongs to Alert Immediate. Only these two parameters, the number of destinations (17) and the
 * community (16) are here: the rest of the LAN's configuration is none of this room's business.
 *
 *   18 destination type                      19 destination address
 *   offset  bytes  field                     offset  bytes  field
 *        0      1  bits 3:0 selector              0      1  bits 3:0 selector
 *        1      1  bit 7 acknowledged,            1      1  bits 7:4 format, 0: IPv4 and MAC
 *                  2:0 type, 0: PET               2      1  bit 0 gateway, 0: the default one
 *        2      1  timeout, s                     3      4  IP address, as it is written
 *        3      1  bits 2:0 retries               7      6  MAC address
 */
import { err, ok, type Result } from "../../../core/result.ts";
import { ByteReader, type DecodeError } from "../decode.ts";
import { type IpmiCommand, NET_FN } from "../ipmi.ts";
import { decodeNothing } from "../no-data.ts";
import { decodeParameterReply, type ParameterReply } from "./pef-parameters.ts";

export const LAN_PARAMETER = {
  communityString: 16,
  destinationCount: 17,
  destinationType: 18,
  destinationAddress: 19,
} as const;

export interface LanParameterRequest {
  readonly channel: number;
  readonly parameter: number;
  /** 0 where the parameter has none. */
  readonly set: number;
  readonly block: number;
}

export const getLanConfigurationParameters: IpmiCommand<LanParameterRequest, ParameterReply> = {
  name: "Get LAN Configuration Parameters",
  netFn: NET_FN.transport,
  command: 0x02,
  encode: ({ channel, parameter, set, block }) =>
    Uint8Array.of(channel & 0x0f, parameter, set, block),
  decode: decodeParameterReply,
};

export interface LanParameterSetting {
  readonly channel: number;
  readonly parameter: number;
  readonly data: Uint8Array;
}

export const setLanConfigurationParameters: IpmiCommand<LanParameterSetting, null> = {
  name: "Set LAN Configuration Parameters",
  netFn: NET_FN.transport,
  command: 0x01,
  encode: ({ channel, parameter, data }) => Uint8Array.of(channel & 0x0f, parameter, ...data),
  decode: decodeNothing,
};

export interface DestinationType {
  readonly selector: number;
  readonly isAcknowledged: boolean;
  /** 0: PET. 6 and 7: OEM. */
  readonly type: number;
  readonly timeoutSeconds: number;
  readonly retries: number;
}

export function decodeDestinationType(data: Uint8Array): Result<DestinationType, DecodeError> {
  const reader = new ByteReader(data);
  const short = reader.needs("LAN destination type", 4);
  if (short !== null) return err(short);
  const selector = reader.u8() & 0x0f;
  const type = reader.u8();
  return ok({
    selector,
    isAcknowledged: (type & 0x80) !== 0,
    type: type & 0x07,
    timeoutSeconds: reader.u8(),
    retries: reader.u8() & 0x07,
  });
}

export function encodeDestinationType(destination: DestinationType): Uint8Array {
  return Uint8Array.of(
    destination.selector & 0x0f,
    (destination.isAcknowledged ? 0x80 : 0) | destination.type,
    destination.timeoutSeconds,
    destination.retries,
  );
}

export interface DestinationAddress {
  readonly selector: number;
  /** 0: IPv4 and MAC, the only one that is read further. */
  readonly format: number;
  readonly isBackupGateway: boolean;
  /** Such as `192.0.2.1`. */
  readonly address: string;
  /** Such as `02:00:00:00:00:01`. */
  readonly mac: string;
}

export function decodeDestinationAddress(
  data: Uint8Array,
): Result<DestinationAddress, DecodeError> {
  const reader = new ByteReader(data);
  const short = reader.needs("LAN destination address", 13);
  if (short !== null) return err(short);
  return ok({
    selector: reader.u8() & 0x0f,
    format: reader.u8() >>> 4,
    isBackupGateway: (reader.u8() & 1) === 1,
    address: reader.bytes(4).join("."),
    mac: [...reader.bytes(6)].map((byte) => byte.toString(16).padStart(2, "0")).join(":"),
  });
}

export function encodeDestinationAddress(destination: DestinationAddress): Uint8Array {
  const bytes = new Uint8Array(13);
  bytes[0] = destination.selector & 0x0f;
  bytes[1] = destination.format << 4;
  bytes[2] = destination.isBackupGateway ? 1 : 0;
  bytes.set(destination.address.split(".", 4).map(Number), 3);
  bytes.set(
    destination.mac.split(":", 6).map((digits) => Number.parseInt(digits, 16)),
    7,
  );
  return bytes;
}

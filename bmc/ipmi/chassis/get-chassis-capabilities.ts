/**
 * Get Chassis Capabilities: which functions the chassis has, and where its devices are (IPMI 2.0 §28.1).
 *
 *   byte  reply
 *      0  b3 power interlock, b2 diagnostic interrupt, b1 front panel lockout, b0 intrusion sensor
 *    1-4  IPMB addresses of the chassis' FRU, SDR, SEL and system management devices
 *      5  bridge device, optional: 20h, the BMC, where it is missing
 */
import { err, ok, type Result } from "../../../core/result.ts";
import { ByteReader, type DecodeError } from "../decode.ts";
import { type IpmiCommand, NET_FN } from "../ipmi.ts";
import { encodeNothing } from "../no-data.ts";

export interface ChassisCapabilities {
  readonly hasPowerInterlock: boolean;
  readonly hasDiagnosticInterrupt: boolean;
  readonly hasFrontPanelLockout: boolean;
  readonly hasIntrusionSensor: boolean;
  readonly fruAddress: number;
  readonly sdrAddress: number;
  readonly selAddress: number;
  readonly managementAddress: number;
  readonly bridgeAddress: number;
}

const BMC_ADDRESS = 0x20;

function decode(data: Uint8Array): Result<ChassisCapabilities, DecodeError> {
  const reader = new ByteReader(data);
  const short = reader.needs("Get Chassis Capabilities", 5);
  if (short !== null) return err(short);
  const flags = reader.u8();
  return ok({
    hasPowerInterlock: (flags & 0x08) !== 0,
    hasDiagnosticInterrupt: (flags & 0x04) !== 0,
    hasFrontPanelLockout: (flags & 0x02) !== 0,
    hasIntrusionSensor: (flags & 0x01) !== 0,
    fruAddress: reader.u8(),
    sdrAddress: reader.u8(),
    selAddress: reader.u8(),
    managementAddress: reader.u8(),
    bridgeAddress: reader.remaining > 0 ? reader.u8() : BMC_ADDRESS,
  });
}

export const getChassisCapabilities: IpmiCommand<void, ChassisCapabilities> = {
  name: "Get Chassis Capabilities",
  netFn: NET_FN.chassis,
  command: 0x00,
  encode: encodeNothing,
  decode,
};

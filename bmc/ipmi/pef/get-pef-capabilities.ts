/**
 * Get PEF Capabilities (IPMI 2.0 §30.1): which actions the BMC can take on an event, and how many filters it has.
 *
 *   offset  bytes  field
 *        0      1  version      low digit first: 51h
 *        1      1  actions      0 alert, 1 power down, 2 reset, 3 power cycle, 4 OEM, 5 diagnostic interrupt;
 *                               7 OEM event records may be filtered
 *        2      1  filterCount
 */
import { err, ok, type Result } from "../../../core/result.ts";
import { ByteReader, type DecodeError } from "../decode.ts";
import { type IpmiCommand, NET_FN } from "../ipmi.ts";
import { encodeNothing } from "../no-data.ts";

/** Bits of an action byte, here and in filters. */
export const PEF_ACTION = {
  alert: 0x01,
  powerDown: 0x02,
  reset: 0x04,
  powerCycle: 0x08,
  oem: 0x10,
  diagnosticInterrupt: 0x20,
} as const;

export interface PefCapabilities {
  readonly version: number;
  /** Bits of `PEF_ACTION`. */
  readonly actions: number;
  readonly canFilterOemRecords: boolean;
  readonly filterCount: number;
}

export const getPefCapabilities: IpmiCommand<void, PefCapabilities> = {
  name: "Get PEF Capabilities",
  netFn: NET_FN.sensorEvent,
  command: 0x10,
  encode: encodeNothing,
  decode: decodeCapabilities,
};

function decodeCapabilities(data: Uint8Array): Result<PefCapabilities, DecodeError> {
  const reader = new ByteReader(data);
  const short = reader.needs("PEF capabilities", 3);
  if (short !== null) return err(short);
  const version = reader.u8();
  const actions = reader.u8();
  return ok({
    version,
    actions: actions & 0x3f,
    canFilterOemRecords: (actions & 0x80) !== 0,
    filterCount: reader.u8(),
  });
}

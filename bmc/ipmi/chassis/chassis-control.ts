/**
 * Chassis Control: power of the system (IPMI 2.0 §28.3).
 *
 *   byte  request
 *      0  b3:0 0 off at once, 1 on, 2 cycle (at least 1 s off), 3 hard reset, 4 diagnostic interrupt, 5 orderly shutdown
 *
 * The reply may come before the action, so it says only that the BMC has accepted: that power is off is known by Get Chassis
 * Status alone. A cycle of a system that is off gives D5h on most BMCs.
 */
import type { PowerAction } from "../../bmc.ts";
import { type IpmiCommand, NET_FN } from "../ipmi.ts";
import { decodeNothing } from "../no-data.ts";

/** By number. */
const ACTIONS: readonly PowerAction[] = ["off", "on", "cycle", "reset", "nmi", "soft-off"];

export const chassisControl: IpmiCommand<PowerAction, null> = {
  name: "Chassis Control",
  netFn: NET_FN.chassis,
  command: 0x02,
  encode: (action) => Uint8Array.of(ACTIONS.indexOf(action)),
  decode: decodeNothing,
};

/** What a BMC reads in a request of it; null for a number that the standard does not give. */
export function powerActionOf(code: number): PowerAction | null {
  return ACTIONS[code & 0x0f] ?? null;
}

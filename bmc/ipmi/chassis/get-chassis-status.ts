/**
 * Get Chassis Status: is it on, why did it last change, what is wrong with it (IPMI 2.0 §28.2).
 *
 *   byte  reply
 *      0  b6:5 power restore policy, b4 control fault, b3 power fault, b2 interlock, b1 overload, b0 on
 *      1  last power event: b4 on by IPMI, b3 fault, b2 interlock, b1 overload, b0 AC failed
 *      2  b6 identify is supported, b5:4 its state, b3 cooling fault, b2 drive fault, b1 panel lockout, b0 intrusion
 *      3  front panel buttons, optional: b7:4 may be disabled, b3:0 are disabled (standby, diagnostic, reset, off)
 */
import { err, ok, type Result } from "../../../core/result.ts";
import { ByteReader, type DecodeError } from "../decode.ts";
import { type IpmiCommand, NET_FN } from "../ipmi.ts";
import { encodeNothing } from "../no-data.ts";
import { type PowerRestorePolicy, restorePolicyOf } from "./set-power-restore-policy.ts";

export interface ChassisStatus {
  readonly isOn: boolean;
  readonly restorePolicy: PowerRestorePolicy | null;
  /** Texts of what is wrong now, such as `power fault`; panel lockout is none. */
  readonly faults: readonly string[];
  readonly isPanelLocked: boolean;
  /** Why power last went off or on; several may be said at once. */
  readonly lastPowerEvents: readonly string[];
  /** null: not told. */
  readonly identify: "off" | "timed" | "on" | null;
  /** Buttons of the front panel that are switched off. */
  readonly disabledButtons: readonly ("off" | "reset" | "diagnostic" | "standby")[];
}

/** By bit, from 0; null: no fault. */
const POWER_FAULTS = [
  null,
  "power overload",
  "power interlock is open",
  "power fault",
  "power control fault",
] as const;
const LAST_EVENTS = [
  "AC failed",
  "power overload",
  "power interlock",
  "power fault",
  "switched on by IPMI",
] as const;
const MISC_FAULTS = ["chassis intrusion", null, "drive fault", "cooling or fan fault"] as const;
const BUTTONS = ["off", "reset", "diagnostic", "standby"] as const;
const IDENTIFY = ["off", "timed", "on", null] as const;

function namesOf<T extends string>(names: readonly (T | null)[], bits: number): T[] {
  return names.filter((name, bit): name is T => name !== null && (bits & (1 << bit)) !== 0);
}

function decode(data: Uint8Array): Result<ChassisStatus, DecodeError> {
  const reader = new ByteReader(data);
  const short = reader.needs("Get Chassis Status", 3);
  if (short !== null) return err(short);
  const power = reader.u8();
  const last = reader.u8();
  const misc = reader.u8();
  const buttons = reader.remaining > 0 ? reader.u8() : 0;
  return ok({
    isOn: (power & 0x01) !== 0,
    restorePolicy: restorePolicyOf((power >> 5) & 0x03),
    faults: [...namesOf(POWER_FAULTS, power), ...namesOf(MISC_FAULTS, misc)],
    isPanelLocked: (misc & 0x02) !== 0,
    lastPowerEvents: namesOf(LAST_EVENTS, last),
    identify: (misc & 0x40) === 0 ? null : (IDENTIFY[(misc >> 4) & 0x03] ?? null),
    disabledButtons: namesOf(BUTTONS, buttons),
  });
}

export const getChassisStatus: IpmiCommand<void, ChassisStatus> = {
  name: "Get Chassis Status",
  netFn: NET_FN.chassis,
  command: 0x01,
  encode: encodeNothing,
  decode,
};

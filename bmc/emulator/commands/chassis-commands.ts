/**
 * Chassis commands of the emulated BMC (IPMI 2.0 §28).
 *
 * Decides completion codes and layouts; what the power does and when is the `Chassis`'s.
 */
import { NET_FN } from "../../ipmi/ipmi.ts";
import { CHASSIS_ACTIONS, RESTART_CAUSES } from "../chassis.ts";
import { CODE, type CommandRow, done, fail, table, u32 } from "./command.ts";

const IDENTIFY_SECONDS = 15;

type Answer = CommandRow["answer"];

const chassisControl: Answer = (bmc, data, nowMs) => {
  const action = CHASSIS_ACTIONS[(data[0] ?? 0) & 0x0f];
  if (action === undefined) return fail(CODE.invalidField);
  return bmc.control(action, nowMs) ? done() : fail(CODE.state);
};

const chassisIdentify: Answer = (bmc, data, nowMs) => {
  const isForced = ((data[1] ?? 0) & 1) !== 0;
  bmc.chassis.identify(isForced ? null : (data[0] ?? IDENTIFY_SECONDS), nowMs);
  bmc.tell({
    kind: "chassis",
    change: { kind: "identify", isOn: bmc.chassis.isIdentifying },
  });
  return done();
};

const setPowerRestorePolicy: Answer = (bmc, data) => {
  const policy = (data[0] ?? 0) & 0x07;
  // 3: only asks which there are.
  if (policy > 3) return fail(CODE.invalidField);
  if (policy < 3) bmc.chassis.restorePolicy = policy;
  return done([0x07]);
};

const getSystemRestartCause: Answer = (bmc, _data, _nowMs, asker) =>
  done([RESTART_CAUSES[bmc.chassis.restartCause], asker.channel]);

/** Minutes of an hour, and hours since a made-up delivery (§28.14). */
const getPohCounter: Answer = (_bmc, _data, nowMs) => done([60, ...u32(nowMs / 3_600_000)]);

/** Boot options: none is stored; parameter 5 reads as "no override" (§28.13). */
const getBootOptions: Answer = (_bmc, data) =>
  (data[0] ?? 0) === 5 ? done([0x01, 0x05, 0, 0, 0, 0, 0]) : fail(0x80);

export const CHASSIS_COMMANDS: readonly (readonly [number, CommandRow])[] = table(NET_FN.chassis, [
  [0x00, "Get Chassis Capabilities", 2, 0, () => done([0x00, 0x20, 0x20, 0x20, 0x20, 0x20])],
  [0x01, "Get Chassis Status", 2, 0, (bmc) => done(bmc.chassis.status())],
  [0x02, "Chassis Control", 3, 1, chassisControl],
  [0x04, "Chassis Identify", 3, [0, 2], chassisIdentify],
  [0x06, "Set Power Restore Policy", 3, 1, setPowerRestorePolicy],
  [0x07, "Get System Restart Cause", 2, 0, getSystemRestartCause],
  [0x09, "Get System Boot Options", 3, 3, getBootOptions],
  [0x0f, "Get POH Counter", 2, 0, getPohCounter],
]);

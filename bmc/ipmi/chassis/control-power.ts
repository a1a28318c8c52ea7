/**
 * Power as the contract has it: status in words, and control whose refusal is understood (IPMI 2.0 §28).
 *
 * Decides what D5h, "not possible in the present state", means: nothing where the state is already the one asked for, and an
 * error that names the state and the remedy elsewhere. Fencing relied on `cycle` and failed for ever on systems that were
 * off (fence-agents#596): whoever must know that power is off asks `off` and then the status.
 */
import { err, ok, type Result } from "../../../core/result.ts";
import type { PowerAction, PowerStatus } from "../../bmc.ts";
import { type BmcError, bmcError } from "../../bmc-error.ts";
import { ask, type Part } from "../ask.ts";
import type { Steps } from "../ipmi.ts";
import { chassisControl } from "./chassis-control.ts";
import { type ChassisStatus, getChassisStatus } from "./get-chassis-status.ts";
import { getSystemRestartCause } from "./get-system-restart-cause.ts";

const NOT_IN_THIS_STATE = 0xd5;

/** Actions that ask for a state that may already be. */
const WANTS_ON: ReadonlyMap<PowerAction, boolean> = new Map([
  ["on", true],
  ["off", false],
  ["soft-off", false],
]);

function* lastCauseOf(status: ChassisStatus): Part<Result<string | null, BmcError>> {
  const cause = yield* ask(getSystemRestartCause, undefined);
  if (!cause.ok && cause.error.completionCode === undefined) return cause;
  const events = status.lastPowerEvents.join(", ");
  return ok((cause.ok ? cause.value.text : null) ?? (events === "" ? null : events));
}

export function* readPower(): Steps<PowerStatus> {
  const status = yield* ask(getChassisStatus, undefined);
  if (!status.ok) return status;
  const lastCause = yield* lastCauseOf(status.value);
  if (!lastCause.ok) return lastCause;
  const { isOn, restorePolicy, faults } = status.value;
  return ok({ isOn, restorePolicy, faults, lastCause: lastCause.value });
}

/** Accepted: that it happened is seen by `readPower` alone. */
export function* controlPower(action: PowerAction): Steps<null> {
  const done = yield* ask(chassisControl, action);
  if (done.ok || done.error.completionCode !== NOT_IN_THIS_STATE) return done;
  const status = yield* ask(getChassisStatus, undefined);
  if (!status.ok) return err(done.error);
  const { isOn } = status.value;
  if (WANTS_ON.get(action) === isOn) return ok(null);
  const remedy = isOn ? "wait and try again" : "switch it on by `on` instead";
  const text = `the BMC refuses ${action} while the system is ${isOn ? "on" : "off"}; ${remedy}`;
  return err(bmcError("refused", text, NOT_IN_THIS_STATE));
}

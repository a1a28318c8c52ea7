/**
 * Power of the node: its state, and which of the resets that a service offers is the action that was asked for.
 *
 * Never sends a reset that does something else than asked, only because the service lacks the right one: a power cycle is
 * not a restart, and the button is pressed only for what pressing it means in the present state.
 */
import { err, ok } from "../../core/result.ts";
import type { PowerAction, PowerStatus } from "../bmc.ts";
import { bmcError } from "../bmc-error.ts";
import { type JsonObject, listAt, textAt } from "./json.ts";
import { get, getEach, post, present, type RedfishSteps } from "./redfish.ts";
import { findAction, noSystem, type Survey } from "./survey.ts";

/** ResetType values of Resource 1.x, best first. */
const RESET_TYPES: Readonly<Record<PowerAction, readonly string[]>> = {
  on: ["On", "ForceOn"],
  off: ["ForceOff"],
  "soft-off": ["GracefulShutdown"],
  cycle: ["PowerCycle"],
  reset: ["ForceRestart"],
  nmi: ["Nmi"],
};

const RESTORE_POLICIES: Readonly<Record<string, PowerStatus["restorePolicy"]>> = {
  AlwaysOff: "off",
  AlwaysOn: "on",
  LastState: "previous",
};

/** Whatever is between the two counts as on: whoever fences a node may count on `isOn: false`. */
const IS_ON: Readonly<Record<string, boolean>> = {
  On: true,
  Off: false,
  PoweringOn: true,
  PoweringOff: true,
  Paused: true,
};

/** What stands in the system's health, one text each. */
function systemFaults(system: JsonObject): readonly string[] {
  const conditions = listAt(system, "Status", "Conditions").flatMap((one) => {
    const text = textAt(one, "Message") ?? textAt(one, "MessageId");
    return text === null ? [] : [text];
  });
  if (conditions.length > 0) return conditions;
  const health = textAt(system, "Status", "Health") ?? "OK";
  return health === "OK" ? [] : [`health ${health.toLowerCase()}`];
}

function isOpened(chassis: JsonObject): boolean {
  const state = textAt(chassis, "PhysicalSecurity", "IntrusionSensor");
  return state === "HardwareIntrusion" || state === "TamperingDetected";
}

export function* readPower(survey: Survey): RedfishSteps<PowerStatus> {
  if (survey.systemPath === null) return err(noSystem());
  const system = yield* get(survey.systemPath);
  if (!system.ok) return system;
  const state = textAt(system.value.body, "PowerState");
  const isOn = IS_ON[state ?? ""];
  if (isOn === undefined) {
    const detail = `${survey.systemPath}: the power state is ${state ?? "not told"}`;
    return err(bmcError("malformed", detail));
  }
  const chassis = present(yield* getEach(survey.chassisPaths));
  if (!chassis.ok) return chassis;
  const intrusion = chassis.value.some(({ body }) => isOpened(body)) ? ["chassis intrusion"] : [];
  return ok({
    isOn,
    restorePolicy: RESTORE_POLICIES[textAt(system.value.body, "PowerRestorePolicy") ?? ""] ?? null,
    lastCause: null,
    faults: [...systemFaults(system.value.body), ...intrusion],
  });
}

export function* control(survey: Survey, action: PowerAction): RedfishSteps<null> {
  if (survey.systemPath === null) return err(noSystem());
  const system = yield* get(survey.systemPath);
  if (!system.ok) return system;
  const reset = yield* findAction(system.value.body, "#ComputerSystem.Reset", "ResetType");
  if (!reset.ok) return reset;
  if (reset.value === null) {
    return err(bmcError("unsupported", `${survey.systemPath} has no action ComputerSystem.Reset`));
  }
  const { target, allowed } = reset.value;
  const type = chooseReset(action, allowed, textAt(system.value.body, "PowerState") === "On");
  if (type === null) {
    const detail = `power ${action} is not offered; ${target} takes ${(allowed ?? []).join(", ")}`;
    return err(bmcError("unsupported", detail));
  }
  const answer = yield* post(target, { ResetType: type });
  return answer.ok ? ok(null) : answer;
}

/** null: none of what is allowed does that. */
export function chooseReset(
  action: PowerAction,
  allowed: readonly string[] | null,
  isOn: boolean,
): string | null {
  const wanted = RESET_TYPES[action];
  if (allowed === null) return wanted[0] ?? null;
  const found = wanted.find((type) => allowed.includes(type));
  if (found !== undefined) return found;
  // A short press asks a running system to shut down, and switches on one that is off.
  const isPress = (action === "soft-off" && isOn) || (action === "on" && !isOn);
  return isPress && allowed.includes("PushPowerButton") ? "PushPowerButton" : null;
}

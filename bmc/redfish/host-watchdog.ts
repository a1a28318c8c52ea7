/**
 * The host's watchdog and the lamp that shows where the machine stands, as far as Redfish has them.
 *
 * Redfish tells whether the watchdog runs and what it does, but has no times, no feeding and no way to start it with one: what
 * the contract asks beyond that is `unsupported`, never half done. So is a lamp that goes off by itself after some seconds.
 */
import { err, ok } from "../../core/result.ts";
import type { WatchdogAction, WatchdogStatus } from "../bmc.ts";
import { type BmcError, bmcError } from "../bmc-error.ts";
import { at, isObject, textAt, truthAt } from "./json.ts";
import { get, getEach, patch, present, type RedfishSteps, type Resource } from "./redfish.ts";
import { noSystem, type Survey } from "./survey.ts";

/** WatchdogTimeoutActions of ComputerSystem 1.x. */
const ACTIONS: Readonly<Record<string, WatchdogAction>> = {
  None: "none",
  ResetSystem: "reset",
  PowerCycle: "cycle",
  PowerDown: "off",
};

export function* readWatchdog(survey: Survey): RedfishSteps<WatchdogStatus> {
  if (survey.systemPath === null) return err(noSystem());
  const system = yield* get(survey.systemPath);
  if (!system.ok) return system;
  const timer = at(system.value.body, "HostWatchdogTimer");
  if (!isObject(timer)) {
    return err(bmcError("unsupported", `${survey.systemPath} has no HostWatchdogTimer`));
  }
  const state = textAt(timer, "Status", "State") ?? "Enabled";
  const isRunning = truthAt(timer, "FunctionEnabled") === true && state === "Enabled";
  const action = ACTIONS[textAt(timer, "TimeoutAction") ?? "None"] ?? "none";
  return ok({ isRunning, use: "none", action, initialMs: null, presentMs: null });
}

/** The one thing that can be done to it. */
export function* stopWatchdog(survey: Survey): RedfishSteps<null> {
  if (survey.systemPath === null) return err(noSystem());
  const system = yield* get(survey.systemPath);
  if (!system.ok) return system;
  if (!isObject(at(system.value.body, "HostWatchdogTimer"))) {
    return err(bmcError("unsupported", `${survey.systemPath} has no HostWatchdogTimer`));
  }
  const change = { HostWatchdogTimer: { FunctionEnabled: false } };
  const answer = yield* patch(system.value, change);
  return answer.ok ? ok(null) : answer;
}

export function watchdogUnsupported(what: string): BmcError {
  const detail = `Redfish cannot ${what} the watchdog; use the BMC by LAN, serial line or /dev/ipmi0`;
  return bmcError("unsupported", detail);
}

/** The newer property wins where a resource has both (it replaces the other since Chassis 1.14). */
function lampChange(
  body: Resource["body"],
  isOn: boolean,
): Readonly<Record<string, unknown>> | null {
  if (truthAt(body, "LocationIndicatorActive") !== null) return { LocationIndicatorActive: isOn };
  if (textAt(body, "IndicatorLED") !== null) return { IndicatorLED: isOn ? "Blinking" : "Off" };
  return null;
}

export function* identify(survey: Survey, how: number | "on" | "off"): RedfishSteps<null> {
  if (typeof how === "number" && how !== 0) {
    const detail = "Redfish has no lamp that goes off by itself; switch it on and off";
    return err(bmcError("unsupported", detail));
  }
  const paths = survey.systemPath === null ? [] : [survey.systemPath];
  const found = present(yield* getEach([...survey.chassisPaths.slice(0, 1), ...paths]));
  if (!found.ok) return found;
  for (const resource of found.value) {
    const change = lampChange(resource.body, how === "on");
    if (change === null) continue;
    const answer = yield* patch(resource, change);
    return answer.ok ? ok(null) : answer;
  }
  return err(bmcError("unsupported", "neither chassis nor system has an indicator"));
}

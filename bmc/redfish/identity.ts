/**
 * Who the BMC and its node are, from the service root, the system and its manager.
 */
import { ok } from "../../core/result.ts";
import type { BmcIdentity } from "../bmc.ts";
import { at, type JsonObject, textAt } from "./json.ts";
import { getEach, present, type RedfishSteps } from "./redfish.ts";
import type { Survey } from "./survey.ts";

/** 32 lower-case hex digits, or null for what is no UUID; all-zero and all-one ones are put in by nobody's intention. */
export function guidOf(uuid: string | null): string | null {
  const hex = (uuid ?? "")
    .replace(/^urn:uuid:/i, "")
    .replace(/-/g, "")
    .toLowerCase();
  return /^[0-9a-f]{32}$/.test(hex) && !/^(?:0+|f+)$/.test(hex) ? hex : null;
}

/** The system's id, by which its events are told from others'; the manager's and the service's stand in for it. */
export function systemGuid(survey: Survey, system: JsonObject, manager: JsonObject): string | null {
  return (
    guidOf(textAt(system, "UUID")) ??
    guidOf(textAt(manager, "ServiceEntryPointUUID")) ??
    guidOf(textAt(manager, "UUID")) ??
    guidOf(survey.serviceUuid)
  );
}

function supports(survey: Survey, system: JsonObject): readonly string[] {
  const found: string[] = [];
  if (survey.logServicePaths.length > 0) found.push("sel");
  if (survey.chassisPaths.length > 0) found.push("sensors", "fru");
  if (at(system, "Actions", "#ComputerSystem.Reset") !== null) found.push("chassis");
  if (at(system, "HostWatchdogTimer") !== null) found.push("watchdog");
  if (survey.eventServicePath !== null) found.push("events");
  return found;
}

export function* readIdentity(survey: Survey): RedfishSteps<BmcIdentity> {
  const paths = [survey.systemPath, survey.managerPath].filter((path) => path !== null);
  const found = present(yield* getEach(paths));
  if (!found.ok) return found;
  const bodyAt = (path: string | null): JsonObject =>
    found.value.find((one) => one.path === path)?.body ?? {};
  const system = bodyAt(survey.systemPath);
  const manager = bodyAt(survey.managerPath);
  const health = textAt(manager, "Status", "Health");
  return ok({
    guid: systemGuid(survey, system, manager),
    manufacturer: {
      id: null,
      name: textAt(system, "Manufacturer") ?? survey.vendor ?? "unknown",
    },
    productId: null,
    productName: textAt(system, "Model") ?? survey.product,
    serial: textAt(system, "SerialNumber"),
    firmware: textAt(manager, "FirmwareVersion") ?? "unknown",
    protocolVersion: survey.redfishVersion,
    deviceId: null,
    selfTest: health === null ? null : `health ${health}`,
    supports: supports(survey, system),
  });
}

/**
 * The status of a sensor in the contract's words, from what Redfish says of it: state, health, value and thresholds.
 */
import type { SensorReading } from "../bmc.ts";
import { textAt } from "./json.ts";

export type Thresholds = SensorReading["thresholds"];
export type ThresholdName = keyof Thresholds;

/** Worst first on each side: the first that is crossed is the status. */
const CROSSINGS: readonly (readonly [name: ThresholdName, isUpper: boolean, status: string])[] = [
  ["unr", true, "upper-non-recoverable"],
  ["uc", true, "upper-critical"],
  ["unc", true, "upper-non-critical"],
  ["lnr", false, "lower-non-recoverable"],
  ["lc", false, "lower-critical"],
  ["lnc", false, "lower-non-critical"],
];

const DISABLED_STATES: readonly string[] = ["Disabled", "StandbyOffline", "InTest", "Deferring"];
const ABSENT_STATES: readonly string[] = ["Absent", "UnavailableOffline", "Starting", "Quiesced"];

/** Of a resource's `Status`, its value and its thresholds. */
export function statusOf(resource: unknown, value: number | null, thresholds: Thresholds): string {
  const state = textAt(resource, "Status", "State") ?? "Enabled";
  if (DISABLED_STATES.includes(state)) return "disabled";
  if (ABSENT_STATES.includes(state) || value === null) return "unavailable";
  for (const [name, isUpper, status] of CROSSINGS) {
    const limit = thresholds[name];
    if (limit !== undefined && (isUpper ? value >= limit : value <= limit)) return status;
  }
  const health = textAt(resource, "Status", "Health") ?? "OK";
  return health === "OK" ? "ok" : health.toLowerCase();
}

/** ReadingUnits are of UCUM (DSP0266 §9.9.7.1). */
const UNITS: Readonly<Record<string, string>> = {
  Cel: "°C",
  "{rev}/min": "RPM",
  RPM: "RPM",
  Percent: "%",
};

export function unitOf(units: string | null): string {
  return units === null ? "" : (UNITS[units] ?? units);
}

/**
 * What a machine measures: the `Sensors` of each chassis, and where a chassis has none the older `Thermal` and `Power`.
 *
 * A chassis that has both tells the same readings twice, so only one is read: the newer where it has members. Thresholds
 * carry the contract's names (caution is IPMI's non-critical, fatal its non-recoverable); the status is worked out from
 * them, since services name health, not the threshold that was crossed.
 */
import { ok, type Result } from "../../core/result.ts";
import type { SensorReading } from "../bmc.ts";
import type { BmcError } from "../bmc-error.ts";
import { readWhole } from "./collection.ts";
import { type JsonObject, kebab, linkAt, numberAt, textAt } from "./json.ts";
import { legacySensors } from "./legacy-sensors.ts";
import { getEach, isAbsent, present, type RedfishSteps, type Resource } from "./redfish.ts";
import { statusOf, type ThresholdName, type Thresholds, unitOf } from "./sensor-status.ts";
import type { Survey } from "./survey.ts";

/** ReadingType of Sensor 1.x that has a name of its own in IPMI; the others in kebab case. */
const CATEGORIES: Readonly<Record<string, string>> = {
  Rotational: "fan",
  EnergykWh: "energy",
  EnergyJoules: "energy",
  EnergyWh: "energy",
};
const CATEGORY_OF_UNIT: Readonly<Record<string, string>> = {
  "°C": "temperature",
  V: "voltage",
  A: "current",
  W: "power",
  RPM: "fan",
};

function categoryOf(body: JsonObject, unit: string): string {
  const type = textAt(body, "ReadingType");
  // Fans are often measured in per cent of their top speed.
  if (type === "Percent" && /fan/i.test(textAt(body, "Name") ?? "")) return "fan";
  if (type !== null) return CATEGORIES[type] ?? kebab(type);
  return CATEGORY_OF_UNIT[unit] ?? "other-units";
}

const THRESHOLD_FIELDS: readonly (readonly [name: ThresholdName, field: string])[] = [
  ["lnr", "LowerFatal"],
  ["lc", "LowerCritical"],
  ["lnc", "LowerCaution"],
  ["unc", "UpperCaution"],
  ["uc", "UpperCritical"],
  ["unr", "UpperFatal"],
];

function thresholdsOf(body: JsonObject): Thresholds {
  const found: { [name in ThresholdName]?: number } = {};
  for (const [name, field] of THRESHOLD_FIELDS) {
    const reading = numberAt(body, "Thresholds", field, "Reading");
    if (reading !== null) found[name] = reading;
  }
  return found;
}

export function sensorOf(path: string, body: JsonObject): SensorReading {
  const value = numberAt(body, "Reading");
  const thresholds = thresholdsOf(body);
  const unit = unitOf(textAt(body, "ReadingUnits"));
  const context = textAt(body, "PhysicalContext");
  return {
    name: textAt(body, "Name") ?? textAt(body, "Id") ?? path,
    number: numberAt(body, "SensorNumber"),
    category: categoryOf(body, unit),
    entity: context === null ? null : kebab(context),
    value,
    unit,
    status: statusOf(body, value, thresholds),
    states: [],
    thresholds,
  };
}

function* chassisSensors(
  chassis: Resource,
  canExpand: boolean,
): RedfishSteps<readonly SensorReading[]> {
  const path = linkAt(chassis.body, "Sensors");
  if (path !== null) {
    const read = yield* readMembers(path, canExpand);
    if (!read.ok) return read;
    if (read.value.length > 0) return ok(read.value);
  }
  const older = ["Thermal", "Power"].flatMap((name) => linkAt(chassis.body, name) ?? []);
  const found = present(yield* getEach(older));
  if (!found.ok) return found;
  return ok(found.value.flatMap(({ body }) => legacySensors(body)));
}

/** With one request where the service expands; a service that says so and cannot is asked the plain way. */
function* readMembers(path: string, canExpand: boolean): RedfishSteps<readonly SensorReading[]> {
  const ways = canExpand ? [`${path}?$expand=.($levels=1)`, path] : [path];
  let read: Result<readonly SensorReading[], BmcError> = ok([]);
  for (const way of ways) {
    const collection = yield* readWhole(way, "sensors");
    if (!collection.ok) {
      read = isAbsent(collection.error) ? ok([]) : collection;
      continue;
    }
    return ok(collection.value.map((one) => sensorOf(one.path, one.body)));
  }
  return read;
}

export function* readSensors(
  survey: Survey,
  onProgress?: (done: number, total: number | null) => void,
): RedfishSteps<readonly SensorReading[]> {
  const chassis = present(yield* getEach(survey.chassisPaths));
  if (!chassis.ok) return chassis;
  const sensors: SensorReading[] = [];
  for (const one of chassis.value) {
    const read = yield* chassisSensors(one, survey.canExpand);
    if (!read.ok) return read;
    sensors.push(...read.value);
    onProgress?.(sensors.length, null);
  }
  return ok(sensors);
}

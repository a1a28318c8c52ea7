/**
 * Readings of the `Thermal` and `Power` resources, which most BMCs in the field still have in place of `Sensors`.
 *
 * Every kind of reading has its own property for the value; the thresholds are named alike in all of them. A power supply is
 * told by its states, as the standard's sensor type 08h would be.
 */
import type { SensorReading } from "../bmc.ts";
import { type JsonObject, kebab, listAt, numberAt, textAt } from "./json.ts";
import { statusOf, type ThresholdName, type Thresholds, unitOf } from "./sensor-status.ts";

interface Kind {
  readonly list: string;
  readonly category: string;
  /** Properties that may hold the value, the first that does wins. */
  readonly values: readonly string[];
  /** null: `ReadingUnits` says. */
  readonly unit: string | null;
}

const KINDS: readonly Kind[] = [
  { list: "Temperatures", category: "temperature", values: ["ReadingCelsius"], unit: "°C" },
  { list: "Fans", category: "fan", values: ["Reading", "ReadingRPM"], unit: null },
  { list: "Voltages", category: "voltage", values: ["ReadingVolts"], unit: "V" },
  { list: "PowerControl", category: "power", values: ["PowerConsumedWatts"], unit: "W" },
];

const FIELDS: readonly (readonly [name: ThresholdName, field: string])[] = [
  ["lnr", "LowerThresholdFatal"],
  ["lc", "LowerThresholdCritical"],
  ["lnc", "LowerThresholdNonCritical"],
  ["unc", "UpperThresholdNonCritical"],
  ["uc", "UpperThresholdCritical"],
  ["unr", "UpperThresholdFatal"],
];

function thresholdsOf(one: unknown): Thresholds {
  const found: { [name in ThresholdName]?: number } = {};
  for (const [name, field] of FIELDS) {
    const value = numberAt(one, field);
    if (value !== null) found[name] = value;
  }
  return found;
}

function nameOf(one: unknown, kind: string): string {
  const name = textAt(one, "Name") ?? textAt(one, "FanName");
  return name ?? `${kind} ${textAt(one, "MemberId") ?? "?"}`;
}

function entityOf(one: unknown): string | null {
  const context = textAt(one, "PhysicalContext");
  return context === null ? null : kebab(context);
}

function readingOf(one: unknown, kind: Kind): SensorReading {
  const value =
    kind.values.map((field) => numberAt(one, field)).find((found) => found !== null) ?? null;
  const thresholds = thresholdsOf(one);
  return {
    name: nameOf(one, kind.category),
    number: numberAt(one, "SensorNumber"),
    category: kind.category,
    entity: entityOf(one),
    value,
    unit: kind.unit ?? unitOf(textAt(one, "ReadingUnits") ?? "RPM"),
    status: statusOf(one, value, thresholds),
    states: [],
    thresholds,
  };
}

/** Of a supply: present or not, its health, and the input that it says is wrong. */
function supplyOf(one: unknown): SensorReading {
  const state = textAt(one, "Status", "State") ?? "Enabled";
  const health = textAt(one, "Status", "Health") ?? "OK";
  const input = textAt(one, "LineInputStatus") ?? "Normal";
  const states = [state === "Absent" ? "absent" : "presence detected"];
  if (state !== "Absent" && health !== "OK") states.push(`health ${health.toLowerCase()}`);
  if (input !== "Normal") states.push(`input ${kebab(input).replaceAll("-", " ")}`);
  const value = numberAt(one, "PowerInputWatts") ?? numberAt(one, "LastPowerOutputWatts");
  return {
    name: nameOf(one, "power supply"),
    number: null,
    category: "power-supply",
    entity: entityOf(one),
    value,
    unit: value === null ? "" : "W",
    status: state === "Absent" ? "unavailable" : statusOf(one, value ?? 0, {}),
    states,
    thresholds: {},
  };
}

/** Of a `Thermal` or a `Power` resource, whichever it is. */
export function legacySensors(body: JsonObject): readonly SensorReading[] {
  return [
    ...KINDS.flatMap((kind) => listAt(body, kind.list).map((one) => readingOf(one, kind))),
    ...listAt(body, "PowerSupplies").map(supplyOf),
  ];
}

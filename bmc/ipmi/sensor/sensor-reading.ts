/**
 * What a sensor reads, in words and units: from its record, the raw reading and its thresholds (IPMI 2.0 §35, §36).
 *
 * Decides the status and the numbers, and asks nothing. With an inverse formula (1/x) the highest raw reading is the lowest
 * number, so upper and lower change places: a threshold is always above or below in the unit that is shown.
 */
import type { SensorReading } from "../../bmc.ts";
import { EVENT_TYPE } from "../event/generic-events.ts";
import { sensorTypeName } from "../event/sensor-type.ts";
import { stateText } from "../event/severity.ts";
import { hasNumericReading, isInverse } from "../sdr/convert-reading.ts";
import { entityText } from "../sdr/entity.ts";
import {
  type CompactSensorRecord,
  type FullSensorRecord,
  type SensorRecord,
  THRESHOLDS,
  type ThresholdName,
} from "../sdr/sensor-record.ts";
import { unitText } from "../sdr/unit.ts";
import type { RawReading } from "./get-sensor-reading.ts";
import type { RawThresholds } from "./sensor-thresholds.ts";

/** Sensors that can be read at all. */
export type ReadableSensor = FullSensorRecord | CompactSensorRecord;

export interface SensorState {
  /** null: the BMC has no reading of it. */
  readonly reading: RawReading | null;
  readonly thresholds: RawThresholds;
  /** The number of a raw reading; null where there is none. */
  readonly convert: (raw: number) => number | null;
}

const STATE_COUNT = 15;

const STATUSES: Readonly<Record<ThresholdName, string>> = {
  lnc: "lower-non-critical",
  lc: "lower-critical",
  lnr: "lower-non-recoverable",
  unc: "upper-non-critical",
  uc: "upper-critical",
  unr: "upper-non-recoverable",
};

/** Worst first: of several crossed thresholds the outermost tells. */
const BY_WEIGHT: readonly ThresholdName[] = ["unr", "lnr", "uc", "lc", "unc", "lnc"];

const MIRRORED: Readonly<Record<ThresholdName, ThresholdName>> = {
  lnc: "unc",
  lc: "uc",
  lnr: "unr",
  unc: "lnc",
  uc: "lc",
  unr: "lnr",
};

export function isReadable(record: SensorRecord): record is ReadableSensor {
  return record.kind !== "event-only";
}

export function hasThresholds(record: ReadableSensor): boolean {
  return record.eventType === EVENT_TYPE.threshold;
}

/** Those of the record that its mask says it has: for sensors whose thresholds cannot be asked. */
export function recordThresholds(record: ReadableSensor): RawThresholds {
  if (record.kind !== "full") return {};
  const { masks, thresholds } = record;
  const names = THRESHOLDS.filter((_, bit) => (masks.reading & (1 << bit)) !== 0);
  return Object.fromEntries(names.map((name) => [name, thresholds[name]]));
}

function shownName(record: ReadableSensor, name: ThresholdName): ThresholdName {
  return record.kind === "full" && isInverse(record) ? MIRRORED[name] : name;
}

function thresholdStatus(record: ReadableSensor, states: number): string {
  for (const name of BY_WEIGHT) {
    if ((states & (1 << THRESHOLDS.indexOf(name))) !== 0) return STATUSES[shownName(record, name)];
  }
  return "ok";
}

function statusOf(record: ReadableSensor, reading: RawReading | null): string {
  if (reading === null) return "unavailable";
  if (!reading.isScanned) return "disabled";
  if (reading.isUnavailable) return "unavailable";
  return hasThresholds(record) ? thresholdStatus(record, reading.states ?? 0) : "states";
}

/** Texts of the asserted states; a state that the standard does not name keeps its number. */
export function stateTexts(record: ReadableSensor, states: number): readonly string[] {
  const texts: string[] = [];
  for (let offset = 0; offset < STATE_COUNT; offset++) {
    if ((states & (1 << offset)) === 0) continue;
    texts.push(stateText(record.eventType, record.sensorType, offset) ?? `state ${offset}`);
  }
  return texts;
}

function shownThresholds(record: ReadableSensor, state: SensorState): SensorReading["thresholds"] {
  const shown: { [name in ThresholdName]?: number } = {};
  for (const name of THRESHOLDS) {
    const raw = state.thresholds[name];
    const value = raw === undefined ? null : state.convert(raw);
    if (value !== null) shown[shownName(record, name)] = value;
  }
  return shown;
}

export function sensorReading(record: ReadableSensor, state: SensorState): SensorReading {
  const { reading } = state;
  const status = statusOf(record, reading);
  const isRead = reading?.isScanned === true && !reading.isUnavailable;
  const isDiscrete = !hasThresholds(record);
  return {
    name: record.name,
    number: record.number,
    category: sensorTypeName(record.sensorType),
    entity: entityText(record.entity),
    value: isRead ? state.convert(reading.raw) : null,
    unit: hasNumericReading(record) ? unitText(record.units) : "",
    status,
    states: isRead && isDiscrete ? stateTexts(record, reading.states ?? 0) : [],
    thresholds: shownThresholds(record, state),
  };
}

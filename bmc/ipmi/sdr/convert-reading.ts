/**
 * From raw readings to numbers (IPMI 2.0 §36.3): y = L[(M·x + B·10^Bexp)·10^Rexp].
 *
 * Hysteresis and tolerance are differences: no B term, and only where the sensor is linear. Sums are made in whole numbers
 * and scaled once, so that 122 hundredths are 1.22 and not 1.2200000000000002. Never throws; what is no number is null.
 */
import type { FullSensorRecord, ReadingFactors, SensorRecord } from "./sensor-record.ts";

/** `10 ** 208` is off by some units in the last place in JavaScriptCore; a literal is rounded right. */
function powerOfTen(exponent: number): number {
  return Number.isInteger(exponent) ? Number(`1e${exponent}`) : 10 ** exponent;
}

/** By number (§36.3). */
const FORMULAS: readonly ((value: number) => number)[] = [
  (value) => value,
  Math.log,
  Math.log10,
  Math.log2,
  Math.exp,
  powerOfTen,
  (value) => 2 ** value,
  (value) => 1 / value,
  (value) => value ** 2,
  (value) => value ** 3,
  Math.sqrt,
  Math.cbrt,
];

const INVERSE = 7;

/** Factors of a non-linear sensor hold at one reading only: Get Sensor Reading Factors gives them. */
export function isNonLinear(record: FullSensorRecord): boolean {
  return record.linearization >= 0x70;
}

/** Upper and lower change places: the higher the raw reading, the lower the number. */
export function isInverse(record: FullSensorRecord): boolean {
  return record.linearization === INVERSE;
}

export function hasNumericReading(record: SensorRecord): record is FullSensorRecord {
  return record.kind === "full" && record.format !== "none";
}

function scaled(whole: number, exponent: number): number {
  return exponent < 0 ? whole / 10 ** -exponent : whole * 10 ** exponent;
}

function linear(factors: ReadingFactors, x: number): number {
  const { m, b, bExponent, rExponent } = factors;
  return bExponent < 0
    ? scaled(m * x * 10 ** -bExponent + b, rExponent + bExponent)
    : scaled(m * x + b * 10 ** bExponent, rExponent);
}

function finite(value: number): number | null {
  return Number.isFinite(value) ? value + 0 : null;
}

/** The raw byte in the sensor's number format. */
export function rawNumber(record: FullSensorRecord, raw: number): number {
  const byte = raw & 0xff;
  if (record.format === "unsigned" || byte < 0x80) return byte;
  return record.format === "ones-complement" ? byte - 0xff : byte - 0x100;
}

/** With factors that were asked for; of a linear sensor those of its record. */
export function convertWithFactors(
  record: FullSensorRecord,
  factors: ReadingFactors,
  raw: number,
): number | null {
  const formula = isNonLinear(record) ? FORMULAS[0] : FORMULAS[record.linearization];
  if (formula === undefined) return null;
  return finite(formula(linear(factors, rawNumber(record, raw))));
}

/** null: the sensor has no numbers, is not linear, or its formula gives none here. */
export function convertReading(record: SensorRecord, raw: number): number | null {
  if (!hasNumericReading(record) || isNonLinear(record)) return null;
  return convertWithFactors(record, record.factors, raw);
}

/** A difference in the sensor's unit; null where the sensor is not linear, since there it depends on the reading. */
export function convertDifference(record: SensorRecord, raw: number): number | null {
  if (!hasNumericReading(record) || record.linearization !== 0) return null;
  const { m, rExponent } = record.factors;
  return finite(scaled(Math.abs(m) * (raw & 0xff), rExponent));
}

/** The raw byte nearest to `value`; null where there is none. Search over 256 readings: no formula has to be turned round. */
export function nearestRaw(record: SensorRecord, value: number): number | null {
  let best: number | null = null;
  let distanceMin = Number.POSITIVE_INFINITY;
  for (let raw = 0; raw <= 0xff; raw++) {
    const converted = convertReading(record, raw);
    const distance = converted === null ? Number.POSITIVE_INFINITY : Math.abs(converted - value);
    if (distance < distanceMin) {
      best = raw;
      distanceMin = distance;
    }
  }
  return best;
}

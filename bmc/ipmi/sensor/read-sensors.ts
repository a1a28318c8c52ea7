/**
 * Reads all sensors that have a reading, many at once (IPMI 2.0 §35).
 *
 * Decides what to ask of which sensor: its reading, its thresholds where they can be read, and factors at each raw value
 * where it is not linear. A sensor that the BMC does not read now is `unavailable`; an answer that did not come, a busy BMC
 * and a privilege that is too low are errors of the whole, since then nobody knows. Sensors of other controllers are behind
 * a bridge that is not crossed here: they are listed as `unavailable` too. Complexity: at most 2 + 7 questions a sensor.
 */
import { assert } from "../../../core/assert.ts";
import { err, ok, type Result } from "../../../core/result.ts";
import type { SensorReading } from "../../bmc.ts";
import { type BmcError, bmcError } from "../../bmc-error.ts";
import { askAll, type Part, replyValue } from "../ask.ts";
import { type Answers, type IpmiReply, type IpmiRequest, requestOf, type Steps } from "../ipmi.ts";
import { convertReading, convertWithFactors, isNonLinear } from "../sdr/convert-reading.ts";
import type { FullSensorRecord, ReadingFactors, SensorRecord } from "../sdr/sensor-record.ts";
import { getSensorReading, type RawReading } from "./get-sensor-reading.ts";
import { getSensorReadingFactors } from "./get-sensor-reading-factors.ts";
import {
  hasThresholds,
  isReadable,
  type ReadableSensor,
  recordThresholds,
  sensorReading,
} from "./sensor-reading.ts";
import { getSensorThresholds, type RawThresholds } from "./sensor-thresholds.ts";

/** Large enough to fill any window, small enough that progress is seen on a slow wire. */
const BATCH_SENSORS = 32;
const BMC_ADDRESS = 0x20;

/** What is known of a sensor on the way to its reading. */
interface Asked {
  readonly record: ReadableSensor;
  reading: RawReading | null;
  thresholds: RawThresholds;
  /** By raw value, of a sensor that is not linear. */
  readonly factors: Map<number, ReadingFactors>;
}

function canAskThresholds(record: ReadableSensor): boolean {
  const access = record.capabilities.thresholds;
  return hasThresholds(record) && (access === "readable" || access === "settable");
}

function isHere(record: ReadableSensor): boolean {
  return record.owner.address === BMC_ADDRESS;
}

/** Errors after which nothing is known of any sensor. Others are about this one. */
function isFatal(error: BmcError): boolean {
  if (error.completionCode === undefined) return true;
  return error.kind === "busy" || error.kind === "privilege-too-low";
}

function named(record: ReadableSensor, error: BmcError): BmcError {
  const detail = `sensor ${record.name} (${record.number}): ${error.detail}`;
  return bmcError(error.kind, detail, error.completionCode);
}

/** A question about a sensor, and what is done with its answer. */
interface Question {
  readonly sensor: Asked;
  readonly request: IpmiRequest;
  readonly take: (answer: Result<IpmiReply, BmcError>) => BmcError | null;
}

function* askQuestions(questions: readonly Question[]): Part<BmcError | null> {
  const answers: Answers = yield* askAll(questions.map(({ request }) => request));
  for (const [index, { sensor, take }] of questions.entries()) {
    const answer = answers[index];
    assert(answer !== undefined, "each request has one answer");
    const error = take(answer);
    if (error !== null) return named(sensor.record, error);
  }
  return null;
}

function readingQuestion(sensor: Asked): Question {
  const { record } = sensor;
  return {
    sensor,
    request: requestOf(getSensorReading, record.number, record.owner.lun),
    take: (answer) => {
      const reading = replyValue(getSensorReading, answer);
      if (reading.ok) sensor.reading = reading.value;
      return reading.ok || !isFatal(reading.error) ? null : reading.error;
    },
  };
}

function thresholdsQuestion(sensor: Asked): Question {
  const { record } = sensor;
  return {
    sensor,
    request: requestOf(getSensorThresholds, record.number, record.owner.lun),
    take: (answer) => {
      const thresholds = replyValue(getSensorThresholds, answer);
      if (thresholds.ok) sensor.thresholds = thresholds.value;
      return thresholds.ok || !isFatal(thresholds.error) ? null : thresholds.error;
    },
  };
}

function factorsQuestions(sensor: Asked): readonly Question[] {
  const { record, reading, thresholds } = sensor;
  if (record.kind !== "full" || !isNonLinear(record) || !isHere(record)) return [];
  const raws = new Set<number>(Object.values(thresholds));
  if (reading !== null) raws.add(reading.raw);
  return Array.from(raws, (raw) => ({
    sensor,
    request: requestOf(
      getSensorReadingFactors,
      { sensorNumber: record.number, raw },
      record.owner.lun,
    ),
    take: (answer) => {
      const reply = replyValue(getSensorReadingFactors, answer);
      if (reply.ok) sensor.factors.set(raw, reply.value.factors);
      return reply.ok || !isFatal(reply.error) ? null : reply.error;
    },
  }));
}

function convertNonLinear(sensor: Asked, record: FullSensorRecord, raw: number): number | null {
  const factors = sensor.factors.get(raw);
  return factors === undefined ? null : convertWithFactors(record, factors, raw);
}

function finished(sensor: Asked): SensorReading {
  const { record, reading, thresholds } = sensor;
  const convert = (raw: number): number | null =>
    record.kind === "full" && isNonLinear(record)
      ? convertNonLinear(sensor, record, raw)
      : convertReading(record, raw);
  return sensorReading(record, { reading, thresholds, convert });
}

function* readBatch(records: readonly ReadableSensor[]): Part<Result<SensorReading[], BmcError>> {
  const sensors = records.map(
    (record): Asked => ({
      record,
      reading: null,
      thresholds: hasThresholds(record) ? recordThresholds(record) : {},
      factors: new Map(),
    }),
  );
  const here = sensors.filter(({ record }) => isHere(record));
  const first = here.flatMap((sensor) =>
    canAskThresholds(sensor.record)
      ? [readingQuestion(sensor), thresholdsQuestion(sensor)]
      : [readingQuestion(sensor)],
  );
  const failed =
    (yield* askQuestions(first)) ?? (yield* askQuestions(here.flatMap(factorsQuestions)));
  return failed === null ? ok(sensors.map(finished)) : err(failed);
}

/** In the order of the records. Shared records must have been expanded; sensors that only make events are left out. */
export function* readSensors(records: readonly SensorRecord[]): Steps<readonly SensorReading[]> {
  const readable = records.filter(isReadable);
  const readings: SensorReading[] = [];
  for (let start = 0; start < readable.length; start += BATCH_SENSORS) {
    const batch = yield* readBatch(readable.slice(start, start + BATCH_SENSORS));
    if (!batch.ok) return batch;
    readings.push(...batch.value);
    yield { kind: "progress", done: readings.length, total: readable.length };
  }
  return ok(readings);
}

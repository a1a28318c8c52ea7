/**
 * Names for events: which sensor an event is of, where it is, and its readings with their unit.
 */
import type { NameOf } from "../event/event-text.ts";
import { convertReading } from "../sdr/convert-reading.ts";
import { entityText } from "../sdr/entity.ts";
import { SensorIndex } from "../sdr/sensor-index.ts";
import type { SensorRecord } from "../sdr/sensor-record.ts";
import { unitText } from "../sdr/unit.ts";

/** Enough for any raw byte; hides what binary fractions add. */
const DIGITS = 6;

/** Such as `85 °C`; null where the sensor has no numbers. */
export function readingText(record: SensorRecord, raw: number): string | null {
  const value = convertReading(record, raw);
  if (value === null || record.kind !== "full") return null;
  return `${Number(value.toPrecision(DIGITS))} ${unitText(record.units)}`.trimEnd();
}

/** `sensors` are expanded (`sensorsOf`). */
export function nameSensors(sensors: readonly SensorRecord[]): NameOf {
  const index = new SensorIndex(sensors);
  return (generator, lun, sensorNumber) => {
    const record = index.find(generator, lun, sensorNumber);
    if (record === null || record.name === "") return null;
    return {
      name: record.name,
      entity: entityText(record.entity),
      reading: (raw) => readingText(record, raw),
    };
  };
}

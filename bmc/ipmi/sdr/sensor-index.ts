/**
 * Which sensor an event or a reading is of: by the address of its owner, LUN and number.
 *
 * The channel is left out of the key: records and events of one controller disagree on it more often than two controllers
 * share an address. Of two records with one key the first wins. Complexity: one pass, then constant time.
 */
import type { SdrRecord } from "./decode-sdr.ts";
import { expandSensors, type SensorRecord } from "./sensor-record.ts";

/** All sensors of a list of records, shared records expanded, in the order of the list. */
export function sensorsOf(records: readonly SdrRecord[]): readonly SensorRecord[] {
  return records.flatMap((record) => {
    const isSensor =
      record.kind === "full" || record.kind === "compact" || record.kind === "event-only";
    return isSensor ? expandSensors(record) : [];
  });
}

function keyOf(address: number, lun: number, number: number): number {
  return (address << 16) | (lun << 8) | number;
}

export class SensorIndex {
  readonly #sensors = new Map<number, SensorRecord>();

  constructor(sensors: readonly SensorRecord[]) {
    for (const sensor of sensors) {
      const key = keyOf(sensor.owner.address, sensor.owner.lun, sensor.number);
      if (!this.#sensors.has(key)) this.#sensors.set(key, sensor);
    }
  }

  /** `address` is the low byte of an event's generator, with b0 for software ids. */
  find(address: number, lun: number, number: number): SensorRecord | null {
    return this.#sensors.get(keyOf(address, lun & 0x03, number)) ?? null;
  }
}

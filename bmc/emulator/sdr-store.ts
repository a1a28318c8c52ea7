/**
 * The SDR repository of an emulated BMC: what is read by Get SDR, built from the configuration (IPMI 2.0 §33).
 *
 * Read-only: real ones take Add SDR, but no client of ours does. Decides handles, reservation and the fault of a record that
 * ends too early. Invariant: the records' ids are 1 to n in their order.
 */
import type { BmcConfig } from "./config.ts";
import type { FaultTable } from "./faults.ts";
import { controllerLocator, fruLocator, sensorRecord } from "./sdr-build.ts";

const ID_LAST = 0xffff;

export class SdrStore {
  readonly #records: readonly Uint8Array[];
  readonly #faults: FaultTable;
  #reservation = 0;
  #isReserved = false;

  constructor(config: BmcConfig, supports: number, faults: FaultTable) {
    this.#faults = faults;
    this.#records = [
      controllerLocator("BMC", supports),
      ...config.sensors.map(sensorRecord),
      ...config.frus.map(fruLocator),
    ];
    this.#records.forEach((record, index) => {
      record[0] = (index + 1) & 0xff;
      record[1] = (index + 1) >> 8;
    });
  }

  get count(): number {
    return this.#records.length;
  }

  records(): readonly Uint8Array[] {
    return this.#records;
  }

  reserve(): number {
    this.#reservation = (this.#reservation % 0xffff) + 1;
    this.#isReserved = true;
    return this.#reservation;
  }

  isReservedBy(reservation: number): boolean {
    return this.#isReserved && reservation === this.#reservation;
  }

  cancelReservation(): void {
    this.#isReserved = false;
  }

  get(id: number): { readonly nextId: number; readonly record: Uint8Array } | null {
    const last = this.#records.length - 1;
    let index = id - 1;
    if (id === 0) index = 0;
    else if (id === ID_LAST) index = last;
    const record = this.#records[index];
    if (record === undefined) return null;
    const isCut = index === last && this.#faults.isOn("sdr-truncated");
    const whole = isCut ? record.subarray(0, record.length - 6) : record;
    return { nextId: index === last ? ID_LAST : index + 2, record: whole };
  }
}

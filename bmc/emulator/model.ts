/**
 * The emulated BMC behind any wire: a request in, a reply out; time passes by `tick`; sensors, power and events can be driven.
 *
 * Decides which command a request is, whether the asker may, and the busy codes that faults put before it. Sessions, framing and
 * sockets are the servers' (`lan-server.ts`, `serial-server.ts`); a front for another protocol uses the same methods. After
 * each call `takeEffects` tells what happened; `dueMs` when `tick` is wanted next. Invariant: no reply depends on anything
 * but the calls before it and their times.
 */
import type { IpmiReply, IpmiRequest } from "../ipmi/ipmi.ts";
import { BmcState, type ModelEffect } from "./bmc-state.ts";
import type { ChassisAction } from "./chassis.ts";
import { APP_COMMANDS } from "./commands/app-commands.ts";
import { CHASSIS_COMMANDS } from "./commands/chassis-commands.ts";
import { type Asker, CODE, type CommandRow, commandKey, fail } from "./commands/command.ts";
import { INVENTORY_COMMANDS } from "./commands/inventory-commands.ts";
import { PEF_COMMANDS } from "./commands/pef-commands.ts";
import { SEL_COMMANDS } from "./commands/sel-commands.ts";
import { SENSOR_COMMANDS } from "./commands/sensor-commands.ts";
import type { BmcConfig, SensorConfig } from "./config.ts";
import type { FaultName } from "./faults.ts";

const COMMANDS: ReadonlyMap<number, CommandRow> = new Map([
  ...APP_COMMANDS,
  ...CHASSIS_COMMANDS,
  ...INVENTORY_COMMANDS,
  ...PEF_COMMANDS,
  ...SEL_COMMANDS,
  ...SENSOR_COMMANDS,
]);

const GET_DEVICE_ID: number = commandKey(0x06, 0x01);

/** Faults after which the ids of what is in the log already are given anew. */
const ID_FAULTS: ReadonlySet<FaultName> = new Set<FaultName>([
  "sel-ids-sparse",
  "sel-ids-reordered",
  "sel-ids-duplicate",
]);

/** What the standard calls the row, for whoever logs requests. */
export function commandName(netFn: number, command: number): string {
  return COMMANDS.get(commandKey(netFn, command))?.name ?? "unknown command";
}

export class BmcModel {
  readonly state: BmcState;

  constructor(config: BmcConfig, seed: number, nowMs: number) {
    this.state = new BmcState(config, seed, nowMs);
  }

  takeEffects(): readonly ModelEffect[] {
    return this.state.takeEffects();
  }

  dueMs(): number | null {
    return this.state.dueMs();
  }

  tick(nowMs: number): void {
    this.state.tick(nowMs);
  }

  /** `own`: a command of the wire itself, which comes before the tables. null: no answer at all. */
  request(
    request: IpmiRequest,
    asker: Asker,
    nowMs: number,
    own: CommandRow | null,
  ): IpmiReply | null {
    const { state } = this;
    if (state.isAsleep(nowMs)) return null;
    const { faults } = state;
    if (faults.valueOf("stops-after") !== null && !this.#takesOneMore("stops-after")) return null;
    if (
      faults.isOn("reset-after") &&
      faults.takeOne("reset-after") &&
      !faults.isOn("reset-after")
    ) {
      state.reset(nowMs);
      return null;
    }
    const key = commandKey(request.netFn, request.command);
    const refusal = this.#busyCode(key);
    if (refusal !== null) return fail(refusal);
    const row = own ?? COMMANDS.get(key);
    if (row === undefined) return fail(CODE.unknown);
    if (asker.level < row.level) return fail(CODE.privilege);
    const { length } = request.data;
    if (length < row.bytesMin || length > row.bytesMax) return fail(CODE.wrongLength);
    return row.answer(state, request.data, nowMs, asker);
  }

  /** Counts down to 0 and stays there. */
  #takesOneMore(name: FaultName): boolean {
    const { faults } = this.state;
    const left = faults.valueOf(name) ?? 0;
    if (left === 0) return false;
    faults.setOn(name, left - 1);
    return true;
  }

  #busyCode(key: number): number | null {
    const { faults, prng } = this.state;
    if (faults.takeOne("firmware-updating")) return CODE.firmwareUpdating;
    // Get Device ID is answered all the time: its busy bit is how one learns of it (§20.1).
    if (key !== GET_DEVICE_ID && faults.takeOne("initialising")) return CODE.initialising;
    const percent = faults.valueOf("busy");
    return percent !== null && prng.hasPercent(percent) ? CODE.busy : null;
  }

  /** In the sensor's unit, or of a discrete one its states as bits. */
  setSensor(sensor: SensorConfig, value: number, nowMs: number): void {
    const { state } = this;
    if (sensor.kind === "threshold") {
      state.raiseAll(state.sensors.setValue(sensor.number, value), nowMs);
      return;
    }
    for (let offset = 0; offset < 15; offset++) {
      const isOn = (value & (1 << offset)) !== 0;
      state.raiseAll(state.sensors.setState(sensor.number, offset, isOn), nowMs);
    }
  }

  setSensorState(sensor: SensorConfig, offset: number, isOn: boolean, nowMs: number): void {
    const { state } = this;
    if (sensor.kind === "discrete") {
      state.raiseAll(state.sensors.setState(sensor.number, offset, isOn), nowMs);
    } else this.raiseFor(sensor, [offset, 0xff, 0xff], isOn, nowMs);
  }

  /** An event of a sensor without a change of its reading. */
  raiseFor(
    sensor: SensorConfig,
    data: readonly [number, number, number],
    isAssertion: boolean,
    nowMs: number,
  ): void {
    const { type: sensorType, number: sensorNumber } = sensor;
    const eventType = sensor.kind === "threshold" ? 0x01 : sensor.eventType;
    this.state.raise({ sensorType, sensorNumber, isAssertion, eventType, data }, nowMs);
  }

  /** A whole record in SEL format; its id is given by the log. The id; null: the log is full. */
  addRecord(record: Uint8Array, nowMs: number): number | null {
    return this.state.accept(record, nowMs);
  }

  /** As the log holds them, oldest first. */
  records(): readonly Uint8Array[] {
    return this.state.sel.records();
  }

  clearSel(nowMs: number): void {
    this.state.clearSel(nowMs);
  }

  /** False: not possible in the present state. */
  control(action: ChassisAction, nowMs: number): boolean {
    return this.state.control(action, nowMs);
  }

  /** The BMC itself, not the node. */
  reset(nowMs: number): void {
    this.state.reset(nowMs);
  }

  /** `value` null: the fault's own; the error is a line for people. */
  setFault(name: FaultName, value: number | null): string | null {
    const set = this.state.faults.setOn(name, value);
    if (!set.ok) return set.error;
    if (ID_FAULTS.has(name)) this.state.sel.relabel();
    return null;
  }

  endFault(name: FaultName): void {
    this.state.faults.setOff(name);
    if (ID_FAULTS.has(name)) this.state.sel.relabel();
  }
}

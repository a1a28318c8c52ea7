/**
 * Does what a line of the control protocol asks for, on the model, and says what came of it in one line.
 *
 * An answer begins with `ok` or `error:`. Decides which sensor a name means: its own name, its number, or the first of a category.
 */
import { sensorTypeName } from "../ipmi/event/sensor-type.ts";
import type { SensorConfig } from "./config.ts";
import { CONTROL_HELP, type ControlCommand, parseControl } from "./control.ts";
import type { BmcModel } from "./model.ts";

function sensorOf(model: BmcModel, wanted: string): SensorConfig | null {
  const { sensors } = model.state;
  const category = wanted.toLowerCase();
  const named = sensors.find(wanted);
  return named ?? sensors.configs.find(({ type }) => sensorTypeName(type) === category) ?? null;
}

/** Records of different sensors and times, so that a filled log looks like one. Ends where the log is full. */
export function fillSel(model: BmcModel, count: number, nowMs: number): number {
  const { sel, sensors, prng } = model.state;
  const { configs } = sensors;
  const seconds = model.state.seconds(nowMs);
  for (let index = 0; index < count; index++) {
    const config = configs[prng.below(configs.length)];
    const isThreshold = config?.kind === "threshold";
    const record = model.state.recordOf(
      {
        sensorType: config?.type ?? 0x12,
        sensorNumber: config?.number ?? 0,
        isAssertion: prng.below(2) === 0,
        eventType: isThreshold || config === undefined ? 0x01 : config.eventType,
        data: isThreshold ? [0x57, 80 + prng.below(20), 80] : [prng.below(3), 0xff, 0xff],
      },
      nowMs - (count - index) * 1000,
    );
    if (sel.add(record, seconds) === null) return index;
  }
  return count;
}

function unknown(sensor: string, model: BmcModel): string {
  const names = model.state.sensors.configs.map(({ name }) => name).join(", ");
  return `error: no sensor ${sensor}; there are ${names}`;
}

function withSensor(model: BmcModel, wanted: string, act: (sensor: SensorConfig) => void): string {
  const sensor = sensorOf(model, wanted);
  if (sensor === null) return unknown(wanted, model);
  const before = model.state.sel.count;
  act(sensor);
  return `ok ${sensor.name}, ${model.state.sel.count - before} records`;
}

function faultLines(model: BmcModel): string {
  const list = model.state.faults.list().map(({ name, value }) => `${name} ${value}`);
  return list.length === 0 ? "ok none" : `ok ${list.join(", ")}`;
}

function statusLine(model: BmcModel): string {
  const { chassis, sel } = model.state;
  return `ok power ${chassis.isOn ? "on" : "off"}, ${sel.count} records, faults: ${faultLines(model).slice(3)}`;
}

export function runControl(model: BmcModel, line: string, nowMs: number): string {
  const parsed = parseControl(line);
  return parsed.ok ? run(model, parsed.value, nowMs) : `error: ${parsed.error}`;
}

function run(model: BmcModel, command: ControlCommand, nowMs: number): string {
  switch (command.kind) {
    case "event": {
      const data = [command.offset, 0xff, 0xff] as const;
      return withSensor(model, command.sensor, (sensor) =>
        model.raiseFor(sensor, data, command.isAssertion, nowMs),
      );
    }
    case "record": {
      const id = model.addRecord(command.record, nowMs);
      return id === null ? "error: the log is full" : `ok record 0x${id.toString(16)}`;
    }
    case "sensor":
      return withSensor(model, command.sensor, (sensor) =>
        model.setSensor(sensor, command.value, nowMs),
      );
    case "state":
      return withSensor(model, command.sensor, (sensor) =>
        model.setSensorState(sensor, command.offset, command.isOn, nowMs),
      );
    case "fault": {
      const wrong = model.setFault(command.name, command.value);
      return wrong === null ? faultLines(model) : `error: ${wrong}`;
    }
    case "fault-off":
      model.endFault(command.name);
      return faultLines(model);
    case "fault-clear":
      for (const { name } of model.state.faults.list()) model.endFault(name);
      return faultLines(model);
    case "fault-list":
      return faultLines(model);
    case "power":
      if (command.action === null) return `ok ${model.state.chassis.isOn ? "on" : "off"}`;
      return model.control(command.action, nowMs)
        ? `ok ${command.action}`
        : "error: not possible while it is off";
    case "reset":
      model.reset(nowMs);
      return "ok";
    case "help":
      return `ok ${CONTROL_HELP}`;
    case "status":
      return statusLine(model);
    default:
      return runSel(model, command, nowMs);
  }
}

type SelCommand = Extract<ControlCommand, { readonly kind: `sel-${string}` }>;

function runSel(model: BmcModel, command: SelCommand, nowMs: number): string {
  switch (command.kind) {
    case "sel-clear":
      model.clearSel(nowMs);
      return "ok";
    case "sel-fill": {
      const filled = fillSel(model, command.count, nowMs);
      return filled === command.count ? `ok ${filled} records` : `error: full after ${filled}`;
    }
    case "sel-count":
      return `ok ${model.state.sel.count}`;
  }
}

/**
 * Sensors and events of the emulated BMC (IPMI 2.0 §29, §35, NetFn Sensor/Event).
 *
 * Decides completion codes and layouts; when a threshold is crossed is the `SensorBank`'s. A Platform Event is taken in both
 * forms: eight bytes with the generator first from the system's own interface, seven from anywhere else.
 */
import { NET_FN } from "../../ipmi/ipmi.ts";
import type { BmcState } from "../bmc-state.ts";
import { SEL_RECORD_BYTES } from "../sel-store.ts";
import type { Enables, SensorState } from "../sensors.ts";
import { CODE, type CommandRow, done, fail, readU16, table, u16 } from "./command.ts";

const SYSTEM_INTERFACE = 0x0f;
/** Software id of a remote console, as a generator (§32.1). */
const CONSOLE_GENERATOR = 0x81;
const RECORD_SYSTEM_EVENT = 0x02;

type Answer = CommandRow["answer"];

const platformEvent: Answer = (bmc, data, nowMs, asker) => {
  const hasGenerator = asker.channel === SYSTEM_INTERFACE;
  const event = hasGenerator ? data.subarray(1) : data;
  const [revision = 0, type = 0, number = 0, direction = 0, ...given] = event;
  if (event.length < 5) return fail(CODE.wrongLength);
  const record = new Uint8Array(SEL_RECORD_BYTES).fill(0xff, 13);
  record[2] = RECORD_SYSTEM_EVENT;
  new DataView(record.buffer).setUint32(3, bmc.seconds(nowMs), true);
  record[7] = hasGenerator ? (data[0] ?? 0) : CONSOLE_GENERATOR;
  record[9] = revision;
  record[10] = type;
  record[11] = number;
  record[12] = direction;
  record.set(given.slice(0, 3), 13);
  bmc.accept(record, nowMs);
  return done();
};

function stateOf(bmc: BmcState, data: Uint8Array): SensorState | null {
  return bmc.sensors.get(data[0] ?? 0);
}

const getSensorReading: Answer = (bmc, data) => {
  const reading = bmc.sensors.reading(data[0] ?? 0);
  return reading === null ? fail(CODE.absent) : done(reading);
};

const getSensorFactors: Answer = (bmc, data) => {
  const config = bmc.sensors.thresholdState(data[0] ?? 0)?.config;
  if (config === undefined) return fail(CODE.absent);
  const { m, b, rExp, bExp } = config;
  const exponents = ((rExp & 0x0f) << 4) | (bExp & 0x0f);
  return done([0xff, m & 0xff, ((m >> 8) & 3) << 6, b & 0xff, ((b >> 8) & 3) << 6, 0, exponents]);
};

const getHysteresis: Answer = (bmc, data) => {
  const state = bmc.sensors.thresholdState(data[0] ?? 0);
  if (state === null) return fail(stateOf(bmc, data) === null ? CODE.absent : CODE.wrongType);
  return done([state.hysteresis.positive, state.hysteresis.negative]);
};

const setHysteresis: Answer = (bmc, data, nowMs) => {
  const state = bmc.sensors.thresholdState(data[0] ?? 0);
  if (state === null) return fail(stateOf(bmc, data) === null ? CODE.absent : CODE.wrongType);
  state.hysteresis = { positive: data[2] ?? 0, negative: data[3] ?? 0 };
  bmc.raiseAll(bmc.sensors.rescan(data[0] ?? 0), nowMs);
  return done();
};

const getThresholds: Answer = (bmc, data) => {
  const thresholds = bmc.sensors.thresholds(data[0] ?? 0);
  if (thresholds !== null) return done(thresholds);
  return fail(stateOf(bmc, data) === null ? CODE.absent : CODE.wrongType);
};

const setThresholds: Answer = (bmc, data, nowMs) => {
  const state = bmc.sensors.thresholdState(data[0] ?? 0);
  if (state === null) return fail(stateOf(bmc, data) === null ? CODE.absent : CODE.wrongType);
  const mask = data[1] ?? 0;
  for (let bit = 0; bit < state.thresholds.length; bit++) {
    if ((mask & (1 << bit)) === 0) continue;
    if (state.thresholds[bit] === null) return fail(CODE.invalidField);
    state.thresholds[bit] = data[2 + bit] ?? 0;
  }
  bmc.raiseAll(bmc.sensors.rescan(data[0] ?? 0), nowMs);
  return done();
};

const getEventEnable: Answer = (bmc, data) => {
  const enables = stateOf(bmc, data)?.enables;
  if (enables === undefined) return fail(CODE.absent);
  const flags = (enables.hasEvents ? 0x80 : 0) | (enables.hasScanning ? 0x40 : 0);
  return done([flags, ...u16(enables.assertionMask), ...u16(enables.deassertionMask)]);
};

function changeMasks(enables: Enables, data: Uint8Array, how: number): void {
  const change = (mask: number, by: number): number => (how === 1 ? mask | by : mask & ~by);
  enables.assertionMask = change(enables.assertionMask, readU16(data, 2));
  enables.deassertionMask = change(enables.deassertionMask, readU16(data, 4));
}

const setEventEnable: Answer = (bmc, data) => {
  const enables = stateOf(bmc, data)?.enables;
  if (enables === undefined) return fail(CODE.absent);
  const flags = data[1] ?? 0;
  enables.hasEvents = (flags & 0x80) !== 0;
  enables.hasScanning = (flags & 0x40) !== 0;
  const how = (flags >> 4) & 0x03;
  if (how === 1 || how === 2) changeMasks(enables, data, how);
  return done();
};

/** The event states as they are now: all sensors re-arm by themselves (§35.13). */
const getEventStatus: Answer = (bmc, data) => {
  const state = stateOf(bmc, data);
  if (state === null) return fail(CODE.absent);
  let events = "states" in state ? state.states : 0;
  if (!("states" in state)) {
    for (let bit = 0; bit < 6; bit++) {
      if ((state.asserted & (1 << bit)) !== 0) events |= 1 << (bit * 2 + (bit < 3 ? 0 : 1));
    }
  }
  const { hasEvents, hasScanning } = state.enables;
  return done([(hasEvents ? 0x80 : 0) | (hasScanning ? 0x40 : 0x20), ...u16(events), 0, 0]);
};

const rearm: Answer = (bmc, data, nowMs) => {
  const state = bmc.sensors.thresholdState(data[0] ?? 0);
  if (state === null) return fail(stateOf(bmc, data) === null ? CODE.absent : CODE.done);
  // Forgotten, so that a threshold still crossed asserts once more (§35.12).
  state.asserted = 0;
  bmc.raiseAll(bmc.sensors.rescan(data[0] ?? 0), nowMs);
  return done();
};

const getSensorType: Answer = (bmc, data) => {
  const config = bmc.sensors.configs.find((one) => one.number === data[0]);
  if (config === undefined) return fail(CODE.absent);
  return done([config.type, config.kind === "threshold" ? 0x01 : config.eventType]);
};

/** The reading can be set on any sensor: how a test drives one over the wire (§35.17). */
const setSensorReading: Answer = (bmc, data, nowMs) => {
  const number = data[0] ?? 0;
  const state = bmc.sensors.thresholdState(number);
  if (state === null) return fail(stateOf(bmc, data) === null ? CODE.absent : CODE.wrongType);
  state.raw = data[2] ?? 0;
  bmc.raiseAll(bmc.sensors.rescan(number), nowMs);
  return done();
};

export const SENSOR_COMMANDS: readonly (readonly [number, CommandRow])[] = table(
  NET_FN.sensorEvent,
  [
    [0x00, "Set Event Receiver", 4, 2, () => done()],
    [0x01, "Get Event Receiver", 2, 0, () => done([0x20, 0])],
    [0x02, "Platform Event", 3, [4, 8], platformEvent],
    [0x23, "Get Sensor Reading Factors", 2, 2, getSensorFactors],
    [0x24, "Set Sensor Hysteresis", 3, 4, setHysteresis],
    [0x25, "Get Sensor Hysteresis", 2, [1, 2], getHysteresis],
    [0x26, "Set Sensor Thresholds", 3, 8, setThresholds],
    [0x27, "Get Sensor Thresholds", 2, 1, getThresholds],
    [0x28, "Set Sensor Event Enable", 3, [2, 6], setEventEnable],
    [0x29, "Get Sensor Event Enable", 2, 1, getEventEnable],
    [0x2a, "Re-arm Sensor Events", 3, [2, 6], rearm],
    [0x2b, "Get Sensor Event Status", 2, 1, getEventStatus],
    [0x2d, "Get Sensor Reading", 2, 1, getSensorReading],
    [0x2f, "Get Sensor Type", 2, 1, getSensorType],
    [0x30, "Set Sensor Reading", 3, [3, 10], setSensorReading],
  ],
);

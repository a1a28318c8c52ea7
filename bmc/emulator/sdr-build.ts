/**
 * Sensor data records as bytes, written from the standard's tables (IPMI 2.0 §43) without a look at the decoders in
 * `bmc/ipmi/sdr/`: two readings of the standard that meet in the tests.
 *
 * Layouts, 0-based; 0–1 id, 2 version 51h, 3 type, 4 remaining length:
 *
 *   full 01h       5 owner, 6 LUN, 7 number, 8–9 entity, 10 init, 11 capabilities, 12 type, 13 event type, 14–19 masks,
 *                  20–22 units, 23 linearisation, 24–29 factors, 30–33 flags nominal max min, 34–35 sensor max min,
 *                  36–41 UNR UC UNC LNR LC LNC, 42–43 hysteresis, 46 OEM, 47 name
 *   compact 02h    as full to 22; 23–24 sharing, 25–26 hysteresis, 30 OEM, 31 name
 *   event-only 03h 5 owner, 6 LUN, 7 number, 8–9 entity, 10 type, 11 event type, 12–13 sharing, 15 OEM, 16 name
 *   FRU 11h        5 access address, 6 FRU id, 7 logical, 8 channel, 10 device type, 11 modifier, 12–13 entity, 14 OEM, 15 name
 *   MC 12h         5 address, 6 channel, 7 power state, 8 capabilities, 12–13 entity, 14 OEM, 15 name
 */
import type {
  DiscreteSensorConfig,
  EventOnlySensorConfig,
  FruConfig,
  SensorConfig,
  ThresholdName,
  ThresholdSensorConfig,
} from "./config.ts";

const HEADER_BYTES = 5;
const SDR_VERSION = 0x51;
export const BMC_ADDRESS = 0x20;
const NAME_CHARS_MAX = 16;

/** Order of bits in masks and readings, low first (§35.14). */
export const THRESHOLD_BITS: readonly ThresholdName[] = ["lnc", "lc", "lnr", "unc", "uc", "unr"];

/** 8-bit Latin-1 with its type/length byte (§43.15). */
function nameField(name: string): readonly number[] {
  const characters = [...name.slice(0, NAME_CHARS_MAX)].map((one) => one.charCodeAt(0) & 0xff);
  return [0xc0 | characters.length, ...characters];
}

function record(type: number, body: readonly number[]): Uint8Array {
  return Uint8Array.from([0, 0, SDR_VERSION, type, body.length, ...body]);
}

function u16(value: number): readonly [number, number] {
  return [value & 0xff, (value >> 8) & 0xff];
}

/** Raw byte of a value, §36.3 turned round; clamped to what the format holds. */
export function rawOf(sensor: ThresholdSensorConfig, value: number): number {
  const raw = Math.round((value / 10 ** sensor.rExp - sensor.b * 10 ** sensor.bExp) / sensor.m);
  return sensor.isSigned
    ? Math.max(-128, Math.min(127, raw)) & 0xff
    : Math.max(0, Math.min(255, raw));
}

/** The number that a raw byte stands for before any factor. */
export function numberOf(sensor: ThresholdSensorConfig, raw: number): number {
  return sensor.isSigned && raw > 127 ? raw - 256 : raw;
}

export function realOf(sensor: ThresholdSensorConfig, raw: number): number {
  return (sensor.m * numberOf(sensor, raw) + sensor.b * 10 ** sensor.bExp) * 10 ** sensor.rExp;
}

/** Bit i: the threshold `THRESHOLD_BITS[i]` is there. */
export function thresholdMask(sensor: ThresholdSensorConfig): number {
  return THRESHOLD_BITS.reduce(
    (mask, name, bit) => (sensor.thresholds[name] === undefined ? mask : mask | (1 << bit)),
    0,
  );
}

/** Event offsets of the thresholds that are there: lower ones going low, upper ones going high (§42.2 table 42-2). */
export function eventMask(sensor: ThresholdSensorConfig): number {
  return THRESHOLD_BITS.reduce((mask, name, bit) => {
    if (sensor.thresholds[name] === undefined) return mask;
    return mask | (1 << (bit * 2 + (bit < 3 ? 0 : 1)));
  }, 0);
}

function common(sensor: SensorConfig): readonly number[] {
  return [BMC_ADDRESS, 0, sensor.number, sensor.entityId, sensor.entityInstance];
}

/** Ten bits of a factor: the low byte, and the two high bits at their place. */
function factor(value: number): readonly [number, number] {
  return [value & 0xff, ((value >> 8) & 3) << 6];
}

function fullRecord(sensor: ThresholdSensorConfig): Uint8Array {
  const thresholds = thresholdMask(sensor);
  const events = eventMask(sensor);
  const raw = (name: ThresholdName): number => rawOf(sensor, sensor.thresholds[name] ?? 0);
  const [mLow, mHigh] = factor(sensor.m);
  const [bLow, bHigh] = factor(sensor.b);
  const most = sensor.isSigned ? 0x7f : 0xff;
  const least = sensor.isSigned ? 0x80 : 0x00;
  return record(0x01, [
    ...common(sensor),
    // Scanning, events, thresholds, hysteresis and type initialised; events and scanning on at start (§43.1 byte 11).
    0x7f,
    // Re-arms by itself, hysteresis and thresholds readable and settable, events per threshold.
    0x68,
    sensor.type,
    0x01,
    // Lower masks: bits 14:12 say which thresholds a reading compares with.
    ...u16(events | ((thresholds & 7) << 12)),
    ...u16(events | (((thresholds >> 3) & 7) << 12)),
    thresholds,
    thresholds,
    sensor.isSigned ? 0x80 : 0x00,
    sensor.unit,
    0,
    0,
    mLow,
    mHigh,
    bLow,
    bHigh,
    0,
    ((sensor.rExp & 0x0f) << 4) | (sensor.bExp & 0x0f),
    0x01,
    rawOf(sensor, sensor.nominal),
    0,
    0,
    most,
    least,
    raw("unr"),
    raw("uc"),
    raw("unc"),
    raw("lnr"),
    raw("lc"),
    raw("lnc"),
    sensor.hysteresis,
    sensor.hysteresis,
    0,
    0,
    0,
    ...nameField(sensor.name),
  ]);
}

function compactRecord(sensor: DiscreteSensorConfig): Uint8Array {
  return record(0x02, [
    ...common(sensor),
    0x67,
    0x40,
    sensor.type,
    sensor.eventType,
    ...u16(sensor.mask),
    ...u16(sensor.mask),
    ...u16(sensor.mask),
    // No numeric reading.
    0xc0,
    0,
    0,
    // One sensor, number as it is.
    0x01,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    ...nameField(sensor.name),
  ]);
}

function eventOnlyRecord(sensor: EventOnlySensorConfig): Uint8Array {
  return record(0x03, [
    ...common(sensor),
    sensor.type,
    sensor.eventType,
    0x01,
    0,
    0,
    0,
    ...nameField(sensor.name),
  ]);
}

export function sensorRecord(sensor: SensorConfig): Uint8Array {
  switch (sensor.kind) {
    case "threshold":
      return fullRecord(sensor);
    case "discrete":
      return compactRecord(sensor);
    case "event-only":
      return eventOnlyRecord(sensor);
  }
}

/** Device type 10h, modifier 0: FRU storage behind this controller (§43.12). */
export function fruLocator(fru: FruConfig): Uint8Array {
  return record(0x11, [
    BMC_ADDRESS,
    fru.id,
    0x80,
    0,
    0,
    0x10,
    0,
    fru.id === 0 ? 0x07 : 0x0a,
    Math.max(1, fru.id),
    0,
    ...nameField(fru.name),
  ]);
}

/** `supports`: as in Get Device ID. */
export function controllerLocator(name: string, supports: number): Uint8Array {
  return record(0x12, [BMC_ADDRESS, 0, 0, supports, 0, 0, 0, 0x2e, 1, 0, ...nameField(name)]);
}

export const SDR_HEADER_BYTES: number = HEADER_BYTES;

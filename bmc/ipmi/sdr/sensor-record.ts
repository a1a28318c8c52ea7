/**
 * Records of sensors: full, compact and event-only (IPMI 2.0 §43.1-43.3).
 *
 * Decides what a sensor is called, where it is, and how its raw readings become numbers (the numbers themselves:
 * `convert-reading.ts`). One compact or event-only record may stand for up to 15 sensors; `expandSensors` makes one record
 * of each.
 *
 *   byte, from 0      full                 compact               event-only
 *   owner, LUN, number  5, 6, 7             same                  same
 *   entity              8, 9                same                  same
 *   initialisation, capabilities  10, 11    same                  -
 *   sensor type, event type  12, 13         same                  10, 11
 *   masks               14-19               same                  -
 *   units               20, 21, 22          same                  -
 *   linearisation, M, B, accuracy, exponents  23-29               -
 *   flags, nominal, max, min; sensor max, min  30-35              -
 *   sharing             -                   23, 24                12, 13
 *   thresholds UNR, UC, UNC, LNR, LC, LNC   36-41                 -
 *   hysteresis          42, 43              25, 26                -
 *   name                47                  31                    16
 */
import { err, ok, type Result } from "../../../core/result.ts";
import { type DecodeError, tooShort } from "../decode.ts";
import { decodeName } from "./type-length.ts";
import { decodeUnits, type SensorUnits } from "./unit.ts";

export interface SensorOwner {
  /** As in the record, and as in the generator of an event: b0 0 = IPMB address, 1 = software id. */
  readonly address: number;
  readonly channel: number;
  readonly lun: number;
}

export interface Entity {
  readonly id: number;
  /** 60h and up are relative to their controller. */
  readonly instance: number;
  /** A group of things, not a thing. */
  readonly isLogical: boolean;
}

export const THRESHOLDS = ["lnc", "lc", "lnr", "unc", "uc", "unr"] as const;
/** In the order of the masks and of Get Sensor Thresholds. */
export type ThresholdName = (typeof THRESHOLDS)[number];

export interface SensorCapabilities {
  readonly isIgnoredIfEntityAbsent: boolean;
  readonly doesRearmItself: boolean;
  readonly hysteresis: "none" | "readable" | "settable" | "fixed";
  readonly thresholds: "none" | "readable" | "settable" | "fixed";
  readonly events: "by-bit" | "whole" | "global" | "none";
}

export interface EventMasks {
  /** Bit n: this event can be asserted; of threshold sensors b14:12 are of the reading. */
  readonly assertion: number;
  readonly deassertion: number;
  /** Of discrete sensors the states it can be read in; of others readable (low byte) and settable (high byte) thresholds. */
  readonly reading: number;
}

interface SensorBase {
  readonly recordId: number;
  readonly owner: SensorOwner;
  readonly number: number;
  readonly entity: Entity;
  /** Number of the standard's table §42.2. */
  readonly sensorType: number;
  /** Event/reading type: 01h threshold, 02h-0Ch generic, 6Fh sensor-specific, 70h-7Fh OEM (§42.1). */
  readonly eventType: number;
  readonly name: string;
}

/** How many sensors a record stands for, and how their names and entities go on. */
export interface RecordSharing {
  readonly count: number;
  readonly instanceModifier: "numeric" | "alpha";
  readonly modifierOffset: number;
  readonly doesEntityCount: boolean;
}

export interface ReadingFactors {
  readonly m: number;
  readonly b: number;
  readonly bExponent: number;
  readonly rExponent: number;
  /** In half counts of the raw reading. */
  readonly tolerance: number;
  /** In 1/100 percent, with its exponent applied. */
  readonly accuracy: number;
}

export type AnalogFormat = "unsigned" | "ones-complement" | "twos-complement" | "none";

export interface FullSensorRecord extends SensorBase {
  readonly kind: "full";
  readonly capabilities: SensorCapabilities;
  readonly masks: EventMasks;
  readonly units: SensorUnits;
  readonly format: AnalogFormat;
  /** 0-11 formulas, 70h-7Fh not linear: factors are asked for with each reading. */
  readonly linearization: number;
  readonly factors: ReadingFactors;
  /** Raw; null: the record does not say. */
  readonly nominal: number | null;
  readonly normalMax: number | null;
  readonly normalMin: number | null;
  readonly sensorMax: number;
  readonly sensorMin: number;
  /** Raw defaults, whether it has them is in the masks. */
  readonly thresholds: Readonly<Record<ThresholdName, number>>;
  readonly hysteresis: { readonly positive: number; readonly negative: number };
}

export interface CompactSensorRecord extends SensorBase {
  readonly kind: "compact";
  readonly capabilities: SensorCapabilities;
  readonly masks: EventMasks;
  readonly units: SensorUnits;
  readonly hysteresis: { readonly positive: number; readonly negative: number };
  readonly sharing: RecordSharing;
}

export interface EventOnlySensorRecord extends SensorBase {
  readonly kind: "event-only";
  readonly sharing: RecordSharing;
}

export type SensorRecord = FullSensorRecord | CompactSensorRecord | EventOnlySensorRecord;

const FULL_BYTES_MIN = 48;
const COMPACT_BYTES_MIN = 32;
const EVENT_ONLY_BYTES_MIN = 17;

const HYSTERESIS_ACCESS = ["none", "readable", "settable", "fixed"] as const;
const EVENT_ACCESS = ["by-bit", "whole", "global", "none"] as const;
const FORMATS = ["unsigned", "ones-complement", "twos-complement", "none"] as const;

/** For offsets whose presence was checked. */
function u8(record: Uint8Array, offset: number): number {
  return record[offset] ?? 0;
}

function u16(record: Uint8Array, offset: number): number {
  return u8(record, offset) | (u8(record, offset + 1) << 8);
}

/** Two's complement of `bits` bits. */
export function signed(value: number, bits: number): number {
  const sign = 1 << (bits - 1);
  return (value & (sign - 1)) - (value & sign);
}

export function decodeEntity(id: number, instance: number): Entity {
  return { id, instance: instance & 0x7f, isLogical: (instance & 0x80) !== 0 };
}

function decodeBase(record: Uint8Array, typeOffset: number): Omit<SensorBase, "name"> {
  const lunByte = u8(record, 6);
  return {
    recordId: u16(record, 0),
    owner: { address: u8(record, 5), channel: lunByte >> 4, lun: lunByte & 0x03 },
    number: u8(record, 7),
    entity: decodeEntity(u8(record, 8), u8(record, 9)),
    sensorType: u8(record, typeOffset),
    eventType: u8(record, typeOffset + 1) & 0x7f,
  };
}

function decodeCapabilities(bits: number): SensorCapabilities {
  return {
    isIgnoredIfEntityAbsent: (bits & 0x80) !== 0,
    doesRearmItself: (bits & 0x40) !== 0,
    hysteresis: HYSTERESIS_ACCESS[(bits >> 4) & 0x03] ?? "none",
    thresholds: HYSTERESIS_ACCESS[(bits >> 2) & 0x03] ?? "none",
    events: EVENT_ACCESS[bits & 0x03] ?? "none",
  };
}

function decodeMasks(record: Uint8Array): EventMasks {
  return {
    assertion: u16(record, 14) & 0x7fff,
    deassertion: u16(record, 16) & 0x7fff,
    reading: u16(record, 18),
  };
}

function decodeSharing(record: Uint8Array, offset: number): RecordSharing {
  const first = u8(record, offset);
  const second = u8(record, offset + 1);
  return {
    count: Math.max(1, first & 0x0f),
    instanceModifier: (first & 0x30) === 0x10 ? "alpha" : "numeric",
    modifierOffset: second & 0x7f,
    doesEntityCount: (second & 0x80) !== 0,
  };
}

/**
 * The six bytes that both a full record (from byte 24) and Get Sensor Reading Factors (from byte 1) have:
 * M low, M high and tolerance, B low, B high and accuracy low, accuracy high and its exponent, exponents of R and B.
 */
export function decodeFactors(bytes: Uint8Array, offset: number): ReadingFactors {
  const mHigh = u8(bytes, offset + 1);
  const bHigh = u8(bytes, offset + 3);
  const accuracyHigh = u8(bytes, offset + 4);
  const exponents = u8(bytes, offset + 5);
  const accuracy = (bHigh & 0x3f) | ((accuracyHigh & 0xf0) << 2);
  return {
    m: signed(u8(bytes, offset) | ((mHigh & 0xc0) << 2), 10),
    tolerance: mHigh & 0x3f,
    b: signed(u8(bytes, offset + 2) | ((bHigh & 0xc0) << 2), 10),
    accuracy: accuracy * 10 ** ((accuracyHigh >> 2) & 0x03),
    rExponent: signed(exponents >> 4, 4),
    bExponent: signed(exponents & 0x0f, 4),
  };
}

export function decodeFullRecord(record: Uint8Array): Result<FullSensorRecord, DecodeError> {
  if (record.byteLength < FULL_BYTES_MIN) {
    return err(tooShort("full sensor record", FULL_BYTES_MIN, record.byteLength));
  }
  const valid = u8(record, 30);
  return ok({
    kind: "full",
    ...decodeBase(record, 12),
    capabilities: decodeCapabilities(u8(record, 11)),
    masks: decodeMasks(record),
    units: decodeUnits(u8(record, 20), u8(record, 21), u8(record, 22)),
    format: FORMATS[u8(record, 20) >> 6] ?? "none",
    linearization: u8(record, 23) & 0x7f,
    factors: decodeFactors(record, 24),
    nominal: (valid & 0x01) === 0 ? null : u8(record, 31),
    normalMax: (valid & 0x02) === 0 ? null : u8(record, 32),
    normalMin: (valid & 0x04) === 0 ? null : u8(record, 33),
    sensorMax: u8(record, 34),
    sensorMin: u8(record, 35),
    thresholds: {
      unr: u8(record, 36),
      uc: u8(record, 37),
      unc: u8(record, 38),
      lnr: u8(record, 39),
      lc: u8(record, 40),
      lnc: u8(record, 41),
    },
    hysteresis: { positive: u8(record, 42), negative: u8(record, 43) },
    name: decodeName(record, 47).trimEnd(),
  });
}

export function decodeCompactRecord(record: Uint8Array): Result<CompactSensorRecord, DecodeError> {
  if (record.byteLength < COMPACT_BYTES_MIN) {
    return err(tooShort("compact sensor record", COMPACT_BYTES_MIN, record.byteLength));
  }
  return ok({
    kind: "compact",
    ...decodeBase(record, 12),
    capabilities: decodeCapabilities(u8(record, 11)),
    masks: decodeMasks(record),
    units: decodeUnits(u8(record, 20), u8(record, 21), u8(record, 22)),
    sharing: decodeSharing(record, 23),
    hysteresis: { positive: u8(record, 25), negative: u8(record, 26) },
    name: decodeName(record, 31),
  });
}

export function decodeEventOnlyRecord(
  record: Uint8Array,
): Result<EventOnlySensorRecord, DecodeError> {
  if (record.byteLength < EVENT_ONLY_BYTES_MIN) {
    return err(tooShort("event-only sensor record", EVENT_ONLY_BYTES_MIN, record.byteLength));
  }
  return ok({
    kind: "event-only",
    ...decodeBase(record, 10),
    sharing: decodeSharing(record, 12),
    name: decodeName(record, 16),
  });
}

/** 0 → A, 25 → Z, 26 → AA (§43.2). */
function alphaOf(value: number): string {
  const letter = String.fromCharCode(0x41 + (value % 26));
  return value < 26 ? letter : `${alphaOf(Math.floor(value / 26) - 1)}${letter}`;
}

/** `PSU` and `PSU ` are both followed by ` 1`, as by FreeIPMI; a name that ends in a sign, such as `DIMM_`, by the number alone. */
function sharedName(name: string, sharing: RecordSharing, index: number): string {
  const value = sharing.modifierOffset + index;
  const gap = /[\p{L}\p{N}]$/u.test(name) ? " " : "";
  return `${name}${gap}${sharing.instanceModifier === "alpha" ? alphaOf(value) : value}`;
}

/** One record for each sensor, numbered and named as the standard says; trailing spaces of names are gone. At most 15. */
export function expandSensors(record: SensorRecord): readonly SensorRecord[] {
  if (record.kind === "full") return [record];
  const { sharing, entity } = record;
  if (sharing.count === 1) return [{ ...record, name: record.name.trimEnd() }];
  return Array.from({ length: sharing.count }, (_, index) => ({
    ...record,
    number: (record.number + index) & 0xff,
    entity: sharing.doesEntityCount
      ? { ...entity, instance: (entity.instance + index) & 0x7f }
      : entity,
    name: sharedName(record.name, sharing, index),
    sharing: { ...sharing, count: 1 },
  }));
}

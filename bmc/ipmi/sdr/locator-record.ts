/**
 * Records that say where devices are (IPMI 2.0 §43.7-43.11): FRU devices, controllers, other devices, channels.
 *
 *   byte, from 0   11h FRU                        12h controller          10h other device
 *        5         access address                 slave address           access address
 *        6         FRU id or slave address        b3:0 channel            slave address
 *        7         b7 logical, b4:3 LUN, b2:0 bus  flags                  b7:5 channel, b4:3 LUN, b2:0 bus
 *        8         b7:4 channel                   functions, as Get Device ID   address span
 *       10, 11     device type, modifier          -                       device type, modifier
 *       12, 13     entity                         entity                  entity
 *       15         name                           name                    name
 */
import { err, ok, type Result } from "../../../core/result.ts";
import { type DeviceFeature, featuresOf } from "../app/get-device-id.ts";
import { ByteReader, type DecodeError, tooShort } from "../decode.ts";
import { decodeEntity, type Entity } from "./sensor-record.ts";
import { decodeName } from "./type-length.ts";

export interface FruLocator {
  readonly kind: "fru-locator";
  readonly recordId: number;
  readonly accessAddress: number;
  /** Of a logical device the id to give to the FRU commands, of others the address on the private bus. */
  readonly fruId: number;
  /** Read by the FRU commands; otherwise it is an EEPROM on a bus of its controller. */
  readonly isLogical: boolean;
  readonly lun: number;
  readonly busId: number;
  readonly channel: number;
  readonly deviceType: number;
  readonly typeModifier: number;
  readonly entity: Entity;
  readonly name: string;
}

export interface ControllerLocator {
  readonly kind: "controller-locator";
  readonly recordId: number;
  readonly address: number;
  readonly channel: number;
  readonly flags: number;
  readonly supports: readonly DeviceFeature[];
  readonly entity: Entity;
  readonly name: string;
}

export interface DeviceLocator {
  readonly kind: "device-locator";
  readonly recordId: number;
  readonly accessAddress: number;
  readonly address: number;
  readonly channel: number;
  readonly lun: number;
  readonly busId: number;
  readonly addressSpan: number;
  readonly deviceType: number;
  readonly typeModifier: number;
  readonly entity: Entity;
  readonly name: string;
}

/** Written by an agent that saw this controller (§43.10). */
export interface ControllerConfirmation {
  readonly kind: "controller-confirmation";
  readonly recordId: number;
  readonly address: number;
  readonly deviceId: number;
  readonly channel: number;
  readonly firmware: string;
  readonly manufacturerId: number;
  readonly productId: number;
  /** 16 bytes as stored. */
  readonly guid: Uint8Array;
}

const LOCATOR_BYTES_MIN = 16;
const CONFIRMATION_BYTES_MIN = 32;

function u8(record: Uint8Array, offset: number): number {
  return record[offset] ?? 0;
}

function recordIdOf(record: Uint8Array): number {
  return u8(record, 0) | (u8(record, 1) << 8);
}

function shortOf(what: string, record: Uint8Array, bytesMin: number): DecodeError | null {
  return record.byteLength < bytesMin ? tooShort(what, bytesMin, record.byteLength) : null;
}

export function decodeFruLocator(record: Uint8Array): Result<FruLocator, DecodeError> {
  const short = shortOf("FRU locator record", record, LOCATOR_BYTES_MIN);
  if (short !== null) return err(short);
  const bus = u8(record, 7);
  return ok({
    kind: "fru-locator",
    recordId: recordIdOf(record),
    accessAddress: u8(record, 5) & 0xfe,
    fruId: u8(record, 6),
    isLogical: (bus & 0x80) !== 0,
    lun: (bus >> 3) & 0x03,
    busId: bus & 0x07,
    channel: u8(record, 8) >> 4,
    deviceType: u8(record, 10),
    typeModifier: u8(record, 11),
    entity: decodeEntity(u8(record, 12), u8(record, 13)),
    name: decodeName(record, 15).trimEnd(),
  });
}

export function decodeControllerLocator(
  record: Uint8Array,
): Result<ControllerLocator, DecodeError> {
  const short = shortOf("controller locator record", record, LOCATOR_BYTES_MIN);
  if (short !== null) return err(short);
  return ok({
    kind: "controller-locator",
    recordId: recordIdOf(record),
    address: u8(record, 5) & 0xfe,
    channel: u8(record, 6) & 0x0f,
    flags: u8(record, 7),
    supports: featuresOf(u8(record, 8)),
    entity: decodeEntity(u8(record, 12), u8(record, 13)),
    name: decodeName(record, 15).trimEnd(),
  });
}

export function decodeDeviceLocator(record: Uint8Array): Result<DeviceLocator, DecodeError> {
  const short = shortOf("device locator record", record, LOCATOR_BYTES_MIN);
  if (short !== null) return err(short);
  const address = u8(record, 6);
  const bus = u8(record, 7);
  return ok({
    kind: "device-locator",
    recordId: recordIdOf(record),
    accessAddress: u8(record, 5) & 0xfe,
    address: address & 0xfe,
    channel: ((address & 0x01) << 3) | (bus >> 5),
    lun: (bus >> 3) & 0x03,
    busId: bus & 0x07,
    addressSpan: u8(record, 8) & 0x07,
    deviceType: u8(record, 10),
    typeModifier: u8(record, 11),
    entity: decodeEntity(u8(record, 12), u8(record, 13)),
    name: decodeName(record, 15).trimEnd(),
  });
}

export function decodeControllerConfirmation(
  record: Uint8Array,
): Result<ControllerConfirmation, DecodeError> {
  const short = shortOf("controller confirmation record", record, CONFIRMATION_BYTES_MIN);
  if (short !== null) return err(short);
  const reader = new ByteReader(record, 5);
  const address = reader.u8() & 0xfe;
  const deviceId = reader.u8();
  const channel = reader.u8() >> 4;
  const major = reader.u8() & 0x7f;
  const minor = reader.u8();
  reader.u8();
  return ok({
    kind: "controller-confirmation",
    recordId: recordIdOf(record),
    address,
    deviceId,
    channel,
    firmware: `${major}.${minor.toString(16).padStart(2, "0")}`,
    manufacturerId: reader.u24le() & 0x0f_ffff,
    productId: reader.u16le(),
    guid: reader.bytes(16).slice(),
  });
}

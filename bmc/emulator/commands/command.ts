/**
 * What a command of the emulated BMC is: a row with its privilege, the lengths it takes, and a function from bytes to a reply.
 *
 * The tables beside this file have one row per command of the standard. Lengths are checked before a row's function runs, so it
 * may read what `bytes` promises. Decides nothing itself.
 */
import type { IpmiReply } from "../../ipmi/ipmi.ts";
import type { BmcState } from "../bmc-state.ts";

/** Privilege: 0 before a session too, 1 callback, 2 user, 3 operator, 4 administrator, 5 only the system's own interface. */
export type Level = 0 | 1 | 2 | 3 | 4 | 5;

/** Of which wire the asker sits at the end (§6.3): 1 LAN, 2 serial, Fh system interface. */
export interface Asker {
  readonly channel: number;
  readonly level: Level;
}

export interface CommandRow {
  readonly name: string;
  readonly level: Level;
  readonly bytesMin: number;
  readonly bytesMax: number;
  readonly answer: (bmc: BmcState, data: Uint8Array, nowMs: number, asker: Asker) => IpmiReply;
}

/** By `commandKey`. */
export type CommandTable = ReadonlyMap<number, CommandRow>;

export function commandKey(netFn: number, command: number): number {
  return (netFn << 8) | command;
}

export const CODE = {
  done: 0x00,
  busy: 0xc0,
  unknown: 0xc1,
  noSpace: 0xc4,
  reservation: 0xc5,
  wrongLength: 0xc7,
  outOfRange: 0xc9,
  tooMuch: 0xca,
  absent: 0xcb,
  invalidField: 0xcc,
  wrongType: 0xcd,
  sdrUpdating: 0xd0,
  firmwareUpdating: 0xd1,
  initialising: 0xd2,
  privilege: 0xd4,
  state: 0xd5,
  unspecified: 0xff,
} as const;

const NO_BYTES = new Uint8Array(0);

export function done(bytes: readonly number[] = []): IpmiReply {
  return {
    completionCode: CODE.done,
    data: bytes.length === 0 ? NO_BYTES : Uint8Array.from(bytes),
  };
}

export function doneBytes(data: Uint8Array): IpmiReply {
  return { completionCode: CODE.done, data };
}

export function fail(completionCode: number): IpmiReply {
  return { completionCode, data: NO_BYTES };
}

export function u16(value: number): readonly [number, number] {
  return [value & 0xff, (value >> 8) & 0xff];
}

export function u32(value: number): readonly [number, number, number, number] {
  return [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24];
}

export function readU16(data: Uint8Array, offset: number): number {
  return (data[offset] ?? 0) | ((data[offset + 1] ?? 0) << 8);
}

export function readU32(data: Uint8Array, offset: number): number {
  return (readU16(data, offset) | (readU16(data, offset + 2) << 16)) >>> 0;
}

/** A refusal of long reads by a fault that is on; null: this length is fine. */
export function tooLongRead(bmc: BmcState, bytes: number): IpmiReply | null {
  if (bytes > (bmc.faults.valueOf("long-read-ca") ?? 0xff)) return fail(CODE.tooMuch);
  if (bytes > (bmc.faults.valueOf("long-read-ff") ?? 0xff)) return fail(CODE.unspecified);
  return null;
}

/** `[command, name, level, bytes, answer]`; `bytes` one number or least and most. */
export type RowOf = readonly [
  command: number,
  name: string,
  level: Level,
  bytes: number | readonly [number, number],
  answer: CommandRow["answer"],
];

export function table(
  netFn: number,
  rows: readonly RowOf[],
): readonly (readonly [number, CommandRow])[] {
  return rows.map(([command, name, level, bytes, answer]) => {
    const [bytesMin, bytesMax] = typeof bytes === "number" ? [bytes, bytes] : bytes;
    return [commandKey(netFn, command), { name, level, bytesMin, bytesMax, answer }];
  });
}

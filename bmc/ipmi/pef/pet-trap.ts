/**
 * A platform event trap as a datagram: read out of its SNMP envelope, and written with one (SNMPv1, as every BMC sends it).
 *
 * Decides only what joins `snmp-trap.ts` and `pet.ts`: the enterprise, the generic number and the first octet string.
 */
import { err, ok, type Result } from "../../../core/result.ts";
import { badValue, type DecodeError } from "../decode.ts";
import { decodePet, encodePet, PET_ENTERPRISE, type Pet, specificTrapOf } from "./pet.ts";
import { decodeSnmpTrap } from "./snmp-trap.ts";

const TAG = {
  integer: 0x02,
  octets: 0x04,
  oid: 0x06,
  sequence: 0x30,
  address: 0x40,
  ticks: 0x43,
  trap: 0xa4,
} as const;
const ENTERPRISE_SPECIFIC = 6;

export interface PetTrap {
  readonly community: string;
  readonly pet: Pet;
}

/** Of a datagram at a trap receiver: the platform event trap in it, or what it is instead. */
export function decodePetTrap(datagram: Uint8Array): Result<PetTrap, DecodeError> {
  const trap = decodeSnmpTrap(datagram);
  if (!trap.ok) return trap;
  const { enterprise, genericTrap, specificTrap, variables, community } = trap.value;
  if (enterprise !== PET_ENTERPRISE.join(".") || genericTrap !== ENTERPRISE_SPECIFIC) {
    return err(badValue("enterprise of a platform event trap", genericTrap >>> 0));
  }
  const variable = variables.find(({ tag }) => tag === TAG.octets);
  const pet = decodePet(specificTrap, variable?.value ?? new Uint8Array(0));
  return pet.ok ? ok({ community, pet: pet.value }) : pet;
}

function element(tag: number, body: readonly number[]): readonly number[] {
  const { length } = body;
  if (length < 0x80) return [tag, length, ...body];
  if (length < 0x100) return [tag, 0x81, length, ...body];
  return [tag, 0x82, length >>> 8, length & 0xff, ...body];
}

/** Of a number from 0 to 2^32 - 1, as short as two's complement allows. */
function integerElement(tag: number, value: number): readonly number[] {
  const bytes = [value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff];
  while (bytes.length > 1 && bytes[0] === 0 && (bytes[1] ?? 0) < 0x80) bytes.shift();
  if ((bytes[0] ?? 0) >= 0x80) bytes.unshift(0);
  return element(tag, bytes);
}

function oidElement(parts: readonly number[]): readonly number[] {
  const [first = 0, second = 0, ...rest] = parts;
  const body = [first * 40 + second];
  for (const part of rest) {
    const digits = [part & 0x7f];
    for (let left = part >>> 7; left > 0; left >>>= 7) digits.unshift(0x80 | (left & 0x7f));
    body.push(...digits);
  }
  return element(TAG.oid, body);
}

/** A version 1 datagram, as a BMC sends it. */
export function encodePetTrap(trap: PetTrap, ticks = 0): Uint8Array {
  const binding = element(TAG.sequence, [
    ...oidElement([...PET_ENTERPRISE, 1]),
    ...element(TAG.octets, [...encodePet(trap.pet)]),
  ]);
  const pdu = element(TAG.trap, [
    ...oidElement(PET_ENTERPRISE),
    ...element(TAG.address, [0, 0, 0, 0]),
    ...integerElement(TAG.integer, ENTERPRISE_SPECIFIC),
    ...integerElement(TAG.integer, specificTrapOf(trap.pet)),
    ...integerElement(TAG.ticks, ticks),
    ...element(TAG.sequence, binding),
  ]);
  const community = [...trap.community].map((letter) => letter.charCodeAt(0) & 0xff);
  return Uint8Array.from(
    element(TAG.sequence, [
      ...integerElement(TAG.integer, 0),
      ...element(TAG.octets, community),
      ...pdu,
    ]),
  );
}

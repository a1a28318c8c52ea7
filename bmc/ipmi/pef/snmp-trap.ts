/**
 * SNMP trap datagrams (RFC 1157 §4.1.6, version 1; RFC 3416 §4.2.6, version 2c), as far as a platform event trap needs them.
 *
 * Reads the community, what the trap is, and every octet string that it carries; all else is skipped by its length. BER
 * with definite lengths only, as SNMP demands. Bounds: a datagram is at most 64 KiB, each byte is looked at once or twice,
 * and nesting is three deep by construction.
 *
 *   v1    30 { 02 version, 04 community, A4 { 06 enterprise, 40 address, 02 generic, 02 specific, 43 ticks, 30 { bindings }}}
 *   v2c   30 { 02 version, 04 community, A7 { 02 id, 02 error, 02 index, 30 { bindings }}}
 *         whose second binding is snmpTrapOID: enterprise.0.specific
 */
import { err, ok, type Result } from "../../../core/result.ts";
import { badValue, type DecodeError, tooShort } from "../decode.ts";
import { decodePet, encodePet, PET_ENTERPRISE, type Pet, specificTrapOf } from "./pet.ts";

const TAG = {
  integer: 0x02,
  octets: 0x04,
  oid: 0x06,
  sequence: 0x30,
  address: 0x40,
  ticks: 0x43,
  trap1: 0xa4,
  trap2: 0xa7,
} as const;
const ENTERPRISE_SPECIFIC = 6;
/** snmpTrapOID.0 */
const TRAP_OID = "1.3.6.1.6.3.1.1.4.1.0";

export interface SnmpTrap {
  readonly version: 1 | 2;
  readonly community: string;
  /** In dots; of version 2 the trap's own object id without its last two parts. */
  readonly enterprise: string;
  /** 6: enterprise specific. */
  readonly generic: number;
  readonly specific: number;
  /** The address that a version 1 sender calls its own. */
  readonly agentAddress: string | null;
  /** Octet strings of the bindings, in their order. Views. */
  readonly strings: readonly Uint8Array[];
}

interface Item {
  readonly tag: number;
  readonly body: Uint8Array;
}

/** One element after the other of a constructed body. */
class Ber {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#bytes.length;
  }

  /** null: what follows is no whole element. */
  next(): Item | null {
    const tag = this.#bytes[this.#at];
    const first = this.#bytes[this.#at + 1];
    if (tag === undefined || first === undefined) return null;
    let bodyAt = this.#at + 2;
    let length = first;
    if (first >= 0x80) {
      const count = first & 0x7f;
      if (count === 0 || count > 3 || bodyAt + count > this.#bytes.length) return null;
      length = 0;
      for (let index = 0; index < count; index++) {
        length = length * 256 + (this.#bytes[bodyAt + index] as number);
      }
      bodyAt += count;
    }
    if (bodyAt + length > this.#bytes.length) return null;
    this.#at = bodyAt + length;
    return { tag, body: this.#bytes.subarray(bodyAt, this.#at) };
  }

  /** The next element if it has this tag. */
  take(tag: number): Uint8Array | null {
    const item = this.next();
    return item !== null && item.tag === tag ? item.body : null;
  }
}

/** Up to 6 bytes, which no number here exceeds; null: longer or empty. */
function integerOf(body: Uint8Array | null): number | null {
  if (body === null || body.length === 0 || body.length > 6) return null;
  let value = (body[0] as number) >= 0x80 ? -1 : 0;
  for (const byte of body) value = value * 256 + byte;
  return value;
}

function oidOf(body: Uint8Array | null): string | null {
  if (body === null || body.length === 0) return null;
  const parts: number[] = [];
  let part = 0;
  for (const byte of body) {
    part = part * 128 + (byte & 0x7f);
    if (part > Number.MAX_SAFE_INTEGER / 256) return null;
    if (byte >= 0x80) continue;
    if (parts.length === 0) {
      const first = Math.min(2, Math.floor(part / 40));
      parts.push(first, part - first * 40);
    } else parts.push(part);
    part = 0;
  }
  return parts.join(".");
}

interface Binding {
  readonly oid: string;
  readonly value: Item;
}

function bindingsOf(body: Uint8Array | null): readonly Binding[] | null {
  if (body === null) return null;
  const list = new Ber(body);
  const bindings: Binding[] = [];
  while (!list.isAtEnd) {
    const pair = list.take(TAG.sequence);
    if (pair === null) return null;
    const inside = new Ber(pair);
    const oid = oidOf(inside.take(TAG.oid));
    const value = inside.next();
    if (oid === null || value === null) return null;
    bindings.push({ oid, value });
  }
  return bindings;
}

export function decodeSnmpTrap(datagram: Uint8Array): Result<SnmpTrap, DecodeError> {
  const outer = new Ber(datagram).take(TAG.sequence);
  if (outer === null) return err(tooShort("SNMP message", datagram.length + 1, datagram.length));
  const message = new Ber(outer);
  const version = integerOf(message.take(TAG.integer));
  const community = message.take(TAG.octets);
  const pdu = message.next();
  if (version === null || community === null || pdu === null) {
    return err(badValue("SNMP message", outer[0] ?? 0));
  }
  const name = Array.from(community, (byte) => String.fromCharCode(byte)).join("");
  const trap =
    version === 0 && pdu.tag === TAG.trap1
      ? trap1Of(pdu.body, name)
      : version === 1 && pdu.tag === TAG.trap2
        ? trap2Of(pdu.body, name)
        : null;
  return trap === null ? err(badValue("SNMP trap", pdu.tag)) : ok(trap);
}

function stringsOf(bindings: readonly Binding[]): readonly Uint8Array[] {
  return bindings.flatMap(({ value }) => (value.tag === TAG.octets ? [value.body] : []));
}

function trap1Of(body: Uint8Array, community: string): SnmpTrap | null {
  const pdu = new Ber(body);
  const enterprise = oidOf(pdu.take(TAG.oid));
  const address = pdu.take(TAG.address);
  const generic = integerOf(pdu.take(TAG.integer));
  const specific = integerOf(pdu.take(TAG.integer));
  const ticks = pdu.take(TAG.ticks);
  const bindings = bindingsOf(pdu.take(TAG.sequence));
  if (enterprise === null || generic === null || specific === null) return null;
  if (bindings === null || ticks === null) return null;
  const agentAddress = address?.length === 4 ? address.join(".") : null;
  const strings = stringsOf(bindings);
  return { version: 1, community, enterprise, generic, specific, agentAddress, strings };
}

function trap2Of(body: Uint8Array, community: string): SnmpTrap | null {
  const pdu = new Ber(body);
  for (let index = 0; index < 3; index++)
    if (integerOf(pdu.take(TAG.integer)) === null) return null;
  const bindings = bindingsOf(pdu.take(TAG.sequence));
  const named = bindings?.find(({ oid }) => oid === TRAP_OID)?.value;
  if (bindings === null || named?.tag !== TAG.oid) return null;
  const parts = (oidOf(named.body) ?? "").split(".");
  const specific = Number(parts.pop());
  // RFC 2576 §3.1: an enterprise's trap is enterprise.0.specific.
  if (parts.at(-1) === "0") parts.pop();
  return {
    version: 2,
    community,
    enterprise: parts.join("."),
    generic: ENTERPRISE_SPECIFIC,
    specific,
    agentAddress: null,
    strings: stringsOf(bindings),
  };
}

export interface PetTrap {
  readonly community: string;
  readonly pet: Pet;
}

/** Of a datagram at a trap receiver: the platform event trap in it, or what it is instead. */
export function decodePetTrap(datagram: Uint8Array): Result<PetTrap, DecodeError> {
  const trap = decodeSnmpTrap(datagram);
  if (!trap.ok) return trap;
  const { enterprise, generic, specific, strings, community } = trap.value;
  if (enterprise !== PET_ENTERPRISE.join(".") || generic !== ENTERPRISE_SPECIFIC) {
    return err(badValue("enterprise of a platform event trap", generic >>> 0));
  }
  const pet = decodePet(specific, strings[0] ?? new Uint8Array(0));
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
  const pdu = element(TAG.trap1, [
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

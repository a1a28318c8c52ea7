/**
 * The envelope of a Platform Event Trap: an SNMPv1 trap (RFC 1157 §4.1.6) in BER, read by a total reader.
 *
 * Reads what a trap may hold and nothing else: definite lengths of at most four bytes, one-byte tags, no constructed
 * strings, which is all that RFC 1157 §3.2.2 allows. Whatever the bytes, it ends in a trap or a typed error, in linear
 * time. A library of ASN.1 would be more code than this page, and those that there are throw on bad input.
 *
 *   SEQUENCE { version INTEGER 0, community OCTET STRING,
 *     [4] { enterprise OID, agent-addr [APPLICATION 0] 4 bytes, generic-trap INTEGER, specific-trap INTEGER,
 *           time-stamp [APPLICATION 3], SEQUENCE OF SEQUENCE { name OID, value } } }
 */
import { err, ok, type Result } from "../../../core/result.ts";
import { badValue, type DecodeError, tooShort } from "../decode.ts";

export interface SnmpVariable {
  /** Dotted. */
  readonly name: string;
  /** Tag of the value, such as 04h for an octet string. */
  readonly tag: number;
  /** A view. */
  readonly value: Uint8Array;
}

export interface SnmpTrap {
  /** A plain word, no secret: every byte is taken for a Latin-1 character. */
  readonly community: string;
  /** Dotted, such as `1.3.6.1.4.1.3183.1.1`. */
  readonly enterprise: string;
  /** Dotted quad; 0.0.0.0 of an agent that does not know it. */
  readonly agentAddress: string;
  /** 6: enterprise specific. */
  readonly genericTrap: number;
  /** Without sign: sensor types of OEMs set the highest bits. */
  readonly specificTrap: number;
  /** Hundredths of a second since the sender started. */
  readonly ticks: number;
  readonly variables: readonly SnmpVariable[];
}

export const SNMP_TAG = {
  integer: 0x02,
  octetString: 0x04,
  oid: 0x06,
  sequence: 0x30,
  ipAddress: 0x40,
  timeTicks: 0x43,
  trapV1: 0xa4,
} as const;

/** What a trap may hold: more is noise. */
const VARIABLES_MAX = 128;

class BerReader {
  readonly #bytes: Uint8Array;
  readonly #what: string;
  #offset = 0;

  constructor(bytes: Uint8Array, what: string) {
    this.#bytes = bytes;
    this.#what = what;
  }

  get isAtEnd(): boolean {
    return this.#offset >= this.#bytes.length;
  }

  /** One element of whatever kind. */
  next(): Result<{ readonly tag: number; readonly value: Uint8Array }, DecodeError> {
    const bytes = this.#bytes;
    const start = this.#offset;
    if (start + 2 > bytes.length) return err(tooShort(this.#what, start + 2, bytes.length));
    const tag = bytes[start] as number;
    if ((tag & 0x1f) === 0x1f) return err(badValue(`${this.#what}: tag`, tag));
    const first = bytes[start + 1] as number;
    const lengthBytes = first < 0x80 ? 0 : first & 0x7f;
    // 80h would be an indefinite length.
    if (first === 0x80 || lengthBytes > 4) return err(badValue(`${this.#what}: length`, first));
    const from = start + 2 + lengthBytes;
    if (from > bytes.length) return err(tooShort(this.#what, from, bytes.length));
    let length = lengthBytes === 0 ? first : 0;
    for (let index = start + 2; index < from; index++) {
      length = length * 256 + (bytes[index] as number);
    }
    if (from + length > bytes.length) {
      return err(tooShort(this.#what, from + length, bytes.length));
    }
    this.#offset = from + length;
    return ok({ tag, value: bytes.subarray(from, from + length) });
  }

  element(tag: number): Result<Uint8Array, DecodeError> {
    const element = this.next();
    if (!element.ok) return element;
    if (element.value.tag !== tag) return err(badValue(`${this.#what}: tag`, element.value.tag));
    return ok(element.value.value);
  }

  /** At most 32 bits, as they stand. Some senders give five bytes, the first of them 0, others four with the sign set. */
  number(tag: number): Result<number, DecodeError> {
    const body = this.element(tag);
    if (!body.ok) return body;
    const { length } = body.value;
    if (length === 0) return err(tooShort(`${this.#what}: number`, 1, 0));
    if (length > 5 || (length === 5 && body.value[0] !== 0)) {
      return err(badValue(`${this.#what}: bytes of a number`, length));
    }
    let value = 0;
    for (const byte of body.value) value = value * 256 + byte;
    return ok(value);
  }
}

/** Dotted; null when an arc does not end or is larger than 32 bits. */
export function decodeOid(bytes: Uint8Array): string | null {
  const arcs: number[] = [];
  let arc = 0;
  for (const byte of bytes) {
    arc = arc * 128 + (byte & 0x7f);
    if (arc > 0xffff_ffff) return null;
    if ((byte & 0x80) !== 0) continue;
    if (arcs.length === 0) {
      const first = Math.min(2, Math.floor(arc / 40));
      arcs.push(first, arc - first * 40);
    } else arcs.push(arc);
    arc = 0;
  }
  const endsWithin = bytes.length === 0 || ((bytes[bytes.length - 1] as number) & 0x80) !== 0;
  return endsWithin ? null : arcs.join(".");
}

function oid(reader: BerReader): Result<string, DecodeError> {
  const body = reader.element(SNMP_TAG.oid);
  if (!body.ok) return body;
  const text = decodeOid(body.value);
  return text === null
    ? err(badValue("SNMP trap: object identifier", body.value.length))
    : ok(text);
}

function variables(bytes: Uint8Array): Result<readonly SnmpVariable[], DecodeError> {
  const reader = new BerReader(bytes, "SNMP variables");
  const found: SnmpVariable[] = [];
  while (!reader.isAtEnd) {
    if (found.length === VARIABLES_MAX)
      return err(badValue("SNMP variables: count", VARIABLES_MAX + 1));
    const pair = reader.element(SNMP_TAG.sequence);
    if (!pair.ok) return pair;
    const inner = new BerReader(pair.value, "SNMP variable");
    const name = oid(inner);
    if (!name.ok) return name;
    const value = inner.next();
    if (!value.ok) return value;
    found.push({ name: name.value, tag: value.value.tag, value: value.value.value });
  }
  return ok(found);
}

/** What follows the community: O(bytes). */
function body(bytes: Uint8Array, community: string): Result<SnmpTrap, DecodeError> {
  const reader = new BerReader(bytes, "SNMP trap");
  const enterprise = oid(reader);
  if (!enterprise.ok) return enterprise;
  const address = reader.element(SNMP_TAG.ipAddress);
  if (!address.ok) return address;
  if (address.value.length !== 4) {
    return err(badValue("SNMP trap: bytes of the agent's address", address.value.length));
  }
  const generic = reader.number(SNMP_TAG.integer);
  if (!generic.ok) return generic;
  const specific = reader.number(SNMP_TAG.integer);
  if (!specific.ok) return specific;
  const ticks = reader.number(SNMP_TAG.timeTicks);
  if (!ticks.ok) return ticks;
  const list = reader.element(SNMP_TAG.sequence);
  if (!list.ok) return list;
  const found = variables(list.value);
  if (!found.ok) return found;
  return ok({
    community,
    enterprise: enterprise.value,
    agentAddress: address.value.join("."),
    genericTrap: generic.value,
    specificTrap: specific.value,
    ticks: ticks.value,
    variables: found.value,
  });
}

/** Of one datagram. What follows the message is ignored, as RFC 1157 leaves it open. */
export function decodeSnmpTrap(datagram: Uint8Array): Result<SnmpTrap, DecodeError> {
  const message = new BerReader(datagram, "SNMP message").element(SNMP_TAG.sequence);
  if (!message.ok) return message;
  const reader = new BerReader(message.value, "SNMP message");
  const version = reader.number(SNMP_TAG.integer);
  if (!version.ok) return version;
  if (version.value !== 0) return err(badValue("SNMP message: version", version.value));
  const community = reader.element(SNMP_TAG.octetString);
  if (!community.ok) return community;
  const trap = reader.element(SNMP_TAG.trapV1);
  if (!trap.ok) return trap;
  return body(trap.value, String.fromCharCode(...community.value.subarray(0, 255)));
}

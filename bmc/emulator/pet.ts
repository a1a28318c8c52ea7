/**
 * A Platform Event Trap as the bytes of a datagram: SNMPv1 in BER, made without a look at the decoder in `bmc/ipmi/pef/`.
 *
 * Layout of the variable (IPMI PET 1.0 §2, big-endian), after 16 bytes of GUID: sequence 2, seconds since 1998 4, UTC offset 2,
 * trap source 20h, event source 20h, severity, sensor device, sensor number, entity, instance, event data 8, language,
 * manufacturer 4, system id 2, OEM fields until C1h.
 */
const ENTERPRISE = [1, 3, 6, 1, 4, 1, 3183, 1, 1];
/** Seconds from 1970 to 1998, where the trap's clock begins. */
const EPOCH_1998 = 883_612_800;
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
const BMC = 0x20;
const LANGUAGE_ENGLISH = 0x19;
const END_OF_FIELDS = 0xc1;

export interface PetContent {
  readonly community: string;
  /** 16 bytes as sent in Get System GUID. */
  readonly guid: Uint8Array;
  readonly sequence: number;
  /** Unix; 0 where the clock is not known. */
  readonly seconds: number;
  readonly utcOffsetMinutes: number;
  readonly severity: number;
  readonly entityId: number;
  readonly entityInstance: number;
  readonly manufacturerId: number;
  readonly systemId: number;
  readonly upTimeMs: number;
  /** The SEL record. */
  readonly record: Uint8Array;
}

function ber(tag: number, body: readonly number[]): readonly number[] {
  const { length } = body;
  if (length < 0x80) return [tag, length, ...body];
  return length < 0x100
    ? [tag, 0x81, length, ...body]
    : [tag, 0x82, length >> 8, length & 0xff, ...body];
}

/** Two's complement, as short as it can be. */
function integer(tag: number, value: number): readonly number[] {
  const bytes: number[] = [];
  let rest = value;
  do {
    bytes.unshift(rest & 0xff);
    rest = Math.floor(rest / 256);
  } while (rest > 0);
  if (((bytes[0] ?? 0) & 0x80) !== 0) bytes.unshift(0);
  return ber(tag, bytes);
}

function objectId(parts: readonly number[]): readonly number[] {
  const [first = 0, second = 0, ...rest] = parts;
  const body = [first * 40 + second];
  for (const part of rest) {
    const digits = [part & 0x7f];
    for (let left = part >> 7; left > 0; left >>= 7) digits.unshift(0x80 | (left & 0x7f));
    body.push(...digits);
  }
  return ber(TAG.oid, body);
}

function u32be(value: number): readonly number[] {
  return [value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff];
}

function variable(pet: PetContent): readonly number[] {
  const { record, sequence, utcOffsetMinutes: offset } = pet;
  const sent = pet.seconds <= EPOCH_1998 ? 0 : pet.seconds - EPOCH_1998;
  return [
    ...pet.guid,
    (sequence >> 8) & 0xff,
    sequence & 0xff,
    ...u32be(sent),
    (offset >> 8) & 0xff,
    offset & 0xff,
    BMC,
    BMC,
    pet.severity,
    record[7] ?? BMC,
    record[11] ?? 0,
    pet.entityId,
    pet.entityInstance,
    ...record.subarray(13, 16),
    0xff,
    0xff,
    0xff,
    0xff,
    0xff,
    LANGUAGE_ENGLISH,
    ...u32be(pet.manufacturerId),
    (pet.systemId >> 8) & 0xff,
    pet.systemId & 0xff,
    END_OF_FIELDS,
  ];
}

/** Sensor type, event type, direction and offset in one number (PET 1.0 §1). */
export function specificTrap(record: Uint8Array): number {
  const direction = record[12] ?? 0;
  const offset = (record[13] ?? 0) & 0x0f;
  return ((record[10] ?? 0) << 16) | ((direction & 0x7f) << 8) | (direction & 0x80) | offset;
}

export function buildPet(pet: PetContent): Uint8Array {
  const bound = ber(TAG.sequence, [
    ...objectId([...ENTERPRISE, 1]),
    ...ber(TAG.octets, variable(pet)),
  ]);
  const trap = ber(TAG.trap, [
    ...objectId(ENTERPRISE),
    ...ber(TAG.address, [127, 0, 0, 1]),
    ...integer(TAG.integer, ENTERPRISE_SPECIFIC),
    ...integer(TAG.integer, specificTrap(pet.record)),
    ...integer(TAG.ticks, Math.floor(pet.upTimeMs / 10) % 2 ** 32),
    ...ber(TAG.sequence, bound),
  ]);
  const community = [...pet.community].map((one) => one.charCodeAt(0) & 0xff);
  return Uint8Array.from(
    ber(TAG.sequence, [...integer(TAG.integer, 0), ...ber(TAG.octets, community), ...trap]),
  );
}

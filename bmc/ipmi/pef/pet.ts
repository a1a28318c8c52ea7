/**
 * A Platform Event Trap (IPMI PET 1.0, IPMI 2.0 §17.15): what a BMC sends over SNMP, both ways, and the log record it stands for.
 *
 * Decides the meaning of the trap's number and of its one variable; the SNMP around them is `snmp-trap.ts`. All fields are
 * big-endian. The sequence number stays the same when a trap is sent again, so (GUID, sequence, timestamp) tells repetitions
 * from new events. `PetAcknowledge` ends them.
 *
 *   specific trap     23:16 sensor type, 15:8 event type, 7 deassertion, 3:0 offset
 *
 *   offset  bytes  field                     offset  bytes  field
 *        0     16  GUID                          28      1  sensor number, 00h unspecified
 *       16      2  sequence                      29      1  entity
 *       18      4  seconds since 1998, local     30      1  entity instance
 *       22      2  UTC offset, minutes, FFFFh    31      8  event data, the first 3 are used
 *       24      1  trap source, 20h IPMI         39      1  language, 25 English
 *       25      1  event source                  40      4  manufacturer
 *       26      1  severity                      44      2  system id
 *       27      1  sensor device                 46  1-64  OEM fields, C1h ends them
 */
import { err, ok, type Result } from "../../../core/result.ts";
import type { Severity } from "../../bmc.ts";
import { ByteReader, badValue, type DecodeError } from "../decode.ts";
import { SEL_RECORD_BYTES } from "../sel/get-sel-entry.ts";
import {
  EVENT_MESSAGE_REVISION,
  encodeSelRecord,
  type SystemEventRecord,
} from "../sel/sel-record.ts";
import { severityOfPef } from "./event-filter.ts";
import type { PetAcknowledge } from "./pet-acknowledge.ts";

/** Without OEM fields. */
export const PET_BYTES_MIN = 46;
export const PET_BYTES_MAX = 110;
/** Of the trap's enterprise, `.1.3.6.1.4.1.3183.1.1`. */
export const PET_ENTERPRISE: readonly number[] = [1, 3, 6, 1, 4, 1, 3183, 1, 1];
/** Seconds from 1970 to 1998, where a trap's clock begins. */
export const PET_EPOCH_SECONDS = 883_612_800;
const OFFSET_UNKNOWN = 0xffff;
const OEM_END = 0xc1;
const OEM_MULTIRECORD = 0x80;
const RECORD_ALERT_TEXT = 0x01;
const ENCODING_ASCII = 3;

export interface Pet {
  readonly sensorType: number;
  readonly eventType: number;
  readonly isAssertion: boolean;
  /** 0..15 */
  readonly offset: number;
  /** 16 bytes as sent, in hex. */
  readonly guid: string;
  readonly sequence: number;
  /** Seconds since 1998 by the clock of the sender; 0 unspecified. */
  readonly timestamp: number;
  /** null: unspecified. */
  readonly utcOffsetMinutes: number | null;
  readonly trapSource: number;
  readonly eventSource: number;
  /** As in `PEF_SEVERITY`. */
  readonly severity: number;
  /** Address of the controller or software that the event comes from; FFh unspecified. */
  readonly sensorDevice: number;
  readonly sensorNumber: number;
  readonly entityId: number;
  readonly entityInstance: number;
  /** 8 bytes; FFh where there is nothing. */
  readonly eventData: Uint8Array;
  readonly language: number;
  readonly manufacturerId: number;
  readonly systemId: number;
  /** From octet 46 on, up to the C1h. */
  readonly oem: Uint8Array;
}

export function decodePet(specificTrap: number, data: Uint8Array): Result<Pet, DecodeError> {
  const reader = new ByteReader(data);
  const short = reader.needs("platform event trap", PET_BYTES_MIN);
  if (short !== null) return err(short);
  if (specificTrap < 0 || specificTrap > 0xff_ff_ff) {
    return err(badValue("specific trap of a platform event trap", specificTrap >>> 0));
  }
  const head = {
    sensorType: (specificTrap >>> 16) & 0xff,
    eventType: (specificTrap >>> 8) & 0x7f,
    isAssertion: (specificTrap & 0x80) === 0,
    offset: specificTrap & 0x0f,
    guid: reader.bytes(16).toHex(),
    sequence: reader.u16be(),
    timestamp: reader.u32be(),
  };
  const offset = reader.u16be();
  const signed = offset >= 0x8000 ? offset - 0x10000 : offset;
  return ok({
    ...head,
    utcOffsetMinutes: offset === OFFSET_UNKNOWN ? null : signed,
    trapSource: reader.u8(),
    eventSource: reader.u8(),
    severity: reader.u8(),
    sensorDevice: reader.u8(),
    sensorNumber: reader.u8(),
    entityId: reader.u8(),
    entityInstance: reader.u8(),
    eventData: reader.bytes(8).slice(),
    language: reader.u8(),
    manufacturerId: reader.u32be(),
    systemId: reader.u16be(),
    oem: oemFields(reader.rest()),
  });
}

/** Fields are walked by their lengths, so that a C1h inside one does not end them. A copy. */
function oemFields(rest: Uint8Array): Uint8Array {
  let at = 0;
  while (at < rest.length && rest[at] !== OEM_END) {
    const isRecord = rest[at] === OEM_MULTIRECORD && at + 2 < rest.length;
    at += isRecord ? 3 + ((rest[at + 1] ?? 0) & 0x3f) : 1;
  }
  return rest.slice(0, Math.min(at, rest.length, PET_BYTES_MAX - PET_BYTES_MIN));
}

/** The alert texts that multirecords carry: 80h, encoding (bits 7:6) and length, record type, text. */
export function petTexts(pet: Pet): readonly string[] {
  const texts: string[] = [];
  const { oem } = pet;
  for (let at = 0; at + 2 < oem.length; ) {
    if (oem[at] !== OEM_MULTIRECORD) {
      at += 1;
      continue;
    }
    const head = oem[at + 1] ?? 0;
    const body = oem.subarray(at + 3, at + 3 + (head & 0x3f));
    const isText = oem[at + 2] === RECORD_ALERT_TEXT && head >>> 6 === ENCODING_ASCII;
    if (isText) texts.push(printable(body));
    at += 3 + (head & 0x3f);
  }
  return texts;
}

function printable(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) {
    if (byte === 0) break;
    text += byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : "?";
  }
  return text;
}

export function specificTrapOf(
  pet: Pick<Pet, "sensorType" | "eventType" | "isAssertion" | "offset">,
): number {
  return (
    (pet.sensorType << 16) |
    (pet.eventType << 8) |
    (pet.isAssertion ? 0 : 0x80) |
    (pet.offset & 0x0f)
  );
}

/** The variable, at least 47 bytes: the end of the OEM fields is always there. */
export function encodePet(pet: Pet): Uint8Array {
  const oem = pet.oem.subarray(0, PET_BYTES_MAX - PET_BYTES_MIN - 1);
  const bytes = new Uint8Array(PET_BYTES_MIN + oem.length + 1).fill(0xff);
  const view = new DataView(bytes.buffer);
  bytes.set(Uint8Array.fromHex(pet.guid).subarray(0, 16), 0);
  view.setUint16(16, pet.sequence);
  view.setUint32(18, pet.timestamp);
  view.setUint16(
    22,
    pet.utcOffsetMinutes === null ? OFFSET_UNKNOWN : pet.utcOffsetMinutes & 0xffff,
  );
  bytes[24] = pet.trapSource;
  bytes[25] = pet.eventSource;
  bytes[26] = pet.severity;
  bytes[27] = pet.sensorDevice;
  bytes[28] = pet.sensorNumber;
  bytes[29] = pet.entityId;
  bytes[30] = pet.entityInstance;
  bytes.set(pet.eventData.subarray(0, 8), 31);
  bytes[39] = pet.language;
  view.setUint32(40, pet.manufacturerId);
  view.setUint16(44, pet.systemId);
  bytes.set(oem, PET_BYTES_MIN);
  bytes[PET_BYTES_MIN + oem.length] = OEM_END;
  return bytes;
}

export function acknowledgeOf(pet: Pet): PetAcknowledge {
  const [first = 0xff, second = 0xff, third = 0xff] = pet.eventData;
  return {
    sequence: pet.sequence,
    timestamp: pet.timestamp,
    eventSource: pet.eventSource,
    sensorDevice: pet.sensorDevice,
    sensorNumber: pet.sensorNumber,
    eventData: [first, second, third],
  };
}

/**
 * The log record that the trap stands for, with an id of 0. Channel and LUN of the generator are not in a trap and are taken
 * as 0; the time is by the BMC's clock, as in its log. So the id made of it is the log's own in the common case, and
 * `../event/event-fusion.ts` finds it in the others.
 */
export function recordOfPet(pet: Pet): SystemEventRecord {
  const [first = 0xff, second = 0xff, third = 0xff] = pet.eventData;
  return {
    kind: "event",
    recordId: 0,
    timestamp: pet.timestamp === 0 ? 0 : (pet.timestamp + PET_EPOCH_SECONDS) >>> 0,
    generatorId: pet.sensorDevice,
    revision: EVENT_MESSAGE_REVISION,
    sensorType: pet.sensorType,
    sensorNumber: pet.sensorNumber,
    isAssertion: pet.isAssertion,
    eventType: pet.eventType,
    // The trap's number has the offset too: it stands in for event data that was not sent.
    data1: first === 0xff ? pet.offset : first,
    data2: second,
    data3: third,
  };
}

/** The same as 16 bytes. */
export function recordBytesOfPet(pet: Pet): Uint8Array {
  const bytes = encodeSelRecord(recordOfPet(pet));
  return bytes.subarray(0, SEL_RECORD_BYTES);
}

/** What the BMC itself says of the severity; null: nothing. */
export function petSeverity(pet: Pet): Severity | null {
  return severityOfPef(pet.severity);
}

/** Milliseconds since 1970 in UTC; null: the sender did not know. */
export function petTimeMs(pet: Pet): number | null {
  if (pet.timestamp === 0) return null;
  return (pet.timestamp + PET_EPOCH_SECONDS - (pet.utcOffsetMinutes ?? 0) * 60) * 1000;
}

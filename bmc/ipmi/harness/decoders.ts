/**
 * Every decoder of the BMC room that takes bytes which somebody else made, each with sound inputs to damage.
 *
 * For the fuzz test beside the code and for the long one in `bench/`: none may throw, and none may see what lies behind the
 * bytes it was given. `fuzz.test.ts` fails when a decoder of the room is not in the list.
 */
import { DRIVER_MESSAGE_BYTES_MAX, decodeDriverMessage } from "../../link/kcs-message.ts";
import { BasicModeFramer, encodeBasicFrame } from "../../serial/basic-mode.ts";
import {
  decodeTerminalMessage,
  encodeTerminalFrame,
  TerminalModeFramer,
} from "../../serial/terminal-mode.ts";
import { wordsOf } from "../event/event-text.ts";
import { decodeFru } from "../fru/decode-fru.ts";
import { decodeFruArea, decodeFruHeader, type FruAreaName } from "../fru/fru-areas.ts";
import { decodeMultirecordHeader, decodeMultirecords } from "../fru/multirecord.ts";
import { decodeReplyMessage, decodeRequestMessage } from "../message.ts";
import { decodeAlertPolicy } from "../pef/alert-policy.ts";
import { decodeEventFilter } from "../pef/event-filter.ts";
import { decodeDestinationAddress, decodeDestinationType } from "../pef/lan-destination.ts";
import { decodeParameterReply } from "../pef/pef-parameters.ts";
import { decodePet } from "../pef/pet.ts";
import { decodePetAcknowledge } from "../pef/pet-acknowledge.ts";
import { decodePetTrap } from "../pef/pet-trap.ts";
import { decodeOid, decodeSnmpTrap } from "../pef/snmp-trap.ts";
import { decodeAsfMessage } from "../rmcp/asf-ping.ts";
import { decodeCipherSuiteRecords } from "../rmcp/cipher-suite.ts";
import { decodeOpenSessionRequest, decodeOpenSessionResponse } from "../rmcp/open-session.ts";
import { decodeRakp1, decodeRakp2, decodeRakp3, decodeRakp4 } from "../rmcp/rakp.ts";
import { decodeRmcp } from "../rmcp/rmcp.ts";
import { decodeSessionPacket } from "../rmcp/session-packet.ts";
import { convertReading } from "../sdr/convert-reading.ts";
import { decodeSdr, decodeSdrHeader } from "../sdr/decode-sdr.ts";
import { decodeEntityAssociation, decodeRelativeAssociation } from "../sdr/entity-association.ts";
import {
  decodeControllerConfirmation,
  decodeControllerLocator,
  decodeDeviceLocator,
  decodeFruLocator,
} from "../sdr/locator-record.ts";
import { sensorsOf } from "../sdr/sensor-index.ts";
import {
  decodeCompactRecord,
  decodeEventOnlyRecord,
  decodeFullRecord,
} from "../sdr/sensor-record.ts";
import {
  decodeBcdPlus,
  decodeLatin1,
  decodeName,
  decodeSixBit,
  decodeUcs2,
} from "../sdr/type-length.ts";
import { decodeSelRecord } from "../sel/sel-record.ts";
import { decodePlatformEvent } from "../sensor/platform-event.ts";
import { ALL_COMMANDS } from "./commands.ts";
import { fruArea, fruImage, multirecord, textField } from "./scripted-fru.ts";
import { sdrOf, temperatureSdr } from "./scripted-sdrs.ts";

export interface Decoder {
  /** Of a command its name, of others the name of the function. */
  readonly name: string;
  /** What comes back is compared, never looked into. */
  readonly decode: (bytes: Uint8Array) => unknown;
  readonly seeds: readonly Uint8Array[];
}

function hex(text: string): Uint8Array {
  return Uint8Array.fromHex(text.replaceAll(/\s/g, ""));
}

/** For decoders of a few fields: anything is nearly right. */
function filled(bytes: number): Uint8Array {
  return Uint8Array.from({ length: bytes }, (_, index) => (index * 37 + 1) & 0xff);
}

const BODY = [0x20, 0, 7, 0x08, 1, 0x0c, 0x6f, 0x03, 0x85, 0, 0, 0xc2, 0x4d, 0x20, 0, 0];
const NAMED = [0x20, 3, 0x88, 0x70, 0, 0x10, 1, 0x0a, 2, 0, 0xc3, 0x50, 0x53, 0x55];

const SDRS: readonly Uint8Array[] = [
  temperatureSdr(1, 7, "CPU Temp"),
  sdrOf(2, 0x02, [...BODY, ...BODY]),
  sdrOf(3, 0x03, BODY),
  sdrOf(4, 0x08, BODY),
  sdrOf(5, 0x09, [...BODY, ...BODY]),
  sdrOf(6, 0x10, NAMED),
  sdrOf(7, 0x11, NAMED),
  sdrOf(8, 0x12, NAMED),
  sdrOf(9, 0x13, [...BODY, ...BODY]),
  sdrOf(10, 0xc0, NAMED),
];

const AREA = fruArea(
  [1, 0, 25, 0x80, 0x5a, 0xd0],
  [...["ACME", "Board", "B1"].map(textField), [0x83, 0x29, 0xdc, 0xa6], [0x42, 0x12, 0xab]],
);
const RECORDS = [
  ...multirecord(0x00, [...filled(24)], false),
  ...multirecord(0x01, [...filled(13)], false),
  ...multirecord(0x03, [0x01, 0x68, 0x74, 0x74, 0x70], false),
  ...multirecord(0xc0, [0x57, 1, 0, 9], true),
];
const FRUS: readonly Uint8Array[] = [
  fruImage({ chassis: AREA, board: AREA, product: AREA, multirecords: RECORDS }),
  fruImage({ product: AREA }),
];

const SEL_RECORDS: readonly Uint8Array[] = [
  hex("4d15 02 90b3c667 4100 04 09 01 0b 03 ffff"),
  hex("0100 02 90b3c667 2000 04 01 30 01 59 9055"),
  hex("0200 02 90b3c667 2000 04 0c 02 6f a1 0203"),
  hex("0300 c1 90b3c667 570100 010203040506"),
  hex("0400 e2 0102030405060708090a0b0c0d"),
];

/** Basic Mode bodies of facts seen on the wire: Get Device ID and its reply. */
const REQUEST = hex("20 18 c8 81 04 01 7a");
const REPLY = hex("81 1c 63 20 14 01 00 00 03 09 08 02 9f 91 12 00 02 0f 00 00 00 00 62");

/** A Set Session Privilege of suite 3, ipmitool 1.8.19 against ipmi_sim. */
const PACKET =
  hex(`0600ff07 06c082000020 03000000 2000 c32aec87c343a430276d59ef14dc3892868594296dc045
  a8db67d34174130a97 ffff0207 70bccf9584a5beca890830d0`);
const PONG = hex("0600ff06 000011be 40 00 00 10 000011be 00000000 81 00 000000000000");

const PET_DATA = filled(60);
function tlv(tag: number, content: readonly number[]): number[] {
  const length = content.length < 0x80 ? [content.length] : [0x81, content.length];
  return [tag, ...length, ...content];
}

/** BER by the book: version 0, community, enterprise, agent, generic 6, specific, time, variables. */
const TRAP = Uint8Array.from(
  tlv(0x30, [
    ...tlv(0x02, [0]),
    ...tlv(0x04, [...new TextEncoder().encode("public")]),
    ...tlv(0xa4, [
      ...tlv(0x06, [...hex("2b0601040198 6f0101")]),
      ...tlv(0x40, [127, 0, 0, 1]),
      ...tlv(0x02, [6]),
      ...tlv(0x02, [0x05, 0x6f, 0x00]),
      ...tlv(0x43, [1, 2]),
      ...tlv(
        0x30,
        tlv(0x30, [...tlv(0x06, [...hex("2b0601040198 6f010101")]), ...tlv(0x04, [...PET_DATA])]),
      ),
    ]),
  ]),
);

function arenaOf(bytes: Uint8Array): DataView {
  const arena = new Uint8Array(DRIVER_MESSAGE_BYTES_MAX + 128);
  arena.set(bytes.subarray(0, arena.byteLength));
  return new DataView(arena.buffer);
}

function selWords(bytes: Uint8Array): unknown {
  const record = decodeSelRecord(bytes);
  return record.ok ? wordsOf(record.value) : record.error;
}

function sensorNumbers(bytes: Uint8Array): unknown {
  const record = decodeSdr(bytes);
  if (!record.ok) return record.error;
  return sensorsOf([record.value]).map((sensor) => [sensor, convertReading(sensor, 0x80)]);
}

const FRU_AREAS: readonly FruAreaName[] = ["chassis", "board", "product"];

const RECORD_DECODERS: readonly Decoder[] = [
  { name: "decodeSdr", decode: sensorNumbers, seeds: SDRS },
  { name: "decodeSdrHeader", decode: decodeSdrHeader, seeds: SDRS },
  { name: "decodeFullRecord", decode: decodeFullRecord, seeds: SDRS },
  { name: "decodeCompactRecord", decode: decodeCompactRecord, seeds: SDRS },
  { name: "decodeEventOnlyRecord", decode: decodeEventOnlyRecord, seeds: SDRS },
  { name: "decodeFruLocator", decode: decodeFruLocator, seeds: SDRS },
  { name: "decodeControllerLocator", decode: decodeControllerLocator, seeds: SDRS },
  { name: "decodeDeviceLocator", decode: decodeDeviceLocator, seeds: SDRS },
  { name: "decodeControllerConfirmation", decode: decodeControllerConfirmation, seeds: SDRS },
  { name: "decodeEntityAssociation", decode: decodeEntityAssociation, seeds: SDRS },
  { name: "decodeRelativeAssociation", decode: decodeRelativeAssociation, seeds: SDRS },
  { name: "decodeName", decode: (bytes) => decodeName(bytes, 0), seeds: [hex("8329dca6")] },
  { name: "decodeBcdPlus", decode: decodeBcdPlus, seeds: [filled(9)] },
  { name: "decodeSixBit", decode: decodeSixBit, seeds: [filled(9)] },
  { name: "decodeLatin1", decode: decodeLatin1, seeds: [filled(9)] },
  { name: "decodeUcs2", decode: decodeUcs2, seeds: [filled(9)] },
  { name: "decodeFru", decode: (bytes) => decodeFru(bytes, "FRU"), seeds: FRUS },
  { name: "decodeFruHeader", decode: decodeFruHeader, seeds: FRUS },
  {
    name: "decodeFruArea",
    decode: (bytes) => FRU_AREAS.map((area) => decodeFruArea(area, bytes, 0)),
    seeds: [Uint8Array.from(AREA)],
  },
  {
    name: "decodeMultirecords",
    decode: (bytes) => decodeMultirecords(bytes, 0),
    seeds: [Uint8Array.from(RECORDS)],
  },
  {
    name: "decodeMultirecordHeader",
    decode: (bytes) => decodeMultirecordHeader(bytes, 0),
    seeds: [Uint8Array.from(RECORDS)],
  },
  { name: "decodeSelRecord", decode: selWords, seeds: SEL_RECORDS },
  {
    name: "decodePlatformEvent",
    decode: (bytes) => [decodePlatformEvent(bytes, true), decodePlatformEvent(bytes, false)],
    seeds: [hex("41 04 01 30 01 59 90 55")],
  },
];

const WIRE_DECODERS: readonly Decoder[] = [
  { name: "decodeRequestMessage", decode: decodeRequestMessage, seeds: [REQUEST] },
  { name: "decodeReplyMessage", decode: decodeReplyMessage, seeds: [REPLY] },
  { name: "decodeRmcp", decode: decodeRmcp, seeds: [PACKET, PONG] },
  { name: "decodeSessionPacket", decode: decodeSessionPacket, seeds: [PACKET, PACKET.slice(4)] },
  { name: "decodeAsfMessage", decode: decodeAsfMessage, seeds: [PONG.slice(4)] },
  {
    name: "decodeCipherSuiteRecords",
    decode: decodeCipherSuiteRecords,
    seeds: [hex("c003014181 c0110344 81 c1 80 010203 014181")],
  },
  { name: "decodeOpenSessionRequest", decode: decodeOpenSessionRequest, seeds: [filled(32)] },
  {
    name: "decodeOpenSessionResponse",
    decode: decodeOpenSessionResponse,
    seeds: [filled(36), hex("00 11 00 00 a4a3a2a0")],
  },
  { name: "decodeRakp1", decode: decodeRakp1, seeds: [filled(44)] },
  { name: "decodeRakp2", decode: (bytes) => decodeRakp2(bytes, 20), seeds: [new Uint8Array(60)] },
  { name: "decodeRakp3", decode: (bytes) => decodeRakp3(bytes, 32), seeds: [new Uint8Array(40)] },
  { name: "decodeRakp4", decode: (bytes) => decodeRakp4(bytes, 12), seeds: [new Uint8Array(20)] },
  {
    name: "decodeDriverMessage",
    decode: (bytes) => decodeDriverMessage(arenaOf(bytes)),
    seeds: [filled(DRIVER_MESSAGE_BYTES_MAX), new Uint8Array(DRIVER_MESSAGE_BYTES_MAX)],
  },
  { name: "decodeTerminalMessage", decode: decodeTerminalMessage, seeds: [hex("180001")] },
  {
    name: "BasicModeFramer",
    decode: (bytes) => new BasicModeFramer().push(bytes),
    seeds: [encodeBasicFrame(REQUEST), encodeBasicFrame(REPLY)],
  },
  {
    name: "TerminalModeFramer",
    decode: (bytes) =>
      (["console", "bmc"] as const).map((side) => new TerminalModeFramer({ side }).push(bytes)),
    seeds: [encodeTerminalFrame(REPLY, { newline: "\r\n", isSpaced: true })],
  },
];

const ALERT_DECODERS: readonly Decoder[] = [
  { name: "decodePet", decode: (bytes) => decodePet(0x05_6f00, bytes), seeds: [PET_DATA] },
  { name: "decodePetTrap", decode: decodePetTrap, seeds: [TRAP] },
  { name: "decodeSnmpTrap", decode: decodeSnmpTrap, seeds: [TRAP] },
  { name: "decodeOid", decode: decodeOid, seeds: [hex("2b06010401986f0101")] },
  { name: "decodePetAcknowledge", decode: decodePetAcknowledge, seeds: [filled(12)] },
  { name: "decodeParameterReply", decode: decodeParameterReply, seeds: [filled(22)] },
  { name: "decodeAlertPolicy", decode: decodeAlertPolicy, seeds: [filled(4)] },
  { name: "decodeEventFilter", decode: decodeEventFilter, seeds: [filled(21)] },
  { name: "decodeDestinationType", decode: decodeDestinationType, seeds: [filled(4)] },
  { name: "decodeDestinationAddress", decode: decodeDestinationAddress, seeds: [filled(13)] },
];

const COMMAND_DECODERS: readonly Decoder[] = ALL_COMMANDS.map((command) => ({
  name: command.name,
  decode: (bytes) => command.decode(bytes),
  seeds: [filled(40), REPLY.slice(7), new Uint8Array(16)],
}));

export const ALL_DECODERS: readonly Decoder[] = [
  ...RECORD_DECODERS,
  ...WIRE_DECODERS,
  ...ALERT_DECODERS,
  ...COMMAND_DECODERS,
];

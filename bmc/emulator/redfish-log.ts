/**
 * Records of the emulated BMC's log as Redfish tells them: as entries of a SEL, or as messages of an event log like OpenBMC's.
 *
 * A system event is told by the properties that LogEntry 1.x has for it. Where those cannot carry the whole record (an OEM type,
 * a time that is none, a clock in local time), its 16 bytes stand among the OEM properties, as real services do it.
 */
import type { BmcEvent } from "../bmc.ts";
import { wordsOf } from "../ipmi/event/event-text.ts";
import { decodeSelRecord, type SystemEventRecord } from "../ipmi/sel/sel-record.ts";
import { selTimeMs } from "../ipmi/sel/sel-time.ts";
import { formatDateTime } from "../redfish/date-time.ts";
import type { JsonObject } from "../redfish/json.ts";
import { entryCodeOf, SENSOR_TYPE_NAMES } from "../redfish/sel-entry.ts";
import type { BmcModel } from "./model.ts";

export const LOG_PATH = "/redfish/v1/Systems/1/LogServices";
export const SENSORS_PATH = "/redfish/v1/Chassis/1/Sensors";

export type LogKind = "sel" | "event";

export function logServicePath(kind: LogKind): string {
  return `${LOG_PATH}/${kind === "sel" ? "SEL" : "EventLog"}`;
}

export function entryPath(kind: LogKind, record: Uint8Array): string {
  return `${logServicePath(kind)}/Entries/${recordId(record)}`;
}

function recordId(record: Uint8Array): number {
  return (record[0] ?? 0) | ((record[1] ?? 0) << 8);
}

const SEVERITIES: Readonly<Record<BmcEvent["severity"], string>> = {
  information: "OK",
  ok: "OK",
  warning: "Warning",
  critical: "Critical",
  "non-recoverable": "Critical",
};

function hex(values: readonly number[]): string {
  return `0x${Uint8Array.from(values).toHex()}`;
}

function sensorName(model: BmcModel, number: number): string | null {
  return model.state.sensors.configs.find((one) => one.number === number)?.name ?? null;
}

/** What an entry and a pushed event have in common. */
export interface Message {
  readonly severity: string;
  readonly text: string;
  readonly messageId: string;
  readonly args: readonly string[];
  readonly origin: string | null;
  readonly whenMs: number | null;
}

export function messageOf(model: BmcModel, record: Uint8Array): Message {
  const decoded = decodeSelRecord(record);
  if (!decoded.ok) {
    return { severity: "OK", text: "", messageId: "", args: [], origin: null, whenMs: null };
  }
  const event = decoded.value;
  const words = wordsOf(event, (_generator, _lun, number) => {
    const name = sensorName(model, number);
    return name === null ? null : { name, entity: null };
  });
  const hasTime = event.kind === "event" || event.kind === "oem-timed";
  const raw = hasTime ? selTimeMs(event.timestamp) : null;
  const isSensor = event.kind === "event" && sensorName(model, event.sensorNumber) !== null;
  return {
    severity: SEVERITIES[words.severity],
    text: words.text,
    messageId: `HoldfastSel.1.0.${words.isAssertion ? "Asserted" : "Deasserted"}`,
    args: [words.subject, words.text],
    origin: isSensor ? `${SENSORS_PATH}/${event.sensorNumber}` : null,
    whenMs: raw === null ? null : raw - model.state.clockOffsetSeconds * 1000,
  };
}

function selFields(event: SystemEventRecord): JsonObject {
  const { sensorType, sensorNumber, isAssertion, eventType, data1, data2, data3 } = event;
  const direction = eventType | (isAssertion ? 0 : 0x80);
  return {
    EntryType: "SEL",
    EntryCode: entryCodeOf(eventType, data1 & 0x0f, isAssertion),
    SensorType: SENSOR_TYPE_NAMES[sensorType] ?? "OEM",
    SensorNumber: sensorNumber,
    MessageId: hex([direction, data1, data2, data3]),
    GeneratorId: hex([event.generatorId >> 8, event.generatorId & 0xff]),
  };
}

/** `skewMs`: the log stamps an entry this much later than the event that is pushed. */
export function entryOf(
  model: BmcModel,
  kind: LogKind,
  record: Uint8Array,
  skewMs: number,
): JsonObject {
  const message = messageOf(model, record);
  const decoded = decodeSelRecord(record);
  const event = decoded.ok && decoded.value.kind === "event" ? decoded.value : null;
  const isTold =
    event !== null &&
    message.whenMs !== null &&
    model.state.clockOffsetSeconds === 0 &&
    event.revision === 0x04 &&
    SENSOR_TYPE_NAMES[event.sensorType] !== undefined;
  const id = String(recordId(record));
  const plain = { EntryType: "Event", MessageId: message.messageId, MessageArgs: message.args };
  const oem = { EntryType: "Oem", OemRecordFormat: "IPMI SEL record" };
  const isSel = kind === "sel";
  const told = event === null ? oem : selFields(event);
  return {
    "@odata.id": entryPath(kind, record),
    "@odata.type": "#LogEntry.v1_15_0.LogEntry",
    Id: id,
    Name: `Log Entry ${id}`,
    ...(message.whenMs === null ? {} : { Created: formatDateTime(message.whenMs + skewMs) }),
    Severity: message.severity,
    Message: message.text,
    ...(isSel ? told : plain),
    ...(message.origin === null
      ? {}
      : { Links: { OriginOfCondition: { "@odata.id": message.origin } } }),
    ...(isSel && !isTold ? { Oem: { Holdfast: { RawRecord: record.toHex() } } } : {}),
  };
}

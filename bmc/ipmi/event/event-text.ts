/**
 * An event log record as people read it: category, subject, one line of text, severity.
 *
 * What it decides is wording only; tables of states, severities and details are beside it. A sensor's name and the unit of
 * its readings come from the caller, who has read the SDRs; without them the line says `sensor 0x30` and raw numbers.
 * What belongs to a manufacturer, and what the standard reserves, is shown as numbers and never guessed.
 */
import type { NamedSensor, SensorNames, Severity } from "../../bmc.ts";
import { generatorOf, type SelRecord, type SystemEventRecord } from "../sel/sel-record.ts";
import { discreteDetails } from "./event-detail.ts";
import { EVENT_TYPE, OEM_EVENT_TYPE_MIN } from "./generic-events.ts";
import { sensorTypeName } from "./sensor-type.ts";
import { severityOf, stateText } from "./severity.ts";

/** What the SDRs say of a sensor. */
export type NameOf = SensorNames;

export interface EventWords {
  readonly category: string;
  readonly subject: string;
  readonly text: string;
  readonly severity: Severity;
  readonly isAssertion: boolean;
  readonly extra: Readonly<Record<string, string | number>>;
}

export const noNames: NameOf = () => null;

function hex(value: number): string {
  return `0x${value.toString(16).padStart(2, "0")}`;
}

export function wordsOf(record: SelRecord, nameOf: NameOf = noNames): EventWords {
  switch (record.kind) {
    case "event":
      return sensorWords(record, nameOf);
    case "oem-timed":
      return otherWords(
        record,
        `OEM record ${hex(record.recordType)} of manufacturer ${record.manufacturerId}`,
        { manufacturerId: record.manufacturerId },
      );
    case "oem":
      return otherWords(record, `OEM record ${hex(record.recordType)}`);
    case "unknown":
      return otherWords(record, `record of unknown type ${hex(record.recordType)}`);
  }
}

function otherWords(
  record: Exclude<SelRecord, SystemEventRecord>,
  what: string,
  more: Readonly<Record<string, number>> = {},
): EventWords {
  const data = record.data.toHex();
  return {
    category: record.kind === "unknown" ? "unknown" : "oem",
    subject: `record type ${hex(record.recordType)}`,
    text: `${what}: ${data}`,
    severity: "information",
    isAssertion: true,
    extra: { recordType: record.recordType, ...more, data },
  };
}

function sensorWords(event: SystemEventRecord, nameOf: NameOf): EventWords {
  const { address, lun, channel } = generatorOf(event.generatorId);
  const named = nameOf(address, lun, event.sensorNumber);
  const category = sensorTypeName(event.sensorType);
  const subject = named?.name ?? `sensor ${hex(event.sensorNumber)}`;
  const details =
    event.eventType === EVENT_TYPE.threshold
      ? thresholdDetails(event, named)
      : discreteDetails(event);
  const state = event.isAssertion ? stateOf(event) : `${stateOf(event)} (deasserted)`;
  return {
    category,
    subject,
    text: `${category.replaceAll("-", " ")} ${subject}: ${[state, ...details].join(", ")}`,
    severity: severityOf(event),
    isAssertion: event.isAssertion,
    extra: {
      sensorType: event.sensorType,
      sensorNumber: event.sensorNumber,
      eventType: event.eventType,
      offset: event.data1 & 0x0f,
      data1: event.data1,
      data2: event.data2,
      data3: event.data3,
      generator: address,
      lun,
      channel,
      ...(named?.entity ? { entity: named.entity } : {}),
    },
  };
}

/** The state of an event in words, with its numbers where the standard has no words. */
export function stateOf(event: SystemEventRecord): string {
  const offset = event.data1 & 0x0f;
  const text = stateText(event.eventType, event.sensorType, offset);
  if (text !== null) return text;
  if (event.eventType >= OEM_EVENT_TYPE_MIN) {
    return `OEM event type ${hex(event.eventType)}, offset ${offset}`;
  }
  return `event type ${hex(event.eventType)}, offset ${offset}`;
}

/** Event data 2 and 3 of a threshold event: the reading that crossed, and the threshold (§29.7). */
function thresholdDetails(event: SystemEventRecord, named: NamedSensor | null): readonly string[] {
  const details: string[] = [];
  const valueText = (raw: number): string => named?.reading?.(raw) ?? `raw ${hex(raw)}`;
  const kind2 = event.data1 >>> 6;
  const kind3 = (event.data1 >>> 4) & 3;
  // FFh is a possible reading: only the kind bits say that there is none.
  if (kind2 === 1) details.push(`reading ${valueText(event.data2)}`);
  else if (kind2 >= 2) details.push(`data 2 ${hex(event.data2)}`);
  if (kind3 === 1) details.push(`threshold ${valueText(event.data3)}`);
  else if (kind3 >= 2) details.push(`data 3 ${hex(event.data3)}`);
  return details;
}

/**
 * What a state is called, and how severe an event is: one rule for all event types.
 *
 *   asserted                            the grade of its row
 *   deasserted, row warning or worse    ok: the trouble is over
 *   deasserted, row ok                  warning: something good is gone, such as a power supply's presence
 *   deasserted, row information         information
 *   threshold deasserted                the same rule: crossing back is ok, falling back below a recovery is a warning
 *   discrete, event data 2 carries a    that severity, since the BMC knows better
 *   severity (§29.7, data 1 bits 7:6 =
 *   01b, data 2 bits 7:4 other than Fh)
 *   no row                              information: nothing is known of it, and a guess would wake people up
 */
import type { Severity } from "../../bmc.ts";
import { EVENT_TYPE, GENERIC_EVENTS } from "./generic-events.ts";
import { SENSOR_SPECIFIC_EVENTS } from "./sensor-specific-events.ts";
import { SEVERITY_OF, type StateRow } from "./state.ts";

/** What decides the severity of an event; a `SystemEventRecord` is one. */
export interface GradedEvent {
  readonly sensorType: number;
  readonly eventType: number;
  readonly isAssertion: boolean;
  readonly data1: number;
  readonly data2: number;
}

export function stateRow(eventType: number, sensorType: number, offset: number): StateRow {
  const rows =
    eventType === EVENT_TYPE.sensorSpecific
      ? SENSOR_SPECIFIC_EVENTS[sensorType]
      : GENERIC_EVENTS[eventType];
  return rows?.[offset] ?? null;
}

/** Text of one state of a discrete sensor, or null where the standard defines none. */
export function stateText(eventType: number, sensorType: number, offset: number): string | null {
  return stateRow(eventType, sensorType, offset)?.[1] ?? null;
}

export function severityOf(event: GradedEvent): Severity {
  const told = toldSeverity(event);
  if (told !== null) return told;
  const row = stateRow(event.eventType, event.sensorType, event.data1 & 0x0f);
  if (row === null) return "information";
  const severity = SEVERITY_OF[row[0]];
  if (event.isAssertion || severity === "information") return severity;
  return severity === "ok" ? "warning" : "ok";
}

/** The severity that event data 2 of a discrete event carries: an offset of event type 07h. */
function toldSeverity(event: GradedEvent): Severity | null {
  if (event.eventType === EVENT_TYPE.threshold || event.data1 >>> 6 !== 1) return null;
  const offset = event.data2 >>> 4;
  const row = offset === 0x0f ? null : (GENERIC_EVENTS[EVENT_TYPE.severity]?.[offset] ?? null);
  return row === null ? null : SEVERITY_OF[row[0]];
}

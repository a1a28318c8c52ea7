/**
 * What event data 2 and 3 add to an event, where the standard gives them a meaning (IPMI 2.0 §29.7, tables 42-2 and 42-3).
 *
 * Event data 1 says what the other two are: bits 7:6 for data 2, bits 5:4 for data 3. Only `11b`, the sensor-specific
 * extension, and `01b`, the previous state (of a threshold: reading and threshold), are read here; `10b` is the
 * manufacturer's and is shown as bytes. FFh is unspecified everywhere. Every text is a part of a sentence, joined by commas.
 */
import type { SystemEventRecord } from "../sel/sel-record.ts";
import { EVENT_TYPE } from "./generic-events.ts";
import { acpiStateText } from "./sensor-specific-events.ts";
import { SENSOR_TYPE } from "./sensor-type.ts";
import { stateText } from "./severity.ts";

const UNSPECIFIED = 0xff;

const POST_ERRORS = [
  "unspecified",
  "no system memory is installed",
  "no usable system memory",
  "unrecoverable hard disk, ATAPI or IDE device failure",
  "unrecoverable system board failure",
  "unrecoverable diskette subsystem failure",
  "unrecoverable hard disk controller failure",
  "unrecoverable PS/2 or USB keyboard failure",
  "removable boot media not found",
  "unrecoverable video controller failure",
  "no video device detected",
  "firmware (BIOS) ROM corruption detected",
  "CPU voltage mismatch",
  "CPU speed matching failure",
] as const;

const POST_PHASES = [
  "unspecified",
  "memory initialization",
  "hard disk initialization",
  "secondary processor initialization",
  "user authentication",
  "user-initiated system setup",
  "USB resource configuration",
  "PCI resource configuration",
  "option ROM initialization",
  "video initialization",
  "cache initialization",
  "SMBus initialization",
  "keyboard controller initialization",
  "management controller initialization",
  "docking station attachment",
  "enabling docking station",
  "docking station ejection",
  "disabling docking station",
  "calling operating system wake-up vector",
  "starting operating system boot",
  "baseboard initialization",
  null,
  "floppy initialization",
  "keyboard test",
  "pointing device test",
  "primary processor initialization",
] as const;

const POWER_SUPPLY_MISMATCHES = [
  "vendor mismatch",
  "revision mismatch",
  "processor missing",
  "power supply rating mismatch",
  "voltage rating mismatch",
] as const;

const LOG_ACTIONS = [
  "entry added",
  "entry added because the event has no standard form",
  "entry added along with entries of this log",
  "log cleared",
  "log disabled",
  "log enabled",
] as const;
const LOG_TYPES = ["MCA log", "OEM log 1", "OEM log 2"] as const;

/** By bit of event data 2. */
const PEF_ACTIONS = [
  "alert",
  "power off",
  "reset",
  "power cycle",
  "OEM action",
  "diagnostic interrupt",
] as const;

const RESTART_CAUSES = [
  "unknown",
  "chassis control command",
  "reset button",
  "power button",
  "watchdog",
  "OEM",
  "automatic power-up, always restore",
  "automatic power-up, restore previous state",
  "reset by PEF",
  "power cycle by PEF",
  "soft reset",
  "power-up by the clock",
] as const;

const SLOT_TYPES = [
  "PCI slot",
  "drive array slot",
  "external peripheral connector",
  "docking connector",
  "internal expansion slot",
  "slot of the sensor's entity",
  "AdvancedTCA slot",
  "DIMM slot",
  "fan slot",
  "PCI Express slot",
  "SCSI connector",
  "SATA/SAS connector",
  "USB connector",
] as const;

const WATCHDOG_INTERRUPTS = ["no interrupt", "SMI", "NMI", "messaging interrupt"] as const;
const WATCHDOG_USES = [null, "BIOS FRB2", "BIOS/POST", "OS load", "SMS/OS", "OEM"] as const;

const VERSION_CHANGES = [
  "unspecified",
  "management controller device id",
  "management controller firmware revision",
  "management controller device revision",
  "management controller manufacturer id",
  "management controller IPMI version",
  "management controller auxiliary firmware id",
  "management controller boot block",
  "other management controller firmware",
  "system firmware (EFI/BIOS)",
  "SMBIOS",
  "operating system",
  "operating system loader",
  "service or diagnostic partition",
  "management software agent",
  "management software application",
  "management software middleware",
  "programmable hardware",
  "board or FRU module",
  "board or FRU component",
  "board or FRU replaced with an equivalent version",
  "board or FRU replaced with a newer version",
  "board or FRU replaced with an older version",
  "board or FRU hardware configuration",
] as const;

const FRU_CAUSES = [
  "normal state change",
  "commanded by software",
  "operator changed a handle latch",
  "operator pressed the hot swap button",
  "FRU programmatic action",
  "communication lost",
  "communication lost due to local failure",
  "unexpected extraction",
  "operator intervention or update",
  "IPMB address cannot be computed",
  "unexpected deactivation",
] as const;

const SESSION_ENDS = [
  null,
  "by Close Session command",
  "by timeout",
  "by configuration change",
] as const;

function hex(value: number): string {
  return `0x${value.toString(16).padStart(2, "0")}`;
}

/** The entry, or what it is a number of: a value that the standard reserves is not hidden. */
function named(table: readonly (string | null)[], index: number, what: string): string {
  return table[index] ?? `${what} ${hex(index)}`;
}

/** Texts of what event data 2 and 3 tell of a discrete event; in their order. */
export function discreteDetails(event: SystemEventRecord): readonly string[] {
  const details: string[] = [];
  const { data1, data2, data3 } = event;
  if (data1 >>> 6 === 1) details.push(...previousState(event));
  const isSpecific = event.eventType === EVENT_TYPE.sensorSpecific;
  const specific2 = isSpecific && data1 >>> 6 === 3 && data2 !== UNSPECIFIED ? data2 : null;
  const specific3 = isSpecific && ((data1 >>> 4) & 3) === 3 && data3 !== UNSPECIFIED ? data3 : null;
  const told = specificDetails(event.sensorType, data1 & 0x0f, specific2, specific3);
  details.push(...told.texts);
  if (data2 !== UNSPECIFIED && data1 >>> 6 >= 2 && !told.has2) {
    details.push(`data 2 ${hex(data2)}`);
  }
  if (data3 !== UNSPECIFIED && ((data1 >>> 4) & 3) >= 2 && !told.has3) {
    details.push(`data 3 ${hex(data3)}`);
  }
  return details;
}

/** Bits 3:0 of event data 2: an offset of the event's own type, Fh unspecified. */
function previousState(event: SystemEventRecord): readonly string[] {
  const offset = event.data2 & 0x0f;
  const text = offset === 0x0f ? null : stateText(event.eventType, event.sensorType, offset);
  return text === null ? [] : [`before: ${text}`];
}

interface Told {
  readonly texts: readonly string[];
  /** Whether data 2, and data 3, are in the texts. */
  readonly has2: boolean;
  readonly has3: boolean;
}

const NOTHING: Told = { texts: [], has2: false, has3: false };

/** null: that byte is not there, or is not a sensor-specific extension. */
type Datum = number | null;

function both(data2: Datum, text2: (value: number) => string, data3: Datum, text3: Texter): Told {
  const texts: string[] = [];
  if (data2 !== null) texts.push(text2(data2));
  if (data3 !== null) texts.push(text3(data3));
  return { texts, has2: data2 !== null, has3: data3 !== null };
}

type Texter = (value: number) => string;

function only2(data2: Datum, text: Texter): Told {
  return data2 === null ? NOTHING : { texts: [text(data2)], has2: true, has3: false };
}

function only3(data3: Datum, text: Texter): Told {
  return data3 === null ? NOTHING : { texts: [text(data3)], has2: false, has3: true };
}

function specificDetails(sensorType: number, offset: number, data2: Datum, data3: Datum): Told {
  switch (sensorType) {
    case SENSOR_TYPE.physicalSecurity:
      return offset === 4 ? only2(data2, (value) => `network controller ${value}`) : NOTHING;
    case SENSOR_TYPE.powerSupply:
      return offset === 6
        ? only3(data3, (value) => named(POWER_SUPPLY_MISMATCHES, value & 0x0f, "error"))
        : NOTHING;
    case SENSOR_TYPE.memory:
      return only3(data3, (value) => `memory module ${value}`);
    case SENSOR_TYPE.systemFirmware:
      return only2(data2, (value) =>
        offset === 0 ? named(POST_ERRORS, value, "error") : named(POST_PHASES, value, "phase"),
      );
    case SENSOR_TYPE.eventLogging:
      return loggingDetails(offset, data2, data3);
    case SENSOR_TYPE.systemEvent:
      return systemEventDetails(offset, data2);
    case SENSOR_TYPE.chipSet:
      return offset === 0 ? both(data2, requestedState, data3, stateAtRequest) : NOTHING;
    case SENSOR_TYPE.bootInitiated:
      return offset === 7
        ? both(data2, restartCause, data3, (value) => `channel ${value & 0x0f}`)
        : NOTHING;
    case SENSOR_TYPE.slotConnector:
      return both(data2, slotType, data3, (value) => `slot ${value}`);
    case SENSOR_TYPE.watchdog2:
      return only2(data2, watchdogText);
    case SENSOR_TYPE.managementHealth:
      return healthDetails(offset, data2, data3);
    case SENSOR_TYPE.session:
      return both(
        data2,
        (value) => `user ${value & 0x3f}`,
        data3,
        (value) => sessionText(offset, value),
      );
    case SENSOR_TYPE.versionChange:
      return only2(data2, (value) => named(VERSION_CHANGES, value, "change"));
    case SENSOR_TYPE.fruState:
      return only2(data2, fruText);
    default:
      return NOTHING;
  }
}

function loggingDetails(offset: number, data2: Datum, data3: Datum): Told {
  if (offset === 0) return only2(data2, (value) => `memory module ${value}`);
  if (offset === 1) return both(data2, (value) => `event type ${hex(value)}`, data3, disabledText);
  if (offset === 5) return only3(data3, (value) => `${value} % full`);
  if (offset !== 6 || data2 === null) return NOTHING;
  const isVendors = data3 !== null && (data3 & 0x80) !== 0;
  const text = isVendors ? `processor ${data2} by the vendor's count` : `processor ${data2}`;
  return { texts: [text], has2: true, has3: data3 !== null };
}

function disabledText(value: number): string {
  if ((value & 0x20) !== 0) return "all events of the type";
  return `${(value & 0x10) !== 0 ? "assertion" : "deassertion"} of offset ${value & 0x0f}`;
}

function systemEventDetails(offset: number, data2: Datum): Told {
  if (offset === 3) {
    return only2(
      data2,
      (value) =>
        `${named(LOG_ACTIONS, value >>> 4, "action")} (${named(LOG_TYPES, value & 0x0f, "log")})`,
    );
  }
  if (offset === 4) {
    return only2(data2, (value) => {
      const actions = PEF_ACTIONS.filter((_, bit) => (value & (1 << bit)) !== 0);
      return actions.length === 0 ? "no action" : actions.join(" and ");
    });
  }
  if (offset !== 5) return NOTHING;
  return only2(data2, (value) => {
    const clock = (value & 0x0f) === 1 ? "SDR clock" : "SEL clock";
    return `${(value & 0x80) !== 0 ? "second" : "first"} of pair, ${clock}`;
  });
}

function requestedState(value: number): string {
  return `requested ${acpiStateText(value) ?? hex(value)}`;
}

function stateAtRequest(value: number): string {
  return `at the time in ${acpiStateText(value) ?? hex(value)}`;
}

function restartCause(value: number): string {
  return `cause ${named(RESTART_CAUSES, value & 0x0f, "number")}`;
}

function slotType(value: number): string {
  return named(SLOT_TYPES, value & 0x7f, "slot type");
}

function watchdogText(value: number): string {
  const use = value & 0x0f;
  const interrupt = value >>> 4;
  const texts: string[] = [];
  if (use !== 0x0f) texts.push(`timer use ${named(WATCHDOG_USES, use, "number")}`);
  if (interrupt !== 0x0f) texts.push(named(WATCHDOG_INTERRUPTS, interrupt, "interrupt"));
  return texts.length === 0 ? "timer use unspecified" : texts.join(", ");
}

function healthDetails(offset: number, data2: Datum, data3: Datum): Told {
  if (offset === 5) {
    return both(
      data2,
      (value) => ((value & 0x80) !== 0 ? "logical FRU device" : "not a logical FRU device"),
      data3,
      (value) => `FRU id or address ${hex(value)}`,
    );
  }
  return offset === 0 || offset === 4
    ? only2(data2, (value) => `failed sensor ${hex(value)}`)
    : NOTHING;
}

function sessionText(offset: number, value: number): string {
  const cause = offset === 1 ? (SESSION_ENDS[(value >>> 4) & 3] ?? null) : null;
  return cause === null ? `channel ${value & 0x0f}` : `${cause}, channel ${value & 0x0f}`;
}

function fruText(value: number): string {
  const before = stateText(EVENT_TYPE.sensorSpecific, SENSOR_TYPE.fruState, value & 0x0f);
  const cause = value >>> 4;
  const causeText = cause === 0x0f ? "cause unknown" : named(FRU_CAUSES, cause, "cause");
  return before === null ? causeText : `before: ${before}, ${causeText}`;
}

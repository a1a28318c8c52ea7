/**
 * A log entry that was an IPMI record (`EntryType` SEL), made back into the 16 bytes of that record.
 *
 * Then the event has the same id as where the record was read by IPMI (`bmc/ipmi/event/event-identity.ts`). Decides whether the
 * entry tells enough: the bytes themselves among its OEM properties, or all of sensor type, sensor number, event type and
 * event data. What is not told is not guessed, and the entry then is an event without a record; the one thing taken for
 * granted is that the BMC itself logged it (generator 0020h), where no `GeneratorId` says otherwise.
 *
 *   LogEntry 1.x          record                       form
 *   Created               3-6    timestamp             seconds, UTC
 *   GeneratorId           7-8    generator             0xNNNN
 *   SensorType            10     sensor type           names of table 42-3
 *   SensorNumber          11     sensor number
 *   MessageId             12-15  event dir|type, data  0xNNaabbcc; older services 0xaabbcc, type by EntryCode
 *   EntryCode             12     event dir|type        names of tables 42-1, 42-2
 */
import type { JsonObject } from "./json.ts";
import { at, isObject, kebab, numberAt, textAt } from "./json.ts";

export const RECORD_BYTES = 16;
const BMC_GENERATOR = 0x0020;
const REVISION = 0x04;

/** SensorType of LogEntry 1.x by its name in kebab case. */
const SENSOR_TYPES: Readonly<Record<string, number>> = {
  temperature: 0x01,
  voltage: 0x02,
  current: 0x03,
  fan: 0x04,
  "physical-chassis-security": 0x05,
  "platform-security-violation-attempt": 0x06,
  processor: 0x07,
  "power-supply-converter": 0x08,
  "power-unit": 0x09,
  "cooling-device": 0x0a,
  "other-units-based-sensor": 0x0b,
  memory: 0x0c,
  "drive-slot-bay": 0x0d,
  "post-memory-resize": 0x0e,
  "system-firmware-progress": 0x0f,
  "event-logging-disabled": 0x10,
  "system-event": 0x12,
  "critical-interrupt": 0x13,
  "button-switch": 0x14,
  "module-board": 0x15,
  "microcontroller-coprocessor": 0x16,
  "add-in-card": 0x17,
  chassis: 0x18,
  "chip-set": 0x19,
  "other-fru": 0x1a,
  "cable-interconnect": 0x1b,
  terminator: 0x1c,
  "system-boot-restart": 0x1d,
  "boot-error": 0x1e,
  "base-os-boot-installation-status": 0x1f,
  "os-stop-shutdown": 0x20,
  "slot-connector": 0x21,
  "system-acpi-power-state": 0x22,
  watchdog: 0x23,
  "platform-alert": 0x24,
  "entity-presence": 0x25,
  "monitor-asic-ic": 0x26,
  lan: 0x27,
  "management-subsystem-health": 0x28,
  battery: 0x29,
  "session-audit": 0x2a,
  "version-change": 0x2b,
  "fru-state": 0x2c,
};

/** The schema writes some with spaces and some without. */
export function sensorTypeCode(name: string): number | null {
  const plain = name.replace(/^POST/, "Post ").replace(/^LAN$/, "Lan").replace(/ACPI/, "Acpi");
  const key = kebab(plain).replace(/-i-c$/, "-ic").replace(/^o-s-/, "os-").replace(/-o-s-/, "-os-");
  return SENSOR_TYPES[key] ?? null;
}

/** Name of a sensor type as LogEntry writes it; null: `OEM`. */
export const SENSOR_TYPE_NAMES: Readonly<Record<number, string>> = {
  1: "Temperature",
  2: "Voltage",
  3: "Current",
  4: "Fan",
  5: "Physical Chassis Security",
  6: "Platform Security Violation Attempt",
  7: "Processor",
  8: "Power Supply / Converter",
  9: "PowerUnit",
  10: "CoolingDevice",
  11: "Other Units-based Sensor",
  12: "Memory",
  13: "Drive Slot/Bay",
  14: "POST Memory Resize",
  15: "System Firmware Progress",
  16: "Event Logging Disabled",
  18: "System Event",
  19: "Critical Interrupt",
  20: "Button/Switch",
  21: "Module/Board",
  22: "Microcontroller/Coprocessor",
  23: "Add-in Card",
  24: "Chassis",
  25: "ChipSet",
  26: "Other FRU",
  27: "Cable/Interconnect",
  28: "Terminator",
  29: "SystemBoot/Restart",
  30: "Boot Error",
  31: "BaseOSBoot/InstallationStatus",
  32: "OS Stop/Shutdown",
  33: "Slot/Connector",
  34: "System ACPI PowerState",
  35: "Watchdog",
  36: "Platform Alert",
  37: "Entity Presence",
  38: "Monitor ASIC/IC",
  39: "LAN",
  40: "Management Subsystem Health",
  41: "Battery",
  42: "Session Audit",
  43: "Version Change",
  44: "FRUState",
};

/** EntryCode of LogEntry 1.x, by event type in the order of its offsets (tables 42-1, 42-2). */
export const ENTRY_CODES: readonly (readonly [eventType: number, codes: readonly string[]])[] = [
  [
    0x01,
    ["Lower Non-critical", "Lower Critical", "Lower Non-recoverable"]
      .concat(["Upper Non-critical", "Upper Critical", "Upper Non-recoverable"])
      .flatMap((name) => [`${name} - going low`, `${name} - going high`]),
  ],
  [0x02, ["Transition to Idle", "Transition to Active", "Transition to Busy"]],
  [0x03, ["State Deasserted", "State Asserted"]],
  [0x04, ["Predictive Failure deasserted", "Predictive Failure asserted"]],
  [0x05, ["Limit Not Exceeded", "Limit Exceeded"]],
  [0x06, ["Performance Met", "Performance Lags"]],
  [
    0x07,
    [
      "Transition to OK",
      "Transition to Non-Critical from OK",
      "Transition to Critical from less severe",
      "Transition to Non-recoverable from less severe",
      "Transition to Non-Critical from more severe",
      "Transition to Critical from Non-recoverable",
      "Transition to Non-recoverable",
      "Monitor",
      "Informational",
    ],
  ],
  [0x08, ["Device Removed / Device Absent", "Device Inserted / Device Present"]],
  [0x09, ["Device Disabled", "Device Enabled"]],
  [
    0x0a,
    [
      "Transition to Running",
      "Transition to In Test",
      "Transition to Power Off",
      "Transition to On Line",
      "Transition to Off Line",
      "Transition to Off Duty",
      "Transition to Degraded",
      "Transition to Power Save",
      "Install Error",
    ],
  ],
  [
    0x0b,
    [
      "Fully Redundant",
      "Redundancy Lost",
      "Redundancy Degraded",
      "Non-redundant:Sufficient Resources from Redundant",
      "Non-redundant:Sufficient Resources from Insufficient Resources",
      "Non-redundant:Insufficient Resources",
      "Redundancy Degraded from Fully Redundant",
      "Redundancy Degraded from Non-redundant",
    ],
  ],
  [0x0c, ["D0 Power State", "D1 Power State", "D2 Power State", "D3 Power State"]],
];

/** The EntryCode of an event, as a service of ours tells it. */
export function entryCodeOf(eventType: number, offset: number, isAssertion: boolean): string {
  const codes = ENTRY_CODES.find(([type]) => type === eventType)?.[1];
  return codes?.[offset] ?? (isAssertion ? "Assert" : "Deassert");
}

function hexBytes(text: string | null): readonly number[] | null {
  const digits = (text ?? "").replace(/^0[xX]/, "");
  if (!/^(?:[0-9a-fA-F]{2})+$/.test(digits) || digits.length > 64) return null;
  return [...Uint8Array.fromHex(digits)];
}

/** Event dir|type and data 1-3, when they are told and agree with each other. */
function eventBytes(entry: JsonObject): readonly number[] | null {
  const bytes = hexBytes(textAt(entry, "MessageId"));
  const code = textAt(entry, "EntryCode");
  if (bytes?.length === 4) return bytes;
  if (bytes?.length !== 3 || code === null) return null;
  const row = ENTRY_CODES.find(([, codes]) => codes.includes(code));
  const offset = (bytes[0] ?? 0) & 0x0f;
  if (row !== undefined) return row[1][offset] === code ? [row[0], ...bytes] : null;
  // Assert and Deassert say the direction only; the type then is the sensor's own.
  if (code === "Assert") return [0x6f, ...bytes];
  return code === "Deassert" ? [0xef, ...bytes] : null;
}

/** Names under which services give the record's bytes in `Oem.<vendor>`. */
const RAW_NAMES: readonly string[] = ["RawRecord", "RawData", "SelRecord", "SELRawData", "RawSEL"];

function isPlausible(bytes: readonly number[]): boolean {
  const type = bytes[2] ?? 0;
  return bytes.length === RECORD_BYTES && (type === 0x02 || type >= 0xc0);
}

/** 16 bytes as hex, with or without blanks between them, in the properties of a vendor. */
function rawRecord(entry: JsonObject): Uint8Array | null {
  const oem = at(entry, "Oem");
  if (!isObject(oem)) return null;
  for (const vendor of Object.values(oem)) {
    for (const name of RAW_NAMES) {
      const bytes = hexBytes((textAt(vendor, name) ?? "").replace(/[\s,]|\b0[xX]/g, ""));
      if (bytes !== null && isPlausible(bytes)) return Uint8Array.from(bytes);
    }
  }
  return null;
}

/** Its id zeroed; null where the entry does not tell the whole record. `whenMs` is when it was logged. */
export function recordOf(entry: JsonObject, whenMs: number | null): Uint8Array | null {
  const raw = rawRecord(entry);
  if (raw !== null) {
    raw.fill(0, 0, 2);
    return raw;
  }
  if (textAt(entry, "EntryType") !== "SEL" || whenMs === null || whenMs < 0) return null;
  const type = sensorTypeCode(textAt(entry, "SensorType") ?? "");
  const number = numberAt(entry, "SensorNumber");
  const event = eventBytes(entry);
  const seconds = Math.floor(whenMs / 1000);
  if (type === null || number === null || event === null || seconds > 0xffffffff) return null;
  if (!Number.isInteger(number) || number < 0 || number > 0xff) return null;
  const generator = hexBytes(textAt(entry, "GeneratorId"));
  const bytes = new Uint8Array(RECORD_BYTES);
  const view = new DataView(bytes.buffer);
  bytes[2] = 0x02;
  view.setUint32(3, seconds, true);
  const told = generator?.length === 2 ? ((generator[0] ?? 0) << 8) | (generator[1] ?? 0) : null;
  view.setUint16(7, told ?? BMC_GENERATOR, true);
  bytes.set([REVISION, type, number, ...event], 9);
  return bytes;
}

/**
 * Names of the sensor types of IPMI 2.0 table 42-3, in kebab case: the category of an event and of a sensor.
 *
 * A type that the standard leaves open keeps its number in its name (`oem-0xc1`, `sensor-type-0x2d`), so that two of them
 * are never taken for one.
 */

export const SENSOR_TYPE = {
  temperature: 0x01,
  voltage: 0x02,
  current: 0x03,
  fan: 0x04,
  physicalSecurity: 0x05,
  processor: 0x07,
  powerSupply: 0x08,
  powerUnit: 0x09,
  memory: 0x0c,
  driveSlot: 0x0d,
  systemFirmware: 0x0f,
  eventLogging: 0x10,
  systemEvent: 0x12,
  chipSet: 0x19,
  bootInitiated: 0x1d,
  slotConnector: 0x21,
  watchdog2: 0x23,
  managementHealth: 0x28,
  session: 0x2a,
  versionChange: 0x2b,
  fruState: 0x2c,
} as const;

const NAMES = [
  "reserved",
  "temperature",
  "voltage",
  "current",
  "fan",
  "physical-security",
  "platform-security",
  "processor",
  "power-supply",
  "power-unit",
  "cooling-device",
  "other-units",
  "memory",
  "drive-slot",
  "post-memory-resize",
  "system-firmware",
  "event-logging",
  "watchdog-1",
  "system-event",
  "critical-interrupt",
  "button",
  "module",
  "microcontroller",
  "add-in-card",
  "chassis",
  "chip-set",
  "other-fru",
  "cable",
  "terminator",
  "boot-initiated",
  "boot-error",
  "os-boot",
  "os-stop",
  "slot",
  "acpi-power-state",
  "watchdog-2",
  "platform-alert",
  "entity-presence",
  "monitor-asic",
  "lan",
  "management-health",
  "battery",
  "session",
  "version-change",
  "fru-state",
] as const;

/** Such as `memory`; of a type that the standard does not define its number in hex. */
export function sensorTypeName(sensorType: number): string {
  const name = NAMES[sensorType];
  if (name !== undefined) return name;
  const hex = `0x${sensorType.toString(16).padStart(2, "0")}`;
  return sensorType >= 0xc0 ? `oem-${hex}` : `sensor-type-${hex}`;
}

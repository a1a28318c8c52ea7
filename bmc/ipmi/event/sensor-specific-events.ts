/**
 * The sensor-specific offsets of IPMI 2.0 §42.2, table 42-3 (event/reading type 6Fh), for every sensor type that has any.
 *
 * What event data 2 and 3 add is in `event-detail.ts`. Grades are ours: `o` stands for what is good to have, so that its
 * deassertion (a power supply that is not present any more) is a warning.
 */
import type { StateRow } from "./state.ts";

const ACPI_STATES: readonly StateRow[] = [
  ["i", "S0/G0, working"],
  ["i", "S1, sleeping with hardware and processor context maintained"],
  ["i", "S2, sleeping, processor context lost"],
  ["i", "S3, sleeping, processor and hardware context lost, memory retained"],
  ["i", "S4, suspended to disk"],
  ["i", "S5/G2, soft-off"],
  ["i", "S4/S5, soft-off, undetermined"],
  ["i", "G3, mechanical off"],
  ["i", "sleeping in S1, S2 or S3"],
  ["i", "G1, sleeping"],
  ["i", "S5 entered by override"],
  ["i", "legacy on"],
  ["i", "legacy off"],
  null,
  ["i", "unknown power state"],
];

/** By sensor type, then by offset. */
export const SENSOR_SPECIFIC_EVENTS: { readonly [sensorType: number]: readonly StateRow[] } = {
  // Physical security
  5: [
    ["c", "general chassis intrusion"],
    ["c", "drive bay intrusion"],
    ["c", "I/O card area intrusion"],
    ["c", "processor area intrusion"],
    ["w", "LAN leash lost, the system was unplugged from the LAN"],
    ["w", "unauthorized dock"],
    ["w", "fan area intrusion"],
  ],
  // Platform security violation attempt
  6: [
    ["w", "secure mode (front panel lockout) violation attempt"],
    ["w", "pre-boot user password violation"],
    ["w", "pre-boot setup password violation"],
    ["w", "pre-boot network boot password violation"],
    ["w", "other pre-boot password violation"],
    ["w", "out-of-band access password violation"],
  ],
  // Processor
  7: [
    ["c", "IERR"],
    ["n", "thermal trip"],
    ["c", "FRB1/BIST failure"],
    ["c", "FRB2, hang in POST failure"],
    ["c", "FRB3, processor startup/initialization failure"],
    ["c", "configuration error"],
    ["c", "SM BIOS uncorrectable CPU-complex error"],
    ["o", "processor presence detected"],
    ["w", "processor disabled"],
    ["o", "terminator presence detected"],
    ["w", "processor automatically throttled"],
    ["n", "uncorrectable machine check exception"],
    ["w", "correctable machine check error"],
  ],
  // Power supply
  8: [
    ["o", "presence detected"],
    ["c", "power supply failure detected"],
    ["w", "predictive failure"],
    ["c", "power supply input (AC/DC) lost"],
    ["c", "power supply input lost or out of range"],
    ["w", "power supply input out of range, but present"],
    ["c", "configuration error"],
    ["i", "power supply inactive, in standby"],
  ],
  // Power unit
  9: [
    ["i", "power off / power down"],
    ["i", "power cycle"],
    ["c", "240VA power down"],
    ["c", "interlock power down"],
    ["c", "AC or power input lost"],
    ["c", "soft power control failure"],
    ["c", "power unit failure detected"],
    ["w", "predictive failure"],
  ],
  // Memory
  12: [
    ["w", "correctable memory error (ECC)"],
    ["c", "uncorrectable memory error (ECC)"],
    ["c", "memory parity error"],
    ["c", "memory scrub failed, stuck bit"],
    ["w", "memory device disabled"],
    ["w", "correctable memory error (ECC) logging limit reached"],
    ["o", "presence detected"],
    ["c", "configuration error"],
    ["i", "spare memory"],
    ["w", "memory automatically throttled"],
    ["c", "critical memory overtemperature"],
  ],
  // Drive slot
  13: [
    ["o", "drive presence"],
    ["c", "drive fault"],
    ["w", "predictive failure"],
    ["i", "hot spare"],
    ["i", "consistency or parity check in progress"],
    ["c", "in critical array"],
    ["c", "in failed array"],
    ["i", "rebuild or remap in progress"],
    ["w", "rebuild or remap aborted"],
  ],
  // System firmware progress
  15: [
    ["c", "system firmware error (POST error)"],
    ["c", "system firmware hang"],
    ["i", "system firmware progress"],
  ],
  // Event logging disabled
  16: [
    ["w", "correctable memory error logging disabled"],
    ["w", "event type logging disabled"],
    ["i", "log area reset or cleared"],
    ["c", "all event logging disabled"],
    ["c", "event log full"],
    ["w", "event log almost full"],
    ["w", "correctable machine check error logging disabled"],
  ],
  // Watchdog 1, of IPMI 1.0
  17: [
    ["c", "BIOS watchdog reset"],
    ["c", "OS watchdog reset"],
    ["c", "OS watchdog shut down"],
    ["c", "OS watchdog power down"],
    ["c", "OS watchdog power cycle"],
    ["c", "OS watchdog NMI or diagnostic interrupt"],
    ["w", "OS watchdog expired, status only"],
    ["w", "OS watchdog pre-timeout interrupt, non-NMI"],
  ],
  // System event
  18: [
    ["i", "system reconfigured"],
    ["i", "OEM system boot event"],
    ["c", "undetermined system hardware failure"],
    ["i", "entry added to auxiliary log"],
    ["i", "PEF action"],
    ["i", "timestamp clock synchronized"],
  ],
  // Critical interrupt
  19: [
    ["c", "front panel NMI or diagnostic interrupt"],
    ["c", "bus timeout"],
    ["c", "I/O channel check NMI"],
    ["c", "software NMI"],
    ["c", "PCI PERR"],
    ["c", "PCI SERR"],
    ["c", "EISA fail safe timeout"],
    ["w", "bus correctable error"],
    ["c", "bus uncorrectable error"],
    ["n", "fatal NMI"],
    ["n", "bus fatal error"],
    ["w", "bus degraded"],
  ],
  // Button or switch
  20: [
    ["i", "power button pressed"],
    ["i", "sleep button pressed"],
    ["i", "reset button pressed"],
    ["w", "FRU latch open"],
    ["i", "FRU service request button pressed"],
  ],
  // Chip set
  25: [
    ["c", "soft power control failure"],
    ["n", "thermal trip"],
  ],
  // Cable or interconnect
  27: [
    ["o", "cable/interconnect is connected"],
    ["c", "configuration error, incorrect cable or interconnection"],
  ],
  // System boot or restart initiated
  29: [
    ["i", "initiated by power up"],
    ["i", "initiated by hard reset"],
    ["i", "initiated by warm reset"],
    ["i", "user requested PXE boot"],
    ["i", "automatic boot to diagnostic"],
    ["i", "OS or run-time software initiated hard reset"],
    ["i", "OS or run-time software initiated warm reset"],
    ["i", "system restart"],
  ],
  // Boot error
  30: [
    ["c", "no bootable media"],
    ["w", "non-bootable diskette left in drive"],
    ["w", "PXE server not found"],
    ["c", "invalid boot sector"],
    ["w", "timeout waiting for user selection of boot source"],
  ],
  // Base OS boot or installation status
  31: [
    ["i", "A: boot completed"],
    ["i", "C: boot completed"],
    ["i", "PXE boot completed"],
    ["i", "diagnostic boot completed"],
    ["i", "CD-ROM boot completed"],
    ["i", "ROM boot completed"],
    ["i", "boot completed, boot device not specified"],
    ["i", "OS/hypervisor installation started"],
    ["i", "OS/hypervisor installation completed"],
    ["w", "OS/hypervisor installation aborted"],
    ["c", "OS/hypervisor installation failed"],
  ],
  // OS stop or shutdown
  32: [
    ["c", "critical stop during OS load or initialization"],
    ["c", "run-time critical stop"],
    ["w", "OS graceful stop"],
    ["i", "OS graceful shutdown"],
    ["w", "soft shutdown initiated by PEF"],
    ["w", "agent not responding to a graceful shutdown request"],
  ],
  // Slot or connector
  33: [
    ["c", "fault status asserted"],
    ["i", "identify status asserted"],
    ["o", "slot device installed or attached"],
    ["i", "slot ready for device installation"],
    ["i", "slot ready for device removal"],
    ["i", "slot power is off"],
    ["i", "slot device removal request"],
    ["i", "interlock asserted"],
    ["w", "slot is disabled"],
    ["i", "slot holds spare device"],
  ],
  34: ACPI_STATES,
  // Watchdog 2
  35: [
    ["c", "timer expired, status only"],
    ["c", "hard reset by the watchdog"],
    ["c", "power down by the watchdog"],
    ["c", "power cycle by the watchdog"],
    null,
    null,
    null,
    null,
    ["w", "timer interrupt"],
  ],
  // Platform alert
  36: [
    ["i", "platform generated page"],
    ["i", "platform generated LAN alert"],
    ["i", "platform event trap (PET) generated"],
    ["i", "platform generated SNMP trap, OEM format"],
  ],
  // Entity presence
  37: [
    ["o", "entity present"],
    ["w", "entity absent"],
    ["w", "entity disabled"],
  ],
  // LAN
  39: [
    ["c", "LAN heartbeat lost"],
    ["o", "LAN heartbeat"],
  ],
  // Management subsystem health
  40: [
    ["w", "sensor access degraded or unavailable"],
    ["w", "controller access degraded or unavailable"],
    ["c", "management controller off-line"],
    ["c", "management controller unavailable"],
    ["c", "sensor failure"],
    ["c", "FRU failure"],
  ],
  // Battery
  41: [
    ["w", "battery low (predictive failure)"],
    ["c", "battery failed"],
    ["o", "battery presence detected"],
  ],
  // Session audit
  42: [
    ["i", "session activated"],
    ["i", "session deactivated"],
    ["w", "invalid user name or password"],
    ["w", "invalid password disable, the user is locked"],
  ],
  // Version change
  43: [
    ["i", "hardware change detected"],
    ["i", "firmware or software change detected"],
    ["c", "hardware incompatibility detected"],
    ["c", "firmware or software incompatibility detected"],
    ["c", "invalid or unsupported hardware version"],
    ["c", "invalid or unsupported firmware or software version"],
    ["i", "detected hardware change was successful"],
    ["i", "detected software or firmware change was successful"],
  ],
  // FRU state
  44: [
    ["i", "FRU not installed"],
    ["i", "FRU inactive"],
    ["i", "FRU activation requested"],
    ["i", "FRU activation in progress"],
    ["o", "FRU active"],
    ["i", "FRU deactivation requested"],
    ["i", "FRU deactivation in progress"],
    ["c", "FRU communication lost"],
  ],
};

/** Text of an ACPI power state, which event data of a chip set uses too. */
export function acpiStateText(offset: number): string | null {
  return ACPI_STATES[offset]?.[1] ?? null;
}

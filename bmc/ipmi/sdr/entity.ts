/**
 * What a sensor or a FRU device belongs to, by name (IPMI 2.0 §43.14).
 *
 * 90h-AFh mean something in one kind of chassis only, B0h-CFh in one set of boards, D0h-FFh at one maker: they keep their
 * number.
 */
import type { Entity } from "./sensor-record.ts";

/** By number, to 35h. */
const NAMES = [
  "unspecified",
  "other",
  "unknown",
  "processor",
  "disk",
  "peripheral bay",
  "system management module",
  "system board",
  "memory module",
  "processor module",
  "power supply",
  "add-in card",
  "front panel board",
  "back panel board",
  "power system board",
  "drive backplane",
  "internal expansion board",
  "other system board",
  "processor board",
  "power unit",
  "power module",
  "power distribution board",
  "chassis back panel board",
  "system chassis",
  "sub-chassis",
  "other chassis board",
  "disk drive bay",
  "peripheral bay",
  "device bay",
  "fan",
  "cooling unit",
  "cable",
  "memory device",
  "system management software",
  "system firmware",
  "operating system",
  "system bus",
  "group",
  "remote management device",
  "external environment",
  "battery",
  "processing blade",
  "connectivity switch",
  "processor and memory module",
  "I/O module",
  "processor and I/O module",
  "management controller firmware",
  "IPMI channel",
  "PCI bus",
  "PCI Express bus",
  "SCSI bus",
  "SATA/SAS bus",
  "front-side bus",
  "real-time clock",
] as const;

/** Beyond the row above; 40h-42h came with DCMI. */
const OTHERS: ReadonlyMap<number, string> = new Map([
  [0x37, "air inlet"],
  [0x40, "air inlet"],
  [0x41, "processor"],
  [0x42, "system board"],
]);

export function entityName(id: number): string {
  return NAMES[id] ?? OTHERS.get(id) ?? `entity 0x${id.toString(16).padStart(2, "0")}`;
}

/** Such as `power supply 2`. */
export function entityText(entity: Entity): string {
  return `${entityName(entity.id)} ${entity.instance}`;
}

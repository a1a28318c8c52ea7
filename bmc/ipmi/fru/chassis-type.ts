/**
 * Kinds of chassis, as a FRU's chassis area numbers them: those of SMBIOS (FRU §10, DMTF DSP0134 §7.4.1).
 */
const NAMES = [
  "unspecified",
  "other",
  "unknown",
  "desktop",
  "low profile desktop",
  "pizza box",
  "mini tower",
  "tower",
  "portable",
  "laptop",
  "notebook",
  "hand held",
  "docking station",
  "all in one",
  "sub notebook",
  "space-saving",
  "lunch box",
  "main server chassis",
  "expansion chassis",
  "sub-chassis",
  "bus expansion chassis",
  "peripheral chassis",
  "RAID chassis",
  "rack mount chassis",
  "sealed-case PC",
  "multi-system chassis",
  "CompactPCI",
  "AdvancedTCA",
  "blade",
  "blade enclosure",
  "tablet",
  "convertible",
  "detachable",
  "IoT gateway",
  "embedded PC",
  "mini PC",
  "stick PC",
] as const;

/** b7 says that there is a lock, in SMBIOS; it is no part of the number. */
export function chassisTypeName(type: number): string {
  const number = type & 0x7f;
  return NAMES[number] ?? `chassis type ${number}`;
}

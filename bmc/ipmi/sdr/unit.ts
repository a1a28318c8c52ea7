/**
 * The unit of a sensor as text: base, modifier, rate, percent (IPMI 2.0 §43.17, and units 1 of §43.1).
 *
 *   units 1   b5:3 rate: per µs, ms, s, min, h, day;  b2:1 1 = base/modifier, 2 = base·modifier;  b0 percent
 */

/** By number; index 0 is "unspecified". */
const UNITS: readonly string[] = [
  "",
  "°C",
  "°F",
  "K",
  "V",
  "A",
  "W",
  "J",
  "C",
  "VA",
  "nit",
  "lm",
  "lx",
  "cd",
  "kPa",
  "psi",
  "N",
  "CFM",
  "RPM",
  "Hz",
  "µs",
  "ms",
  "s",
  "min",
  "h",
  "d",
  "week",
  "mil",
  "in",
  "ft",
  "in³",
  "ft³",
  "mm",
  "cm",
  "m",
  "cm³",
  "m³",
  "L",
  "fl oz",
  "rad",
  "sr",
  "revolutions",
  "cycles",
  "g",
  "oz",
  "lb",
  "ft·lb",
  "oz·in",
  "gauss",
  "gilbert",
  "H",
  "mH",
  "F",
  "µF",
  "Ω",
  "S",
  "mol",
  "Bq",
  "ppm",
  "",
  "dB",
  "dBA",
  "dBC",
  "Gy",
  "Sv",
  "K (color)",
  "bit",
  "kbit",
  "Mbit",
  "Gbit",
  "byte",
  "kB",
  "MB",
  "GB",
  "word",
  "dword",
  "qword",
  "line",
  "hit",
  "miss",
  "retry",
  "reset",
  "overflow",
  "underrun",
  "collision",
  "packets",
  "messages",
  "characters",
  "error",
  "correctable error",
  "uncorrectable error",
  "fatal error",
  "gram",
];

const RATES: readonly string[] = ["", "/µs", "/ms", "/s", "/min", "/h", "/d", ""];

export interface SensorUnits {
  readonly isPercent: boolean;
  /** Number of the standard's table; 0 is unspecified. */
  readonly base: number;
  readonly modifier: number;
  readonly modifierUse: "none" | "divides" | "multiplies";
  /** 0 none, 1 per µs … 6 per day. */
  readonly rate: number;
}

const MODIFIER_USES = ["none", "divides", "multiplies", "none"] as const;

export function decodeUnits(units1: number, base: number, modifier: number): SensorUnits {
  return {
    isPercent: (units1 & 0x01) !== 0,
    base,
    modifier,
    modifierUse: MODIFIER_USES[(units1 >> 1) & 0x03] ?? "none",
    rate: (units1 >> 3) & 0x07,
  };
}

function nameOf(unit: number): string {
  return UNITS[unit] ?? `unit ${unit}`;
}

/** Such as `°C`, `RPM`, `%`, `packets/s`; empty for "unspecified". */
export function unitText(units: SensorUnits): string {
  let text = nameOf(units.base);
  const modifier = nameOf(units.modifier);
  if (modifier !== "" && units.modifierUse === "divides") text = `${text}/${modifier}`;
  if (modifier !== "" && units.modifierUse === "multiplies") text = `${text}·${modifier}`;
  text += RATES[units.rate] ?? "";
  if (!units.isPercent) return text;
  return text === "" ? "%" : `% ${text}`;
}

/**
 * The generic event/reading types of IPMI 2.0 §42.1, table 42-2: what each offset means, for any sensor of that type.
 *
 * Thresholds (01h) are built, not listed: six thresholds, each crossed going low at the even offset and going high at the
 * odd one. Grades are ours, by the meaning of the words: lost redundancy is critical, less of it a warning; a device that
 * went away or was switched off is a warning, since the event says that it was there before.
 */
import type { Grade, StateRow } from "./state.ts";

export const EVENT_TYPE = {
  unspecified: 0x00,
  threshold: 0x01,
  severity: 0x07,
  sensorSpecific: 0x6f,
} as const;

/** Types 70h..7Fh belong to the manufacturer. */
export const OEM_EVENT_TYPE_MIN = 0x70;

/** In the order of the offsets of type 01h. */
export const THRESHOLD_NAMES = [
  "lower non-critical",
  "lower critical",
  "lower non-recoverable",
  "upper non-critical",
  "upper critical",
  "upper non-recoverable",
] as const;

const THRESHOLD_GRADES: readonly Grade[] = ["w", "c", "n", "w", "c", "n"];

/** A crossing towards the middle, such as lower critical going high, is a recovery. */
function thresholdRows(): readonly StateRow[] {
  return THRESHOLD_NAMES.flatMap((name, index): readonly StateRow[] => {
    const grade = THRESHOLD_GRADES[index] ?? "w";
    const isLower = index < 3;
    return [
      [isLower ? grade : "o", `${name} threshold crossed going low`],
      [isLower ? "o" : grade, `${name} threshold crossed going high`],
    ];
  });
}

/** By event/reading type, then by offset. */
export const GENERIC_EVENTS: { readonly [eventType: number]: readonly StateRow[] } = {
  1: thresholdRows(),
  2: [
    ["i", "became idle"],
    ["i", "became active"],
    ["i", "became busy"],
  ],
  3: [
    ["o", "state deasserted"],
    ["w", "state asserted"],
  ],
  4: [
    ["o", "predictive failure deasserted"],
    ["w", "predictive failure asserted"],
  ],
  5: [
    ["o", "limit not exceeded"],
    ["w", "limit exceeded"],
  ],
  6: [
    ["o", "performance met"],
    ["w", "performance lags"],
  ],
  7: [
    ["o", "went to OK"],
    ["w", "went from OK to non-critical"],
    ["c", "went from less severe to critical"],
    ["n", "went from less severe to non-recoverable"],
    ["w", "went from more severe to non-critical"],
    ["c", "went from non-recoverable to critical"],
    ["n", "went to non-recoverable"],
    ["i", "monitor"],
    ["i", "informational"],
  ],
  8: [
    ["w", "device removed or absent"],
    ["o", "device inserted or present"],
  ],
  9: [
    ["w", "device disabled"],
    ["o", "device enabled"],
  ],
  10: [
    ["o", "running"],
    ["i", "in test"],
    ["i", "powered off"],
    ["o", "on line"],
    ["w", "off line"],
    ["i", "off duty"],
    ["w", "degraded"],
    ["i", "in power save"],
    ["c", "install error"],
  ],
  11: [
    ["o", "fully redundant"],
    ["c", "redundancy lost"],
    ["w", "redundancy degraded"],
    ["c", "non-redundant, sufficient resources from redundant"],
    ["w", "non-redundant, sufficient resources from insufficient resources"],
    ["c", "non-redundant, insufficient resources"],
    ["w", "redundancy degraded from fully redundant"],
    ["w", "redundancy degraded from non-redundant"],
  ],
  12: [
    ["i", "D0 power state"],
    ["i", "D1 power state"],
    ["i", "D2 power state"],
    ["i", "D3 power state"],
  ],
};

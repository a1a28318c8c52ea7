/**
 * Severities as numbers, so that a store can sort by them: the graver, the higher. Kept on disk, so the numbers are frozen.
 */
import type { Severity } from "../../bmc/bmc.ts";

export const SEVERITIES = ["ok", "information", "warning", "critical", "non-recoverable"] as const;

export function rankOf(severity: Severity): number {
  return SEVERITIES.indexOf(severity);
}

/** A number that a newer version wrote counts as the gravest: better seen than missed. */
export function severityOf(rank: number): Severity {
  return SEVERITIES[rank] ?? "non-recoverable";
}

export function graver(a: Severity | null, b: Severity | null): Severity | null {
  if (a === null || b === null) return a ?? b;
  return rankOf(a) >= rankOf(b) ? a : b;
}

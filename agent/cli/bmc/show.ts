/**
 * How times, durations and texts of a BMC are shown and read. Pure.
 *
 * Whatever a BMC sends is text of a stranger: control characters are escaped before they reach a terminal.
 */
import { InvalidArgumentError } from "commander";
import type { BmcEvent, Severity } from "../../../bmc/bmc.ts";
import { oneLine } from "../../runtime/io/log.ts";

/** `2026-11-22 10:36:42Z`; the clock of a BMC has no fractions. */
export function formatWhen(whenMs: number | null): string {
  if (whenMs === null || !Number.isFinite(whenMs) || Math.abs(whenMs) > 8.64e15) {
    return "time unknown";
  }
  const text = new Date(whenMs).toISOString();
  return `${text.slice(0, -14)} ${text.slice(-13, -5)}Z`;
}

/** `-` for null: not told. */
export function formatSeconds(ms: number | null): string {
  if (ms === null) return "-";
  return `${Math.round(ms / 100) / 10} s`;
}

const UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

export function parseDuration(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text);
  const unit = UNITS[match?.[2] ?? ""];
  if (match === null || unit === undefined) {
    throw new InvalidArgumentError("must be a time such as 500ms, 2s, 5m, 12h or 7d");
  }
  return Number(match[1]) * unit;
}

/** A moment: so long ago (`12h`), or a date (`2026-11-22`, `2026-11-22T10:00:00Z`; UTC where it does not say). */
export function parseMoment(text: string, nowMs: number): number {
  if (/^\d+(?:\.\d+)?(?:ms|s|m|h|d)$/.test(text)) return nowMs - parseDuration(text);
  if (
    /^\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?)?$/.test(text)
  ) {
    const isZoned = /(?:Z|[+-]\d{2}:?\d{2})$/.test(text.slice(10));
    const whenMs = Date.parse(isZoned || text.length === 10 ? text : `${text}Z`);
    if (!Number.isNaN(whenMs)) return whenMs;
  }
  throw new InvalidArgumentError("must be so long ago, such as 12h, or a date, such as 2026-11-22");
}

export const SEVERITIES: readonly Severity[] = [
  "information",
  "ok",
  "warning",
  "critical",
  "non-recoverable",
];

export function isAtLeast(severity: Severity, least: Severity): boolean {
  return SEVERITIES.indexOf(severity) >= SEVERITIES.indexOf(least);
}

/** One line for people: when, how grave, what kind, what about it. */
export function formatEvent(event: BmcEvent): string {
  const when = formatWhen(event.whenMs).padEnd(20);
  const severity = event.severity.padEnd(11);
  return oneLine(`${when}  ${severity}  ${event.category}  ${textOf(event)}`);
}

/** The text names its subject already where it can. */
export function textOf({ subject, text }: BmcEvent): string {
  return subject === "" || text.includes(subject) ? text : `${subject}: ${text}`;
}

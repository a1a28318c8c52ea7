/**
 * Which lines of a log file are around a moment, by the time at their beginning.
 *
 * Two forms are known: `Nov 25 09:34:09` of syslog (RFC 3164), which has neither year nor zone, and ISO 8601 (RFC 5424, rsyslog's
 * default of today). Of the first, local time is the caller's to know: it gives the offset, and the year is the one that brings the line
 * closest to the moment.
 */
export interface Window {
  readonly fromMs: number;
  readonly toMs: number;
  /** Local time minus UTC, for lines without a zone. */
  readonly localOffsetMs: number;
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const OLD = /^(?:<\d{1,3}>)?([A-Z][a-z]{2}) {1,2}(\d{1,2}) (\d{2}):(\d{2}):(\d{2})/;
const ISO =
  /^(?:<\d{1,3}>\d? ?)?(\d{4})-(\d{2})-(\d{2})[T ](\d{2}):(\d{2}):(\d{2})(?:[.,]\d{1,9})?(Z|[+-]\d{2}:?\d{2})?/;

/** Days since 1970 of the civil calendar. */
function daysOf(year: number, month: number, day: number): number {
  const y = month <= 2 ? year - 1 : year;
  const era = Math.floor(y / 400);
  const ofEra = y - era * 400;
  const ofYear = Math.floor((153 * ((month + 9) % 12) + 2) / 5) + day - 1;
  return (
    era * 146_097 + ofEra * 365 + Math.floor(ofEra / 4) - Math.floor(ofEra / 100) + ofYear - 719_468
  );
}

function yearOf(ms: number): number {
  return 1970 + Math.floor(ms / 31_556_952_000);
}

function offsetOf(zone: string | undefined, localOffsetMs: number): number {
  if (zone === undefined) return localOffsetMs;
  if (zone === "Z") return 0;
  const minutes = Number(zone.slice(1, 3)) * 60 + Number(zone.slice(-2));
  return (zone.startsWith("-") ? -minutes : minutes) * 60_000;
}

function secondsOf(hour: string, minute: string, second: string): number {
  return Number(hour) * 3_600 + Number(minute) * 60 + Number(second);
}

/** When a line was written; null: it does not begin with a time. */
export function lineMs(line: string, window: Window): number | null {
  const iso = ISO.exec(line);
  if (iso !== null) {
    const [, year = "", month = "", day = "", hour = "", minute = "", second = "", zone] = iso;
    const days = daysOf(Number(year), Number(month), Number(day));
    const ms = (days * 86_400 + secondsOf(hour, minute, second)) * 1_000;
    return ms - offsetOf(zone, window.localOffsetMs);
  }
  const old = OLD.exec(line);
  if (old === null) return null;
  const [, monthName = "", day = "", hour = "", minute = "", second = ""] = old;
  const month = MONTHS.indexOf(monthName) + 1;
  if (month === 0) return null;
  const middleMs = (window.fromMs + window.toMs) / 2;
  let best: number | null = null;
  for (const year of [-1, 0, 1].map((delta) => yearOf(middleMs) + delta)) {
    const days = daysOf(year, month, Number(day));
    const ms = (days * 86_400 + secondsOf(hour, minute, second)) * 1_000 - window.localOffsetMs;
    if (best === null || Math.abs(ms - middleMs) < Math.abs(best - middleMs)) best = ms;
  }
  return best;
}

/** null: the line has no time of its own. */
export function isInWindow(line: string, window: Window): boolean | null {
  const ms = lineMs(line, window);
  return ms === null ? null : ms >= window.fromMs && ms <= window.toMs;
}

/**
 * Redfish's times: `YYYY-MM-DDThh:mm:ss[.s…](Z|±hh:mm)` (DSP0266 §8.7, RFC 3339), to and from milliseconds since 1970 in UTC.
 *
 * Written here because a pure room has no `Date`. Proleptic Gregorian, by days since 1 March of year 0, which puts the leap
 * day at the end of a year. A time without an offset is none, as it may be off by a day.
 */
const DAY_MS = 86_400_000;
/** Days from 0000-03-01 to 1970-01-01. */
const EPOCH_DAYS = 719_468;

const PATTERN =
  /^(\d{4})-(\d{2})-(\d{2})[Tt ](\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,9}))?(?:([Zz])|([+-])(\d{2}):?(\d{2}))$/;

function daysOf(year: number, month: number, day: number): number {
  const y = month <= 2 ? year - 1 : year;
  const era = Math.floor(y / 400);
  const yearOfEra = y - era * 400;
  const dayOfYear = Math.floor((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5) + day - 1;
  const dayOfEra =
    yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  return era * 146_097 + dayOfEra - EPOCH_DAYS;
}

interface Day {
  readonly year: number;
  readonly month: number;
  readonly day: number;
}

function dayOf(days: number): Day {
  const z = days + EPOCH_DAYS;
  const era = Math.floor(z / 146_097);
  const doe = z - era * 146_097;
  const yoe = Math.floor(
    (doe - Math.floor(doe / 1460) + Math.floor(doe / 36_524) - Math.floor(doe / 146_096)) / 365,
  );
  const doy = doe - (365 * yoe + Math.floor(yoe / 4) - Math.floor(yoe / 100));
  const mp = Math.floor((5 * doy + 2) / 153);
  const month = mp < 10 ? mp + 3 : mp - 9;
  return {
    year: yoe + era * 400 + (month <= 2 ? 1 : 0),
    month,
    day: doy - Math.floor((153 * mp + 2) / 5) + 1,
  };
}

/** null: no time that can be read, or a day that no calendar has. */
export function parseDateTime(text: string | null): number | null {
  const match = text === null ? null : PATTERN.exec(text);
  if (match === null) return null;
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const offsetHour = Number(match[10] ?? 0);
  const offsetMinute = Number(match[11] ?? 0);
  // 60 is a leap second, which counts as the next minute's first.
  if (hour > 23 || minute > 59 || second > 60 || offsetHour > 23 || offsetMinute > 59) return null;
  if (month < 1 || month > 12 || day < 1) return null;
  const days = daysOf(year, month, day);
  const back = dayOf(days);
  if (back.month !== month || back.day !== day) return null;
  const ms = Number((match[7] ?? "").padEnd(3, "0").slice(0, 3));
  const offset = (offsetHour * 60 + offsetMinute) * 60_000 * (match[9] === "-" ? -1 : 1);
  return days * DAY_MS + ((hour * 60 + minute) * 60 + second) * 1000 + ms - offset;
}

function padded(value: number, width: number): string {
  return String(value).padStart(width, "0");
}

/** In UTC and whole seconds, as most services write it. Of years 0 to 9999. */
export function formatDateTime(ms: number): string {
  const days = Math.floor(ms / DAY_MS);
  const seconds = Math.floor((ms - days * DAY_MS) / 1000);
  const { year, month, day } = dayOf(days);
  const clock = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  const time = clock.map((one) => padded(one, 2)).join(":");
  return `${padded(year, 4)}-${padded(month, 2)}-${padded(day, 2)}T${time}Z`;
}

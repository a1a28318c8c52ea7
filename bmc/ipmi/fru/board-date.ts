/**
 * The date in a FRU's board area: minutes since 1996-01-01 00:00 UTC (FRU §11).
 *
 * Calendar by arithmetic, since pure code has no `Date`: days are counted in eras of 400 years that begin on a 1st of March,
 * so that the leap day is the last of its year (Howard Hinnant, "chrono-compatible low-level date algorithms").
 */
const MINUTES_A_DAY = 1440;
/** From 0000-03-01 to 1996-01-01. */
const DAYS_TO_1996 = 728_964;
const DAYS_AN_ERA = 146_097;

function twoDigits(value: number): string {
  return value.toString().padStart(2, "0");
}

/** Such as `2024-02-29 13:05`; null for 0, which means "not said". */
export function boardDateText(minutes: number): string | null {
  if (minutes === 0) return null;
  const days = DAYS_TO_1996 + Math.floor(minutes / MINUTES_A_DAY);
  const era = Math.floor(days / DAYS_AN_ERA);
  const dayOfEra = days - era * DAYS_AN_ERA;
  const yearOfEra = Math.floor(
    (dayOfEra -
      Math.floor(dayOfEra / 1460) +
      Math.floor(dayOfEra / 36_524) -
      Math.floor(dayOfEra / 146_096)) /
      365,
  );
  const dayOfYear =
    dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const marchMonth = Math.floor((5 * dayOfYear + 2) / 153);
  const day = dayOfYear - Math.floor((153 * marchMonth + 2) / 5) + 1;
  const month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9;
  const year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0);
  const rest = minutes % MINUTES_A_DAY;
  const time = `${twoDigits(Math.floor(rest / 60))}:${twoDigits(rest % 60)}`;
  return `${year}-${twoDigits(month)}-${twoDigits(day)} ${time}`;
}

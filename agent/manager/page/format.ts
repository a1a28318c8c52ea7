/**
 * Numbers and times as people read them. Pure, but for the browser's time zone and language of numbers.
 */
const DAY_MS = 86_400_000;

const pad = (value: number, digits = 2): string => String(value).padStart(digits, "0");

export function clockTime(ms: number): string {
  const date = new Date(ms);
  return `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}`;
}

export function clockTimeMs(ms: number): string {
  return `${clockTime(ms)}.${pad(new Date(ms).getMilliseconds(), 3)}`;
}

export function dayOf(ms: number): string {
  const date = new Date(ms);
  return `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}`;
}

/** The time alone for today, else with its day. */
export function moment(ms: number, nowMs: number): string {
  return dayOf(ms) === dayOf(nowMs) ? clockTime(ms) : `${dayOf(ms).slice(5)} ${clockTime(ms)}`;
}

export function fullMoment(ms: number): string {
  return `${dayOf(ms)} ${clockTimeMs(ms)}`;
}

/** `38 ms`, `1.2 s`, `3 min 5 s`, `2 h 10 min`, `3 d 4 h`. */
export function duration(ms: number): string {
  const span = Math.max(0, ms);
  if (span < 1_000) return `${Math.round(span)} ms`;
  if (span < 10_000) return `${(span / 1_000).toFixed(1)} s`;
  const seconds = Math.round(span / 1_000);
  if (seconds < 60) return `${seconds} s`;
  const pairs: readonly (readonly [size: number, unit: string, sub: number, subUnit: string])[] = [
    [86_400, "d", 3_600, "h"],
    [3_600, "h", 60, "min"],
    [60, "min", 1, "s"],
  ];
  for (const [size, unit, sub, subUnit] of pairs) {
    if (seconds < size) continue;
    const rest = Math.floor((seconds % size) / sub);
    const head = `${Math.floor(seconds / size)} ${unit}`;
    return rest === 0 ? head : `${head} ${rest} ${subUnit}`;
  }
  return `${seconds} s`;
}

/** The coarser half of `duration`, for a column. */
export function shortDuration(ms: number): string {
  return duration(ms).split(" ").slice(0, 2).join(" ");
}

export function ago(ms: number, nowMs: number): string {
  const span = nowMs - ms;
  return span < 1_500 ? "now" : `${shortDuration(span)} ago`;
}

export function counted(count: number, one: string, many = `${one}s`): string {
  return `${grouped(count)} ${count === 1 ? one : many}`;
}

/** Thin spaces between thousands, in whatever language. */
export function grouped(count: number): string {
  return String(count).replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

/** `a, b, c and 4 more`. */
export function listed(names: readonly string[], most: number): string {
  if (names.length <= most) return names.join(", ");
  return `${names.slice(0, most).join(", ")} and ${grouped(names.length - most)} more`;
}

/** Runs of whole numbers joined: `0-3 6`. */
export function runs(numbers: readonly number[]): string {
  const found: { first: number; last: number }[] = [];
  for (const value of [...numbers].sort((a, b) => a - b)) {
    const run = found.at(-1);
    if (run !== undefined && value <= run.last + 1) run.last = value;
    else found.push({ first: value, last: value });
  }
  return found
    .map(({ first, last }) => (first === last ? `${first}` : `${first}–${last}`))
    .join(" ");
}

/** Length of a range of time as a button says it. */
export function rangeName(ms: number): string {
  return ms % DAY_MS === 0 ? `${ms / DAY_MS} d` : duration(ms);
}

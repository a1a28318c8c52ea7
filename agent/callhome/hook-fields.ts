/**
 * What a hook tells: named fields from JSON, a form, a query or plain text, read into an event.
 *
 * A script on a BMC has `curl` and little else, so every field but the text may be left out, names and severities are taken as
 * people write them, and what is not known is kept as it came. What makes two calls one event is, in this order: the SEL
 * record, the caller's `key`, its `time`; a call with none of them is told from another by its content, and the same content
 * within `REPEAT_WITHIN_MS` is a retry. Bounded: a hook is a line, not a file.
 */
import { z } from "zod";
import type { BmcEvent, Severity } from "../../bmc/bmc.ts";
import { eventOf, keyedEventId, type Sha256 } from "../../bmc/ipmi/event/event-identity.ts";
import { decodeSelRecord } from "../../bmc/ipmi/sel/sel-record.ts";
import { err, ok, type Result } from "../../core/result.ts";

export const TEXT_CHARACTERS_MAX = 2_000;
const WORD_CHARACTERS_MAX = 128;
const KEY_CHARACTERS_MAX = 256;
const EXTRA_FIELDS_MAX = 32;

/** A `curl --retry` comes again within seconds; an error that comes again after this is a second one. */
export const REPEAT_WITHIN_MS = 10_000;
const REPEATS_MAX = 1_000;

/** As people and other programs write them. */
const SEVERITY_WORDS: Readonly<Record<string, Severity>> = {
  information: "information",
  info: "information",
  notice: "information",
  debug: "information",
  ok: "ok",
  recovered: "ok",
  warning: "warning",
  warn: "warning",
  corrected: "warning",
  critical: "critical",
  crit: "critical",
  error: "critical",
  err: "critical",
  uncorrected: "critical",
  "non-recoverable": "non-recoverable",
  fatal: "non-recoverable",
  alert: "non-recoverable",
  emerg: "non-recoverable",
  emergency: "non-recoverable",
};

export interface HookFields {
  /** null: not told. */
  readonly severity: Severity | null;
  readonly category: string;
  readonly subject: string;
  /** null only with a record. */
  readonly text: string | null;
  readonly timeMs: number | null;
  readonly key: string | null;
  /** null: the sender's own. */
  readonly system: string | null;
  /** 32 hex digits. */
  readonly record: string | null;
  readonly isAssertion: boolean;
  readonly extra: Readonly<Record<string, string | number>>;
}

const NUMBER_OF_TIME = /^\d{1,16}(?:\.\d+)?$/;

/** Seconds or milliseconds since 1970, or ISO 8601. Before the year 5138 seconds are below 10^11. */
function timeOf(value: string): number | null {
  if (NUMBER_OF_TIME.test(value)) {
    const number = Number(value);
    return Math.round(number < 1e11 ? number * 1000 : number);
  }
  return isoMs(value);
}

const ISO =
  /^(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?\s*(Z|[+-]\d{2}:?\d{2})?)?$/i;
const DAY_MS = 86_400_000;

/** Days since 1970 of a date of the Gregorian calendar (Howard Hinnant's days_from_civil); null of no such date. */
function daysOf(year: number, month: number, day: number): number | null {
  const leap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  const lengths = [31, leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
  if (month < 1 || month > 12 || day < 1 || day > (lengths[month - 1] ?? 0)) return null;
  const y = month <= 2 ? year - 1 : year;
  const era = Math.floor(y / 400);
  const ofEra = y - era * 400;
  const ofYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1;
  return (
    era * 146_097 + ofEra * 365 + Math.floor(ofEra / 4) - Math.floor(ofEra / 100) + ofYear - 719_468
  );
}

/** UTC where no zone is given: a BMC has no other. Decision code has no `Date`, and this much of a calendar is short. */
function isoMs(value: string): number | null {
  const match = ISO.exec(value.trim());
  if (match === null) return null;
  const part = (index: number): number => Number(match[index] ?? 0);
  const days = daysOf(part(1), part(2), part(3));
  if (days === null || part(4) > 23 || part(5) > 59 || part(6) > 60) return null;
  const zone = match[8] ?? "Z";
  const sign = zone.startsWith("-") ? -1 : 1;
  const digits = zone.replace(/\D/g, "").padStart(4, "0");
  const zoneMinutes = sign * (Number(digits.slice(0, 2)) * 60 + Number(digits.slice(2)));
  const minutes = part(4) * 60 + part(5) - zoneMinutes;
  const ms = Number((match[7] ?? "").padEnd(3, "0").slice(0, 3));
  return days * DAY_MS + minutes * 60_000 + part(6) * 1000 + ms;
}

const scalar = z.union([z.string(), z.number(), z.boolean()]).transform(String);

function text(charactersMax: number): z.ZodType<string, unknown> {
  return scalar
    .transform((value) => value.trim())
    .pipe(z.string().max(charactersMax, `may have ${charactersMax} characters`));
}

const fieldsSchema = z.object({
  severity: text(WORD_CHARACTERS_MAX)
    .transform((word) => SEVERITY_WORDS[word.toLowerCase()] ?? null)
    .refine((severity) => severity !== null, {
      error: "must be information, ok, warning, critical or non-recoverable",
    })
    .optional(),
  category: text(WORD_CHARACTERS_MAX).optional(),
  subject: text(WORD_CHARACTERS_MAX).optional(),
  text: text(TEXT_CHARACTERS_MAX).optional(),
  time: text(WORD_CHARACTERS_MAX)
    .transform(timeOf)
    .refine((ms) => ms !== null, {
      error: "must be seconds since 1970, or a time such as 2026-11-22T10:36:42Z",
    })
    .optional(),
  key: text(KEY_CHARACTERS_MAX).optional(),
  system: text(KEY_CHARACTERS_MAX).optional(),
  record: text(WORD_CHARACTERS_MAX)
    .transform((value) => value.replaceAll(/[\s:]/g, "").toLowerCase())
    .pipe(z.string().regex(/^[0-9a-f]{32}$/, "must be the 16 bytes of a SEL record in hex"))
    .optional(),
  assertion: text(WORD_CHARACTERS_MAX)
    .transform((value) => !/^(?:0|false|no|deasserted|deassertion)$/i.test(value))
    .optional(),
});

const KNOWN: ReadonlySet<string> = new Set(Object.keys(fieldsSchema.shape));

/** `memory` for `Memory`, `power-supply` for `Power Supply`. */
function kebab(word: string): string {
  return word
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, "-")
    .replace(/^-|-$/g, "");
}

/** Whatever else was sent, as strings and numbers. */
function extraOf(sent: Readonly<Record<string, unknown>>): Result<HookFields["extra"], string> {
  const extra: Record<string, string | number> = {};
  const others = Object.entries(sent).filter(([name]) => !KNOWN.has(name));
  if (others.length > EXTRA_FIELDS_MAX) return err(`more than ${EXTRA_FIELDS_MAX} other fields`);
  for (const [name, value] of others) {
    if (name.length > WORD_CHARACTERS_MAX) return err("the name of a field is too long");
    const plain = typeof value === "number" ? value : String(scalarOf(value));
    if (typeof plain === "string" && plain.length > TEXT_CHARACTERS_MAX) {
      return err(`${name}: may have ${TEXT_CHARACTERS_MAX} characters`);
    }
    Object.defineProperty(extra, name, { value: plain, enumerable: true });
  }
  return ok(extra);
}

function scalarOf(value: unknown): string {
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** What was given, or null for nothing. */
function given(value: string | undefined): string | null {
  return value === undefined || value === "" ? null : value;
}

function complaintOf(error: z.ZodError): string {
  const issue = error.issues[0];
  const message = issue?.code === "invalid_union" ? "must be a text" : issue?.message;
  return `${issue?.path.join(".") ?? "the hook"}: ${message ?? "is not understood"}`;
}

/** The error is one line that names the field. */
export function readHookFields(
  sent: Readonly<Record<string, unknown>>,
): Result<HookFields, string> {
  const parsed = fieldsSchema.safeParse(sent);
  if (!parsed.success) return err(complaintOf(parsed.error));
  const { data } = parsed;
  const words = given(data.text);
  if (words === null && data.record === undefined) {
    return err("text is missing: what happened, in one line");
  }
  const extra = extraOf(sent);
  if (!extra.ok) return extra;
  return ok({
    severity: data.severity ?? null,
    category: kebab(data.category ?? "") || "other",
    subject: data.subject ?? "",
    text: words?.replaceAll(/\s*\r?\n\s*/g, " / ") ?? null,
    timeMs: data.time ?? null,
    key: given(data.key),
    system: given(data.system),
    record: data.record ?? null,
    isAssertion: data.assertion ?? true,
    extra: extra.value,
  });
}

/** Tells a retry from an error that came again, for hooks that give neither key nor time. */
export class RecentHooks {
  readonly #seen: Map<string, { readonly key: string; readonly atMs: number }> = new Map();

  keyOf(fields: HookFields, system: string, nowMs: number): string {
    const { severity, category, subject, text: words, isAssertion } = fields;
    if (fields.key !== null) return JSON.stringify(["key", fields.key]);
    const content = [system, severity, category, subject, words, isAssertion];
    if (fields.timeMs !== null) return JSON.stringify(["time", fields.timeMs, ...content]);
    const name = JSON.stringify(content);
    const seen = this.#seen.get(name);
    if (seen !== undefined && nowMs - seen.atMs < REPEAT_WITHIN_MS) return seen.key;
    const key = JSON.stringify(["content", nowMs, ...content]);
    this.#seen.delete(name);
    this.#seen.set(name, { key, atMs: nowMs });
    // Oldest first: a map keeps the order of insertion.
    for (const [oldest] of this.#seen) {
      if (this.#seen.size <= REPEATS_MAX) break;
      this.#seen.delete(oldest);
    }
    return key;
  }
}

export interface HookSetting {
  /** Whose event it is when the hook does not say. */
  readonly system: string;
  readonly nowMs: number;
  readonly sha256: Sha256;
  readonly recent: RecentHooks;
}

export function hookEvent(fields: HookFields, setting: HookSetting): BmcEvent {
  const { nowMs, sha256, recent } = setting;
  const system = fields.system ?? setting.system;
  const bytes = fields.record === null ? null : Uint8Array.fromHex(fields.record);
  const record = bytes === null ? null : decodeSelRecord(bytes);
  if (bytes !== null && record?.ok === true) {
    const sighting = { system, epoch: 0, nth: 0, way: "hook", seenMs: nowMs } as const;
    const event = eventOf({ ...sighting, bytes, record: record.value }, sha256);
    return {
      ...event,
      severity: fields.severity ?? event.severity,
      subject: fields.subject || event.subject,
      text: fields.text ?? event.text,
      extra: { ...event.extra, ...fields.extra },
    };
  }
  const { severity, category, subject, isAssertion, extra } = fields;
  return {
    id: keyedEventId(system, 0, recent.keyOf(fields, system, nowMs), sha256),
    system,
    epoch: 0,
    nth: 0,
    way: "hook",
    severity: severity ?? "warning",
    // A hook is called when it happens.
    whenMs: fields.timeMs ?? nowMs,
    seenMs: nowMs,
    isAssertion,
    category,
    subject,
    text: fields.text ?? "",
    record: null,
    extra,
  };
}

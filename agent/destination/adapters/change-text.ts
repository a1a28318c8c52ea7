/**
 * A change of a ticket in words, and the key by which a far end knows the ticket again.
 *
 * The key is made of the ticket and its destination's name and never of what may change while the ticket lives (node, cluster,
 * severity). Texts are cut by characters as people count them, never through one.
 */
import type { Severity } from "../../../bmc/bmc.ts";
import type { TicketChange } from "../adapter.ts";

const CONTROL = /\p{Cc}+/gu;

/** At most `max` UTF-16 units, which is how the services count; says `…` where it was cut. */
export function cut(text: string, max: number): string {
  if (text.length <= max) return text;
  let end = Math.max(max - 1, 0);
  const last = text.charCodeAt(end - 1);
  if (last >= 0xd800 && last <= 0xdbff) end--;
  return `${text.slice(0, end)}…`;
}

/** Without line breaks and other control characters: what came from a BMC forges no header and no second line. */
export function oneLine(text: string, max: number): string {
  return cut(text.replace(CONTROL, " ").trim(), max);
}

/**
 * With each character that `unsafe` matches written as its code, `_2f_`: distinct texts stay distinct where `_` is among them.
 */
export function safeName(text: string, unsafe: RegExp): string {
  return text.replace(unsafe, (character) => `_${(character.codePointAt(0) ?? 0).toString(16)}_`);
}

/** `T-2026-000123@support`: the same for every change of a ticket. */
export function ticketKey(change: TicketChange, max: number): string {
  return `${change.ticket}@${change.destination}`.slice(0, max);
}

/** UTC, `2026-11-25 09:34:09`. Civil calendar from days, as `Date` is none of a pure file's. */
export function utcText(ms: number): string {
  const seconds = Math.floor(ms / 1_000);
  const days = Math.floor(seconds / 86_400);
  const z = days + 719_468;
  const era = Math.floor(z / 146_097);
  const ofEra = z - era * 146_097;
  const yearOfEra = Math.floor(
    (ofEra - Math.floor(ofEra / 1_460) + Math.floor(ofEra / 36_524) - Math.floor(ofEra / 146_096)) /
      365,
  );
  const ofYear =
    ofEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const monthFromMarch = Math.floor((5 * ofYear + 2) / 153);
  const day = ofYear - Math.floor((153 * monthFromMarch + 2) / 5) + 1;
  const month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9;
  const year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0);
  const two = (value: number): string => String(value).padStart(2, "0");
  const second = seconds - days * 86_400;
  const time = [Math.floor(second / 3_600), Math.floor(second / 60) % 60, second % 60].map(two);
  return `${year}-${two(month)}-${two(day)} ${time.join(":")}`;
}

/** ISO 8601, `2026-11-25T09:34:09.123Z`. */
export function isoText(ms: number): string {
  const milliseconds = String(Math.floor(ms) - Math.floor(ms / 1_000) * 1_000).padStart(3, "0");
  return `${utcText(ms).replace(" ", "T")}.${milliseconds}Z`;
}

function eventsOf({ eventCount, newEventCount }: TicketChange): string {
  const all = eventCount === 1 ? "1 event" : `${eventCount} events`;
  return newEventCount === eventCount ? all : `${all}, ${newEventCount} of them new`;
}

/** What happened, in one line: for a note, a log line, a subject. */
export function changeLine(change: TicketChange): string {
  const { kind, ticket, severity, text } = change;
  switch (kind) {
    case "opened":
      return oneLine(`${ticket} opened, ${severity}: ${text}`, 1_000);
    case "appended":
      return oneLine(`${ticket}: ${text} (${eventsOf(change)})`, 1_000);
    case "raised":
      return oneLine(`${ticket} is now ${severity}: ${text} (${eventsOf(change)})`, 1_000);
    case "closed":
      return oneLine(`${ticket} closed: ${text}`, 1_000);
    case "reopened":
      return oneLine(`${ticket} opened again, ${severity}: ${text}`, 1_000);
  }
}

/** What is told besides, in the order for people. Keys are what the services show as a field's name. */
export function detailsOf(change: TicketChange): Readonly<Record<string, string>> {
  const { component } = change;
  const details: Record<string, string> = {
    ticket: change.ticket,
    change: change.key,
    severity: change.severity,
    component: `${component.category} ${component.subject}`,
    node: change.node,
    system: change.system,
    cluster: change.cluster,
    events: eventsOf(change),
    first: `${utcText(change.firstMs)} UTC`,
    last: `${utcText(change.lastMs)} UTC`,
  };
  if (change.eventId !== null) details["newest event"] = change.eventId;
  if (change.related.length > 0) details["related"] = change.related.join(", ");
  if (change.link !== null) details["link"] = change.link;
  return Object.fromEntries(
    Object.entries(details).map(([name, value]) => [name, oneLine(value, 1_000)]),
  );
}

/** Several lines, for a description or a mail. */
export function descriptionOf(change: TicketChange, max: number): string {
  const lines = Object.entries(detailsOf(change)).map(([name, value]) => `${name}: ${value}`);
  return cut([changeLine(change), "", ...lines].join("\n"), max);
}

/** Gravest first; for tables of a far end's own words. */
export type BySeverity<Word> = Readonly<Record<Severity, Word>>;

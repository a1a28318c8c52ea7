/**
 * From an event of the book to what is signed and sent: its statement, within the protocol's bounds.
 *
 * A BMC or a script may say more than the protocol carries. What is too long is cut at the end with a mark, since an event
 * that is refused for its length would be lost; its id does not depend on the words.
 */
import type { BmcEvent } from "../../bmc/bmc.ts";
import { type EventStatement, eventSchema } from "./protocol.ts";

const NAME_CHARACTERS_MAX = 256;
const TEXT_CHARACTERS_MAX = 4_096;
const EXTRA_FIELDS_MAX = 64;

export interface Speaker {
  readonly cluster: string;
  readonly node: string;
}

function cut(text: string, charactersMax: number): string {
  return text.length <= charactersMax ? text : `${text.slice(0, charactersMax - 1)}…`;
}

function fitted(event: BmcEvent): BmcEvent {
  const extra = Object.entries(event.extra)
    .slice(0, EXTRA_FIELDS_MAX)
    .filter(([, value]) => typeof value === "string" || Number.isFinite(value))
    .map(([name, value]) => [
      cut(name, NAME_CHARACTERS_MAX),
      typeof value === "string" ? cut(value, TEXT_CHARACTERS_MAX) : value,
    ]);
  return {
    ...event,
    system: cut(event.system, NAME_CHARACTERS_MAX) || "unknown",
    category: cut(event.category, NAME_CHARACTERS_MAX),
    subject: cut(event.subject, NAME_CHARACTERS_MAX),
    text: cut(event.text, TEXT_CHARACTERS_MAX),
    extra: Object.fromEntries(extra),
  };
}

/** The bytes that are signed. O(event). */
export function statementBytes(event: BmcEvent, speaker: Speaker, signedMs: number): Uint8Array {
  const { cluster, node } = speaker;
  const isWithin = eventSchema.safeParse(event).success;
  const statement: EventStatement = {
    v: 1,
    cluster,
    node,
    signedMs,
    event: isWithin ? event : fitted(event),
  };
  return new TextEncoder().encode(JSON.stringify(statement));
}

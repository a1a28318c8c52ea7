/**
 * A change as a mail: what a ticket's mails are called, and how they become one thread.
 *
 * RFC 5322 §3.6.4: the mail of the opening has an id made of the ticket, each later one an id made of its change, and names the first in
 * `In-Reply-To` and `References`; the subject stays the same but for `Re:`. So every reader shows one thread, and a mail that is sent twice
 * (the answer got lost) has one id, which most stores keep once. `Auto-Submitted` (RFC 3834) keeps holiday notices from answering.
 */
import type { TicketChange } from "../adapter.ts";
import { changeLine, descriptionOf, oneLine, safeName, ticketKey } from "./change-text.ts";

const SUBJECT_MAX = 200;
const TEXT_MAX = 60_000;

export interface Mail {
  readonly subject: string;
  readonly text: string;
  readonly messageId: string;
  readonly inReplyTo: string | null;
  readonly references: readonly string[];
  readonly headers: Readonly<Record<string, string>>;
  /** 1 high, 3 normal. */
  readonly priority: "high" | "normal";
}

/** What may stand left of the `@` of an id. */
function atom(text: string): string {
  return safeName(text, /[^A-Za-z0-9.-]/gu);
}

/** `domain` is that of the sender. */
export function mailOf(change: TicketChange, domain: string): Mail {
  const idOf = (what: string): string =>
    `<${atom(what)}.${atom(change.destination)}.holdfast@${domain}>`;
  const first = idOf(change.ticket);
  const isFirst = change.kind === "opened";
  const subject = oneLine(`[${change.ticket}] ${change.title}`, SUBJECT_MAX);
  const isGrave = change.severity === "critical" || change.severity === "non-recoverable";
  return {
    subject: isFirst ? subject : `Re: ${subject}`,
    text: `${descriptionOf(change, TEXT_MAX)}\n`,
    messageId: isFirst ? first : idOf(change.key),
    inReplyTo: isFirst ? null : first,
    references: isFirst ? [] : [first],
    headers: {
      "Auto-Submitted": "auto-generated",
      "X-Holdfast-Ticket": oneLine(ticketKey(change, 300), 300),
      "X-Holdfast-Change": oneLine(change.key, 300),
      "X-Holdfast-Kind": change.kind,
      "X-Holdfast-Severity": change.severity,
      "X-Holdfast-What": oneLine(changeLine(change), 300),
    },
    priority: isGrave && change.kind !== "closed" ? "high" : "normal",
  };
}

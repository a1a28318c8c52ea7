/**
 * In words, what the delivery machine and the outbox raise: silence, signs of life, damage, counts of what had no room.
 */
import type { Raised } from "./delivery-events.ts";
import type { Incident } from "./host-events.ts";
import type { FoldedEvents, OutboxDamage } from "./outbox.ts";
import { WISH_FIELD } from "./policy.ts";

const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;

export function textOfSilence(
  node: string,
  raised: Extract<Raised, { what: "cannot-call-home" }>,
): string {
  const minutes = Math.max(1, Math.round(raised.silentMs / MINUTE_MS));
  const waits = `${raised.waitingCount} ${raised.waitingCount === 1 ? "event waits" : "events wait"}`;
  return `node ${node} cannot call home for ${minutes} min, ${waits}: ${raised.paths.join("; ")}`;
}

export function heartbeatOf(
  node: string,
  raised: Extract<Raised, { what: "heartbeat" }>,
  periodMs: number,
  wallMs: number,
): Incident {
  const { waitingCount, deliveredCount } = raised;
  const hours = periodMs / HOUR_MS;
  return {
    what: "heartbeat",
    key: String(wallMs),
    severity: "information",
    subject: node,
    text: `node ${node} lives and calls home; its next sign of life comes within ${hours} hours`,
    extra: {
      [WISH_FIELD]: "yes",
      waiting: waitingCount,
      delivered: deliveredCount,
      period_hours: hours,
    },
  };
}

/** A place on disk is damaged once, however often it is read. */
export function incidentOfDamage({ segment, detail }: OutboxDamage, wallMs: number): Incident {
  return {
    what: "outbox-damaged",
    key: JSON.stringify([segment, detail, wallMs]),
    severity: "warning",
    subject: `outbox ${segment}`,
    text: detail,
  };
}

/** The key names the very count, so that a crash between telling it and taking it away tells nothing twice. */
export function incidentOfFolded(folded: FoldedEvents): Incident {
  const { component, urgency, count, firstWallMs, lastWallMs } = folded;
  return {
    what: "events-folded",
    key: JSON.stringify([component, count, firstWallMs, lastWallMs]),
    severity: urgency <= 1 ? "critical" : "warning",
    subject: component,
    text: `${count} more events of ${component} came than the outbox had room for: they are counted here`,
    extra: { count, component, first_ms: firstWallMs, last_ms: lastWallMs },
  };
}

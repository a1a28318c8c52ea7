/**
 * `holdfast destination adapter test URL`: whether a far end takes a ticket, by opening one of its own there and closing it again.
 *
 * The ticket says that it is a trial. What came of each step is one line; the second step is tried even where the first failed with
 * something that may be gone the next moment, so that no trial ticket stays open for want of trying.
 */
import type { Severity } from "../../../../bmc/bmc.ts";
import type { TicketChange, TicketChangeKind } from "../../adapter.ts";
import type { Adapter } from "../../io/adapter.ts";

export interface TrialOf {
  readonly destination: string;
  readonly cluster: string;
  readonly nowMs: number;
  readonly link: string | null;
  /** Makes trials distinct: a few random hexadecimal digits. */
  readonly mark: string;
}

export interface AdapterTrial {
  /** For people, one a step. */
  readonly lines: readonly string[];
  readonly isDelivered: boolean;
}

/** Grave enough to be shown, not to wake anybody. */
const TRIAL_SEVERITY: Severity = "information";

export function trialChange(kind: TicketChangeKind, nth: number, of: TrialOf): TicketChange {
  const ticket = `T-TEST-${of.mark}`;
  return {
    key: `${ticket}.${nth}`,
    kind,
    ticket,
    destination: of.destination,
    title: "Trial of holdfast, nothing is wrong",
    severity: TRIAL_SEVERITY,
    component: { category: "trial", subject: "holdfast" },
    system: "trial",
    node: "trial",
    cluster: of.cluster,
    eventCount: 1,
    newEventCount: kind === "opened" ? 1 : 0,
    firstMs: of.nowMs,
    lastMs: of.nowMs,
    text: "somebody asked holdfast to try this adapter",
    eventId: null,
    atMs: of.nowMs,
    related: [],
    link: of.link,
    externalId: null,
  };
}

export async function tryAdapter(adapter: Adapter, of: TrialOf): Promise<AdapterTrial> {
  const lines: string[] = [];
  let isDelivered = true;
  let externalId: string | null = null;
  for (const [index, kind] of (["opened", "closed"] as const).entries()) {
    const began = performance.now();
    const change = { ...trialChange(kind, index + 1, of), externalId };
    const told = await adapter.deliver(change);
    const tookMs = Math.round(performance.now() - began);
    if (told.ok) {
      externalId = told.value.externalId ?? externalId;
      const as = externalId === null ? "" : `, there known as ${externalId}`;
      lines.push(`${adapter.name}: ${change.ticket} ${kind} in ${tookMs} ms${as}`);
    } else {
      isDelivered = false;
      lines.push(`${adapter.name}: ${change.ticket} not ${kind}: ${told.error.detail}`);
      if (told.error.kind === "misconfigured") break;
    }
  }
  return { lines, isDelivered };
}

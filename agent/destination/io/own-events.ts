/**
 * What the destination has to say of itself, as an event like any other: it opens a ticket, and adapters are told.
 *
 * A log line alone would be read by nobody just when receipts may have been lost.
 */
import { createHash } from "node:crypto";
import type { BmcEvent } from "../../../bmc/bmc.ts";
import { EVENT_TYPE, type EventStatement } from "../../callhome/protocol.ts";
import type { Identity } from "../../identity/identity.ts";
import type { Judged } from "../judge.ts";

const TEXT_CHARACTERS_MAX = 2_000;

/** That its database was damaged, and what is missing of it. */
export function databaseEvent(identity: Identity, complaint: string, nowMs: number): Judged {
  const { cluster, name } = identity.principal;
  const system = `destination:${name}`;
  const key = JSON.stringify([system, "database", nowMs, complaint]);
  const id = createHash("sha256").update(key).digest("hex");
  const event: BmcEvent = {
    id,
    system,
    epoch: 0,
    nth: 0,
    way: "host",
    severity: "critical",
    whenMs: nowMs,
    seenMs: nowMs,
    isAssertion: true,
    category: "destination",
    subject: "database",
    text: complaint.slice(0, TEXT_CHARACTERS_MAX),
    record: null,
    extra: { node: name },
  };
  const statement: EventStatement = { v: 1, cluster, node: name, signedMs: nowMs, event };
  const payload = new TextEncoder().encode(JSON.stringify(statement));
  return {
    parcel: { id, envelope: identity.signer.sign(EVENT_TYPE, payload), trail: [] },
    arrival: {
      statement,
      signer: identity.principal,
      trail: [{ kind: "origin", name, atMs: nowMs }],
      receivedMs: nowMs,
      note: null,
    },
    tooOld: null,
  };
}

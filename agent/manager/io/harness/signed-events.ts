/**
 * Events for tests: whole, signed by whoever is given, each with an id of its own.
 */
import type { BmcEvent } from "../../../../bmc/bmc.ts";
import {
  EVENT_TYPE,
  type EventStatement,
  type Parcel,
  RECEIPT_TYPE,
  type Receipt,
  type ReceiptStatement,
} from "../../../callhome/protocol.ts";
import type { Signer } from "../../../identity/identity.ts";

let counter = 0;

/** Never the same twice in one process, nor in two. */
export function freshId(): string {
  counter++;
  return new Bun.CryptoHasher("sha256")
    .update(`${process.pid}/${counter}/${crypto.randomUUID()}`)
    .digest("hex");
}

export function testEvent(over: Partial<BmcEvent> = {}): BmcEvent {
  return {
    id: freshId(),
    system: "00112233445566778899aabbccddeeff",
    epoch: 1,
    nth: 0,
    way: "sel",
    severity: "critical",
    whenMs: 1_700_000_000_000,
    seenMs: Date.now(),
    isAssertion: true,
    category: "memory",
    subject: "DIMM_A1",
    text: "Uncorrectable ECC",
    record: null,
    extra: {},
    ...over,
  };
}

export function statementOf(
  signer: Signer,
  event: BmcEvent,
  over: Partial<EventStatement> = {},
): EventStatement {
  const { cluster, name } = signer.principal;
  return { v: 1, cluster, node: name, signedMs: Date.now(), event, ...over };
}

export function parcelOf(
  signer: Signer,
  event: BmcEvent = testEvent(),
  over: Partial<EventStatement> = {},
): Parcel {
  const statement = statementOf(signer, event, over);
  const envelope = signer.sign(EVENT_TYPE, new TextEncoder().encode(JSON.stringify(statement)));
  const trail = [{ kind: "origin" as const, name: statement.node, atMs: statement.signedMs }];
  return { id: event.id, envelope, trail };
}

/** `proof` by the signer; null: none. */
export function receiptOf(id: string, ticket: string, signer: Signer | null): Receipt {
  const receivedMs = Date.now();
  const destination = signer?.principal.name ?? "destination";
  const statement: ReceiptStatement = { v: 1, id, destination, ticket, receivedMs };
  const payload = new TextEncoder().encode(JSON.stringify(statement));
  const proof = signer === null ? null : signer.sign(RECEIPT_TYPE, payload);
  return { id, destination, ticket, receivedMs, proof };
}

/**
 * Signed events for tests: whatever a node could have seen, signed as it would, as the parcels that it would send.
 */
import type { BmcEvent } from "../../../bmc/bmc.ts";
import { EVENT_TYPE, type EventStatement, type Parcel } from "../../callhome/protocol.ts";
import type { Signer } from "../../identity/identity.ts";
import type { Arrival } from "../ticket.ts";

export const GUID = "00112233445566778899aabbccddeeff";

let nextId = 1;

export function testId(): string {
  return (nextId++).toString(16).padStart(64, "0");
}

/** A correctable error of a DIMM, but for what is given. */
export function testEvent(given: Partial<BmcEvent> = {}): BmcEvent {
  const seenMs = given.seenMs ?? given.whenMs ?? Date.now();
  return {
    id: testId(),
    system: GUID,
    epoch: 1,
    nth: 0,
    way: "sel",
    severity: "warning",
    whenMs: seenMs,
    seenMs,
    isAssertion: true,
    category: "memory",
    subject: "DIMM A1",
    text: "memory DIMM A1: correctable ECC error",
    record: null,
    extra: {},
    ...given,
  };
}

/** A threshold of a temperature: offset 7 upper non-critical, 9 upper critical, both going high. */
export function threshold(offset: 7 | 9, isAssertion: boolean, atMs: number): BmcEvent {
  const bad = offset === 9 ? "critical" : "warning";
  return testEvent({
    severity: isAssertion ? bad : "ok",
    isAssertion,
    category: "temperature",
    subject: "CPU1 Temp",
    text: `temperature CPU1 Temp: offset ${offset} ${isAssertion ? "asserted" : "deasserted"}`,
    whenMs: atMs,
    seenMs: atMs + 1_000,
    extra: { sensorNumber: 0x30, generator: 0x20, lun: 0, eventType: 1, offset },
  });
}

export function arrivalOf(event: BmcEvent, given: Partial<Arrival> = {}, node = "n1"): Arrival {
  const signedMs = event.seenMs + 5;
  return {
    statement: { v: 1, cluster: "c1", node, signedMs, event },
    signer: { cluster: "c1", role: "agent", name: node },
    trail: [],
    receivedMs: signedMs + 20,
    note: null,
    ...given,
  };
}

export function testParcel(
  signer: Signer,
  event: BmcEvent,
  given: Partial<EventStatement> = {},
): Parcel {
  const { cluster, name } = signer.principal;
  const statement: EventStatement = {
    v: 1,
    cluster,
    node: name,
    signedMs: Date.now(),
    event,
    ...given,
  };
  const payload = new TextEncoder().encode(JSON.stringify(statement));
  return {
    id: event.id,
    envelope: signer.sign(EVENT_TYPE, payload),
    trail: [{ kind: "origin", name, atMs: statement.signedMs }],
  };
}

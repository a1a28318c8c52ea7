/**
 * Whether a parcel is what it says: signed by an agent of a known cluster, about the event whose id it bears.
 *
 * Does not look at whether the event is new, or of the future: that is the destination's to judge.
 */
import { err, ok, type Result } from "../../core/result.ts";
import type { Principal, Verifier } from "../identity/identity.ts";
import { EVENT_TYPE, type EventStatement, eventStatementSchema, type Parcel } from "./protocol.ts";

export interface CheckedParcel {
  readonly principal: Principal;
  readonly statement: EventStatement;
}

function parsed(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    return null;
  }
}

function payloadOf(base64: string): Uint8Array {
  try {
    return Uint8Array.fromBase64(base64);
  } catch {
    return new Uint8Array();
  }
}

/** The error is one line. */
export function verifyParcel(parcel: Parcel, verifier: Verifier): Result<CheckedParcel, string> {
  const { id, envelope } = parcel;
  const statement = eventStatementSchema.safeParse(parsed(payloadOf(envelope.payload)));
  if (!statement.success) return err("what is signed is no event");
  const { cluster, node, signedMs, event } = statement.data;
  const verified = verifier.verify(envelope, EVENT_TYPE, signedMs);
  if (!verified.ok) return err(`${verified.error.kind}: ${verified.error.detail}`);
  const { principal } = verified.value;
  if (principal.role !== "agent")
    return err(`signed by ${principal.role} ${principal.name}, no agent`);
  if (principal.cluster !== cluster || principal.name !== node) {
    return err(
      `signed by ${principal.name} of ${principal.cluster}, but says ${node} of ${cluster}`,
    );
  }
  if (event.id !== id) return err("the id beside it is of another event");
  return ok({ principal, statement: statement.data });
}

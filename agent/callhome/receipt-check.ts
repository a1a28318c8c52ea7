/**
 * Whether a receipt is the destination's: only then is an event closed, so that nobody on the way can make one disappear.
 *
 * The proof is the destination's signature over the very fields of the receipt. Only in cluster `local`, where everybody is
 * its own authority and nothing is proved anyway, may it be missing.
 */
import type { Verifier } from "../identity/identity.ts";
import { LOCAL_CLUSTER } from "../identity/names.ts";
import { RECEIPT_TYPE, type Receipt, receiptStatementSchema } from "./protocol.ts";

function statementOf(payload: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(payload));
  } catch {
    return null;
  }
}

/** null: it is good; else one line that says why not. */
export function faultOfReceipt(
  receipt: Receipt,
  verifier: Verifier,
  cluster: string,
): string | null {
  const who = `the receipt of ${receipt.destination} for ${receipt.id.slice(0, 12)}`;
  if (receipt.proof === null) return cluster === LOCAL_CLUSTER ? null : `${who} is not signed`;
  const verified = verifier.verify(receipt.proof, RECEIPT_TYPE, receipt.receivedMs);
  if (!verified.ok) return `${who}: ${verified.error.detail}`;
  const { principal, payload } = verified.value;
  if (principal.role !== "destination") {
    return `${who} is signed by ${principal.role} ${principal.name}, which is no destination`;
  }
  const statement = receiptStatementSchema.safeParse(statementOf(payload));
  if (!statement.success) return `${who}: what is signed is no receipt`;
  const { id, destination, ticket, receivedMs } = statement.data;
  const isSame =
    id === receipt.id &&
    destination === receipt.destination &&
    ticket === receipt.ticket &&
    receivedMs === receipt.receivedMs;
  return isSame ? null : `${who} says something else than what is signed`;
}

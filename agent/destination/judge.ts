/**
 * Whether a parcel is taken: what came from outside becomes an arrival, or is refused with its own reason.
 *
 * Each parcel is judged by itself. The order is: shape, what the signed bytes say of themselves (read, not believed yet: the time of the
 * signature is needed to check it), signature, who may sign what, age. A node's clock that is ahead does not make its errors less real:
 * they are taken, with a note; ids are remembered by the later of both clocks, so that opens no way to replay. What was signed longer ago
 * than `REPLAY_HORIZON_MS` is refused, as nobody retries that long and older ids may have been forgotten; one that is remembered is
 * answered with its receipt whatever its age, which `io/intake.ts` looks at first.
 */
import { err, ok, type Result } from "../../core/result.ts";
import {
  EVENT_TYPE,
  type EventStatement,
  eventStatementSchema,
  type Parcel,
  parcelSchema,
} from "../callhome/protocol.ts";
import type { Principal, Verifier, VerifyFailure } from "../identity/identity.ts";
import type { Arrival } from "./ticket.ts";

/** Four times as long as a node retries at least. */
export const REPLAY_HORIZON_MS: number = 30 * 24 * 60 * 60 * 1000;
/** NTP keeps a node within milliseconds; by this much somebody should look. */
export const CLOCK_AHEAD_MS: number = 5 * 60 * 1000;

export type RefusalKind =
  /** No parcel, or its signed bytes are no event. */
  | "malformed"
  /** The signature: why is said by the verifier's kind. */
  | Exclude<VerifyFailure, "malformed" | "expired">
  /** The signer's certificate had ended when it signed. */
  | "certificate-expired"
  /** Signed longer ago than ids are remembered. */
  | "expired"
  /** The id of the parcel is not that of the event that was signed. */
  | "wrong-id"
  /** Signed by somebody else than the node it names. */
  | "wrong-node"
  /** Signed by one whose role does not see errors. */
  | "wrong-role";

export interface Refusal {
  /** null: there was none to be read. */
  readonly id: string | null;
  readonly kind: RefusalKind;
  /** One line, begins with the kind. */
  readonly reason: string;
  /** false: the same one may be taken later. */
  readonly isPermanent: boolean;
}

export interface Judged {
  readonly parcel: Parcel;
  readonly arrival: Arrival;
  /** Refused for this unless its id is known. */
  readonly tooOld: Refusal | null;
}

const SIGNERS: readonly Principal["role"][] = ["agent", "manager"];

function refuse(id: string | null, kind: RefusalKind, detail: string): Refusal {
  return { id, kind, reason: `${kind}: ${detail}`, isPermanent: true };
}

function idOf(value: unknown): string | null {
  const id = (value as { readonly id?: unknown } | null)?.id;
  return typeof id === "string" && /^[0-9a-f]{64}$/.test(id) ? id : null;
}

function readStatement(parcel: Parcel): Result<EventStatement, string> {
  let value: unknown;
  try {
    const bytes = Uint8Array.fromBase64(parcel.envelope.payload);
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    return err("the signed bytes are not JSON");
  }
  const parsed = eventStatementSchema.safeParse(value);
  if (parsed.success) return ok(parsed.data);
  const issue = parsed.error.issues[0];
  return err(
    `the signed event: ${issue?.path.join(".") ?? ""}: ${issue?.message ?? "not understood"}`,
  );
}

function wrongSigner(parcel: Parcel, statement: EventStatement, signer: Principal): Refusal | null {
  const { cluster, node, event } = statement;
  const who = `${signer.role} ${signer.name} of ${signer.cluster}`;
  if (signer.cluster !== cluster) {
    return refuse(parcel.id, "wrong-cluster", `${who} signed an event of cluster ${cluster}`);
  }
  if (!SIGNERS.includes(signer.role)) {
    return refuse(parcel.id, "wrong-role", `${who} signed it; only agents and managers see errors`);
  }
  if (signer.name !== node) {
    return refuse(parcel.id, "wrong-node", `${who} signed an event of node ${node}`);
  }
  if (event.id !== parcel.id) {
    return refuse(parcel.id, "wrong-id", `the signed event is ${event.id.slice(0, 12)}…`);
  }
  return null;
}

export function span(ms: number): string {
  const minutes = Math.round(ms / 60_000);
  if (minutes < 120) return `${minutes} min`;
  const hours = Math.round(minutes / 60);
  return hours < 48 ? `${hours} h` : `${Math.round(hours / 24)} days`;
}

function tooOld(parcel: Parcel, statement: EventStatement, horizonMs: number): Refusal | null {
  if (statement.signedMs >= horizonMs) return null;
  const ago = span(horizonMs - statement.signedMs);
  return refuse(
    parcel.id,
    "expired",
    `signed ${ago} before the oldest that is taken here; is the clock of ${statement.node} right?`,
  );
}

function noteOf({ signedMs, node }: EventStatement, nowMs: number): string | null {
  const aheadMs = signedMs - nowMs;
  if (aheadMs <= CLOCK_AHEAD_MS) return null;
  return `the clock of ${node} is ahead: by ${span(aheadMs)} when this came; set it, its times are wrong`;
}

export interface Setting {
  readonly verifier: Verifier;
  readonly nowMs: number;
  /** Signatures from before are too old: `nowMs - REPLAY_HORIZON_MS`, or later where ids had to be forgotten. */
  readonly horizonMs: number;
}

export function judge(
  value: unknown,
  { verifier, nowMs, horizonMs }: Setting,
): Result<Judged, Refusal> {
  const parsed = parcelSchema.safeParse(value);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    const where = issue?.path.join(".") || "parcel";
    return err(refuse(idOf(value), "malformed", `${where}: ${issue?.message ?? "not understood"}`));
  }
  const parcel = parsed.data;
  const read = readStatement(parcel);
  if (!read.ok) return err(refuse(parcel.id, "malformed", read.error));
  const statement = read.value;
  const verified = verifier.verify(parcel.envelope, EVENT_TYPE, statement.signedMs);
  if (!verified.ok) {
    const { kind, detail } = verified.error;
    return err(refuse(parcel.id, kind === "expired" ? "certificate-expired" : kind, detail));
  }
  const signer = verified.value.principal;
  const wrong = wrongSigner(parcel, statement, signer);
  if (wrong !== null) return err(wrong);
  const arrival: Arrival = {
    statement,
    signer,
    trail: parcel.trail,
    receivedMs: nowMs,
    note: noteOf(statement, nowMs),
  };
  return ok({ parcel, arrival, tooOld: tooOld(parcel, statement, horizonMs) });
}

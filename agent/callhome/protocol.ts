/**
 * The contract of call home: what is sent, to whom, and what comes back. Everyone who takes events answers in one way:
 *
 *   POST /v1/callhome/parcels   ParcelsRequest → ParcelsAnswer, on an agent (as a peer), a manager and a destination
 *   GET  /v1/callhome/receipts?after=SEQ   NDJSON of `ReceiptLine`, on a manager: receipts for the asking node, a beat each second
 *   POST /v1/callhome/digest    DigestRequest → DigestAnswer, on a manager and a destination: what each side has
 *
 * An event is signed once, by the node that saw it (`EventStatement` in a DSSE envelope), and travels unchanged. R1: a manager has it
 * durably (`kept`). R2: the destination has it (`delivered`, with its receipt). Everything here is idempotent by the event's id.
 */
import { z } from "zod";
import type { BmcEvent } from "../../bmc/bmc.ts";
import type { Envelope } from "../identity/identity.ts";

export const EVENT_TYPE = "application/vnd.holdfast.event+json";
export const RECEIPT_TYPE = "application/vnd.holdfast.receipt+json";
export const PARCELS_PATH = "/v1/callhome/parcels";
export const RECEIPTS_PATH = "/v1/callhome/receipts";
export const DIGEST_PATH = "/v1/callhome/digest";

/** Of one request. */
export const PARCELS_MAX = 256;
export const PARCELS_BYTES_MAX: number = 4 * 1024 * 1024;
/** A manager's line of life on the stream of receipts; after three without one it counts as dead. */
export const BEAT_MS = 1_000;

/** What the signed bytes of an event say, as JSON. */
export interface EventStatement {
  readonly v: 1;
  readonly cluster: string;
  /** Node that saw and signed it; the event's `system` may be another one's. */
  readonly node: string;
  readonly signedMs: number;
  readonly event: BmcEvent;
}

/** What the signed bytes of a receipt say. Signed by the destination. */
export interface ReceiptStatement {
  readonly v: 1;
  readonly id: string;
  readonly destination: string;
  readonly ticket: string;
  /** When the first parcel with this id was kept there. */
  readonly receivedMs: number;
}

export interface Hop {
  readonly kind: "origin" | "manager" | "peer";
  readonly name: string;
  readonly atMs: number;
}

export interface Parcel {
  readonly id: string;
  readonly envelope: Envelope;
  /** Who had it, oldest first. Not signed: for people. */
  readonly trail: readonly Hop[];
  /**
   * Of a node to its manager once that is back: the destination has it already, so that the manager knows and relays nothing.
   * Answered `delivered`; others than managers pass over it.
   */
  readonly around?: Around | undefined;
}

/** How a parcel reached the destination without the manager. */
export interface Around {
  readonly path: "direct" | "peer" | "stand-in";
  readonly receipt: Receipt;
}

/** R2. A duplicate is answered with the first receipt. */
export interface Receipt {
  readonly id: string;
  readonly destination: string;
  readonly ticket: string;
  readonly receivedMs: number;
  /** The destination's signature over the `ReceiptStatement` with the same fields; null where it has no identity. */
  readonly proof: Envelope | null;
}

export interface ParcelsRequest {
  readonly parcels: readonly Parcel[];
}

export type ParcelResult =
  /** R1: durably there, on its way. */
  | { readonly id: string; readonly kind: "kept" }
  /** R2. `isDuplicate`: it had come before. */
  | {
      readonly id: string;
      readonly kind: "delivered";
      readonly receipt: Receipt;
      readonly isDuplicate: boolean;
    }
  /** Permanent: would be refused by the same one again whenever. */
  | {
      readonly id: string;
      readonly kind: "refused";
      readonly reason: string;
      readonly isPermanent: boolean;
    };

export interface ParcelsAnswer {
  /** Who answers. */
  readonly name: string;
  /** Of a manager: changes with each start of it. */
  readonly epoch: string;
  readonly results: readonly ParcelResult[];
}

export type ReceiptLine =
  | {
      readonly kind: "beat";
      readonly epoch: string;
      /** Number of the newest receipt for this node. */
      readonly seq: number;
      /** Whether the destination answered the manager lately; false: what is given to it waits. */
      readonly canRelay: boolean;
    }
  | { readonly kind: "receipt"; readonly seq: number; readonly receipt: Receipt }
  /** The manager gave up on it or was refused; the node takes another path. */
  | {
      readonly kind: "not-relayed";
      readonly seq: number;
      readonly id: string;
      readonly reason: string;
      /** The destination refuses it for good; absent: nobody knows, and it is tried a few times more. */
      readonly isPermanent?: boolean | undefined;
    };

export type DeliveryState = "unknown" | "kept" | "delivered" | "refused";

export interface DigestRequest {
  readonly ids: readonly string[];
}

export interface DigestAnswer {
  /** In the order of the ids. A receipt where it is delivered. */
  readonly states: readonly {
    readonly id: string;
    readonly state: DeliveryState;
    readonly receipt: Receipt | null;
  }[];
}

const id = z.string().regex(/^[0-9a-f]{64}$/);
const name = z.string().min(1).max(256);
const ms = z.number().finite().min(0);
const base64 = (max: number) =>
  z
    .string()
    .max(max)
    .regex(/^[A-Za-z0-9+/]*={0,2}$/);

export const envelopeSchema: z.ZodType<Envelope> = z.object({
  payloadType: z.string().max(128),
  payload: base64(256 * 1024),
  signatures: z
    .array(z.object({ keyid: id, sig: base64(128), cert: base64(16 * 1024) }))
    .min(1)
    .max(4),
});

export const receiptSchema: z.ZodType<Receipt> = z.object({
  id,
  destination: name,
  ticket: name,
  receivedMs: ms,
  proof: envelopeSchema.nullable(),
});

export const parcelSchema: z.ZodType<Parcel> = z.object({
  id,
  envelope: envelopeSchema,
  trail: z.array(z.object({ kind: z.enum(["origin", "manager", "peer"]), name, atMs: ms })).max(16),
  around: z
    .object({ path: z.enum(["direct", "peer", "stand-in"]), receipt: receiptSchema })
    .optional(),
});

/** Each parcel is judged by itself, so that one that is wrong does not hold up the others. */
export const parcelsRequestSchema: z.ZodType<{ readonly parcels: readonly unknown[] }> = z.object({
  parcels: z.array(z.unknown()).min(1).max(PARCELS_MAX),
});

const resultSchema: z.ZodType<ParcelResult> = z.discriminatedUnion("kind", [
  z.object({ id, kind: z.literal("kept") }),
  z.object({ id, kind: z.literal("delivered"), receipt: receiptSchema, isDuplicate: z.boolean() }),
  z.object({
    id,
    kind: z.literal("refused"),
    reason: z.string().max(2_000),
    isPermanent: z.boolean(),
  }),
]);

export const parcelsAnswerSchema: z.ZodType<ParcelsAnswer> = z.object({
  name,
  epoch: z.string().max(64),
  results: z.array(resultSchema).max(PARCELS_MAX),
});

export const receiptLineSchema: z.ZodType<ReceiptLine> = z.discriminatedUnion("kind", [
  z.object({
    kind: z.literal("beat"),
    epoch: z.string().max(64),
    seq: z.number().int().min(0),
    canRelay: z.boolean(),
  }),
  z.object({ kind: z.literal("receipt"), seq: z.number().int().min(0), receipt: receiptSchema }),
  z.object({
    kind: z.literal("not-relayed"),
    seq: z.number().int().min(0),
    id,
    reason: z.string().max(2_000),
    isPermanent: z.boolean().optional(),
  }),
]);

export const digestRequestSchema: z.ZodType<DigestRequest> = z.object({
  ids: z.array(id).max(4_096),
});

export const digestAnswerSchema: z.ZodType<DigestAnswer> = z.object({
  states: z
    .array(
      z.object({
        id,
        state: z.enum(["unknown", "kept", "delivered", "refused"]),
        receipt: receiptSchema.nullable(),
      }),
    )
    .max(4_096),
});

export const eventSchema: z.ZodType<BmcEvent> = z.object({
  id,
  system: name,
  epoch: z.number().finite(),
  nth: z.number().int().min(0),
  way: z.enum(["sel", "kcs", "pet", "redfish-push", "redfish-sse", "redfish-log", "hook", "host"]),
  severity: z.enum(["information", "ok", "warning", "critical", "non-recoverable"]),
  whenMs: z.number().finite().nullable(),
  seenMs: z.number().finite(),
  isAssertion: z.boolean(),
  category: z.string().max(256),
  subject: z.string().max(256),
  text: z.string().max(4_096),
  record: z
    .string()
    .regex(/^[0-9a-f]{32}$/)
    .nullable(),
  extra: z.record(z.string().max(256), z.union([z.string().max(4_096), z.number()])),
});

export const eventStatementSchema: z.ZodType<EventStatement> = z.object({
  v: z.literal(1),
  cluster: name,
  node: name,
  signedMs: ms,
  event: eventSchema,
});

export const receiptStatementSchema: z.ZodType<ReceiptStatement> = z.object({
  v: z.literal(1),
  id,
  destination: name,
  ticket: name,
  receivedMs: ms,
});

/**
 * The contract of service data (first-failure data): what is gathered around an event, in which state a bundle is, and how it
 * travels.
 *
 * A bundle is one file, `ID.tar.zst`: `manifest.json` first, then the items in the order of their names. It belongs to one event,
 * by that event's id, and to whatever ticket the destination made of it. It is gathered by the node of the event, redacted before a
 * byte of it is on disk, waits for a person where that is asked for, and is uploaded in pieces (`upload.ts`).
 */
import { z } from "zod";

export const MANIFEST_NAME = "manifest.json";
export const BUNDLE_TYPE = "application/vnd.holdfast.bundle+tar+zstd";
/** Resumable uploads, on a destination, a manager, and an agent (as a peer). */
export const BUNDLES_PATH = "/v1/callhome/bundles";
/** A node's own bundles, for people: list, show, approve, discard. */
export const SERVICE_DATA_PATH = "/v1/callhome/service-data";

/** Why an item is not there, or not whole. */
export type ItemFault =
  /** What was to be read is not on this machine; not an error. */
  | { readonly kind: "absent"; readonly detail: string }
  | { readonly kind: "failed"; readonly detail: string }
  /** Its own time, or that of the whole, was up. */
  | { readonly kind: "out-of-time"; readonly detail: string }
  /** Cut to the size of the item or of the whole; `cutBytes` says how much, as far as it is known. */
  | { readonly kind: "cut"; readonly detail: string };

export interface ManifestItem {
  /** Path in the bundle, such as `bmc/sel.json`. */
  readonly name: string;
  /** What a person reads of it. */
  readonly what: string;
  /** 1 is the most important: cut last. */
  readonly priority: number;
  /** Of what is in the bundle; 0 where it is not in there. */
  readonly bytes: number;
  /** 64 hex digits; null where it is not in there. */
  readonly sha256: string | null;
  readonly takenAtMs: number;
  readonly tookMs: number;
  /** Bytes left out. */
  readonly cutBytes: number;
  /** How many secrets were taken out, by rule. */
  readonly redacted: Readonly<Record<string, number>>;
  readonly fault: ItemFault | null;
}

export interface Manifest {
  readonly v: 1;
  readonly id: string;
  /** 64 hex digits. */
  readonly event: string;
  readonly cluster: string;
  readonly node: string;
  /** As in `BmcEvent`. */
  readonly system: string;
  readonly begunMs: number;
  readonly tookMs: number;
  readonly bytesMax: number;
  readonly timeMs: number;
  /** Of all items together, before compression. */
  readonly bytes: number;
  readonly cutBytes: number;
  readonly redactedCount: number;
  /** Names of the rules that looked at every text. */
  readonly rules: readonly string[];
  readonly items: readonly ManifestItem[];
}

/** `waiting-for-review`: somebody must approve it before it leaves. `kept`: with a manager or a peer, on its way. */
export type BundleState =
  | "gathering"
  | "waiting-for-review"
  | "to-send"
  | "kept"
  | "delivered"
  | "discarded"
  | "failed";

/** What is known of one bundle of this node. */
export interface BundleRecord {
  readonly id: string;
  readonly event: string;
  readonly state: BundleState;
  readonly begunMs: number;
  /** Of the compressed file; 0 while it is gathered. */
  readonly bytes: number;
  /** SHA-256 of the compressed file; null while it is gathered. */
  readonly digest: string | null;
  /** One line for people: where it is, or why not. */
  readonly detail: string;
}

const hash = z.string().regex(/^[0-9a-f]{64}$/);
const count = z.number().int().min(0);
const ms = z.number().finite().min(0);

/** Names of bundles, hence of files. */
export const bundleIdSchema: z.ZodType<string> = z.string().regex(/^[0-9a-f]{16}-[0-9]{10,15}$/);

const faultSchema: z.ZodType<ItemFault> = z.object({
  kind: z.enum(["absent", "failed", "out-of-time", "cut"]),
  detail: z.string().max(2_000),
});

const itemSchema: z.ZodType<ManifestItem> = z.object({
  name: z.string().min(1).max(100),
  what: z.string().max(200),
  priority: z.number().int().min(1).max(99),
  bytes: count,
  sha256: hash.nullable(),
  takenAtMs: ms,
  tookMs: ms,
  cutBytes: count,
  redacted: z.record(z.string().max(100), count),
  fault: faultSchema.nullable(),
});

export const manifestSchema: z.ZodType<Manifest> = z.object({
  v: z.literal(1),
  id: bundleIdSchema,
  event: hash,
  cluster: z.string().max(256),
  node: z.string().max(256),
  system: z.string().max(256),
  begunMs: ms,
  tookMs: ms,
  bytesMax: count,
  timeMs: ms,
  bytes: count,
  cutBytes: count,
  redactedCount: count,
  rules: z.array(z.string().max(100)).max(1_000),
  items: z.array(itemSchema).max(200),
});

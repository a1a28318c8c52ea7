/**
 * The contract of the outbox: signed events that wait to be delivered, durable before anybody is told so.
 *
 * `io/outbox-folder.ts` is the one on disk; the simulator has one that forgets what was not acknowledged. Invariants: `done(null)` of
 * `enqueue` is called after the event is on disk, and from then on it is found again after any crash, until its closure is
 * on disk too or it was folded into a count that is. Bounded by events and by bytes: when full it keeps the more urgent and
 * folds the rest into counts by component, durably, and says so by `onFull`.
 */
import type { DiskFailure } from "../runtime/disk.ts";
import type { ClosedAs, Urgency } from "./delivery-events.ts";

/** What is given to be kept. */
export interface OutboxItem {
  /** 64 hex digits. */
  readonly id: string;
  readonly urgency: Urgency;
  /** Milliseconds since 1970. */
  readonly queuedWallMs: number;
  readonly isByEveryPath: boolean;
  /** What counts for it when it is folded: system, category and subject in one text. */
  readonly component: string;
  /** The signed envelope as JSON in UTF-8; kept and given back byte for byte. At most `ENVELOPE_BYTES_MAX`. */
  readonly envelope: Uint8Array;
}

/** 256 KiB of base64 payload, signatures and certificates. */
export const ENVELOPE_BYTES_MAX: number = 400 * 1024;

/** What is open, without its bytes. */
export interface OutboxEntry {
  readonly id: string;
  readonly urgency: Urgency;
  readonly queuedWallMs: number;
  readonly isByEveryPath: boolean;
  /** Of the envelope. */
  readonly bytes: number;
}

/** Events of one component that had no room. */
export interface FoldedEvents {
  readonly component: string;
  readonly urgency: Urgency;
  readonly count: number;
  readonly firstWallMs: number;
  readonly lastWallMs: number;
}

export type Enqueued =
  /** On disk. */
  | { readonly kind: "kept" }
  /** It is there already, open or refused. */
  | { readonly kind: "known" }
  /** No room: counted on disk with others of its component. */
  | { readonly kind: "folded" }
  /** Not taken; what was kept before is safe. The same may be tried again. */
  | { readonly kind: "failed"; readonly failure: DiskFailure };

export interface OutboxReport {
  readonly openCount: number;
  readonly refusedCount: number;
  readonly foldedCount: number;
  /** Of open and refused ones. */
  readonly liveBytes: number;
  readonly diskBytes: number;
  readonly segmentCount: number;
  /** null: it takes events. */
  readonly failure: DiskFailure | null;
}

export interface Outbox {
  /** `done` is called once, after the shared flush. The bytes are copied at once. */
  enqueue(item: OutboxItem, done: (result: Enqueued) => void): void;
  /** Nothing more is to be done for it. Durable with the next flush; `done` then. Of an unknown id: nothing. */
  close(id: string, as: ClosedAs, done?: () => void): void;
  /** A refused one is open again. False: there is no such. */
  reopen(id: string): boolean;
  /** The envelopes of those that are open or refused, as they were given; absent ones are left out. */
  read(ids: readonly string[], done: (found: ReadonlyMap<string, Uint8Array>) => void): void;
  /** Open ones in the order they were queued. */
  open(): readonly OutboxEntry[];
  refused(): readonly OutboxEntry[];
  /** Counts that were not taken yet. */
  folded(): readonly FoldedEvents[];
  /** What an event tells of them by now: subtracted, durable with the next flush. */
  takeFolded(taken: readonly FoldedEvents[], done?: () => void): void;
  report(): OutboxReport;
}

/** What the outbox says by itself. */
export interface OutboxHandlers {
  /** An open one was folded to make room: the machine is to forget it (`withdrawn`). */
  onFolded(id: string): void;
  /** The bound was reached (true) or there is room again (false): said as an event. */
  onFull(isFull: boolean): void;
  /** The disk changed what was kept. */
  onDamage(damage: OutboxDamage): void;
  /** It cannot write (a failure), or can again (null). */
  onFailure(failure: DiskFailure | null): void;
}

/** What recovery found wrong and put right: each is worth an event. */
export interface OutboxDamage {
  /** File name of the segment. */
  readonly segment: string;
  /** One line: what, how many bytes, where the file as it was is now. */
  readonly detail: string;
}

export interface OutboxLimits {
  readonly openMax: number;
  readonly bytesMax: number;
  readonly segmentBytes: number;
  /** Refused ones that are kept for `retry`; the oldest go first. */
  readonly refusedMax: number;
  /** Components with a count; the rest are counted together. */
  readonly componentsMax: number;
}

export const DEFAULT_OUTBOX_LIMITS: OutboxLimits = {
  openMax: 100_000,
  bytesMax: 512 * 1024 * 1024,
  segmentBytes: 4 * 1024 * 1024,
  refusedMax: 1_000,
  componentsMax: 1_000,
};

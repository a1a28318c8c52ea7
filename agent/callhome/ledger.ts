/**
 * The contract of the ledger: every step of every event's way, each line bound to the one before by its digest.
 *
 * `io/ledger-file.ts` is the one on disk. A step is durable with the next flush of the outbox or its own; nobody waits for it,
 * since what an event's way was can be told again from the outbox, but what is closed was recorded before.
 */
import type { DeliveryStep } from "./delivery-events.ts";

/** One step as it was read back. */
export interface LedgerEntry extends DeliveryStep {
  /** Number of the line, from 1, without gaps. */
  readonly n: number;
  /** Milliseconds since 1970. */
  readonly atMs: number;
}

export interface Ledger {
  append(step: DeliveryStep, wallMs: number): void;
  /** When all that was appended before is on disk, or could not be written: then it is tried again with the next. */
  flush(done: () => void): void;
  /** An event's steps in order, of what retention left. */
  ofEvent(id: string, done: (entries: readonly LedgerEntry[]) => void): void;
  /** The whole as it is on disk, ended by a signed checkpoint: for somebody else to verify. */
  export(done: (lines: readonly string[]) => void): void;
}

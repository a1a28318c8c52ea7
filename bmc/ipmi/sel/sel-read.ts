/**
 * What a reading of the whole event log gives: the contract between whoever reads it and whoever tells what is new in it.
 *
 * Invariant: it is whole. Every record of the log is in it once, in the order of the log, and `info` is of after the reading;
 * a log that changed while it was read, or a record that cannot be read, is an error and never a shorter list.
 */
import type { Steps } from "../ipmi.ts";
import type { SelInfo } from "./get-sel-info.ts";

export interface SelReadRecord {
  readonly recordId: number;
  /** 16 bytes, a copy. */
  readonly bytes: Uint8Array;
}

export interface SelRead {
  readonly info: SelInfo;
  readonly records: readonly SelReadRecord[];
}

/** A reading that has not begun: each call begins one. */
export type ReadSel = () => Steps<SelRead>;

/**
 * The event log as the contract has it: entries with their events, made of the records that were read.
 *
 * Decides the (epoch, nth) of each record for an observer who sees the log for the first time: the epoch is the log's erase
 * time, nth counts byte-identical records in the order of the log. A watch that has followed the log says the same unless
 * single records were deleted meanwhile; see `../event/sel-tracker.ts`.
 */
import type { BmcEvent, EventLog, LogEntry } from "../../bmc.ts";
import { eventOf, type Sha256 } from "../event/event-identity.ts";
import { type NameOf, noNames } from "../event/event-text.ts";
import { contentOf } from "../event/sel-tracker.ts";
import type { SelRead, SelReadRecord } from "./sel-read.ts";
import { decodeSelRecord } from "./sel-record.ts";
import { selTimeMs } from "./sel-time.ts";

export interface LogContext {
  /** As in `BmcEvent`. */
  readonly system: string;
  readonly seenMs: number;
  readonly sha256: Sha256;
  readonly nameOf?: NameOf;
  /** See `selTimeMs`. */
  readonly utcOffsetMinutes?: number | null;
}

/** O(records). */
export function eventLogOf(read: SelRead, context: LogContext): EventLog {
  const { info } = read;
  const offset = context.utcOffsetMinutes ?? null;
  const nths = new Map<string, number>();
  const entries = read.records.flatMap((one): readonly LogEntry[] => {
    const content = contentOf(one.bytes);
    const nth = nths.get(content) ?? 0;
    nths.set(content, nth + 1);
    const event = eventOfRecord(one, info.lastErase, nth, context);
    return event === null ? [] : [{ recordId: one.recordId.toString(16).padStart(4, "0"), event }];
  });
  return {
    entries,
    isOverflowed: info.isOverflowed,
    freeBytes: info.freeBytes,
    lastAddMs: selTimeMs(info.lastAdd, offset),
    lastEraseMs: selTimeMs(info.lastErase, offset),
  };
}

/** null: fewer than 16 bytes, which a whole reading never has. */
function eventOfRecord(
  one: SelReadRecord,
  epoch: number,
  nth: number,
  context: LogContext,
): BmcEvent | null {
  const record = decodeSelRecord(one.bytes);
  if (!record.ok) return null;
  const { system, seenMs, sha256, nameOf = noNames, utcOffsetMinutes = null } = context;
  return eventOf(
    {
      system,
      epoch,
      nth,
      way: "sel",
      seenMs,
      bytes: one.bytes,
      record: record.value,
      utcOffsetMinutes,
    },
    sha256,
    nameOf,
  );
}

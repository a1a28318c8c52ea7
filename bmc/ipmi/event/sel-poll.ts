/**
 * One look at an event log: as little as is needed to know what is new, as a task.
 *
 * Get SEL Info first. When it is the one of last time, that is all. Else the newest known record is read again: if it is there
 * and unchanged, what follows it by the chain of next ids is new. If anything does not add up (it is gone or different, the
 * erase time moved, records are missing, the chain goes in a circle) the whole log is read and compared. After new records the
 * information is asked again, so that what came meanwhile is told now, and the count that is kept is that of what was read.
 *
 * Bounds: TAIL_MAX records by the chain, ROUNDS_MAX times; beyond that the whole is read by the faster reader.
 */
import { err, ok, type Result } from "../../../core/result.ts";
import type { BmcError } from "../../bmc-error.ts";
import { ask, askRaw, type Part } from "../ask.ts";
import { replyError } from "../completion-code.ts";
import { malformed, tooShort } from "../decode.ts";
import { requestOf, type Steps } from "../ipmi.ts";
import { getSelEntry, SEL_LAST, SEL_RECORD_BYTES, wholeSelEntry } from "../sel/get-sel-entry.ts";
import { getSelInfo, type SelInfo } from "../sel/get-sel-info.ts";
import type { ReadSel } from "../sel/sel-read.ts";
import { contentOf, type Look, type SelTracker } from "./sel-tracker.ts";

export interface SelLook extends Look {
  readonly info: SelInfo;
}

/** One at a time, as many as a pipelined reading of the whole would beat. */
export const TAIL_MAX = 64;
const ROUNDS_MAX = 4;

/** A completion code that means: there is no such record. */
const ABSENT_CODES: ReadonlySet<number> = new Set([0xc9, 0xcb, 0xcc, 0xcd, 0xff]);

export function* pollSel(tracker: SelTracker, readWhole: ReadSel): Steps<SelLook> {
  const first = yield* ask(getSelInfo, undefined);
  if (!first.ok) return first;
  const plan = tracker.plan(first.value);
  if (plan.kind === "nothing") {
    return ok({ fresh: [], isCleared: false, hasOverflowed: false, info: first.value });
  }
  if (plan.kind === "tail") {
    const tail = yield* readTail(first.value, plan.recordId, plan.bytes);
    if (!tail.ok) return tail;
    const look = tail.value === null ? null : tracker.tail(tail.value.info, tail.value.records);
    if (look !== null && tail.value !== null) return ok({ ...look, info: tail.value.info });
  }
  const whole = yield* readWhole();
  if (!whole.ok) return whole;
  const { info, records } = whole.value;
  return ok({
    ...tracker.whole(
      info,
      records.map(({ bytes }) => bytes),
    ),
    info,
  });
}

interface Tail {
  readonly info: SelInfo;
  readonly records: readonly Uint8Array[];
}

/** null: read the whole. */
function* readTail(
  before: SelInfo,
  recordId: number,
  bytes: Uint8Array,
): Part<Result<Tail | null, BmcError>> {
  const records: Uint8Array[] = [];
  let info = before;
  let anchor = { recordId, bytes };
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const found = yield* readAfter(anchor.recordId, anchor.bytes);
    if (!found.ok) return found;
    if (found.value === null) return ok(null);
    records.push(...found.value.map((one) => one.bytes));
    anchor = found.value.at(-1) ?? anchor;
    if (records.length > TAIL_MAX) return ok(null);
    if (records.length === 0) break;
    const after = yield* ask(getSelInfo, undefined);
    if (!after.ok) return after;
    const isSettled = isSameInfo(info, after.value);
    info = after.value;
    if (isSettled) break;
  }
  return ok({ info, records });
}

function isSameInfo(source: SelInfo, target: SelInfo): boolean {
  return (
    source.entryCount === target.entryCount &&
    source.lastAdd === target.lastAdd &&
    source.lastErase === target.lastErase &&
    source.isOverflowed === target.isOverflowed
  );
}

interface Entry {
  readonly recordId: number;
  readonly bytes: Uint8Array;
}

/** What follows a record that must be there with these bytes; null: it is not, or its successors go in a circle. */
function* readAfter(
  recordId: number,
  bytes: Uint8Array,
): Part<Result<readonly Entry[] | null, BmcError>> {
  const found: Entry[] = [];
  const seen = new Set<number>();
  for (let id = recordId; id !== SEL_LAST; ) {
    if (seen.has(id) || found.length > TAIL_MAX) return ok(null);
    seen.add(id);
    const entry = yield* readEntry(id);
    if (!entry.ok) return entry;
    if (entry.value === null) return ok(null);
    const isAnchor = seen.size === 1;
    if (isAnchor && contentOf(entry.value.bytes) !== contentOf(bytes)) return ok(null);
    if (!isAnchor) found.push({ recordId: id, bytes: entry.value.bytes });
    // A next id of 0 would be the first record again.
    id = entry.value.nextRecordId === 0 ? SEL_LAST : entry.value.nextRecordId;
  }
  return ok(found);
}

/** One whole record; null: there is none of this id. */
function* readEntry(
  recordId: number,
): Part<Result<{ nextRecordId: number; bytes: Uint8Array } | null, BmcError>> {
  const answer = yield* askRaw(requestOf(getSelEntry, wholeSelEntry(recordId)));
  if (!answer.ok) return answer;
  const { completionCode, data } = answer.value;
  if (ABSENT_CODES.has(completionCode)) return ok(null);
  if (completionCode !== 0) return err(replyError(getSelEntry, answer.value));
  const entry = getSelEntry.decode(data);
  if (!entry.ok) return err(malformed(entry.error));
  const { bytes, nextRecordId } = entry.value;
  if (bytes.length < SEL_RECORD_BYTES) {
    return err(malformed(tooShort(`SEL record ${recordId}`, SEL_RECORD_BYTES, bytes.length)));
  }
  return ok({ nextRecordId, bytes: bytes.slice(0, SEL_RECORD_BYTES) });
}

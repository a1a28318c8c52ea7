/**
 * Reads the whole event log, many records at once, as a task.
 *
 * The log is a chain: each record tells the id of the next, and ids are handles that may be sparse, unordered, reused or go in
 * a circle. Followed one by one that costs a round trip each. So ids are guessed: from the step between the last two, as many
 * as the log still has; each guess is believed only when the chain leads to it, so a wrong one costs a request and never
 * a record. Batches grow while guesses are right; at the first sign of trouble the chain is followed one by one, and
 * guessing begins again small once its steps are even.
 *
 * The chain ends at FFFFh, or where it repeats an id or a record. Where it ended before as many records as the log has, ids that
 * it did not show are asked for. Get SEL Info before and after tells whether the log changed meanwhile; what came after the
 * last record is then read on, anything else begins anew, `ROUNDS_MAX` times, and then it is `changed-while-read`.
 *
 * Bounds: ids are 16 bits and each is asked once a round; requests are at most twice the ids.
 */
import { err, ok, type Result } from "../../../core/result.ts";
import { type BmcError, bmcError } from "../../bmc-error.ts";
import { ask, type Part } from "../ask.ts";
import { replyError } from "../completion-code.ts";
import { malformed } from "../decode.ts";
import { type Answers, type IpmiReply, type IpmiRequest, requestOf, type Steps } from "../ipmi.ts";
import {
  getSelEntry,
  SEL_FIRST,
  SEL_LAST,
  SEL_READ_ALL,
  SEL_RECORD_BYTES,
} from "./get-sel-entry.ts";
import { getSelInfo, type SelInfo } from "./get-sel-info.ts";
import { reserveSel } from "./reserve-sel.ts";
import type { SelRead, SelReadRecord } from "./sel-read.ts";

const ROUNDS_MAX = 5;
const BATCH_FIRST = 16;
const BATCH_GROWTH = 8;
const BATCH_MAX = 8192;
/** Even steps of the chain after which guessing begins again. */
const EVEN_STEPS_MIN = 8;
/** Ids asked for beyond the highest one seen, where the chain ended early. */
const SWEEP_SLACK = 256;
/** Of an erase that is under way, and of reservations that others take. */
const PAUSES_MAX = 40;
const PAUSE_MS = 250;

const CANCELLED = 0xc5;
const ERASE_IN_PROGRESS = 0x81;
/** There is no such record: what these mean of a record's id, by one BMC or another. */
const ABSENT: ReadonlySet<number> = new Set([0xc9, 0xcb, 0xcc, 0xcd, 0xff]);

interface Entry {
  readonly next: number;
  readonly bytes: Uint8Array;
}

/** What an answer to a needed id is, other than the entry. */
type Failure = "absent" | "erasing" | "cancelled" | BmcError;

interface Reading {
  /** In the order of the chain. */
  readonly records: SelReadRecord[];
  /** Ids that were asked for and gave a record of the chain. */
  readonly seen: Set<number>;
  /** Answers to guesses that the chain has not reached. */
  readonly guessed: Map<number, Entry>;
  reservation: number;
  /** Id that the chain leads to. */
  next: number;
  /** The chain came back to a record instead of ending. */
  isBroken: boolean;
  step: number;
  evenSteps: number;
  batch: number;
}

function newReading(): Reading {
  return {
    records: [],
    seen: new Set(),
    guessed: new Map(),
    reservation: 0,
    next: SEL_FIRST,
    isBroken: false,
    step: 1,
    evenSteps: 0,
    batch: BATCH_FIRST,
  };
}

/** Every record once, with the information of after the reading. */
export function* readSel(): Steps<SelRead> {
  let before = yield* ask(getSelInfo, undefined);
  if (!before.ok) return before;
  let reading = newReading();
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const read: Result<"whole" | "changed", BmcError> = yield* readChain(reading, before.value);
    if (!read.ok) return read;
    const after = yield* ask(getSelInfo, undefined);
    if (!after.ok) return after;
    const isSame = isSameLog(before.value, after.value);
    if (read.value === "whole" && isSame)
      return ok({ info: after.value, records: reading.records });
    const isLonger = read.value === "whole" && isContinued(before.value, after.value);
    const isResumed = isLonger && (yield* resume(reading));
    if (!isResumed) reading = newReading();
    before = after;
  }
  const detail = `the event log changed each of ${ROUNDS_MAX} times that it was read: try again`;
  return err(bmcError("changed-while-read", detail));
}

function isSameLog(source: SelInfo, target: SelInfo): boolean {
  return (
    source.entryCount === target.entryCount &&
    source.lastAdd === target.lastAdd &&
    source.lastErase === target.lastErase &&
    source.isOverflowed === target.isOverflowed
  );
}

/** Only records were added. */
function isContinued(source: SelInfo, target: SelInfo): boolean {
  return source.lastErase === target.lastErase && target.entryCount > source.entryCount;
}

/** Asks for the last record again: its next id is now that of the first new one. False: it is another record now. */
function* resume(reading: Reading): Part<boolean> {
  const last = reading.records.at(-1);
  if (last === undefined) return false;
  const [answer] = yield { kind: "ask", requests: [requestFor(reading, last.recordId)] };
  const entry = entryOf(answer);
  if (!isEntry(entry) || contentOf(entry.bytes) !== contentOf(last.bytes)) return false;
  reading.next = entry.next;
  reading.guessed.clear();
  reading.batch = BATCH_FIRST;
  return true;
}

function* readChain(reading: Reading, info: SelInfo): Part<Result<"whole" | "changed", BmcError>> {
  let pauses = 0;
  while (!isAtEnd(reading, info)) {
    const { next } = reading;
    const ids = idsToAsk(reading, info);
    const answers: Answers = yield {
      kind: "ask",
      requests: ids.map((id) => requestFor(reading, id)),
    };
    const failure = take(reading, ids, answers);
    if (failure === null) {
      walk(reading, ids.length, info);
      yield { kind: "progress", done: reading.records.length, total: info.entryCount };
      continue;
    }
    if (failure === "absent") {
      // A log that is empty has no first record; any other id was told by the log itself.
      const isEmpty = next === SEL_FIRST && info.entryCount === 0;
      return ok(isEmpty ? "whole" : "changed");
    }
    if (typeof failure !== "string") return err(failure);
    const wrong = yield* pause(reading, failure, ++pauses);
    if (wrong !== null) return err(wrong);
  }
  return yield* sweep(reading, info);
}

/** Waits for the end of an erase, or takes a reservation; a BMC that wants one for whole records is met by this too. */
function* pause(
  reading: Reading,
  why: "erasing" | "cancelled",
  pauses: number,
): Part<BmcError | null> {
  if (pauses > PAUSES_MAX) return stillBusy(why);
  if (why === "erasing") {
    yield { kind: "wait", ms: PAUSE_MS };
    return null;
  }
  const reserved = yield* ask(reserveSel, undefined);
  if (!reserved.ok) return reserved.error;
  reading.reservation = reserved.value;
  return null;
}

function stillBusy(failure: "erasing" | "cancelled"): BmcError {
  return failure === "erasing"
    ? bmcError("busy", "the event log is still being erased: try again later", ERASE_IN_PROGRESS)
    : bmcError("busy", "somebody else keeps reserving the event log: try again later", CANCELLED);
}

function isAtEnd(reading: Reading, info: SelInfo): boolean {
  if (reading.records.length === 0) return info.entryCount === 0 && reading.next === SEL_LAST;
  // A next id of 0 would be the first record again.
  if (reading.next === SEL_LAST || reading.next === SEL_FIRST) return true;
  reading.isBroken ||= reading.seen.has(reading.next);
  return reading.isBroken;
}

/** The id that the chain leads to, and those that are likely to follow it. */
function idsToAsk(reading: Reading, info: SelInfo): readonly number[] {
  const { next, step } = reading;
  const ids = [next];
  // Of the first record only "the first" is known.
  if (next === SEL_FIRST) return ids;
  const remaining = info.entryCount - reading.records.length;
  const count = Math.min(reading.batch, remaining, BATCH_MAX);
  for (let guess = 1; guess < count; guess++) {
    const id = next + guess * step;
    if (id >= SEL_LAST || reading.seen.has(id)) break;
    if (!reading.guessed.has(id)) ids.push(id);
  }
  return ids;
}

function requestFor(reading: Reading, id: number): IpmiRequest {
  const { reservation } = reading;
  return requestOf(getSelEntry, { reservation, recordId: id, offset: 0, count: SEL_READ_ALL });
}

/** Files the answers; what is wrong with the first, the one that the chain needs. */
function take(reading: Reading, ids: readonly number[], answers: Answers): Failure | null {
  let failure: Failure | null = null;
  for (const [index, id] of ids.entries()) {
    const entry = entryOf(answers[index]);
    if (isEntry(entry)) reading.guessed.set(id, entry);
    else if (index === 0) failure = entry;
  }
  return failure;
}

function isEntry(entry: Entry | Failure): entry is Entry {
  return typeof entry === "object" && "bytes" in entry;
}

function entryOf(answer: Result<IpmiReply, BmcError> | undefined): Entry | Failure {
  if (answer === undefined) return bmcError("malformed", "a request was not answered");
  if (!answer.ok) return answer.error;
  const { completionCode, data } = answer.value;
  if (completionCode === ERASE_IN_PROGRESS) return "erasing";
  if (completionCode === CANCELLED) return "cancelled";
  if (ABSENT.has(completionCode)) return "absent";
  if (completionCode !== 0) return replyError(getSelEntry, answer.value);
  const decoded = getSelEntry.decode(data);
  if (!decoded.ok) return malformed(decoded.error);
  const { nextRecordId, bytes } = decoded.value;
  if (bytes.byteLength < SEL_RECORD_BYTES) {
    const detail = `a record of the event log has ${bytes.byteLength} of ${SEL_RECORD_BYTES} bytes`;
    return bmcError("truncated-record", detail);
  }
  const isExact = bytes.byteLength === SEL_RECORD_BYTES;
  return { next: nextRecordId, bytes: isExact ? bytes : bytes.slice(0, SEL_RECORD_BYTES) };
}

function ownId(bytes: Uint8Array): number {
  return (bytes[0] as number) | ((bytes[1] as number) << 8);
}

function contentOf(bytes: Uint8Array): string {
  return bytes.toHex();
}

/** Follows the chain through what was answered, and judges the guesses. O(asked). */
function walk(reading: Reading, asked: number, info: SelInfo): void {
  let walked = 0;
  for (;;) {
    const id = reading.next;
    const entry = reading.guessed.get(id);
    if (entry === undefined) break;
    reading.guessed.delete(id);
    const recordId = id === SEL_FIRST ? ownId(entry.bytes) : id;
    if (isRepeated(reading, id, entry, info)) {
      reading.isBroken = true;
      reading.next = SEL_LAST;
      break;
    }
    reading.seen.add(id);
    reading.records.push({ recordId, bytes: entry.bytes });
    noteStep(reading, entry.next - recordId);
    reading.next = entry.next;
    walked++;
  }
  // What was asked for beyond the chain's way was guessed wrong.
  const isRight = walked * 4 >= asked * 3;
  if (!isRight) {
    reading.batch = 1;
    reading.evenSteps = 0;
    reading.guessed.clear();
  } else if (asked > 1 && walked > 1) reading.batch = Math.min(BATCH_MAX, asked * BATCH_GROWTH);
  else if (reading.batch === 1 && reading.evenSteps >= EVEN_STEPS_MIN) reading.batch = BATCH_FIRST;
}

/**
 * A record that was read before. The first is asked for as "the first", so its own id may lead to it once more; and beyond as
 * many records as the log has, one with the bytes of another is that other: there are BMCs that give the last for ever.
 * Within the log equal bytes prove nothing, since not every BMC writes the id into its records.
 */
function isRepeated(reading: Reading, id: number, entry: Entry, info: SelInfo): boolean {
  if (reading.seen.has(id)) return true;
  const first = reading.records[0];
  const isFirst = first?.recordId === id && contentOf(first.bytes) === contentOf(entry.bytes);
  if (isFirst) return true;
  if (reading.records.length < info.entryCount) return false;
  const content = contentOf(entry.bytes);
  return reading.records.some(({ bytes }) => contentOf(bytes) === content);
}

function noteStep(reading: Reading, step: number): void {
  if (step === reading.step) reading.evenSteps++;
  else reading.evenSteps = 0;
  // A way back, or to the end, is no step to go on with.
  if (step > 0) reading.step = step;
}

/**
 * The chain ended early: asks for ids that it did not show, until there are as many records as the log has. If a chain that
 * ended in good order had less, the count is wrong; if it came back to a record, some cannot be reached, and that is an error.
 */
function* sweep(reading: Reading, info: SelInfo): Part<Result<"whole" | "changed", BmcError>> {
  const known = new Set(reading.records.map(({ recordId }) => recordId));
  let highest = info.entryCount;
  for (const id of known) highest = Math.max(highest, id);
  const end = Math.min(SEL_LAST, highest + SWEEP_SLACK);
  let next = 1;
  while (reading.records.length < info.entryCount && next < end) {
    const ids: number[] = [];
    for (; next < end && ids.length < SWEEP_SLACK; next++) if (!known.has(next)) ids.push(next);
    const requests = ids.map((id) => requestFor(reading, id));
    const found = takeSwept(reading, ids, yield { kind: "ask", requests });
    if (found !== null) return found;
  }
  const missing = info.entryCount - reading.records.length;
  if (missing <= 0 || !reading.isBroken) return ok("whole");
  const detail = `the event log's chain of records is broken: ${missing} of ${info.entryCount} cannot be reached`;
  return err(bmcError("malformed", detail));
}

/** null: go on. */
function takeSwept(
  reading: Reading,
  ids: readonly number[],
  answers: Answers,
): Result<"changed", BmcError> | null {
  for (const [index, id] of ids.entries()) {
    const entry = entryOf(answers[index]);
    if (entry === "absent") continue;
    if (entry === "erasing" || entry === "cancelled") return ok("changed");
    if (!isEntry(entry)) return err(entry);
    // Some BMCs give the nearest record for an id that is not there.
    if (ownId(entry.bytes) === id) reading.records.push({ recordId: id, bytes: entry.bytes });
  }
  return null;
}

/**
 * Records of the outbox as bytes, and the reading of a segment that a crash or a disk may have damaged.
 *
 * A segment is a file of records. It is only appended to; nothing in it is changed. All numbers are little endian.
 *
 *   offset  bytes  field
 *        0      8  magic      "HFOUTBX1"
 *        8      8  number     of the segment, which is in its name too
 *       16         records, each:
 *
 *        0      4  bodyBytes  1 … BODY_BYTES_MAX
 *        4      8  check      XXH3-64 of the body, seeded by the number of the segment
 *       12         body:
 *
 *        0      1  kind       1 event, 2 closure, 3 fold
 *        1      1  urgency 0 … 4, of an event with bit 7 by every path; of a closure 1 delivered, 2 refused, 3 folded, 4 open again
 *        2      2  componentBytes (event, fold)
 *        4      8  queuedWallMs as a double (event); count (fold)
 *       12     32  id (event, closure); of a fold firstWallMs and lastWallMs as doubles, then zeros
 *       44         component in UTF-8 (event, fold), then the envelope byte for byte (event)
 *
 * A fold holds the whole count of its component at that time: the last one counts, and one of 0 takes it back.
 *
 * What follows the last sound record is a torn tail: it was never acknowledged, and is cut. A place that does not read but has sound
 * records behind it is damage: they are found by trying each offset, which a 64-bit check makes safe.
 */
import type { Urgency } from "./delivery-events.ts";
import { ENVELOPE_BYTES_MAX, type FoldedEvents, type OutboxItem } from "./outbox.ts";

/** XXH3-64 of the bytes under a seed. */
export type Check = (bytes: Uint8Array, seed: bigint) => bigint;

export const SEGMENT_HEAD_BYTES = 16;
export const RECORD_HEAD_BYTES = 12;
const BODY_HEAD_BYTES = 44;
export const COMPONENT_BYTES_MAX = 1_024;
const BODY_BYTES_MAX: number = BODY_HEAD_BYTES + COMPONENT_BYTES_MAX + ENVELOPE_BYTES_MAX;

const MAGIC: Uint8Array = new TextEncoder().encode("HFOUTBX1");
const EVENT = 1;
const CLOSURE = 2;
const FOLD = 3;
const BY_EVERY_PATH = 0x80;

export type Closure = "delivered" | "refused" | "folded" | "reopened";
const CLOSURES: readonly Closure[] = ["delivered", "refused", "folded", "reopened"];

export type OutboxRecord =
  | {
      readonly kind: "event";
      readonly id: string;
      readonly urgency: Urgency;
      readonly isByEveryPath: boolean;
      readonly queuedWallMs: number;
      readonly component: string;
      readonly envelope: Uint8Array;
    }
  | { readonly kind: "closure"; readonly id: string; readonly as: Closure }
  | { readonly kind: "fold"; readonly fold: FoldedEvents };

/** Cut where a character ends. */
function componentBytes(component: string): Uint8Array {
  const bytes = new TextEncoder().encode(component);
  if (bytes.length <= COMPONENT_BYTES_MAX) return bytes;
  let end = COMPONENT_BYTES_MAX;
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return bytes.subarray(0, end);
}

export function segmentHead(number: number): Uint8Array {
  const head = new Uint8Array(SEGMENT_HEAD_BYTES);
  head.set(MAGIC, 0);
  new DataView(head.buffer).setBigUint64(8, BigInt(number), true);
  return head;
}

/** Room for a record whose body has so many bytes; the check is written by `sealRecord`. */
function recordOf(bodyBytes: number): { readonly record: Uint8Array; readonly body: DataView } {
  const record = new Uint8Array(RECORD_HEAD_BYTES + bodyBytes);
  new DataView(record.buffer).setUint32(0, bodyBytes, true);
  return { record, body: new DataView(record.buffer, RECORD_HEAD_BYTES) };
}

/** A record belongs to a segment only once it is known which: the check is seeded by its number. */
export function sealRecord(record: Uint8Array, segment: number, check: Check): void {
  const sum = check(record.subarray(RECORD_HEAD_BYTES), BigInt(segment));
  new DataView(record.buffer, record.byteOffset).setBigUint64(4, sum, true);
}

export function encodeEvent(item: OutboxItem): Uint8Array {
  const component = componentBytes(item.component);
  const { record, body } = recordOf(BODY_HEAD_BYTES + component.length + item.envelope.length);
  body.setUint8(0, EVENT);
  body.setUint8(1, item.urgency | (item.isByEveryPath ? BY_EVERY_PATH : 0));
  body.setUint16(2, component.length, true);
  body.setFloat64(4, item.queuedWallMs, true);
  record.set(Uint8Array.fromHex(item.id), RECORD_HEAD_BYTES + 12);
  record.set(component, RECORD_HEAD_BYTES + BODY_HEAD_BYTES);
  record.set(item.envelope, RECORD_HEAD_BYTES + BODY_HEAD_BYTES + component.length);
  return record;
}

export function encodeClosure(id: string, as: Closure): Uint8Array {
  const { record, body } = recordOf(BODY_HEAD_BYTES);
  body.setUint8(0, CLOSURE);
  body.setUint8(1, CLOSURES.indexOf(as) + 1);
  record.set(Uint8Array.fromHex(id), RECORD_HEAD_BYTES + 12);
  return record;
}

export function encodeFold(fold: FoldedEvents): Uint8Array {
  const component = componentBytes(fold.component);
  const { record, body } = recordOf(BODY_HEAD_BYTES + component.length);
  body.setUint8(0, FOLD);
  body.setUint8(1, fold.urgency);
  body.setUint16(2, component.length, true);
  body.setFloat64(4, fold.count, true);
  body.setFloat64(12, fold.firstWallMs, true);
  body.setFloat64(20, fold.lastWallMs, true);
  record.set(component, RECORD_HEAD_BYTES + BODY_HEAD_BYTES);
  return record;
}

function urgencyOf(byte: number): Urgency | null {
  const urgency = byte & ~BY_EVERY_PATH;
  return urgency <= 4 ? (urgency as Urgency) : null;
}

/** null: of no kind that is known here, so of a newer version: left alone. */
export function decodeBody(body: Uint8Array): OutboxRecord | null {
  if (body.length < BODY_HEAD_BYTES) return null;
  const view = new DataView(body.buffer, body.byteOffset, body.length);
  const flags = view.getUint8(1);
  const idBytes = body.subarray(12, BODY_HEAD_BYTES);
  if (view.getUint8(0) === CLOSURE) {
    const as = CLOSURES[flags - 1];
    return as === undefined ? null : { kind: "closure", id: idBytes.toHex(), as };
  }
  const urgency = urgencyOf(flags);
  const envelopeAt = BODY_HEAD_BYTES + view.getUint16(2, true);
  if (urgency === null || envelopeAt > body.length) return null;
  const component = new TextDecoder().decode(body.subarray(BODY_HEAD_BYTES, envelopeAt));
  if (view.getUint8(0) === EVENT) {
    return {
      kind: "event",
      id: idBytes.toHex(),
      urgency,
      isByEveryPath: (flags & BY_EVERY_PATH) !== 0,
      queuedWallMs: view.getFloat64(4, true),
      component,
      envelope: body.subarray(envelopeAt),
    };
  }
  if (view.getUint8(0) !== FOLD) return null;
  const count = view.getFloat64(4, true);
  const firstWallMs = view.getFloat64(12, true);
  const lastWallMs = view.getFloat64(20, true);
  return { kind: "fold", fold: { component, urgency, count, firstWallMs, lastWallMs } };
}

/** Bytes of the sound record at the offset; 0: there is none. */
export function soundBytesAt(
  bytes: Uint8Array,
  offset: number,
  segment: number,
  check: Check,
): number {
  if (offset + RECORD_HEAD_BYTES > bytes.length) return 0;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const bodyBytes = view.getUint32(offset, true);
  if (bodyBytes === 0 || bodyBytes > BODY_BYTES_MAX) return 0;
  const end = offset + RECORD_HEAD_BYTES + bodyBytes;
  if (end > bytes.length) return 0;
  const sum = check(bytes.subarray(offset + RECORD_HEAD_BYTES, end), BigInt(segment));
  return sum === view.getBigUint64(offset + 4, true) ? end - offset : 0;
}

export interface ScannedRecord {
  readonly offset: number;
  readonly bytes: number;
  readonly record: OutboxRecord;
}

export interface ScannedSegment {
  readonly records: readonly ScannedRecord[];
  /** Up to the end of the last sound record; what follows is a torn tail. */
  readonly soundBytes: number;
  /** Bytes before that which do not read. */
  readonly damagedBytes: number;
}

/** O(bytes) where it is sound; behind damage each offset whose length is plausible costs one check. */
export function scanSegment(bytes: Uint8Array, segment: number, check: Check): ScannedSegment {
  const records: ScannedRecord[] = [];
  let offset = SEGMENT_HEAD_BYTES;
  let soundBytes = 0;
  let damagedBytes = isHead(bytes, segment) ? 0 : Math.min(bytes.length, SEGMENT_HEAD_BYTES);
  let pendingDamage = 0;
  while (offset < bytes.length) {
    const length = soundBytesAt(bytes, offset, segment, check);
    if (length === 0) {
      pendingDamage++;
      offset++;
      continue;
    }
    damagedBytes += pendingDamage;
    pendingDamage = 0;
    const record = decodeBody(bytes.subarray(offset + RECORD_HEAD_BYTES, offset + length));
    if (record !== null) records.push({ offset, bytes: length, record });
    offset += length;
    soundBytes = offset;
  }
  if (soundBytes === 0) {
    // Nothing in it reads: a head that was just being written is a torn tail too.
    soundBytes = damagedBytes === 0 ? Math.min(bytes.length, SEGMENT_HEAD_BYTES) : 0;
    damagedBytes = 0;
  }
  return { records, soundBytes, damagedBytes };
}

function isHead(bytes: Uint8Array, segment: number): boolean {
  const head = segmentHead(segment);
  return bytes.length >= head.length && head.every((byte, index) => bytes[index] === byte);
}

/**
 * What makes an event the same event: the pre-image of its id, and the building of a `BmcEvent` from a log record.
 *
 * Frozen: ids are kept by whoever received them, so this layout does not change. An id is SHA-256, in lower-case hex, over
 *
 *   offset  bytes  field
 *        0     16  system   the GUID as sent; of a system without one the first 16 bytes of SHA-256 over its URL
 *       16      4  epoch    little endian: the generation of the log
 *       20     16  record   the SEL record with its id (bytes 0-1) zeroed
 *       36      4  nth      little endian: 0 for the first of byte-identical records in one epoch
 *
 * The record id is no part of it, since a BMC may change and reuse it; neither is the way by which the event was seen.
 * The epoch is the erase time of the log (Get SEL Info) as it stood when that generation of the log was first seen, so
 * that observers who never spoke to each other agree; `sel-tracker.ts` says when a generation ends.
 *
 * Something that has no record, such as a message of Redfish or of a script, takes the first 16 bytes of SHA-256 over its own
 * stable key in the record's place.
 */
import type { BmcEvent, EventWay } from "../../bmc.ts";
import { canonicalRecord, type SelRecord } from "../sel/sel-record.ts";
import { selTimeMs } from "../sel/sel-time.ts";
import { type NameOf, noNames, wordsOf } from "./event-text.ts";

/** The digest of `data`, 32 bytes; the real one is `realCrypto.sha256`. */
export type Sha256 = (data: Uint8Array) => Uint8Array;

export const PRE_IMAGE_BYTES = 40;

/** The 16 bytes that stand for a system: its GUID's, or a digest of whatever else names it. */
export function systemBytes(system: string, sha256: Sha256): Uint8Array {
  if (/^[0-9a-f]{32}$/.test(system)) return Uint8Array.fromHex(system);
  return sha256(new TextEncoder().encode(system)).slice(0, 16);
}

/** In the place of a record, for what has none: 16 bytes that stand for a key which is the same at each sighting. */
export function keyBytes(key: string, sha256: Sha256): Uint8Array {
  return sha256(new TextEncoder().encode(key)).slice(0, 16);
}

export interface EventKey {
  readonly system: string;
  readonly epoch: number;
  /** 16 bytes; the first two are taken as zero. */
  readonly record: Uint8Array;
  readonly nth: number;
}

export function preImageOf(key: EventKey, sha256: Sha256): Uint8Array {
  const bytes = new Uint8Array(PRE_IMAGE_BYTES);
  const view = new DataView(bytes.buffer);
  bytes.set(systemBytes(key.system, sha256), 0);
  view.setUint32(16, key.epoch, true);
  bytes.set(canonicalRecord(key.record), 20);
  view.setUint32(36, key.nth, true);
  return bytes;
}

export function eventId(key: EventKey, sha256: Sha256): string {
  return sha256(preImageOf(key, sha256)).toHex();
}

/** The id of what has no record; `key` is the source's own stable name of it. */
export function keyedEventId(system: string, epoch: number, key: string, sha256: Sha256): string {
  const bytes = new Uint8Array(PRE_IMAGE_BYTES);
  const view = new DataView(bytes.buffer);
  bytes.set(systemBytes(system, sha256), 0);
  view.setUint32(16, epoch, true);
  bytes.set(keyBytes(key, sha256), 20);
  return sha256(bytes).toHex();
}

export interface Sighting {
  readonly system: string;
  readonly epoch: number;
  readonly nth: number;
  readonly way: EventWay;
  readonly seenMs: number;
  /** As read, 16 bytes. */
  readonly bytes: Uint8Array;
  readonly record: SelRecord;
  /** See `selTimeMs`; null takes the BMC's clock for UTC. */
  readonly utcOffsetMinutes?: number | null;
}

export function eventOf(sighting: Sighting, sha256: Sha256, nameOf: NameOf = noNames): BmcEvent {
  const { system, epoch, nth, way, seenMs, record } = sighting;
  const words = wordsOf(record, nameOf);
  const isTimed = record.kind === "event" || record.kind === "oem-timed";
  return {
    id: eventId({ system, epoch, record: sighting.bytes, nth }, sha256),
    system,
    epoch,
    nth,
    way,
    severity: words.severity,
    whenMs: isTimed ? selTimeMs(record.timestamp, sighting.utcOffsetMinutes ?? null) : null,
    seenMs,
    isAssertion: words.isAssertion,
    category: words.category,
    subject: words.subject,
    text: words.text,
    record: canonicalRecord(sighting.bytes).toHex(),
    extra: words.extra,
  };
}

/**
 * Whether two names mean one system. A GUID is told in the order of its bytes by IPMI, and as a UUID by Redfish and SMBIOS,
 * and BMCs disagree which order that is: as sent, wholly reversed, or with the first three fields reversed.
 */
export function isSameSystem(source: string, target: string): boolean {
  if (source === target) return true;
  const plain = (name: string): string => name.replaceAll("-", "").toLowerCase();
  const a = plain(source);
  const b = plain(target);
  if (a === b) return true;
  if (!/^[0-9a-f]{32}$/.test(a) || !/^[0-9a-f]{32}$/.test(b)) return false;
  const mixed = withFieldsReversed(a);
  return [reversed(a), mixed, withFieldsReversed(reversed(a)), reversed(mixed)].includes(b);
}

function reversed(guid: string): string {
  return Uint8Array.fromHex(guid).reverse().toHex();
}

/** Of a GUID in hex: its 4-, 2- and 2-byte fields each reversed, the last 8 bytes as they are. */
function withFieldsReversed(guid: string): string {
  const bytes = Uint8Array.fromHex(guid);
  bytes.subarray(0, 4).reverse();
  bytes.subarray(4, 6).reverse();
  bytes.subarray(6, 8).reverse();
  return bytes.toHex();
}

/**
 * The shard: the state of one rank at one version, as stored and as sent. Encodes and decodes what surrounds the payload;
 * reads no file and computes no digest of the payload itself (`io/shard-file.ts` does).
 *
 *   head      prologue, identity, region table
 *   mailbox   messages that were under way
 *   payload   the changed pages, packed, in page order
 *   tail      digests of ALL pages of the state, then the runs of pages that are in the payload
 *   footer    sizes, digest of the state, digest of the shard
 *
 * A shard without a parent is a delta against zeros (version 0): what is zero is left out there too. The payload is
 * covered by the page digests in the tail; head, mailbox, tail and the footer's own fields by the shard's digest. So every
 * bit is covered once, and no byte is digested twice. The tail is at the end because a capture streams the payload before it
 * knows which pages change.
 *
 * Frozen: format 1 lies on disks and goes over wires; `docs/shard-format.md` describes it. All numbers are little-endian.
 * Decoders check lengths first, never throw on any bytes, and allocate nothing that the input's own length does not bound.
 */
import { DIGEST_BYTES } from "../../core/abi.ts";
import { assert } from "../../core/assert.ts";
import { err, ok, type Result } from "../../core/result.ts";
import type { Epoch } from "../membership/membership.ts";
import type { Version } from "./checkpoint.ts";
import {
  HEAD_BYTES_MAX,
  MAILBOX_BYTES_MAX,
  REGION_NAME_BYTES_MAX,
  REGIONS_MAX,
  RUN_BYTES,
  STATE_BYTES_MAX,
} from "./limits.ts";
import { bytesOfPages, type ShardRegion, type StateLayout, stateLayout } from "./state-layout.ts";

export const SHARD_FORMAT = 1;
/** Enough to know how long the head is. */
export const PROLOGUE_BYTES = 16;
export const FOOTER_BYTES = 64;

const HEAD_MAGIC = "HFSHARD\n";
const FOOTER_MAGIC = "\nHFSHEND";
const HEAD_FIXED_BYTES = 84;
const HAS_MAILBOX = 1;
const HAS_PARENT = 2;
const JOB_BYTES_MAX = 64;

export interface ShardParent {
  readonly version: Version;
  readonly epoch: Epoch;
  /** Digest of the parent's state: a delta fits this state and no other. */
  readonly state: Uint8Array;
}

export interface ShardHead {
  readonly job: string;
  readonly rank: number;
  readonly version: Version;
  /** The epoch of the plan under which it was written. */
  readonly epoch: Epoch;
  readonly parent: ShardParent | null;
  readonly layout: StateLayout;
  /** null: no mailbox, which is not the same as an empty one. */
  readonly mailboxBytes: number | null;
}

export interface ShardTail {
  /** DIGEST_BYTES for each page of the state. */
  readonly digests: Uint8Array;
  /** Pairs (first page, page count), sorted, disjoint, not adjacent, none empty. */
  readonly runs: Uint32Array;
}

export interface ShardFooter {
  readonly payloadBytes: number;
  readonly tailBytes: number;
  /** Digest over the page digests. */
  readonly state: Uint8Array;
  /** Digest over the digests of head, mailbox and tail and the fields above. */
  readonly whole: Uint8Array;
}

export type ShardError =
  | { readonly kind: "too-short"; readonly wantBytes: number; readonly gotBytes: number }
  | { readonly kind: "bad-magic"; readonly where: "head" | "footer" }
  | { readonly kind: "bad-format"; readonly format: number }
  | { readonly kind: "too-large"; readonly what: string }
  | { readonly kind: "bad-field"; readonly what: string }
  | { readonly kind: "bad-digest"; readonly what: string };

export function describeShardError(error: ShardError): string {
  switch (error.kind) {
    case "too-short":
      return `torn: ${error.gotBytes} bytes where ${error.wantBytes} belong`;
    case "bad-magic":
      return `torn: no ${error.where} of a shard`;
    case "bad-format":
      return `shard format ${error.format} is not known, ${SHARD_FORMAT} is`;
    case "too-large":
      return `${error.what} is larger than any shard's`;
    case "bad-field":
      return `${error.what} cannot be`;
    case "bad-digest":
      return `${error.what} does not match its digest`;
    default: {
      const unreachable: never = error;
      return unreachable;
    }
  }
}

const utf8 = new TextEncoder();
const strictUtf8 = new TextDecoder("utf-8", { fatal: true });

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** null: more than a number holds exactly. */
function readCount(view: DataView, offset: number): number | null {
  const count = view.getBigUint64(offset, true);
  return count <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(count) : null;
}

function readText(bytes: Uint8Array): string | null {
  try {
    return strictUtf8.decode(bytes);
  } catch {
    return null;
  }
}

function hasText(bytes: Uint8Array, offset: number, text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    if (bytes[offset + i] !== text.charCodeAt(i)) return false;
  }
  return true;
}

/**
 *   offset  bytes  field
 *        0      8  "HFSHARD\n"
 *        8      4  format
 *       12      4  bytes of the head
 *       16      8  version
 *       24      8  epoch
 *       32      8  parent's version, 0 without one
 *       40      8  parent's epoch
 *       48     16  digest of the parent's state
 *       64      8  bytes of the mailbox
 *       72      4  flags: 1 = has a mailbox, 2 = has a parent
 *       76      4  rank
 *       80      2  bytes of the job's name
 *       82      2  number of regions
 *       84      …  job, then for each region: 2 bytes of the name's length, 8 of its size, the name
 */
export function encodeHead(head: ShardHead): Uint8Array {
  const job = utf8.encode(head.job);
  const names = head.layout.regions.map((region) => utf8.encode(region.name));
  const bytes = names.reduce((sum, name) => sum + 10 + name.length, HEAD_FIXED_BYTES + job.length);
  assert(job.length >= 1 && job.length <= JOB_BYTES_MAX, "a job's name fits");
  assert(names.length <= REGIONS_MAX && bytes <= HEAD_BYTES_MAX, "the regions fit");
  const out = new Uint8Array(bytes);
  const view = viewOf(out);
  out.set(utf8.encode(HEAD_MAGIC));
  view.setUint32(8, SHARD_FORMAT, true);
  view.setUint32(12, bytes, true);
  view.setBigUint64(16, BigInt(head.version), true);
  view.setBigUint64(24, BigInt(head.epoch), true);
  if (head.parent !== null) {
    view.setBigUint64(32, BigInt(head.parent.version), true);
    view.setBigUint64(40, BigInt(head.parent.epoch), true);
    out.set(head.parent.state, 48);
  }
  view.setBigUint64(64, BigInt(head.mailboxBytes ?? 0), true);
  const flags =
    (head.mailboxBytes === null ? 0 : HAS_MAILBOX) | (head.parent === null ? 0 : HAS_PARENT);
  view.setUint32(72, flags, true);
  view.setUint32(76, head.rank, true);
  view.setUint16(80, job.length, true);
  view.setUint16(82, names.length, true);
  out.set(job, HEAD_FIXED_BYTES);
  let offset = HEAD_FIXED_BYTES + job.length;
  for (const [index, name] of names.entries()) {
    view.setUint16(offset, name.length, true);
    view.setBigUint64(offset + 2, BigInt((head.layout.regions[index] as ShardRegion).bytes), true);
    out.set(name, offset + 10);
    offset += 10 + name.length;
  }
  return out;
}

/** How many bytes the head has, from the first PROLOGUE_BYTES. */
export function decodePrologue(bytes: Uint8Array): Result<number, ShardError> {
  if (bytes.length < PROLOGUE_BYTES) {
    return err({ kind: "too-short", wantBytes: PROLOGUE_BYTES, gotBytes: bytes.length });
  }
  if (!hasText(bytes, 0, HEAD_MAGIC)) return err({ kind: "bad-magic", where: "head" });
  const view = viewOf(bytes);
  const format = view.getUint32(8, true);
  if (format !== SHARD_FORMAT) return err({ kind: "bad-format", format });
  const headBytes = view.getUint32(12, true);
  if (headBytes < HEAD_FIXED_BYTES) return err({ kind: "bad-field", what: "the head's length" });
  if (headBytes > HEAD_BYTES_MAX) return err({ kind: "too-large", what: "the head" });
  return ok(headBytes);
}

export function decodeHead(bytes: Uint8Array): Result<ShardHead, ShardError> {
  const headBytes = decodePrologue(bytes);
  if (!headBytes.ok) return headBytes;
  if (bytes.length < headBytes.value) {
    return err({ kind: "too-short", wantBytes: headBytes.value, gotBytes: bytes.length });
  }
  const view = viewOf(bytes);
  const identity = readIdentity(bytes, view);
  if (!identity.ok) return identity;
  const mailboxBytes = readCount(view, 64);
  if (mailboxBytes === null || mailboxBytes > MAILBOX_BYTES_MAX) {
    return err({ kind: "too-large", what: "the mailbox" });
  }
  const end = HEAD_FIXED_BYTES + Math.min(view.getUint16(80, true), JOB_BYTES_MAX + 1);
  const isTooLong = end > HEAD_FIXED_BYTES + JOB_BYTES_MAX || end > headBytes.value;
  const job = isTooLong ? null : readText(bytes.subarray(HEAD_FIXED_BYTES, end));
  if (job === null || job === "") return err({ kind: "bad-field", what: "the job" });
  const regions = readRegions(bytes.subarray(end, headBytes.value), view.getUint16(82, true));
  if (!regions.ok) return regions;
  const hasMailbox = (view.getUint32(72, true) & HAS_MAILBOX) !== 0;
  return ok({
    ...identity.value,
    job,
    rank: view.getUint32(76, true),
    layout: stateLayout(regions.value),
    mailboxBytes: hasMailbox ? mailboxBytes : null,
  });
}

function readIdentity(
  bytes: Uint8Array,
  view: DataView,
): Result<Pick<ShardHead, "version" | "epoch" | "parent">, ShardError> {
  const [version, epoch] = [readCount(view, 16) ?? 0, readCount(view, 24)];
  if (version === 0 || epoch === null) {
    return err({ kind: "bad-field", what: "the version or the epoch" });
  }
  const flags = view.getUint32(72, true);
  if (flags > (HAS_MAILBOX | HAS_PARENT)) return err({ kind: "bad-field", what: "a flag" });
  const parent = (flags & HAS_PARENT) === 0 ? null : readParent(bytes, view);
  if (parent !== null && (parent.version === 0 || parent.version >= version)) {
    return err({ kind: "bad-field", what: "the parent's version" });
  }
  return ok({ version: version as Version, epoch: epoch as Epoch, parent });
}

/** An impossible number reads as version 0, which no parent has. */
function readParent(bytes: Uint8Array, view: DataView): ShardParent {
  const epoch = readCount(view, 40);
  return {
    version: (epoch === null ? 0 : (readCount(view, 32) ?? 0)) as Version,
    epoch: (epoch ?? 0) as Epoch,
    state: bytes.slice(48, 48 + DIGEST_BYTES),
  };
}

function readRegions(bytes: Uint8Array, count: number): Result<readonly ShardRegion[], ShardError> {
  if (count > REGIONS_MAX) return err({ kind: "too-large", what: "the region table" });
  const view = viewOf(bytes);
  const regions = new Map<string, ShardRegion>();
  let [offset, stateBytes] = [0, 0];
  for (let index = 0; index < count; index++) {
    if (offset + 10 > bytes.length) {
      return err({ kind: "too-short", wantBytes: offset + 10, gotBytes: bytes.length });
    }
    const nameBytes = view.getUint16(offset, true);
    const size = readCount(view, offset + 2);
    const end = offset + 10 + nameBytes;
    if (nameBytes === 0 || nameBytes > REGION_NAME_BYTES_MAX || end > bytes.length) {
      return err({ kind: "bad-field", what: "a region's name" });
    }
    const name = readText(bytes.subarray(offset + 10, end));
    if (name === null || regions.has(name)) {
      return err({ kind: "bad-field", what: "a region's name" });
    }
    stateBytes += size ?? Number.POSITIVE_INFINITY;
    if (size === null || stateBytes > STATE_BYTES_MAX) {
      return err({ kind: "too-large", what: "the state" });
    }
    regions.set(name, { name, bytes: size });
    offset = end;
  }
  if (offset !== bytes.length) return err({ kind: "bad-field", what: "the head's length" });
  return ok([...regions.values()]);
}

export function tailBytesOf(tail: ShardTail): number {
  return tail.digests.length + 4 + (tail.runs.length / 2) * RUN_BYTES;
}

/** Page digests, number of runs (4 bytes), then for each run its first page (4) and page count (4). */
export function encodeTail(tail: ShardTail): Uint8Array {
  const out = new Uint8Array(tailBytesOf(tail));
  const view = viewOf(out);
  out.set(tail.digests);
  let offset = tail.digests.length;
  view.setUint32(offset, tail.runs.length / 2, true);
  offset += 4;
  for (const number of tail.runs) {
    view.setUint32(offset, number, true);
    offset += 4;
  }
  return out;
}

/** O(runs × log regions). */
export function decodeTail(
  bytes: Uint8Array,
  layout: StateLayout,
  payloadBytes: number,
): Result<ShardTail, ShardError> {
  const digestBytes = layout.pageCount * DIGEST_BYTES;
  if (bytes.length < digestBytes + 4) {
    return err({ kind: "too-short", wantBytes: digestBytes + 4, gotBytes: bytes.length });
  }
  const view = viewOf(bytes);
  const runCount = view.getUint32(digestBytes, true);
  if (bytes.length !== digestBytes + 4 + runCount * RUN_BYTES) {
    return err({ kind: "bad-field", what: "the number of runs" });
  }
  const runs = new Uint32Array(runCount * 2);
  let [from, sum] = [0, 0];
  for (let index = 0; index < runCount; index++) {
    const offset = digestBytes + 4 + index * RUN_BYTES;
    const first = view.getUint32(offset, true);
    const count = view.getUint32(offset + 4, true);
    // A run that touches the one before would have been one with it.
    if (count === 0 || first < from + (index > 0 ? 1 : 0) || first + count > layout.pageCount) {
      return err({ kind: "bad-field", what: "a run of pages" });
    }
    runs.set([first, count], index * 2);
    sum += bytesOfPages(layout, first, count);
    from = first + count;
  }
  if (sum !== payloadBytes) return err({ kind: "bad-field", what: "the payload's length" });
  return ok({ digests: bytes.subarray(0, digestBytes), runs });
}

/**
 *   offset  bytes  field
 *        0      8  bytes of the payload
 *        8      8  bytes of the tail
 *       16     16  digest of the state
 *       32     16  digest of the shard
 *       48      8  0
 *       56      8  "\nHFSHEND"
 */
export function encodeFooter(footer: ShardFooter): Uint8Array {
  const out = new Uint8Array(FOOTER_BYTES);
  const view = viewOf(out);
  view.setBigUint64(0, BigInt(footer.payloadBytes), true);
  view.setBigUint64(8, BigInt(footer.tailBytes), true);
  out.set(footer.state, 16);
  out.set(footer.whole, 32);
  out.set(utf8.encode(FOOTER_MAGIC), 56);
  return out;
}

export function decodeFooter(bytes: Uint8Array): Result<ShardFooter, ShardError> {
  if (bytes.length !== FOOTER_BYTES) {
    return err({ kind: "too-short", wantBytes: FOOTER_BYTES, gotBytes: bytes.length });
  }
  if (!hasText(bytes, 56, FOOTER_MAGIC)) return err({ kind: "bad-magic", where: "footer" });
  const view = viewOf(bytes);
  const [payloadBytes, tailBytes] = [readCount(view, 0), readCount(view, 8)];
  if (payloadBytes === null || tailBytes === null || view.getBigUint64(48, true) !== 0n) {
    return err({ kind: "bad-field", what: "a size in the footer" });
  }
  return ok({ payloadBytes, tailBytes, state: bytes.slice(16, 32), whole: bytes.slice(32, 48) });
}

export interface ShardParts {
  readonly head: Uint8Array;
  readonly mailbox: Uint8Array;
  readonly tail: Uint8Array;
}

/** What the shard's digest is taken over: three digests, then the footer's fields before it. */
export function wholeDigestInput(
  digests: ShardParts,
  footer: Omit<ShardFooter, "whole">,
): Uint8Array {
  const fields = encodeFooter({ ...footer, whole: new Uint8Array(DIGEST_BYTES) }).subarray(0, 32);
  const out = new Uint8Array(3 * DIGEST_BYTES + 32);
  out.set(digests.head);
  out.set(digests.mailbox, DIGEST_BYTES);
  out.set(digests.tail, 2 * DIGEST_BYTES);
  out.set(fields, 3 * DIGEST_BYTES);
  return out;
}

/**
 * The files of the outbox: finding them at the start, putting right what a crash or a disk did to them, reading one record.
 *
 * Each file is read on its own. A torn tail is cut. A file with damage inside, or with a tail that does not belong to a crash
 * because newer files follow, is kept as `NAME.damaged` and written anew with what reads. A file that cannot be read at all
 * is set aside. Whatever is wrong is told, and nothing of it stops the start.
 */
import { type FileHandle, open, readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { syncFolder } from "../../runtime/io/disk.ts";
import type { OutboxDamage } from "../outbox.ts";
import {
  type ScannedRecord,
  scanSegment,
  sealRecord,
  segmentHead,
  soundBytesAt,
} from "../outbox-record.ts";

const SUFFIX = ".segment";
/** Leftovers of a repair that a crash cut short. */
const TMP_SUFFIX = ".tmp";
const DIGITS = 10;

export function check(bytes: Uint8Array, seed: bigint): bigint {
  return Bun.hash.xxHash3(bytes, seed);
}

export function segmentName(number: number): string {
  return `${String(number).padStart(DIGITS, "0")}${SUFFIX}`;
}

function numberOf(name: string): number | null {
  const match = /^(\d{10})\.segment$/.exec(name);
  return match === null ? null : Number(match[1]);
}

export interface FoundSegment {
  readonly number: number;
  readonly bytes: number;
  readonly records: readonly ScannedRecord[];
}

export interface FoundSegments {
  /** In order of number. */
  readonly segments: readonly FoundSegment[];
  readonly damages: readonly OutboxDamage[];
}

function textOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}

/** Writes the sound records behind each other into a new file that takes the old one's name. */
async function rewrite(
  folder: string,
  number: number,
  bytes: Uint8Array,
  records: readonly ScannedRecord[],
): Promise<FoundSegment> {
  const path = join(folder, segmentName(number));
  const parts: Uint8Array[] = [segmentHead(number)];
  const moved: ScannedRecord[] = [];
  let offset = parts[0]?.length ?? 0;
  for (const each of records) {
    const record = bytes.slice(each.offset, each.offset + each.bytes);
    sealRecord(record, number, check);
    parts.push(record);
    moved.push({ ...each, offset });
    offset += each.bytes;
  }
  const next = `${path}${TMP_SUFFIX}`;
  const file = await open(next, "w", 0o600);
  try {
    await file.writeFile(Buffer.concat(parts));
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(path, `${path}.damaged`);
  await rename(next, path);
  await syncFolder(folder);
  return { number, bytes: offset, records: moved };
}

async function cut(path: string, bytes: number): Promise<void> {
  const file = await open(path, "r+");
  try {
    await file.truncate(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function readSegment(
  folder: string,
  number: number,
  isLast: boolean,
  damages: OutboxDamage[],
): Promise<FoundSegment> {
  const name = segmentName(number);
  const path = join(folder, name);
  const bytes = new Uint8Array(await readFile(path));
  const { records, soundBytes, damagedBytes } = scanSegment(bytes, number, check);
  const tailBytes = bytes.length - soundBytes;
  const found: FoundSegment = { number, bytes: soundBytes, records };
  if (damagedBytes > 0 || (tailBytes > 0 && !isLast)) {
    const lost = damagedBytes + tailBytes;
    const detail = `${lost} of ${bytes.length} bytes do not read and are left out, ${records.length} records are sound; the file as it was is ${name}.damaged`;
    const mended = await rewrite(folder, number, bytes, records);
    damages.push({ segment: name, detail });
    return mended;
  }
  if (tailBytes > 0) {
    await cut(path, soundBytes);
  }
  return found;
}

/** Never throws for a single file. */
export async function findSegments(folder: string): Promise<FoundSegments> {
  const damages: OutboxDamage[] = [];
  const segments: FoundSegment[] = [];
  const names = await readdir(folder);
  for (const name of names) {
    if (name.endsWith(TMP_SUFFIX)) await rm(join(folder, name), { force: true }).catch(() => null);
  }
  const numbers = names.map(numberOf).filter((number) => number !== null);
  numbers.sort((a, b) => a - b);
  for (const number of numbers) {
    try {
      segments.push(await readSegment(folder, number, number === numbers.at(-1), damages));
    } catch (cause) {
      const name = segmentName(number);
      const path = join(folder, name);
      const isAside = await rename(path, `${path}.damaged`).then(
        () => true,
        () => false,
      );
      const where = isAside ? `it is set aside as ${name}.damaged` : "it is left where it is";
      damages.push({ segment: name, detail: `cannot be read: ${textOf(cause)}; ${where}` });
    }
  }
  return { segments, damages };
}

export interface WantedRecord {
  readonly id: string;
  readonly offset: number;
  readonly recordBytes: number;
  /** Of the envelope, which ends the record. */
  readonly bytes: number;
}

/** Records that lie so close are read in one piece. */
const GAP_BYTES_MAX = 64 * 1024;
const SPAN_BYTES_MAX = 4 * 1024 * 1024;

interface Span {
  readonly at: number;
  end: number;
  readonly wanted: WantedRecord[];
}

function spansOf(wanted: readonly WantedRecord[]): readonly Span[] {
  const spans: Span[] = [];
  for (const each of [...wanted].sort((a, b) => a.offset - b.offset)) {
    const last = spans.at(-1);
    const end = each.offset + each.recordBytes;
    const isNear =
      last !== undefined &&
      each.offset - last.end <= GAP_BYTES_MAX &&
      end - last.at <= SPAN_BYTES_MAX;
    if (isNear) {
      last.end = end;
      last.wanted.push(each);
    } else {
      spans.push({ at: each.offset, end, wanted: [each] });
    }
  }
  return spans;
}

async function readAll(file: FileHandle, at: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  let done = 0;
  while (done < length) {
    const { bytesRead } = await file.read(bytes, done, length - done, at + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return bytes.subarray(0, done);
}

export interface ReadEnvelopes {
  readonly found: ReadonlyMap<string, Uint8Array>;
  /** Ids of records whose check does not match. */
  readonly damaged: readonly string[];
}

/** Throws what the file system throws. */
export async function readEnvelopes(
  path: string,
  number: number,
  wanted: readonly WantedRecord[],
): Promise<ReadEnvelopes> {
  const found = new Map<string, Uint8Array>();
  const damaged: string[] = [];
  const file = await open(path, "r");
  try {
    for (const span of spansOf(wanted)) {
      const bytes = await readAll(file, span.at, span.end - span.at);
      for (const { id, offset, recordBytes, bytes: envelopeBytes } of span.wanted) {
        const at = offset - span.at;
        if (soundBytesAt(bytes, at, number, check) !== recordBytes) damaged.push(id);
        else found.set(id, bytes.subarray(at + recordBytes - envelopeBytes, at + recordBytes));
      }
    }
  } finally {
    await file.close();
  }
  return { found, damaged };
}

/** A whole record, to be written elsewhere. */
export function recordAt(bytes: Uint8Array, offset: number, recordBytes: number): Uint8Array {
  return bytes.slice(offset, offset + recordBytes);
}

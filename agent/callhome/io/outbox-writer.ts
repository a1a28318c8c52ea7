/**
 * Writes records to the outbox's newest segment: one write and one flush serve all that came while the one before ran, and only
 * then is anybody told.
 *
 * A write or flush that fails is told to those whose events were in it. Its segment is not written to again, since after a
 * failed flush nobody knows what of it is on disk; what nobody is told about (closures, counts) is written again, in the
 * next segment.
 */
import { type FileHandle, open, rm } from "node:fs/promises";
import { join } from "node:path";
import type { DiskFailure } from "../../runtime/disk.ts";
import { diskFailure, syncFolder } from "../../runtime/io/disk.ts";
import type { Segment } from "../outbox-index.ts";
import { sealRecord, segmentHead } from "../outbox-record.ts";
import { check, segmentName } from "./outbox-segments.ts";

/** Of one flush: more would make the first in it wait for the last. */
const BATCH_BYTES_MAX = 1024 * 1024;
/** After a failure, when only closures and counts wait for another try. */
const RETRY_MS = 1_000;

export interface Item {
  /** Asked for when it is written: a count may have risen meanwhile. */
  readonly encode: () => Uint8Array;
  /** It is on disk. */
  readonly apply: (segment: Segment, offset: number, recordBytes: number) => void;
  /** null: it is written again until it is on disk. */
  readonly fail: ((failure: DiskFailure) => void) | null;
  /** It is not on disk yet, and is tried again. */
  readonly delayed?: (failure: DiskFailure) => void;
}

export interface WriterOptions {
  readonly folder: string;
  readonly segmentBytes: number;
  readonly nextNumber: number;
  readonly addSegment: (number: number, bytes: number) => Segment;
  /** Up to its `bytes` it is on disk. */
  readonly onDurable: (segment: Segment) => void;
  /** After each flush, and before the next. */
  readonly afterFlush: () => Promise<void>;
  /** It began to fail, or (null) works again. */
  readonly onFailure: (failure: DiskFailure | null) => Promise<void>;
}

export class OutboxWriter {
  readonly #options: WriterOptions;
  #items: Item[] = [];
  #running: Promise<void> | null = null;
  #current: { readonly segment: Segment; readonly file: FileHandle } | null = null;
  #nextNumber: number;
  #failure: DiskFailure | null = null;
  #retry: ReturnType<typeof setTimeout> | null = null;
  #isStopped = false;

  constructor(options: WriterOptions) {
    this.#options = options;
    this.#nextNumber = options.nextNumber;
  }

  get failure(): DiskFailure | null {
    return this.#failure;
  }

  /** The one that is written to; null: the next write begins one. */
  get segment(): Segment | null {
    return this.#current?.segment ?? null;
  }

  add(item: Item): void {
    this.#items.push(item);
    this.#begin();
  }

  /** Resolves when all that was added before is on disk or has failed. */
  async settled(): Promise<void> {
    while (this.#running !== null) await this.#running;
  }

  async stop(): Promise<void> {
    await this.settled();
    this.#isStopped = true;
    if (this.#retry !== null) clearTimeout(this.#retry);
    await this.#current?.file.close();
    this.#current = null;
  }

  #begin(): void {
    if (this.#running !== null || this.#isStopped) return;
    this.#running = this.#run().finally(() => {
      this.#running = null;
      if (this.#items.length > 0) this.#retryLater();
    });
  }

  #retryLater(): void {
    if (this.#retry !== null || this.#isStopped) return;
    this.#retry = setTimeout(() => {
      this.#retry = null;
      if (this.#items.length > 0) this.#begin();
    }, RETRY_MS);
    this.#retry.unref();
  }

  async #run(): Promise<void> {
    // What comes in the same turn of the event loop shares the flush.
    await new Promise<void>((resolve) => setImmediate(resolve));
    while (this.#items.length > 0) {
      if (!(await this.#flushOnce())) return;
      await this.#options.afterFlush();
    }
  }

  async #flushOnce(): Promise<boolean> {
    const batch: Item[] = [];
    const records: Uint8Array[] = [];
    let bytes = 0;
    for (const item of this.#items) {
      if (bytes >= BATCH_BYTES_MAX) break;
      const record = item.encode();
      batch.push(item);
      records.push(record);
      bytes += record.length;
    }
    this.#items = this.#items.slice(batch.length);
    try {
      const { segment, offset } = await this.#write(records);
      await this.#note(null);
      let at = offset;
      batch.forEach((item, index) => {
        const recordBytes = records[index]?.length ?? 0;
        item.apply(segment, at, recordBytes);
        at += recordBytes;
      });
      return true;
    } catch (cause) {
      await this.#giveUp(batch, diskFailure(cause));
      return false;
    }
  }

  async #write(
    records: readonly Uint8Array[],
  ): Promise<{ readonly segment: Segment; readonly offset: number }> {
    const full = this.#current;
    if (full !== null && full.segment.bytes >= this.#options.segmentBytes) {
      this.#current = null;
      await full.file.close();
    }
    this.#current ??= await this.#create();
    const { segment, file } = this.#current;
    for (const record of records) sealRecord(record, segment.number, check);
    const offset = segment.bytes;
    const bytes = Buffer.concat(records);
    await writeAt(file, bytes, offset);
    await file.datasync();
    segment.bytes += bytes.length;
    this.#options.onDurable(segment);
    return { segment, offset };
  }

  async #create(): Promise<{ readonly segment: Segment; readonly file: FileHandle }> {
    const number = this.#nextNumber++;
    const path = join(this.#options.folder, segmentName(number));
    const head = segmentHead(number);
    const file = await open(path, "wx", 0o600);
    try {
      await writeAt(file, head, 0);
      await syncFolder(this.#options.folder);
    } catch (cause) {
      await file.close().catch(() => undefined);
      await rm(path, { force: true }).catch(() => undefined);
      throw cause;
    }
    return { segment: this.#options.addSegment(number, head.length), file };
  }

  async #giveUp(batch: readonly Item[], failure: DiskFailure): Promise<void> {
    const current = this.#current;
    this.#current = null;
    if (current !== null) {
      // Best effort: what was told to have failed should not be found again, and may be.
      await current.file.truncate(current.segment.bytes).catch(() => undefined);
      await current.file.close().catch(() => undefined);
    }
    const all = [...batch, ...this.#items];
    this.#items = all.filter(({ fail }) => fail === null);
    for (const { fail, delayed } of all) (fail ?? delayed)?.(failure);
    await this.#note(failure);
  }

  async #note(failure: DiskFailure | null): Promise<void> {
    if (failure === null && this.#failure === null) return;
    this.#failure = failure;
    await this.#options.onFailure(failure);
  }
}

async function writeAt(file: FileHandle, bytes: Uint8Array, offset: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, offset + done);
    done += bytesWritten;
  }
}

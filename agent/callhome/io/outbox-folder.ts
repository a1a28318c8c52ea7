/**
 * The outbox on disk: a folder of segments that are only appended to (`outbox-record.ts` has the layout).
 *
 * Writing is `outbox-writer.ts`, what to keep and what to drop is `outbox-index.ts`; here they meet. A closure waits for the
 * ledger, so that what is closed was recorded. Where the disk is full, segments whose events are all delivered are deleted
 * without their closures having been written: that they are gone is their closure, and it makes room.
 */
import { mkdirSync } from "node:fs";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import type { DiskFailure } from "../../runtime/disk.ts";
import { syncFolder } from "../../runtime/io/disk.ts";
import type { ClosedAs } from "../delivery-events.ts";
import type { Ledger } from "../ledger.ts";
import {
  DEFAULT_OUTBOX_LIMITS,
  type Enqueued,
  type FoldedEvents,
  type Outbox,
  type OutboxDamage,
  type OutboxEntry,
  type OutboxHandlers,
  type OutboxItem,
  type OutboxLimits,
  type OutboxReport,
} from "../outbox.ts";
import { type IndexEntry, OutboxIndex, type Segment } from "../outbox-index.ts";
import { type Closure, encodeClosure, encodeEvent } from "../outbox-record.ts";
import { OutboxFolds } from "./outbox-folds.ts";
import {
  type FoundSegments,
  findSegments,
  readEnvelopes,
  recordAt,
  segmentName,
} from "./outbox-segments.ts";
import { OutboxWriter } from "./outbox-writer.ts";

export interface OutboxOptions {
  readonly limits?: Partial<OutboxLimits>;
  readonly handlers: OutboxHandlers;
  /** What is closed is recorded there first; null: nothing is. */
  readonly ledger: Pick<Ledger, "flush"> | null;
  readonly nowWallMs: () => number;
  /** Up to where a segment is on disk, before anybody is told: for whoever tears what is not. */
  readonly onDurable?: (segment: string, bytes: number) => void;
}

export class OutboxFolder implements Outbox {
  readonly #folder: string;
  readonly #index: OutboxIndex;
  readonly #folds: OutboxFolds;
  readonly #handlers: OutboxHandlers;
  readonly #ledger: Pick<Ledger, "flush"> | null;
  readonly #limits: OutboxLimits;
  readonly #writer: OutboxWriter;
  /** Events on their way to disk, with all who wait for them. */
  readonly #pending = new Map<string, ((result: Enqueued) => void)[]>();
  #isCleaning = false;

  constructor(folder: string, found: FoundSegments, options: OutboxOptions) {
    this.#folder = folder;
    this.#limits = { ...DEFAULT_OUTBOX_LIMITS, ...options.limits };
    this.#handlers = options.handlers;
    this.#ledger = options.ledger;
    this.#index = new OutboxIndex(this.#limits);
    this.#folds = new OutboxFolds(this.#limits.componentsMax, options.nowWallMs, (item) => {
      this.#writer.add(item);
    });
    for (const each of found.segments) this.#restore(each);
    this.#writer = new OutboxWriter({
      folder,
      segmentBytes: this.#limits.segmentBytes,
      nextNumber: 1 + Math.max(0, ...found.segments.map(({ number }) => number)),
      onDurable: ({ number, bytes }) => options.onDurable?.(segmentName(number), bytes),
      addSegment: (number, bytes) => this.#index.addSegment(number, bytes),
      afterFlush: () => this.#tidy(),
      onFailure: (failure) => this.#onFailure(failure),
    });
  }

  enqueue(item: OutboxItem, done: (result: Enqueued) => void): void {
    const waiting = this.#pending.get(item.id);
    if (waiting !== undefined) {
      waiting.push((result) => done(result.kind === "kept" ? { kind: "known" } : result));
      return;
    }
    if (this.#index.get(item.id) !== undefined) {
      done({ kind: "known" });
      return;
    }
    const record = encodeEvent(item);
    if (this.#index.lacksRoom(record.length, item.isByEveryPath, this.#pending.size)) {
      this.#noteFull(true);
      const victim = this.#index.victim(item.urgency);
      if (victim === null) {
        this.#folds.fold(item, (failure) => {
          done(failure === null ? { kind: "folded" } : { kind: "failed", failure });
        });
        return;
      }
      this.#foldAway(victim);
    }
    this.#append(item, record, done);
  }

  close(id: string, as: ClosedAs, done?: () => void): void {
    const entry = this.#index.get(id);
    if (entry === undefined || entry.isClosing) {
      done?.();
      return;
    }
    entry.isClosing = true;
    const write = (): void => this.#closeNow(entry, as, done);
    if (this.#ledger === null) write();
    else this.#ledger.flush(write);
  }

  reopen(id: string): boolean {
    const entry = this.#index.get(id);
    if (entry === undefined || entry.state !== "refused" || entry.isClosing) return false;
    this.#index.setState(entry, "open");
    this.#writer.add({
      encode: () => encodeClosure(id, "reopened"),
      apply: () => undefined,
      fail: null,
    });
    return true;
  }

  read(ids: readonly string[], done: (found: ReadonlyMap<string, Uint8Array>) => void): void {
    void this.#read(ids).then(done);
  }

  open(): readonly OutboxEntry[] {
    return this.#index.all("open").filter(({ isClosing }) => !isClosing);
  }

  refused(): readonly OutboxEntry[] {
    return this.#index.all("refused");
  }

  folded(): readonly FoldedEvents[] {
    return this.#folds.all();
  }

  takeFolded(taken: readonly FoldedEvents[], done?: () => void): void {
    this.#folds.take(taken, () => done?.());
  }

  report(): OutboxReport {
    const { openCount, refusedCount, liveBytes, segments } = this.#index;
    const foldedCount = this.#folds.count;
    const diskBytes = this.#index.diskBytes();
    const { failure } = this.#writer;
    const counts = { openCount, refusedCount, foldedCount };
    return { ...counts, liveBytes, diskBytes, segmentCount: segments.length, failure };
  }

  /** Resolves when all that was asked for before is on disk or has failed. */
  settled(): Promise<void> {
    return this.#writer.settled();
  }

  stop(): Promise<void> {
    return this.#writer.stop();
  }

  #restore({ number, bytes, records }: FoundSegments["segments"][number]): void {
    const segment = this.#index.addSegment(number, bytes);
    for (const { record, offset, bytes: recordBytes } of records) {
      if (record.kind === "fold") {
        this.#folds.restore(record.fold, segment);
        continue;
      }
      const known = this.#index.get(record.id);
      if (record.kind === "closure") {
        if (known !== undefined) this.#applyClosure(known, record.as);
      } else if (known === undefined) {
        const item = { ...record, bytes: record.envelope.length };
        this.#index.add(item, segment, offset, recordBytes);
      } else {
        this.#index.move(known, segment, offset);
      }
    }
  }

  #applyClosure(entry: IndexEntry, as: Closure): void {
    entry.isClosing = false;
    entry.closingAs = null;
    if (as === "reopened") this.#index.setState(entry, "open");
    else if (as === "refused") this.#index.setState(entry, "refused");
    else this.#index.remove(entry);
  }

  #append(item: OutboxItem, record: Uint8Array, done: (result: Enqueued) => void): void {
    const waiting = [done];
    this.#pending.set(item.id, waiting);
    const tell = (result: Enqueued): void => {
      this.#pending.delete(item.id);
      for (const each of waiting) each(result);
    };
    this.#writer.add({
      encode: () => record,
      apply: (segment, offset, recordBytes) => {
        const what = { ...item, bytes: item.envelope.length };
        this.#index.add(what, segment, offset, recordBytes);
        tell({ kind: "kept" });
      },
      fail: (failure) => tell({ kind: "failed", failure }),
    });
  }

  #closeNow(entry: IndexEntry, as: Closure, done?: () => void): void {
    entry.closingAs = as;
    this.#writer.add({
      encode: () => encodeClosure(entry.id, as),
      apply: () => {
        if (this.#index.get(entry.id) === entry) this.#applyClosure(entry, as);
        this.#trimRefused();
        this.#noteFull(false);
        done?.();
      },
      fail: null,
    });
  }

  /** The oldest refused ones are let go of: the ledger has what became of them. */
  #trimRefused(): void {
    const oldest = this.#index.oldestRefused();
    if (oldest === null) return;
    oldest.isClosing = true;
    this.#closeNow(oldest, "delivered");
  }

  #foldAway(victim: IndexEntry): void {
    victim.isClosing = true;
    this.#folds.fold(victim, () => undefined);
    const { id } = victim;
    // Out of the count at once, so that the one it makes room for fits; its closure follows on disk.
    this.#index.remove(victim);
    victim.segment.live.add(victim);
    this.#writer.add({
      encode: () => encodeClosure(id, "folded"),
      apply: () => victim.segment.live.delete(victim),
      fail: null,
    });
    this.#handlers.onFolded(id);
  }

  #noteFull(isFull: boolean): void {
    if (isFull === this.#index.isFull || (!isFull && !this.#index.hasRoomAgain())) return;
    this.#index.isFull = isFull;
    this.#handlers.onFull(isFull);
  }

  async #onFailure(failure: DiskFailure | null): Promise<void> {
    this.#handlers.onFailure(failure);
    if (failure?.kind === "no-space") await this.#dropSegments(true);
  }

  async #tidy(): Promise<void> {
    await this.#dropSegments(false);
    const oldest = this.#isCleaning ? null : this.#index.wasteful();
    if (oldest !== null && oldest !== this.#writer.segment) await this.#moveOut(oldest);
  }

  async #dropSegments(isFull: boolean): Promise<void> {
    for (const segment of this.#index.dead(isFull, this.#writer.segment)) {
      try {
        await rm(join(this.#folder, segmentName(segment.number)), { force: true });
        // One by one: a closure may not be gone before its event.
        await syncFolder(this.#folder);
      } catch {
        return;
      }
      for (const entry of [...segment.live]) this.#index.remove(entry);
      this.#index.drop(segment);
    }
  }

  /** What is live in it is written anew; it is deleted once that is on disk. */
  async #moveOut(oldest: Segment): Promise<void> {
    this.#isCleaning = true;
    let bytes: Uint8Array;
    try {
      bytes = await readFile(join(this.#folder, segmentName(oldest.number)));
    } catch {
      return;
    }
    let waiting = 1;
    const one = (): void => {
      if (--waiting === 0) this.#isCleaning = false;
    };
    for (const component of oldest.folds) {
      waiting++;
      this.#folds.write(component, one);
    }
    for (const entry of oldest.live) {
      if (entry.isClosing) continue;
      waiting++;
      const record = recordAt(bytes, entry.offset, entry.recordBytes);
      this.#writer.add({
        encode: () => record,
        apply: (segment, offset) => {
          if (this.#index.get(entry.id) === entry) this.#index.move(entry, segment, offset);
          one();
        },
        fail: one,
      });
      if (entry.state !== "refused") continue;
      const { id } = entry;
      const encode = (): Uint8Array => encodeClosure(id, "refused");
      this.#writer.add({ encode, apply: () => undefined, fail: null });
    }
    one();
  }

  async #read(ids: readonly string[]): Promise<ReadonlyMap<string, Uint8Array>> {
    const found = new Map<string, Uint8Array>();
    // Twice: a segment may be deleted under the reader, after what was in it was written elsewhere.
    for (let round = 0; round < 2; round++) {
      const wanted = ids.flatMap((id) => (found.has(id) ? [] : (this.#index.get(id) ?? [])));
      const bySegment = Map.groupBy(wanted, ({ segment }) => segment);
      for (const [segment, entries] of bySegment) await this.#readSome(segment, entries, found);
    }
    return found;
  }

  async #readSome(
    segment: Segment,
    entries: readonly IndexEntry[],
    into: Map<string, Uint8Array>,
  ): Promise<void> {
    const name = segmentName(segment.number);
    const path = join(this.#folder, name);
    const read = await readEnvelopes(path, segment.number, entries).catch(() => null);
    for (const [id, envelope] of read?.found ?? []) into.set(id, envelope);
    for (const id of read?.damaged ?? []) {
      const entry = this.#index.get(id);
      if (entry === undefined || entry.segment !== segment || entry.isClosing) continue;
      const detail = `event ${id} was kept and does not read any more: the disk changed it`;
      this.#handlers.onDamage({ segment: name, detail });
      this.#foldAway(entry);
    }
  }
}

export interface OpenOutbox {
  readonly outbox: OutboxFolder;
  readonly damages: readonly OutboxDamage[];
}

/** Throws only where the folder cannot be made or listed. */
export async function openOutbox(folder: string, options: OutboxOptions): Promise<OpenOutbox> {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const found = await findSegments(folder);
  return { outbox: new OutboxFolder(folder, found, options), damages: found.damages };
}

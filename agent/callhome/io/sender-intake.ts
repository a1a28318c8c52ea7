/**
 * From the book into the outbox: each event that is to be told is signed once and kept, in the order of its number.
 *
 * The number up to which the book was taken is kept on disk, behind what it covers: a crash takes some events again and misses
 * none. What is taken again, or was left by an earlier run, may have been delivered already: it is told to the machine as
 * `restored`, which asks before it sends. Where the disk takes nothing, the same events are tried again until it does.
 */
import type { BmcEvent } from "../../../bmc/bmc.ts";
import type { Envelope, Signer } from "../../identity/identity.ts";
import type { Clock } from "../../runtime/clock.ts";
import type { Disk } from "../../runtime/disk.ts";
import type { Log } from "../../runtime/log.ts";
import { type DeliveryEvent, type QueuedEvent, URGENCY_OF } from "../delivery-events.ts";
import type { BookLine } from "../event-book.ts";
import { statementBytes } from "../event-statement.ts";
import { isOfEveryPath } from "../host-events.ts";
import { ENVELOPE_BYTES_MAX, type Enqueued, type Outbox, type OutboxItem } from "../outbox.ts";
import { type CallhomePolicy, componentOf, Departures } from "../policy.ts";
import { EVENT_TYPE } from "../protocol.ts";
import type { EventKeeper } from "./event-keeper.ts";

const CURSOR_DOCUMENT = "callhome-cursor";
/** So many events share a flush of the outbox. */
const TAKEN_AT_ONCE = 256;
const RETRY_MS = 500;
const BOOK_AT_ONCE = 1_000;
const COMPONENT_CHARACTERS_MAX = 256;
/** The cursor may lag: what it costs is a question to the destination after a crash. */
const CURSOR_EVERY_MS = 1_000;

export interface IntakeParts {
  readonly keeper: EventKeeper;
  readonly outbox: Outbox;
  readonly signer: Signer;
  readonly disk: Disk;
  readonly clock: Clock;
  readonly log: Log;
  readonly policy: CallhomePolicy;
  readonly tell: (event: DeliveryEvent) => void;
}

interface Cursor {
  readonly seq: number;
}

function seqOf(document: unknown): number | null {
  const seq = (document as Cursor | null)?.seq;
  return typeof seq === "number" && Number.isSafeInteger(seq) && seq >= 0 ? seq : null;
}

export function signEvent(event: BmcEvent, signer: Signer, signedMs: number): Envelope {
  const { cluster, name } = signer.principal;
  const bytes = statementBytes(event, { cluster, node: name }, signedMs);
  return signer.sign(EVENT_TYPE, bytes);
}

export class SenderIntake {
  readonly #parts: IntakeParts;
  readonly #stop = new AbortController();
  /** What the book had when this run began: an earlier one may have taken some of it. */
  readonly #oldSeq: number;
  readonly #departures: Departures;
  #seq: number;
  #savedSeq: number;
  #isSaving = false;
  #running: Promise<void> = Promise.resolve();

  private constructor(parts: IntakeParts, seq: number) {
    this.#parts = parts;
    this.#seq = seq;
    this.#savedSeq = seq;
    this.#oldSeq = parts.keeper.lastSeq;
    this.#departures = new Departures(parts.policy);
    this.#rememberUpTo(seq);
  }

  /** A node that calls home for the first time begins with what comes from now on. */
  static async open(parts: IntakeParts): Promise<SenderIntake> {
    const { disk, keeper, log } = parts;
    const read = disk.read(CURSOR_DOCUMENT);
    const seq = read.kind === "document" ? seqOf(read.document) : null;
    if (seq !== null) return new SenderIntake(parts, Math.min(seq, keeper.lastSeq));
    if (read.kind !== "absent") {
      log.say(
        "fault",
        "which events were taken for call home is forgotten: all of the book is asked about",
      );
      return new SenderIntake(parts, 0);
    }
    await new Promise<void>((resolve) => {
      disk.write(CURSOR_DOCUMENT, { seq: keeper.lastSeq } satisfies Cursor, () => resolve());
    });
    return new SenderIntake(parts, keeper.lastSeq);
  }

  begin(): void {
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
    await this.#save();
  }

  async #run(): Promise<void> {
    const { keeper } = this.#parts;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const lines = keeper.after(this.#seq, TAKEN_AT_ONCE);
      if (lines.length === 0) await keeper.changed(signal);
      else await this.#take(lines);
    }
  }

  async #take(lines: readonly BookLine[]): Promise<void> {
    const upTo = lines.at(-1)?.seq ?? this.#seq;
    let left = lines.flatMap((line) => this.#itemOf(line));
    while (left.length > 0 && !this.#stop.signal.aborted) {
      const results = await Promise.all(left.map(({ item }) => this.#enqueue(item)));
      const isOld = (index: number): boolean => (left[index]?.seq ?? 0) <= this.#oldSeq;
      this.#tellKept(
        left.map(({ item }) => item),
        results,
        isOld,
      );
      left = left.filter((_, index) => results[index]?.kind === "failed");
      if (left.length > 0) await this.#pause();
    }
    if (left.length > 0) return;
    this.#seq = upTo;
    void this.#saveLater();
  }

  /** What left in earlier runs: its end is to leave too. O(book). */
  #rememberUpTo(upTo: number): void {
    for (let seq = 0; seq < upTo; ) {
      const lines = this.#parts.keeper.after(seq, BOOK_AT_ONCE);
      const last = lines.at(-1);
      if (last === undefined) return;
      for (const line of lines) {
        if (line.kind === "event" && line.seq <= upTo) this.#departures.judge(line.event);
      }
      seq = last.seq;
    }
  }

  #itemOf(line: BookLine): readonly { readonly seq: number; readonly item: OutboxItem }[] {
    const { signer, clock, log } = this.#parts;
    if (line.kind !== "event") return [];
    const { event, seq } = line;
    const verdict = this.#departures.judge(event);
    if (!verdict.goes) {
      log.say("detail", `event ${event.id.slice(0, 12)} stays here: ${verdict.reason}`);
      return [];
    }
    const wallMs = clock.wallMs();
    const envelope = new TextEncoder().encode(JSON.stringify(signEvent(event, signer, wallMs)));
    if (envelope.byteLength > ENVELOPE_BYTES_MAX) {
      log.say(
        "fault",
        `event ${event.id.slice(0, 12)} is too large to be told: ${envelope.byteLength} bytes`,
      );
      return [];
    }
    const { id, severity } = event;
    const item: OutboxItem = {
      id,
      urgency: URGENCY_OF[severity],
      queuedWallMs: wallMs,
      isByEveryPath: isOfEveryPath(event),
      component: componentOf(event).slice(0, COMPONENT_CHARACTERS_MAX),
      envelope,
    };
    return [{ seq, item }];
  }

  #enqueue(item: OutboxItem): Promise<Enqueued> {
    return new Promise((resolve) => this.#parts.outbox.enqueue(item, resolve));
  }

  #tellKept(
    items: readonly OutboxItem[],
    results: readonly Enqueued[],
    isOld: (index: number) => boolean,
  ): void {
    const queued: QueuedEvent[] = [];
    const restored: QueuedEvent[] = [];
    const nowMs = this.#parts.clock.nowMs();
    items.forEach(({ id, urgency, isByEveryPath, envelope }, index) => {
      if (results[index]?.kind !== "kept") return;
      const bytes = envelope.byteLength;
      const event: QueuedEvent = { id, urgency, isByEveryPath, bytes, queuedMs: nowMs };
      (isOld(index) ? restored : queued).push(event);
    });
    if (restored.length > 0) this.#parts.tell({ kind: "restored", events: restored });
    if (queued.length > 0) this.#parts.tell({ kind: "queued", events: queued });
  }

  #pause(): Promise<void> {
    const { signal } = this.#stop;
    return new Promise((resolve) => {
      const timer = this.#parts.clock.after(RETRY_MS, resolve);
      signal.addEventListener("abort", () => {
        timer.end();
        resolve();
      });
    });
  }

  async #saveLater(): Promise<void> {
    if (this.#isSaving) return;
    this.#isSaving = true;
    await new Promise<void>((resolve) => {
      this.#parts.clock.after(CURSOR_EVERY_MS, resolve);
    });
    this.#isSaving = false;
    await this.#save();
  }

  #save(): Promise<void> {
    const seq = this.#seq;
    if (seq === this.#savedSeq) return Promise.resolve();
    return new Promise((resolve) => {
      this.#parts.disk.write(CURSOR_DOCUMENT, { seq } satisfies Cursor, (failure) => {
        // Not kept: the next one covers it; until then a crash takes some events again.
        if (failure === null) this.#savedSeq = Math.max(this.#savedSeq, seq);
        resolve();
      });
    });
  }
}

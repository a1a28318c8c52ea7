/**
 * The program's end of a segment: submits records, takes completions, waits, idles when asked.
 *
 * Every completion belongs to an open slot, whose handler is told. Waiting spins while that pays, then sleeps in a shared futex;
 * it wakes at least every LOOK_MS to see whether the agent of this node still lives (a dead proxy is replaced by the agent).
 */
import { writeSync } from "node:fs";
import { ffiBuffer } from "../../../core/io/native.ts";
import {
  futexWait,
  isProcessEnded,
  libc,
  openProcess,
  processorCount,
} from "../../runtime/io/ffi.ts";
import { type MappedSegment, openBell, openSegment } from "../io/segment-file.ts";
import { COMPLETION, HEADER, LAYOUT_VERSION, RING_SLOTS, SUBMISSION } from "../segment-layout.ts";
import { WaitBudget } from "../wait-budget.ts";
import { Rollback } from "./rollback.ts";

const TWO_32 = 4_294_967_296;
const LOOK_MS = 250;
/** EX_UNAVAILABLE. */
const EXIT_AGENT_GONE = 69;

export interface Submission {
  readonly op: number;
  readonly peer?: number;
  readonly tag?: number;
  readonly area?: number;
  readonly offset?: number;
  readonly bytes?: number;
  readonly totalBytes?: number;
  readonly kind?: number;
  readonly outArea?: number;
  readonly outOffset?: number;
}

export interface Completion {
  readonly status: number;
  readonly source: number;
  readonly tag: number;
  readonly bytes: number;
  readonly totalBytes: number;
  readonly value: number;
}

type Handler = (completion: Completion) => void;

export class Channel {
  readonly mapped: MappedSegment;
  readonly #words: Int32Array;
  readonly #bell: number;
  readonly #bellByte = ffiBuffer(1);
  readonly #budget = new WaitBudget(processorCount());
  readonly #handlers: (Handler | null)[] = new Array<Handler | null>(RING_SLOTS).fill(null);
  #freeSlots: number[] = [];
  /** Submitted and not completed; kept at most RING_SLOTS, so neither ring can overflow. */
  #openCount = 0;
  #epoch = 0;
  #agent = -1;
  #agentPid = 0;

  constructor(segmentPath: string) {
    this.mapped = openSegment(segmentPath);
    this.#words = this.mapped.segment.words;
    this.#bell = openBell(segmentPath);
  }

  get epoch(): number {
    return this.#epoch;
  }

  /** Idles, and returns when the programs may run. */
  enter(): void {
    const { segment } = this.mapped;
    segment.store("programPid", process.pid);
    segment.store("programVersion", LAYOUT_VERSION);
    for (;;) {
      const wanted = segment.load("idleRequest");
      if (segment.load("idleAck") !== wanted) {
        segment.store("idleAck", wanted);
        this.#ring();
      }
      if (wanted !== 0 && segment.load("resume") === wanted) break;
      this.#sleep(() => {
        const isNews = segment.load("idleRequest") !== wanted;
        return isNews || (wanted !== 0 && segment.load("resume") === wanted);
      });
    }
    this.#epoch = segment.load("resume");
    segment.submissions.restart();
    segment.completions.restart();
    this.#handlers.fill(null);
    this.#freeSlots = Array.from({ length: RING_SLOTS }, (_, i) => RING_SLOTS - 1 - i);
    this.#openCount = 0;
  }

  /** A slot whose completions go to `handler` until it is closed. -1: all are in use. */
  open(handler: Handler): number {
    const slot = this.#freeSlots.pop() ?? -1;
    if (slot >= 0) this.#handlers[slot] = handler;
    return slot;
  }

  close(slot: number): void {
    this.#handlers[slot] = null;
    this.#freeSlots.push(slot);
  }

  /** A record of an operation without data: its other words are not looked at. */
  submitBare(slot: number, op: number): void {
    this.#begin(slot, op);
    this.#commit();
  }

  submit(slot: number, record: Submission): void {
    const at = this.#begin(slot, record.op);
    const words = this.#words;
    const bytes = record.bytes ?? 0;
    const total = record.totalBytes ?? bytes;
    const offset = record.offset ?? 0;
    words[at + SUBMISSION.peer] = record.peer ?? 0;
    words[at + SUBMISSION.tag] = record.tag ?? 0;
    words[at + SUBMISSION.area] = record.area ?? 0;
    words[at + SUBMISSION.offsetLow] = offset | 0;
    words[at + SUBMISSION.offsetHigh] = Math.floor(offset / TWO_32);
    words[at + SUBMISSION.bytesLow] = bytes | 0;
    words[at + SUBMISSION.bytesHigh] = Math.floor(bytes / TWO_32);
    words[at + SUBMISSION.totalLow] = total | 0;
    words[at + SUBMISSION.totalHigh] = Math.floor(total / TWO_32);
    words[at + SUBMISSION.kind] = record.kind ?? 0;
    words[at + SUBMISSION.outArea] = record.outArea ?? 0;
    words[at + SUBMISSION.outOffset] = (record.outOffset ?? 0) | 0;
    this.#commit();
  }

  /** Word index of the next record, its first words filled. */
  #begin(slot: number, op: number): number {
    this.check();
    if (this.#openCount >= RING_SLOTS) this.waitUntil(() => this.#openCount < RING_SLOTS);
    this.#openCount++;
    const words = this.#words;
    const at = this.mapped.segment.submissions.cursor;
    words[at + SUBMISSION.op] = op;
    words[at + SUBMISSION.epoch] = this.#epoch;
    words[at + SUBMISSION.request] = slot;
    return at;
  }

  #commit(): void {
    this.mapped.segment.submissions.publish();
    this.#ring();
  }

  /** Leaves the body when the proxy wants the program idle. */
  check(): void {
    if (this.mapped.segment.load("idleRequest") !== this.#epoch) throw new Rollback();
  }

  /** Handles completions until `isDone`. */
  waitUntil(isDone: () => boolean): void {
    const { segment } = this.mapped;
    for (;;) {
      while (segment.completions.hasNext()) this.#takeCompletion();
      if (isDone()) return;
      this.check();
      if (this.#spin()) continue;
      this.#sleep(
        () => segment.completions.hasNext() || segment.load("idleRequest") !== this.#epoch,
      );
    }
  }

  /** Handles what is there, without waiting. */
  poll(): void {
    this.check();
    while (this.mapped.segment.completions.hasNext()) this.#takeCompletion();
  }

  #takeCompletion(): void {
    const { completions } = this.mapped.segment;
    const words = this.#words;
    const at = completions.cursor;
    const word = (index: number): number => words[at + index] as number;
    const wide = (low: number, high: number): number =>
      (word(low) >>> 0) + (word(high) >>> 0) * TWO_32;
    const handler = this.#handlers[word(COMPLETION.request)];
    const completion: Completion = {
      status: word(COMPLETION.status),
      source: word(COMPLETION.source),
      tag: word(COMPLETION.tag),
      bytes: wide(COMPLETION.bytesLow, COMPLETION.bytesHigh),
      totalBytes: wide(COMPLETION.totalLow, COMPLETION.totalHigh),
      value: wide(COMPLETION.valueLow, COMPLETION.valueHigh),
    };
    completions.advance();
    this.#openCount--;
    handler?.(completion);
  }

  #spin(): boolean {
    const { completions } = this.mapped.segment;
    const { spins } = this.#budget;
    for (let i = 0; i < spins; i++) {
      if (!completions.hasNext()) continue;
      this.#budget.onFound();
      return true;
    }
    this.#budget.onSleep();
    return false;
  }

  /** `isReady` is asked once more after the flag is up: whoever makes it true then sees the flag. */
  #sleep(isReady: () => boolean): void {
    const { segment, memory } = this.mapped;
    segment.store("programSleeps", 1);
    if (!isReady()) {
      futexWait(memory.pointer + HEADER.programSleeps, 1, LOOK_MS);
      if (segment.load("programSleeps") === 1 && !isReady()) this.checkAgent();
    }
    segment.store("programSleeps", 0);
  }

  #ring(): void {
    if (this.mapped.segment.takeFlag("proxySleeps")) {
      libc.write(this.#bell, this.#bellByte.pointer, 1);
    }
  }

  /** Ends the process when the agent of this node is gone: nobody would ever serve it again. */
  checkAgent(): void {
    const pid = this.mapped.segment.load("agentPid");
    if (pid === 0) return;
    if (pid !== this.#agentPid) {
      if (this.#agent >= 0) libc.close(this.#agent);
      this.#agentPid = pid;
      this.#agent = openProcess(pid);
    }
    if (this.#agent >= 0 && !isProcessEnded(this.#agent)) return;
    writeSync(2, "holdfast: the agent of this node is gone, the program ends\n");
    process.exit(EXIT_AGENT_GONE);
  }
}

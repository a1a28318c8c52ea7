/**
 * Requests and their replies, over whatever wire: sequence numbers, window, resends, busy BMCs.
 *
 * Decides what is sent when and which reply answers what; knows nothing of packets, sessions or clocks. A link turns `send`
 * into bytes, gives back what it received as `reply`, and calls again with `tick` when `wakeMs` has come.
 *
 * Invariants: each `ask` ends with exactly one `done`, unless it was taken back by `takeAll`. A reply counts only when
 * sequence number, netFn, LUN and command fit a request that is waiting; late, foreign and repeated ones are dropped. A
 * resend has the number of the first, so that whichever answer comes first ends it; the number then rests until no answer to
 * the other can come any more. A request that may not be carried out twice (`repeatable.ts`) is never sent as a new one.
 *
 * Every wait has a limit: a request that stays unanswered fails after `triesMax` sends, and if the BMC was silent all that
 * time, everything that waits fails with it instead of being tried one after the other.
 */
import { assert } from "../../../core/assert.ts";
import { err, ok, type Result } from "../../../core/result.ts";
import type { BmcError } from "../../bmc-error.ts";
import type { IpmiReply, IpmiRequest } from "../ipmi.ts";
import { SEQUENCE_COUNT } from "../message.ts";
import { isRepeatable } from "./repeatable.ts";
import { SequenceNumbers } from "./sequence-numbers.ts";
import { isLater, NODE_BUSY, stillBusy, unanswered } from "./unanswered.ts";
import { AdaptiveWindow, type WindowOptions } from "./window.ts";

export interface TransactorOptions extends WindowOptions {
  /** Sends of one request, the first included. */
  readonly triesMax: number;
  /** How long a BMC may say that it is busy. */
  readonly busyMsMax: number;
  /** The shortest time that the answer to a request that may not be repeated is waited for. */
  readonly unrepeatableMsMin: number;
  /**
   * The link can send the very same packet again, and a BMC that has it already drops it. Then a request that may not be
   * repeated is resent in this way; otherwise it is sent once.
   */
  readonly hasSamePacket: boolean;
  /** When the BMC is silent, emit `silent` and stand still until `takeAll`, instead of failing all requests. */
  readonly holdsWhenSilent: boolean;
}

/** Answer of the wire. A `ReplyMessage` is one. */
export interface WireReply extends IpmiReply {
  readonly netFn: number;
  /** That the request went to. */
  readonly lun: number;
  readonly command: number;
  readonly sequence: number;
}

export type TransactorEvent =
  /** `id` comes back with `done`; it is the caller's. */
  | { readonly kind: "ask"; readonly id: number; readonly request: IpmiRequest }
  | { readonly kind: "reply"; readonly reply: WireReply }
  | { readonly kind: "tick" }
  /** The link is gone: everything that waits fails with this. */
  | { readonly kind: "fail"; readonly error: BmcError };

export type TransactorEffect =
  | {
      readonly kind: "send";
      readonly sequence: number;
      readonly request: IpmiRequest;
      /** A request that may not be carried out twice: keep its packet, and where it is resent send that very packet. */
      readonly isOnce: boolean;
      readonly isResend: boolean;
    }
  | { readonly kind: "done"; readonly id: number; readonly result: Result<IpmiReply, BmcError> }
  /** Nothing was heard in all the tries of a request. */
  | { readonly kind: "silent" };

/** What `takeAll` gives back. */
export interface TakenRequest {
  readonly id: number;
  readonly request: IpmiRequest;
  /** false: it was never sent, or every time it was, the BMC refused it as busy. */
  readonly mayHaveRun: boolean;
}

interface Entry {
  readonly id: number;
  readonly request: IpmiRequest;
  readonly isOnce: boolean;
  sequence: number;
  sends: number;
  isInFlight: boolean;
  /** Of its last send, counted over all sends. */
  sendIndex: number;
  /** Answers that came to what was sent after it. */
  passedBy: number;
  firstSentMs: number;
  /** When it was first sent again. */
  resentMs: number;
  sentMs: number;
  /** Until when the answer is waited for, or when a busy BMC is asked again. */
  dueMs: number;
  busyCount: number;
  busySinceMs: number;
}

/** Later answers after which the one that is missing is taken for lost; TCP's three duplicates. */
const PASSED_BY_MAX = 3;
/** From this send on a request goes alone: it may be that the BMC bears no other beside it. */
const SENDS_ALONE_MIN = 3;
const BUSY_PAUSE_MS_MIN = 20;
const BUSY_PAUSE_MS_MAX = 1_000;

export class Transactor {
  readonly #options: TransactorOptions;
  readonly #window: AdaptiveWindow;
  /** By sequence number: sent, and either in flight or to be resent. */
  readonly #entries: (Entry | null)[] = new Array<Entry | null>(SEQUENCE_COUNT).fill(null);
  readonly #numbers = new SequenceNumbers();
  #inFlight = 0;
  #sendCount = 0;
  /** Timed out, to be sent again before anything else. */
  #resends: Entry[] = [];
  /** Refused as busy, to be asked again at `dueMs`. */
  #paused: Entry[] = [];
  /** Never sent; those before `#queueHead` have gone. */
  #queue: Entry[] = [];
  #queueHead = 0;
  #heardMs = Number.NEGATIVE_INFINITY;
  #isHolding = false;
  /** What is in flight is one that goes alone. */
  #isAloneInFlight = false;
  /** Something is to be sent, there is room in the window, and every number rests. */
  #isStarved = false;

  constructor(options: TransactorOptions) {
    assert(options.windowMax >= 1 && options.windowMax <= SEQUENCE_COUNT / 2, "window of 1 to 32");
    this.#options = options;
    this.#window = new AdaptiveWindow(options);
  }

  get windowSize(): number {
    return this.#window.size;
  }

  get smoothedMs(): number | null {
    return this.#window.smoothedMs;
  }

  get isIdle(): boolean {
    return this.#pendingCount() === 0;
  }

  /** When `tick` is due; null: nothing waits for time. O(64). */
  get wakeMs(): number | null {
    if (this.#isHolding) return null;
    let wake = Number.POSITIVE_INFINITY;
    for (const entry of this.#entries) {
      if (entry?.isInFlight === true && entry.dueMs < wake) wake = entry.dueMs;
    }
    if (this.#isStarved) {
      wake = Math.min(wake, this.#numbers.restedMs);
    } else if (this.#resends.length === 0 && this.#hasRoom()) {
      for (const entry of this.#paused) if (entry.dueMs < wake) wake = entry.dueMs;
    }
    return Number.isFinite(wake) ? wake : null;
  }

  step(event: TransactorEvent, nowMs: number): readonly TransactorEffect[] {
    const effects: TransactorEffect[] = [];
    switch (event.kind) {
      case "ask":
        this.#queue.push(this.#entryOf(event.id, event.request));
        break;
      case "reply":
        this.#onReply(event.reply, nowMs, effects);
        break;
      case "tick":
        this.#expire(nowMs, effects);
        break;
      case "fail":
        for (const { id } of this.takeAll()) {
          effects.push({ kind: "done", id, result: err(event.error) });
        }
        break;
    }
    this.#pump(nowMs, effects);
    return effects;
  }

  /** Everything that waits, oldest first; it is forgotten here, and late replies to it are dropped. */
  takeAll(restsUntilMs = 0): readonly TakenRequest[] {
    const sent = this.#entries.filter((entry) => entry !== null);
    sent.sort((a, b) => a.firstSentMs - b.firstSentMs || a.id - b.id);
    const taken = [
      ...sent.map((entry) => ({ ...entry, mayHaveRun: true })),
      ...this.#paused.map((entry) => ({ ...entry, mayHaveRun: false })),
      ...this.#queue.slice(this.#queueHead).map((entry) => ({ ...entry, mayHaveRun: false })),
    ];
    for (const { sequence } of sent) this.#numbers.release(sequence, restsUntilMs);
    this.#entries.fill(null);
    this.#resends = [];
    this.#paused = [];
    this.#queue = [];
    this.#queueHead = 0;
    this.#inFlight = 0;
    this.#isHolding = false;
    return taken.map(({ id, request, mayHaveRun }) => ({ id, request, mayHaveRun }));
  }

  #pendingCount(): number {
    const sent = this.#entries.reduce((sum, entry) => sum + (entry === null ? 0 : 1), 0);
    return sent + this.#paused.length + this.#queue.length - this.#queueHead;
  }

  #entryOf(id: number, request: IpmiRequest): Entry {
    return {
      id,
      request,
      isOnce: !isRepeatable(request),
      sequence: -1,
      sends: 0,
      isInFlight: false,
      sendIndex: 0,
      passedBy: 0,
      firstSentMs: 0,
      resentMs: 0,
      sentMs: 0,
      dueMs: 0,
      busyCount: 0,
      busySinceMs: 0,
    };
  }

  #onReply(reply: WireReply, nowMs: number, effects: TransactorEffect[]): void {
    const entry = this.#entries[reply.sequence & (SEQUENCE_COUNT - 1)];
    if (entry === null || entry === undefined) return;
    const { request } = entry;
    const isFitting =
      reply.netFn === (request.netFn | 1) &&
      reply.command === request.command &&
      reply.lun === request.lun;
    if (!isFitting) return;
    this.#heardMs = nowMs;
    const outstanding = this.#inFlight + (entry.isInFlight ? 0 : 1);
    this.#release(entry, nowMs);
    if (isLater(reply.completionCode, entry.isOnce, entry.busyCount)) {
      // Two outstanding may be what it cannot bear.
      if (reply.completionCode === NODE_BUSY) this.#window.onTrouble(entry.sentMs, nowMs);
      this.#pause(entry, reply.completionCode, nowMs, effects);
      return;
    }
    const tripMs = entry.sends === 1 ? nowMs - entry.sentMs : null;
    this.#window.onReply(tripMs, outstanding, this.#notePassed(entry));
    const { completionCode, data } = reply;
    effects.push({ kind: "done", id: entry.id, result: ok({ completionCode, data }) });
  }

  /**
   * Whether an answer came before that to something sent earlier. That is no proof of a loss, since a BMC may answer in any order;
   * passed by often enough, the earlier one is waited for no longer than answers take.
   */
  #notePassed(answered: Entry): boolean {
    let isPassing = false;
    for (const entry of this.#entries) {
      if (entry === null || entry.sendIndex > answered.sendIndex) continue;
      isPassing = true;
      entry.passedBy++;
      const isOverdue = entry.passedBy >= PASSED_BY_MAX && entry.isInFlight && !entry.isOnce;
      if (!isOverdue || entry.sends > 1) continue;
      entry.dueMs = Math.min(entry.dueMs, entry.sentMs + this.#window.passedTimeoutMs());
    }
    return isPassing;
  }

  /** Takes a request off its sequence number, which rests as long as an answer to another send of it may come. */
  #release(entry: Entry, nowMs: number, isUnanswered = false): void {
    this.#entries[entry.sequence] = null;
    const isAnswerToCome = entry.sends > 1 || isUnanswered;
    this.#numbers.release(entry.sequence, isAnswerToCome ? nowMs + this.#options.timeoutMsMax : 0);
    if (entry.isInFlight) this.#inFlight--;
    else this.#resends = this.#resends.filter((one) => one !== entry);
    entry.isInFlight = false;
  }

  #pause(entry: Entry, code: number, nowMs: number, effects: TransactorEffect[]): void {
    if (entry.busyCount === 0) entry.busySinceMs = nowMs;
    const pauseMs = Math.min(BUSY_PAUSE_MS_MAX, BUSY_PAUSE_MS_MIN * 2 ** entry.busyCount);
    entry.busyCount++;
    if (nowMs + pauseMs - entry.busySinceMs > this.#options.busyMsMax) {
      const error = stillBusy(entry.request, code, this.#options.busyMsMax);
      effects.push({ kind: "done", id: entry.id, result: err(error) });
      return;
    }
    // It was answered: the next try is a request of its own, with a number of its own.
    entry.sends = 0;
    entry.dueMs = nowMs + pauseMs;
    this.#paused.push(entry);
  }

  #expire(nowMs: number, effects: TransactorEffect[]): void {
    if (this.#isHolding) return;
    for (const entry of this.#entries) {
      if (entry === null || !entry.isInFlight || entry.dueMs > nowMs) continue;
      this.#window.onTrouble(entry.sentMs, nowMs);
      const canResend =
        entry.sends < this.#options.triesMax && (!entry.isOnce || this.#options.hasSamePacket);
      if (canResend) {
        entry.isInFlight = false;
        this.#inFlight--;
        // One that was sent again already goes first: its tries are over sooner, which tells a silent BMC from a slow one.
        if (entry.sends > 1) this.#resends.unshift(entry);
        else this.#resends.push(entry);
        continue;
      }
      // What came before the first timeout was sent by a BMC that may have died since.
      const quietSinceMs = entry.sends > 1 ? entry.resentMs : entry.firstSentMs;
      if (this.#heardMs < quietSinceMs) {
        this.#onSilence(entry, nowMs, effects);
        return;
      }
      this.#release(entry, nowMs, true);
      effects.push({
        kind: "done",
        id: entry.id,
        result: err(unanswered(entry, nowMs - entry.firstSentMs)),
      });
    }
  }

  #onSilence(entry: Entry, nowMs: number, effects: TransactorEffect[]): void {
    if (this.#options.holdsWhenSilent) {
      this.#isHolding = true;
      effects.push({ kind: "silent" });
      return;
    }
    const error = unanswered(entry, nowMs - entry.firstSentMs);
    for (const { id } of this.takeAll(nowMs + this.#options.timeoutMsMax)) {
      effects.push({ kind: "done", id, result: err(error) });
    }
  }

  #pump(nowMs: number, effects: TransactorEffect[]): void {
    this.#isStarved = false;
    if (this.#inFlight === 0) this.#isAloneInFlight = false;
    while (this.#hasRoom()) {
      const [resend] = this.#resends;
      const isSent = resend === undefined ? this.#sendNext(nowMs, effects) : this.#resend(resend);
      if (!isSent) return;
      if (resend !== undefined) this.#send(resend, nowMs, effects);
    }
  }

  #hasRoom(): boolean {
    return !this.#isHolding && !this.#isAloneInFlight && this.#inFlight < this.#window.size;
  }

  /** False: it has to wait until it is alone. */
  #resend(entry: Entry): boolean {
    const isAlone = entry.sends + 1 >= SENDS_ALONE_MIN;
    if (isAlone && this.#inFlight > 0) return false;
    this.#resends.shift();
    this.#isAloneInFlight = isAlone;
    return true;
  }

  /** One that a busy BMC is to be asked again, else the next in the queue. False: there is none, or no number for it. */
  #sendNext(nowMs: number, effects: TransactorEffect[]): boolean {
    const pausedIndex = this.#paused.findIndex((entry) => entry.dueMs <= nowMs);
    const entry = this.#paused[pausedIndex] ?? this.#queue[this.#queueHead];
    if (entry === undefined) return false;
    const sequence = this.#numbers.take(nowMs);
    this.#isStarved = sequence === null;
    if (sequence === null) return false;
    if (pausedIndex >= 0) this.#paused.splice(pausedIndex, 1);
    else this.#dequeue();
    entry.sequence = sequence;
    entry.firstSentMs = nowMs;
    this.#entries[sequence] = entry;
    this.#send(entry, nowMs, effects);
    return true;
  }

  #dequeue(): void {
    this.#queueHead++;
    // Drops what has gone once it is the greater part: O(1) per request, and the queue never keeps the past alive.
    if (this.#queueHead > 1024 && this.#queueHead * 2 > this.#queue.length) {
      this.#queue = this.#queue.slice(this.#queueHead);
      this.#queueHead = 0;
    }
  }

  #send(entry: Entry, nowMs: number, effects: TransactorEffect[]): void {
    entry.sends++;
    entry.isInFlight = true;
    entry.sentMs = nowMs;
    entry.sendIndex = ++this.#sendCount;
    entry.passedBy = 0;
    if (entry.sends === 2) entry.resentMs = nowMs;
    const timeoutMs = this.#window.timeoutMs(entry.sends);
    entry.dueMs =
      nowMs + (entry.isOnce ? Math.max(timeoutMs, this.#options.unrepeatableMsMin) : timeoutMs);
    this.#inFlight++;
    const { sequence, request, isOnce } = entry;
    effects.push({ kind: "send", sequence, request, isOnce, isResend: entry.sends > 1 });
  }
}

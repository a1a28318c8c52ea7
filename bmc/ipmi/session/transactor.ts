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
import { type BmcError, bmcError } from "../../bmc-error.ts";
import type { IpmiReply, IpmiRequest } from "../ipmi.ts";
import { SEQUENCE_COUNT } from "../message.ts";
import { isRepeatable } from "./repeatable.ts";
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
  firstSentMs: number;
  /** When it was first sent again. */
  resentMs: number;
  sentMs: number;
  /** Until when the answer is waited for, or when a busy BMC is asked again. */
  dueMs: number;
  busyCount: number;
  busySinceMs: number;
}

const NODE_BUSY = 0xc0;
const TIMED_OUT = 0xc3;
const RESPONSE_LOST = 0xce;
const DUPLICATE = 0xcf;
/** D0h SDR update, D1h firmware update, D2h initialising. */
const UPDATING_MIN = 0xd0;
const UPDATING_MAX = 0xd2;
const BUSY_PAUSE_MS_MIN = 20;
const BUSY_PAUSE_MS_MAX = 1_000;

export function requestName(request: IpmiRequest): string {
  const hex = (value: number): string => value.toString(16).padStart(2, "0");
  return `request ${hex(request.netFn)}/${hex(request.command)}h`;
}

export class Transactor {
  readonly #options: TransactorOptions;
  readonly #window: AdaptiveWindow;
  /** By sequence number: sent, and either in flight or to be resent. */
  readonly #entries: (Entry | null)[] = new Array<Entry | null>(SEQUENCE_COUNT).fill(null);
  /** When a number may be used again. */
  readonly #restsUntilMs: number[] = new Array<number>(SEQUENCE_COUNT).fill(0);
  #inFlight = 0;
  /** When each number was released last, counted in releases. */
  readonly #releases: number[] = new Array<number>(SEQUENCE_COUNT).fill(0);
  #releaseCount = 0;
  /** Timed out, to be sent again before anything else. */
  #resends: Entry[] = [];
  /** Refused as busy, to be asked again at `dueMs`. */
  #paused: Entry[] = [];
  /** Never sent; those before `#queueHead` have gone. */
  #queue: Entry[] = [];
  #queueHead = 0;
  #heardMs = Number.NEGATIVE_INFINITY;
  #isHolding = false;
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
      this.#restsUntilMs.forEach((untilMs, sequence) => {
        if (this.#entries[sequence] === null && untilMs < wake) wake = untilMs;
      });
    } else if (this.#inFlight < this.#window.size) {
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
  takeAll(): readonly TakenRequest[] {
    const sent = this.#entries.filter((entry) => entry !== null);
    sent.sort((a, b) => a.firstSentMs - b.firstSentMs || a.id - b.id);
    const taken = [
      ...sent.map((entry) => ({ ...entry, mayHaveRun: true })),
      ...this.#paused.map((entry) => ({ ...entry, mayHaveRun: false })),
      ...this.#queue.slice(this.#queueHead).map((entry) => ({ ...entry, mayHaveRun: false })),
    ];
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
    if (this.#isAskedAgain(entry, reply.completionCode)) {
      // Two outstanding may be what it cannot bear.
      if (reply.completionCode === NODE_BUSY) this.#window.onTrouble(entry.sentMs, nowMs);
      this.#pause(entry, reply.completionCode, nowMs, effects);
      return;
    }
    this.#window.onReply(entry.sends === 1 ? nowMs - entry.sentMs : null, outstanding);
    const { completionCode, data } = reply;
    effects.push({ kind: "done", id: entry.id, result: ok({ completionCode, data }) });
  }

  /** Takes a request off its sequence number, which rests as long as an answer to another send of it may come. */
  #release(entry: Entry, nowMs: number): void {
    this.#entries[entry.sequence] = null;
    this.#releases[entry.sequence] = ++this.#releaseCount;
    if (entry.isInFlight) this.#inFlight--;
    else this.#resends = this.#resends.filter((one) => one !== entry);
    entry.isInFlight = false;
    if (entry.sends > 1) {
      this.#restsUntilMs[entry.sequence] = nowMs + this.#options.timeoutMsMax;
    }
  }

  /** A code that says "later". Those that leave open whether it was carried out count only for what may be repeated. */
  #isAskedAgain(entry: Entry, code: number): boolean {
    if (code === NODE_BUSY || (code >= UPDATING_MIN && code <= UPDATING_MAX)) return true;
    if (entry.isOnce) return false;
    if (code === TIMED_OUT) return true;
    return (code === RESPONSE_LOST || code === DUPLICATE) && entry.busyCount === 0;
  }

  #pause(entry: Entry, code: number, nowMs: number, effects: TransactorEffect[]): void {
    if (entry.busyCount === 0) entry.busySinceMs = nowMs;
    const pauseMs = Math.min(BUSY_PAUSE_MS_MAX, BUSY_PAUSE_MS_MIN * 2 ** entry.busyCount);
    entry.busyCount++;
    if (nowMs + pauseMs - entry.busySinceMs > this.#options.busyMsMax) {
      const hex = code.toString(16).toUpperCase();
      const seconds = Math.round(this.#options.busyMsMax / 1000);
      const detail =
        `${requestName(entry.request)}: the BMC answered ${hex}h for ${seconds} s;` +
        " try again later";
      effects.push({ kind: "done", id: entry.id, result: err(bmcError("busy", detail, code)) });
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
      this.#release(entry, nowMs);
      this.#restsUntilMs[entry.sequence] = nowMs + this.#options.timeoutMsMax;
      effects.push({ kind: "done", id: entry.id, result: err(unanswered(entry, nowMs)) });
    }
  }

  #onSilence(entry: Entry, nowMs: number, effects: TransactorEffect[]): void {
    if (this.#options.holdsWhenSilent) {
      this.#isHolding = true;
      effects.push({ kind: "silent" });
      return;
    }
    const error = unanswered(entry, nowMs);
    for (const { id } of this.takeAll()) effects.push({ kind: "done", id, result: err(error) });
    this.#restsUntilMs.fill(nowMs + this.#options.timeoutMsMax);
  }

  #pump(nowMs: number, effects: TransactorEffect[]): void {
    this.#isStarved = false;
    if (this.#isHolding) return;
    while (this.#inFlight < this.#window.size) {
      const resend = this.#resends.shift();
      if (resend !== undefined) {
        this.#send(resend, nowMs, effects);
        continue;
      }
      const pausedIndex = this.#paused.findIndex((entry) => entry.dueMs <= nowMs);
      const entry = this.#paused[pausedIndex] ?? this.#queue[this.#queueHead];
      if (entry === undefined) return;
      const sequence = this.#freeSequence(nowMs);
      if (sequence === null) {
        this.#isStarved = true;
        return;
      }
      if (pausedIndex >= 0) this.#paused.splice(pausedIndex, 1);
      else this.#dequeue();
      entry.sequence = sequence;
      entry.firstSentMs = nowMs;
      this.#entries[sequence] = entry;
      this.#send(entry, nowMs, effects);
    }
  }

  #dequeue(): void {
    this.#queueHead++;
    // Drops what has gone once it is the greater part: O(1) per request, and the queue never keeps the past alive.
    if (this.#queueHead > 1024 && this.#queueHead * 2 > this.#queue.length) {
      this.#queue = this.#queue.slice(this.#queueHead);
      this.#queueHead = 0;
    }
  }

  /** Of the numbers that may be used the one released longest ago. O(64). */
  #freeSequence(nowMs: number): number | null {
    let oldest: number | null = null;
    let oldestRelease = Number.POSITIVE_INFINITY;
    for (let sequence = 0; sequence < SEQUENCE_COUNT; sequence++) {
      if (this.#entries[sequence] !== null) continue;
      if ((this.#restsUntilMs[sequence] as number) > nowMs) continue;
      const release = this.#releases[sequence] as number;
      if (release >= oldestRelease) continue;
      oldest = sequence;
      oldestRelease = release;
    }
    return oldest;
  }

  #send(entry: Entry, nowMs: number, effects: TransactorEffect[]): void {
    entry.sends++;
    entry.isInFlight = true;
    entry.sentMs = nowMs;
    if (entry.sends === 2) entry.resentMs = nowMs;
    const timeoutMs = this.#window.timeoutMs(entry.sends);
    entry.dueMs =
      nowMs + (entry.isOnce ? Math.max(timeoutMs, this.#options.unrepeatableMsMin) : timeoutMs);
    this.#inFlight++;
    const { sequence, request, isOnce } = entry;
    effects.push({ kind: "send", sequence, request, isOnce, isResend: entry.sends > 1 });
  }
}

function unanswered(entry: Entry, nowMs: number): BmcError {
  const seconds = ((nowMs - entry.firstSentMs) / 1000).toFixed(1);
  const doubt = "; whether it was carried out is unknown: look before repeating";
  const what = `${requestName(entry.request)}: no answer to ${entry.sends} tries in ${seconds} s`;
  return bmcError("timeout", entry.isOnce ? `${what}${doubt}` : what);
}

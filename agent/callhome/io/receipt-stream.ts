/**
 * What a manager says by itself: its beats, receipts, and what it could not relay. One stream a manager, opened again for ever.
 *
 * A stream that says nothing for `BEATS_MISSED_MS` is dead, whatever TCP thinks of it: a stopped process keeps its connections.
 * It is opened again after 100 ms at first and 5 s at most, with jitter, so that a manager's start is noticed soon and its
 * nodes do not come all at once. `seq` is where reading goes on; whoever made it keeps it over restarts.
 */
import { readNdjson } from "../../net/io/ndjson.ts";
import { readProblem } from "../../net/problem.ts";
import type { Clock, Timer } from "../../runtime/clock.ts";
import { BEATS_MISSED_MS } from "../delivery-events.ts";
import { RECEIPTS_PATH, type ReceiptLine, receiptLineSchema } from "../protocol.ts";
import { type Caller, describeCause, urlOf } from "./parcels-client.ts";

const REOPEN_MS_MIN = 100;
const REOPEN_MS_MAX = 5_000;
/** Head of the answer. */
const OPEN_WITHIN_MS = 3_000;

export interface ReceiptStreamParts {
  /** As configured. */
  readonly manager: string;
  /** The newest number that was read in an earlier run; 0: none. */
  readonly seq: number;
  readonly caller: Caller;
  readonly clock: Clock;
  /** In [0, 1). */
  readonly unit: () => number;
  readonly onLine: (line: ReceiptLine) => void;
  /** Once for each stream that ends, and for each that cannot be opened. */
  readonly onLost: (detail: string) => void;
}

export class ReceiptStream {
  readonly #parts: ReceiptStreamParts;
  #seq: number;
  #isStopped = false;
  #abort: AbortController | null = null;
  #silence: Timer | null = null;
  #pause: Timer | null = null;
  #wake: (() => void) | null = null;
  #running: Promise<void> = Promise.resolve();
  /** A line came on the stream that is open. */
  #hasHeard = false;

  constructor(parts: ReceiptStreamParts) {
    this.#parts = parts;
    this.#seq = parts.seq;
  }

  get seq(): number {
    return this.#seq;
  }

  begin(): void {
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#abort?.abort();
    this.#pause?.end();
    this.#wake?.();
    await this.#running;
  }

  async #run(): Promise<void> {
    let waitMs = REOPEN_MS_MIN;
    while (!this.#isStopped) {
      this.#hasHeard = false;
      const detail = await this.#read();
      if (this.#isStopped) return;
      this.#parts.onLost(detail);
      waitMs = this.#hasHeard ? REOPEN_MS_MIN : Math.min(REOPEN_MS_MAX, waitMs * 2);
      await this.#rest(waitMs * (0.5 + this.#parts.unit() / 2));
    }
  }

  /** Until the stream ends; why it did. */
  async #read(): Promise<string> {
    const { manager, caller } = this.#parts;
    const abort = new AbortController();
    this.#abort = abort;
    const url = urlOf({ url: manager }, `${RECEIPTS_PATH}?after=${this.#seq}`);
    let silent = false;
    const giveUp = (): void => {
      silent = true;
      abort.abort();
    };
    this.#await(OPEN_WITHIN_MS, giveUp);
    try {
      const response = await caller("manager", url, { signal: abort.signal, redirect: "error" });
      if (!response.ok) {
        const { detail } = readProblem(response.status, await response.text());
        return `${manager} answers ${response.status}: ${detail.slice(0, 500)}`;
      }
      this.#await(BEATS_MISSED_MS, giveUp);
      for await (const value of readNdjson(response)) {
        const line = receiptLineSchema.safeParse(value);
        if (!line.success) return `${manager} says what is not of the protocol`;
        this.#await(BEATS_MISSED_MS, giveUp);
        this.#take(line.data);
        if (this.#isStopped) return "";
      }
      return `${manager} ended the stream of receipts`;
    } catch (cause) {
      if (silent) return `${manager} is silent for ${BEATS_MISSED_MS} ms`;
      return describeCause(manager, cause).detail;
    } finally {
      this.#silence?.end();
      // What was not read of it is let go.
      abort.abort();
    }
  }

  #take(line: ReceiptLine): void {
    this.#hasHeard = true;
    this.#parts.onLine(line);
    if (line.kind !== "beat") this.#seq = Math.max(this.#seq, line.seq);
    // A manager with a younger store counts anew.
    else if (line.seq < this.#seq) this.#seq = line.seq;
  }

  #await(ms: number, giveUp: () => void): void {
    this.#silence?.end();
    this.#silence = this.#parts.clock.after(ms, giveUp);
  }

  #rest(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
      this.#pause = this.#parts.clock.after(ms, resolve);
    });
  }
}

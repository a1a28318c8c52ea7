/**
 * Requests to the driver of the system interface: which one goes when, which reply is whose, and when to give up.
 *
 * Decides; sends nothing and reads no clock. The driver matches replies by a message id that we choose, so an id is
 * never used twice, and a reply that comes after its request was given up belongs to nobody. The driver hands messages to the
 * BMC one after another; a few are queued there so that the BMC does not wait for this process to be scheduled.
 *
 * Asks again only where the BMC has surely not carried the request out: node busy (C0h, §5.2), or a driver that takes no
 * message now. Invariant: each ask is settled exactly once, and at most WINDOW_MAX messages are with the driver.
 */
import { err, ok, type Result } from "../../core/result.ts";
import type { BmcError } from "../bmc-error.ts";
import type { IpmiReply, IpmiRequest } from "../ipmi/ipmi.ts";
import type { DriverMessage } from "./kcs-message.ts";

/** Twice what keeps the driver busy while a reply is on its way through a thread; its own limit is 100 per user. */
export const WINDOW_MAX = 4;

const NODE_BUSY = 0xc0;
const BUSY_WAIT_MS = 20;
const BUSY_WAIT_MS_MAX = 500;
/** Of all waiting for one busy BMC. */
const BUSY_LIMIT_MS = 5_000;

export type KcsEvent =
  | { readonly kind: "ask"; readonly askId: number; readonly request: IpmiRequest }
  | { readonly kind: "message"; readonly message: DriverMessage }
  /** The driver did not take a message. */
  | { readonly kind: "refused"; readonly messageId: number; readonly error: BmcError }
  /** Nothing will come any more. */
  | { readonly kind: "lost"; readonly error: BmcError }
  | { readonly kind: "tick" };

export type KcsEffect =
  | { readonly kind: "send"; readonly messageId: number; readonly request: IpmiRequest }
  | {
      readonly kind: "settle";
      readonly askId: number;
      readonly result: Result<IpmiReply, BmcError>;
    }
  | { readonly kind: "event"; readonly record: Uint8Array };

interface Ask {
  readonly askId: number;
  readonly request: IpmiRequest;
  /** When it was first sent. */
  startMs: number;
  /** null: waits, for its turn or for its next try. */
  messageId: number | null;
  /** When to give up, or when to try again. */
  dueMs: number;
  tries: number;
}

export class KcsQueue {
  readonly #limitMs: number;
  readonly #timeout: (request: IpmiRequest) => BmcError;
  /** In the order they came; those in work first. */
  readonly #waiting: Ask[] = [];
  readonly #working = new Set<Ask>();
  readonly #byMessageId = new Map<number, Ask>();
  #messageId = 0;
  #lost: BmcError | null = null;

  constructor(limitMs: number, timeout: (request: IpmiRequest) => BmcError) {
    this.#limitMs = limitMs;
    this.#timeout = timeout;
  }

  /** When `tick` has something to do; null: not before another event. */
  nextDueMs(): number | null {
    let due: number | null = null;
    for (const ask of this.#working) due = due === null ? ask.dueMs : Math.min(due, ask.dueMs);
    return due;
  }

  step(event: KcsEvent, nowMs: number): readonly KcsEffect[] {
    const effects: KcsEffect[] = [];
    switch (event.kind) {
      case "ask":
        this.#ask(event.askId, event.request, effects);
        break;
      case "message":
        this.#onMessage(event.message, nowMs, effects);
        break;
      case "refused":
        this.#onRefused(event.messageId, event.error, nowMs, effects);
        break;
      case "lost":
        this.#lost ??= event.error;
        for (const ask of [...this.#working, ...this.#waiting.splice(0)]) {
          this.#settle(ask, err(this.#lost), effects);
        }
        break;
      case "tick":
        this.#onTick(nowMs, effects);
        break;
    }
    this.#fill(nowMs, effects);
    return effects;
  }

  #ask(askId: number, request: IpmiRequest, effects: KcsEffect[]): void {
    if (this.#lost !== null) {
      effects.push({ kind: "settle", askId, result: err(this.#lost) });
      return;
    }
    this.#waiting.push({ askId, request, startMs: 0, messageId: null, dueMs: 0, tries: 0 });
  }

  #onMessage(message: DriverMessage, nowMs: number, effects: KcsEffect[]): void {
    if (message.kind === "event") effects.push({ kind: "event", record: message.record });
    if (message.kind !== "reply") return;
    const ask = this.#byMessageId.get(message.messageId);
    if (ask === undefined) return;
    if (message.reply.completionCode === NODE_BUSY && this.#postpone(ask, nowMs)) return;
    this.#settle(ask, ok(message.reply), effects);
  }

  #onRefused(messageId: number, error: BmcError, nowMs: number, effects: KcsEffect[]): void {
    const ask = this.#byMessageId.get(messageId);
    if (ask === undefined) return;
    if (error.kind === "busy" && this.#postpone(ask, nowMs)) return;
    this.#settle(ask, err(error), effects);
  }

  /** False when it has been busy for too long. */
  #postpone(ask: Ask, nowMs: number): boolean {
    const waitMs = Math.min(BUSY_WAIT_MS * 2 ** (ask.tries - 1), BUSY_WAIT_MS_MAX);
    if (nowMs + waitMs - ask.startMs > BUSY_LIMIT_MS) return false;
    this.#forgetMessage(ask);
    ask.dueMs = nowMs + waitMs;
    return true;
  }

  #onTick(nowMs: number, effects: KcsEffect[]): void {
    for (const ask of [...this.#working]) {
      if (ask.dueMs > nowMs) continue;
      if (ask.messageId === null) this.#send(ask, nowMs, effects);
      else this.#settle(ask, err(this.#timeout(ask.request)), effects);
    }
  }

  /** An ask that waits for its next try keeps its place: others would be told busy as well. */
  #fill(nowMs: number, effects: KcsEffect[]): void {
    while (this.#working.size < WINDOW_MAX) {
      const ask = this.#waiting.shift();
      if (ask === undefined) return;
      ask.startMs = nowMs;
      this.#working.add(ask);
      this.#send(ask, nowMs, effects);
    }
  }

  #send(ask: Ask, nowMs: number, effects: KcsEffect[]): void {
    ask.messageId = ++this.#messageId;
    ask.tries++;
    ask.dueMs = nowMs + this.#limitMs;
    this.#byMessageId.set(ask.messageId, ask);
    effects.push({ kind: "send", messageId: ask.messageId, request: ask.request });
  }

  #settle(ask: Ask, result: Result<IpmiReply, BmcError>, effects: KcsEffect[]): void {
    this.#forgetMessage(ask);
    this.#working.delete(ask);
    effects.push({ kind: "settle", askId: ask.askId, result });
  }

  #forgetMessage(ask: Ask): void {
    if (ask.messageId !== null) this.#byMessageId.delete(ask.messageId);
    ask.messageId = null;
  }
}

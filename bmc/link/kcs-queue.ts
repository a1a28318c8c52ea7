/**
 * Requests to the driver of the system interface, and whose each of its messages is.
 *
 * Decides; sends nothing and reads no clock. Order, window, limits, and what is asked again of a busy BMC are the `Transactor`'s,
 * as on every wire. What is different here: the driver is reliable, and repeats what the interface loses by itself, so nothing
 * is sent twice; and it matches replies by a message id of ours, so an id is never used again, and a reply that comes after
 * its request was given up belongs to nobody. The driver hands messages to the BMC one after another; a few are queued there so
 * that the BMC does not wait for this process to be scheduled.
 */
import { err, type Result } from "../../core/result.ts";
import { type BmcError, bmcError } from "../bmc-error.ts";
import type { IpmiReply, IpmiRequest } from "../ipmi/ipmi.ts";
import { SEQUENCE_COUNT } from "../ipmi/message.ts";
import { Transactor, type TransactorEffect } from "../ipmi/session/transactor.ts";
import type { DriverMessage } from "./kcs-message.ts";

/** Twice what keeps the driver busy while a reply is on its way through a thread; its own limit is 100 per user. */
export const WINDOW_MAX = 4;

const BUSY_LIMIT_MS = 5_000;
const NODE_BUSY = 0xc0;
const TIMED_OUT = 0xc3;
const UNSPECIFIED = 0xff;

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

interface Sent {
  readonly messageId: number;
  readonly request: IpmiRequest;
}

export class KcsQueue {
  readonly #transactor: Transactor;
  /** The newest message under each sequence number of the transactor; older ones are nobody's. */
  readonly #sent: (Sent | undefined)[] = [];
  #round = 0;
  #lost: BmcError | null = null;

  /** `limitMs` is for one request, from when the driver has it. */
  constructor(limitMs: number) {
    this.#transactor = new Transactor({
      windowMax: WINDOW_MAX,
      // How long a BMC takes says nothing about how long it may take, and asking again is not what ends the wait.
      firstTimeoutMs: limitMs,
      timeoutMsMin: limitMs,
      timeoutMsMax: limitMs,
      unrepeatableMsMin: limitMs,
      triesMax: 1,
      busyMsMax: BUSY_LIMIT_MS,
      hasSamePacket: false,
      holdsWhenSilent: false,
    });
  }

  /** When `tick` has something to do; null: not before another event. */
  get wakeMs(): number | null {
    return this.#transactor.wakeMs;
  }

  step(event: KcsEvent, nowMs: number): readonly KcsEffect[] {
    switch (event.kind) {
      case "ask": {
        const { askId: id, request } = event;
        if (this.#lost !== null) return [{ kind: "settle", askId: id, result: err(this.#lost) }];
        return this.#translate(this.#transactor.step({ kind: "ask", id, request }, nowMs));
      }
      case "message":
        return this.#onMessage(event.message, nowMs);
      case "refused":
        return this.#onRefused(event.messageId, event.error, nowMs);
      case "lost":
        this.#lost ??= event.error;
        return this.#translate(this.#transactor.step({ kind: "fail", error: this.#lost }, nowMs));
      case "tick":
        return this.#translate(this.#transactor.step({ kind: "tick" }, nowMs));
    }
  }

  #onMessage(message: DriverMessage, nowMs: number): readonly KcsEffect[] {
    if (message.kind === "event") return [{ kind: "event", record: message.record }];
    if (message.kind !== "reply") return [];
    return this.#onReply(message.messageId, message.reply, nowMs);
  }

  /** A driver without room for a message is as busy as a busy BMC; what else it refuses is an error of that request alone. */
  #onRefused(messageId: number, error: BmcError, nowMs: number): readonly KcsEffect[] {
    const completionCode = error.kind === "busy" ? NODE_BUSY : UNSPECIFIED;
    const effects = this.#onReply(messageId, { completionCode, data: new Uint8Array() }, nowMs);
    return effects.map((effect) =>
      effect.kind === "settle" ? { ...effect, result: err(error) } : effect,
    );
  }

  #onReply(messageId: number, reply: IpmiReply, nowMs: number): readonly KcsEffect[] {
    const sequence = messageId % SEQUENCE_COUNT;
    const sent = this.#sent[sequence];
    if (sent?.messageId !== messageId) return [];
    this.#sent[sequence] = undefined;
    const { netFn, lun, command } = sent.request;
    const wired = { ...reply, netFn: netFn | 1, lun, command, sequence };
    return this.#translate(this.#transactor.step({ kind: "reply", reply: wired }, nowMs));
  }

  #translate(effects: readonly TransactorEffect[]): readonly KcsEffect[] {
    return effects.flatMap((effect): readonly KcsEffect[] => {
      if (effect.kind === "done") {
        return [{ kind: "settle", askId: effect.id, result: named(effect.result) }];
      }
      if (effect.kind !== "send") return [];
      const { sequence, request } = effect;
      const messageId = ++this.#round * SEQUENCE_COUNT + sequence;
      this.#sent[sequence] = { messageId, request };
      return [{ kind: "send", messageId, request }];
    });
  }
}

/** Of the driver and of emulated interfaces, C3h is what they say of a BMC that is silent: not one that is busy. */
function named(result: Result<IpmiReply, BmcError>): Result<IpmiReply, BmcError> {
  if (result.ok || result.error.completionCode !== TIMED_OUT) return result;
  const { detail, completionCode } = result.error;
  return err(bmcError("timeout", detail, completionCode));
}

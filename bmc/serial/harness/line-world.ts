/**
 * A serial line in virtual time: a session at one end, a BMC made of functions at the other, bytes that take their time.
 *
 * `LineWorld` carries out what the session says and moves the clock from one thing that is due to the next; nothing waits
 * really. `ScriptedBmc` speaks both modes with the framers of the BMC's side and can be given the habits of real ones: one buffer,
 * handshakes, a password, silence, an echo.
 */
import { assert } from "../../../core/assert.ts";
import { ok, type Result } from "../../../core/result.ts";
import type { BmcError } from "../../bmc-error.ts";
import type { IpmiReply, IpmiRequest } from "../../ipmi/ipmi.ts";
import {
  decodeRequestMessage,
  encodeReplyMessage,
  type RequestMessage,
  replyTo,
} from "../../ipmi/message.ts";
import { BASIC_HANDSHAKE, BasicModeFramer, encodeBasicFrame } from "../basic-mode.ts";
import type { SerialMode } from "../serial-line.ts";
import type { SerialEffect, SerialEvent, SerialSession } from "../serial-session.ts";
import {
  decodeTerminalMessage,
  encodeTerminalFrame,
  encodeTerminalMessage,
  encodeTerminalText,
  TerminalModeFramer,
} from "../terminal-mode.ts";

export interface BmcHabits {
  readonly mode: SerialMode;
  readonly answer: (request: IpmiRequest) => IpmiReply | null;
  readonly answerText?: (text: string) => string | null;
  readonly replyMs?: number;
  /** Messages it can hold; what comes while it is full is dropped. */
  readonly buffers?: number;
  readonly hasHandshake?: boolean;
  readonly hasEcho?: boolean;
}

/** Bytes that the BMC sends, and when. */
export interface Due {
  readonly atMs: number;
  readonly bytes: Uint8Array;
}

interface Heard {
  readonly request: IpmiRequest;
  readonly encodeReply: (reply: IpmiReply) => Uint8Array;
}

export class ScriptedBmc {
  readonly requests: IpmiRequest[] = [];
  readonly texts: string[] = [];
  droppedCount = 0;
  readonly #habits: Required<BmcHabits>;
  readonly #basic = new BasicModeFramer();
  readonly #terminal: TerminalModeFramer;
  #fullUntilMs: number[] = [];

  constructor(habits: BmcHabits) {
    this.#habits = {
      answerText: () => null,
      replyMs: 3,
      buffers: 64,
      hasHandshake: false,
      hasEcho: false,
      ...habits,
    };
    this.#terminal = new TerminalModeFramer({ side: "bmc", hasEcho: this.#habits.hasEcho });
  }

  push(bytes: Uint8Array, nowMs: number): readonly Due[] {
    return this.#habits.mode === "basic"
      ? this.#pushBasic(bytes, nowMs)
      : this.#pushTerminal(bytes, nowMs);
  }

  #pushBasic(bytes: Uint8Array, nowMs: number): readonly Due[] {
    const echo: Due[] = this.#habits.hasEcho ? [{ atMs: nowMs, bytes }] : [];
    const dues = this.#basic.push(bytes).flatMap((frame) => {
      const message = frame.kind === "message" ? decodeRequestMessage(frame.bytes) : null;
      return message?.ok === true ? this.#take(heardInBasic(message.value), nowMs) : [];
    });
    return [...echo, ...dues];
  }

  #pushTerminal(bytes: Uint8Array, nowMs: number): readonly Due[] {
    const frames = this.#terminal.push(bytes);
    const dues: Due[] = [{ atMs: nowMs, bytes: this.#terminal.takeEcho() }];
    for (const frame of frames) {
      if (frame.kind === "text") {
        this.texts.push(frame.text);
        const answer = this.#habits.answerText(frame.text);
        if (answer !== null)
          dues.push({ atMs: nowMs + 1, bytes: encodeTerminalText(answer, "\r\n") });
      } else if (frame.kind === "message") {
        const heard = heardInTerminal(frame.bytes);
        if (heard !== null) dues.push(...this.#take(heard, nowMs));
      }
    }
    return dues;
  }

  #take({ request, encodeReply }: Heard, nowMs: number): readonly Due[] {
    const { buffers, replyMs, hasHandshake, mode } = this.#habits;
    this.#fullUntilMs = this.#fullUntilMs.filter((untilMs) => untilMs > nowMs);
    if (this.#fullUntilMs.length >= buffers) {
      this.droppedCount++;
      return [];
    }
    const doneMs = nowMs + replyMs;
    this.#fullUntilMs.push(doneMs);
    this.requests.push(request);
    const reply = this.#habits.answer(request);
    const dues: Due[] = reply === null ? [] : [{ atMs: doneMs, bytes: encodeReply(reply) }];
    if (hasHandshake) {
      const sign =
        mode === "basic" ? Uint8Array.of(BASIC_HANDSHAKE) : encodeTerminalText("SYS", "\r\n");
      dues.push({ atMs: doneMs + 1, bytes: sign });
    }
    return dues;
  }
}

function heardInBasic(message: RequestMessage): Heard {
  return {
    request: message,
    encodeReply: (reply) => encodeBasicFrame(encodeReplyMessage(replyTo(message, reply))),
  };
}

function heardInTerminal(bytes: Uint8Array): Heard | null {
  const message = decodeTerminalMessage(bytes);
  if (!message.ok) return null;
  const { value } = message;
  return {
    request: value,
    encodeReply: ({ completionCode, data }) => {
      const answered = {
        ...value,
        netFn: value.netFn | 1,
        data: Uint8Array.of(completionCode, ...data),
      };
      return encodeTerminalFrame(encodeTerminalMessage(answered), {
        newline: "\r\n",
        isSpaced: true,
      });
    },
  };
}

export interface Outcome {
  readonly id: number;
  readonly result: Result<IpmiReply, BmcError>;
}

const STEPS_MAX = 200_000;

export class LineWorld {
  nowMs = 1_000;
  readonly outcomes: Outcome[] = [];
  readonly effects: SerialEffect[] = [];
  readonly written: Uint8Array[] = [];
  readonly #session: SerialSession;
  readonly #bmc: ScriptedBmc | null;
  /** What happens to bytes on their way, in either direction. */
  readonly #spoil: (bytes: Uint8Array, isToBmc: boolean) => Uint8Array;
  #dues: Due[] = [];

  constructor(
    session: SerialSession,
    bmc: ScriptedBmc | null,
    spoil: (bytes: Uint8Array, isToBmc: boolean) => Uint8Array = (bytes) => bytes,
  ) {
    this.#session = session;
    this.#bmc = bmc;
    this.#spoil = spoil;
  }

  send(event: SerialEvent): void {
    for (const effect of this.#session.step(event, this.nowMs)) {
      this.effects.push(effect);
      if (effect.kind === "done") this.outcomes.push(effect);
      if (effect.kind !== "write") continue;
      this.written.push(effect.bytes);
      if (this.#bmc === null) continue;
      this.#dues.push(...this.#bmc.push(this.#spoil(effect.bytes, true), this.nowMs));
      this.#dues.sort((a, b) => a.atMs - b.atMs);
    }
  }

  /** Of the BMC's own accord, now. */
  say(bytes: Uint8Array): void {
    this.send({ kind: "bytes", bytes });
  }

  /** Until `untilMs` has come, or nothing is due before it. */
  runUntil(untilMs: number): void {
    for (let step = 0; ; step++) {
      assert(step < STEPS_MAX, "a session comes to rest");
      const [due] = this.#dues;
      const wakeMs = this.#session.wakeMs ?? Number.POSITIVE_INFINITY;
      const nextMs = Math.min(due?.atMs ?? Number.POSITIVE_INFINITY, wakeMs);
      if (nextMs > untilMs) break;
      this.nowMs = Math.max(this.nowMs, nextMs);
      if (due !== undefined && due.atMs <= this.nowMs) {
        this.#dues.shift();
        this.send({ kind: "bytes", bytes: this.#spoil(due.bytes, false) });
      } else this.send({ kind: "tick" });
    }
    this.nowMs = Math.max(this.nowMs, untilMs);
  }

  run(ms: number): void {
    this.runUntil(this.nowMs + ms);
  }

  has(kind: SerialEffect["kind"]): boolean {
    return this.effects.some((effect) => effect.kind === kind);
  }

  /** The one outcome of an ask; undefined before it came. */
  outcome(id: number): Result<IpmiReply, BmcError> | undefined {
    const found = this.outcomes.filter((one) => one.id === id);
    assert(found.length <= 1, `ask ${id} is done once`);
    return found[0]?.result;
  }
}

export function fine(...bytes: readonly number[]): IpmiReply {
  return { completionCode: 0, data: Uint8Array.from(bytes) };
}

export function code(completionCode: number): IpmiReply {
  return { completionCode, data: new Uint8Array(0) };
}

/** Success with the request's own data, so that a reply that went to the wrong asker shows. */
export function echoed(request: IpmiRequest): Result<IpmiReply, BmcError> {
  return ok({ completionCode: 0, data: request.data });
}

/**
 * The serial side of the emulated BMC: bytes of a line in, bytes out, in Basic Mode, Terminal Mode, or whichever it hears (IPMI
 * 2.0 §14).
 *
 * Decides framing, sessions, handshakes, pings and the sizes that a serial message may have; commands are the model's, texts
 * `serial-texts.ts`. One session at a time, as the standard has it. A frame that is broken gets no answer but its
 * handshake. Invariant: a reply goes out in the mode in which its request came.
 */
import type { IpmiCrypto } from "../ipmi/crypto.ts";
import type { IpmiReply, IpmiRequest } from "../ipmi/ipmi.ts";
import {
  BMC_ADDRESS,
  CONSOLE_ADDRESS,
  decodeRequestMessage,
  encodeReplyMessage,
  encodeRequestMessage,
  replyTo,
} from "../ipmi/message.ts";
import {
  BASIC_HANDSHAKE,
  BASIC_START,
  type BasicFrame,
  BasicModeFramer,
  encodeBasicFrame,
} from "../serial/basic-mode.ts";
import {
  decodeTerminalMessage,
  encodeTerminalFrame,
  encodeTerminalMessage,
  encodeTerminalText,
  type TerminalFrame,
  TerminalModeFramer,
} from "../serial/terminal-mode.ts";
import { CODE, commandKey, fail } from "./commands/command.ts";
import type { SerialConfig } from "./config.ts";
import type { OnRequest } from "./lan-server.ts";
import type { BmcModel } from "./model.ts";
import { SERIAL_CHANNEL, SerialSession } from "./serial-session.ts";
import { answerText } from "./serial-texts.ts";

export interface SerialWrite {
  readonly bytes: Uint8Array;
  readonly delayMs: number;
}

/** A reply's data on this line: with its heads it is a message of 40 bytes, which all must take (§14.7.2). */
const REPLY_BYTES_MAX = 36;
const PING_MS = 2_000;
const FIRST_PING_MS = 50;
const PING_COMMAND = 0x18;
const TRANSPORT = 0x0c;
const NOISE_BYTES_MAX = 12;
const ESCAPE = 0xaa;
const LATE_ONE_IN = 4;

export const NEWLINES: Readonly<Record<SerialConfig["newline"], string>> = {
  crlf: "\r\n",
  lf: "\n",
  cr: "\r",
  nul: "\0",
  lfcr: "\n\r",
  none: "",
};

export class SerialServer {
  readonly #model: BmcModel;
  readonly #config: SerialConfig;
  readonly #onRequest: OnRequest;
  readonly #basic = new BasicModeFramer();
  readonly #terminal: TerminalModeFramer;
  readonly #session: SerialSession;
  #mode: "basic" | "terminal";
  #pingDueMs: number | null;
  #pingSequence = 0;

  constructor(
    model: BmcModel,
    crypto: IpmiCrypto,
    config: SerialConfig,
    on: { readonly request: OnRequest; readonly nowMs: number },
  ) {
    this.#model = model;
    this.#config = config;
    this.#onRequest = on.request;
    this.#session = new SerialSession(model.state, crypto, config.needsSession);
    this.#mode = config.mode === "terminal" ? "terminal" : "basic";
    this.#terminal = new TerminalModeFramer({
      side: "bmc",
      hasEcho: config.hasEcho,
      newline: this.#newline,
    });
    this.#pingDueMs = config.sendsPing ? on.nowMs + FIRST_PING_MS : null;
  }

  get #newline(): string {
    return NEWLINES[this.#config.newline];
  }

  forget(): void {
    this.#session.end();
    this.#basic.reset();
    this.#terminal.reset();
  }

  dueMs(): number | null {
    return this.#pingDueMs;
  }

  tick(nowMs: number): readonly SerialWrite[] {
    if (this.#pingDueMs === null || nowMs < this.#pingDueMs) return [];
    this.#pingDueMs = nowMs + PING_MS;
    if (this.#model.state.isAsleep(nowMs)) return [];
    return [{ bytes: this.#ping(), delayMs: 0 }];
  }

  /** Serial Connection Active, which the BMC sends (§25.9). */
  #ping(): Uint8Array {
    this.#pingSequence = (this.#pingSequence + 1) & 0x3f;
    const message = {
      netFn: TRANSPORT,
      lun: 0,
      command: PING_COMMAND,
      sequence: this.#pingSequence,
      data: Uint8Array.of(this.#session.isActive ? 1 : 0, 1),
    };
    if (this.#mode === "terminal") {
      const bytes = encodeTerminalMessage({ ...message, bridge: 0 });
      return this.#terminalBytes(bytes);
    }
    const addresses = {
      responderAddress: CONSOLE_ADDRESS,
      requesterAddress: BMC_ADDRESS,
      requesterLun: 0,
    };
    return encodeBasicFrame(encodeRequestMessage({ ...message, ...addresses }));
  }

  receive(chunk: Uint8Array, nowMs: number): readonly SerialWrite[] {
    if (this.#model.state.isAsleep(nowMs)) return [];
    this.#session.expire(nowMs);
    return this.#modeOf(chunk) === "basic"
      ? this.#receiveBasic(chunk, nowMs)
      : this.#receiveTerminal(chunk, nowMs);
  }

  #modeOf(chunk: Uint8Array): "basic" | "terminal" {
    if (this.#config.mode !== "auto") return this.#config.mode;
    const isBasic = this.#basic.isInside || chunk.includes(BASIC_START);
    this.#mode = isBasic ? "basic" : "terminal";
    return this.#mode;
  }

  #receiveBasic(chunk: Uint8Array, nowMs: number): readonly SerialWrite[] {
    const brokenBefore = this.#brokenCount();
    const frames = this.#basic.push(chunk);
    const writes = frames.flatMap((frame) => this.#basicFrame(frame, nowMs));
    // Broken ones are dropped without a reply, but there is room for the next (§14.4.5).
    if (this.#brokenCount() > brokenBefore) {
      writes.push({ bytes: Uint8Array.of(BASIC_HANDSHAKE), delayMs: 0 });
    }
    return writes;
  }

  #brokenCount(): number {
    const { badChecksums, badEscapes, tooLong, tooShort } = this.#basic.counts;
    return badChecksums + badEscapes + tooLong + tooShort;
  }

  #basicFrame(frame: BasicFrame, nowMs: number): readonly SerialWrite[] {
    if (frame.kind === "handshake") return [];
    const handshake = { bytes: Uint8Array.of(BASIC_HANDSHAKE), delayMs: 0 };
    const request = decodeRequestMessage(frame.bytes);
    if (!request.ok || request.value.responderAddress !== BMC_ADDRESS) return [handshake];
    const reply = this.#answer(request.value, nowMs);
    if (reply === null) return [handshake];
    const bytes = encodeBasicFrame(encodeReplyMessage(replyTo(request.value, reply)));
    const isInside = this.#model.state.faults.isOn("serial-handshake-inside");
    return [
      ...(isInside ? [] : [handshake]),
      ...this.#disturbed(isInside ? withHandshakeInside(bytes) : bytes),
    ];
  }

  #receiveTerminal(chunk: Uint8Array, nowMs: number): readonly SerialWrite[] {
    const frames = this.#terminal.push(chunk);
    const echo = this.#terminal.takeEcho();
    const writes: SerialWrite[] = echo.length === 0 ? [] : [{ bytes: echo, delayMs: 0 }];
    for (const frame of frames) {
      writes.push(...this.#terminalFrame(frame, nowMs));
      if (this.#config.hasHandshake) writes.push(this.#text("SYS"));
    }
    return writes;
  }

  #text(text: string): SerialWrite {
    return { bytes: encodeTerminalText(text, this.#newline), delayMs: 0 };
  }

  #terminalFrame(frame: TerminalFrame, nowMs: number): readonly SerialWrite[] {
    if (frame.kind === "handshake") return [];
    if (frame.kind === "text") {
      const lines = answerText(frame.text, this.#model, this.#session, nowMs);
      return lines.map((line) => this.#text(line));
    }
    const message = decodeTerminalMessage(frame.bytes);
    if (!message.ok) return [this.#text("ERR C7")];
    if (message.value.netFn % 2 !== 0) return [];
    const reply = this.#answer(message.value, nowMs);
    if (reply === null) return [];
    const data = Uint8Array.of(reply.completionCode, ...reply.data);
    const answer = { ...message.value, netFn: message.value.netFn | 1, data };
    const bytes = encodeTerminalMessage(answer);
    return this.#disturbed(this.#terminalBytes(bytes));
  }

  #terminalBytes(message: Uint8Array): Uint8Array {
    const { lineCharsMax } = this.#config;
    return encodeTerminalFrame(message, { newline: this.#newline, lineCharsMax });
  }

  #answer(request: IpmiRequest, nowMs: number): IpmiReply | null {
    const { faults, prng } = this.#model.state;
    const lostPercent = faults.valueOf("drop");
    if (lostPercent !== null && prng.hasPercent(lostPercent)) return null;
    this.#session.touch(nowMs);
    const asker = { channel: SERIAL_CHANNEL, level: this.#session.level };
    const own = this.#session.command(commandKey(request.netFn, request.command));
    const reply = this.#model.request(request, asker, nowMs, own);
    const fits = reply === null || reply.data.length <= REPLY_BYTES_MAX;
    const sent = fits ? reply : fail(CODE.tooMuch);
    this.#onRequest(request, sent);
    return sent;
  }

  /** What a bad line does to a frame; noise never looks like a handshake, which would say something. */
  #disturbed(bytes: Uint8Array): readonly SerialWrite[] {
    const { faults, prng } = this.#model.state;
    let delayMs = faults.valueOf("delay") ?? 0;
    const lateMs = faults.valueOf("late");
    if (lateMs !== null && prng.below(LATE_ONE_IN) === 0) delayMs += lateMs;
    const noisePercent = faults.valueOf("serial-noise");
    if (noisePercent === null) return [{ bytes, delayMs }];
    const noise = (): Uint8Array => {
      if (!prng.hasPercent(noisePercent)) return new Uint8Array(0);
      const random = prng.bytes(1 + prng.below(NOISE_BYTES_MAX));
      return random.filter((byte) => byte !== BASIC_HANDSHAKE);
    };
    return [{ bytes: Uint8Array.of(...noise(), ...bytes, ...noise()), delayMs }];
  }
}

/** In the middle, but never behind an escape (§14.4.5). */
function withHandshakeInside(frame: Uint8Array): Uint8Array {
  let at = frame.length >> 1;
  while (at > 0 && frame[at - 1] === ESCAPE) at--;
  return Uint8Array.of(...frame.subarray(0, at), BASIC_HANDSHAKE, ...frame.subarray(at));
}

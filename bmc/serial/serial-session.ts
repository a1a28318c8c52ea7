/**
 * A BMC at the other end of a serial line: login, requests and replies, handshakes, keep-alive, the BMC's own messages.
 *
 * Decides everything but time and bytes' way: `step(event, nowMs) → effects`, and `tick` when `wakeMs` has come. What is sent again
 * and which reply answers what is `Transactor`'s; this adds what a serial line has besides:
 *
 * - Login comes first, requests wait for it. A BMC ends a session that is silent for a minute (§22.17), and forgets it when it
 *   restarts: so it is kept alive, and a request that is refused for want of privilege is asked again, once, after
 *   a new login.
 * - Several requests are outstanding, as long as the BMC loses none: `SendGate`.
 * - Serial/Modem Connection Active (§25.9) is told as `ping`. It is not answered: while the line is being switched to the host, an
 *   answer would be typed into its console.
 *
 * Invariant: each `ask` ends with exactly one `done`.
 */
import { err, type Result } from "../../core/result.ts";
import { type BmcError, bmcError } from "../bmc-error.ts";
import {
  getChannelAuthenticationCapabilities,
  THIS_CHANNEL,
} from "../ipmi/app/get-channel-authentication-capabilities.ts";
import { PRIVILEGES } from "../ipmi/app/set-session-privilege-level.ts";
import type { IpmiCrypto } from "../ipmi/crypto.ts";
import { type IpmiReply, type IpmiRequest, requestOf } from "../ipmi/ipmi.ts";
import { Transactor, type TransactorEffect } from "../ipmi/session/transactor.ts";
import { SendGate, UNREPEATABLE_MS_MIN } from "./send-gate.ts";
import {
  CONNECTION_ACTIVE,
  type LineItem,
  SERIAL_REQUEST_BYTES_MAX,
  type SerialLine,
} from "./serial-line.ts";
import {
  type Credentials,
  type LoggedIn,
  type Login,
  type LoginAnswer,
  login,
  logout,
} from "./serial-login.ts";

export interface SerialSessionOptions {
  readonly line: SerialLine;
  readonly baudRate: number;
  /** Null: nothing is activated. */
  readonly credentials: Credentials | null;
  readonly crypto: Pick<IpmiCrypto, "md5">;
  /** Sends of one request, the first included. */
  readonly triesMax: number;
  /** How long the first answer is waited for; later ones by what was measured. */
  readonly firstTimeoutMs: number;
}

export type SerialEvent =
  | { readonly kind: "open" }
  | { readonly kind: "bytes"; readonly bytes: Uint8Array }
  /** `id` ≥ 0 comes back with `done`. */
  | { readonly kind: "ask"; readonly id: number; readonly request: IpmiRequest }
  | { readonly kind: "tick" }
  /** The port is gone: everything that waits fails with this, and what comes after too. */
  | { readonly kind: "lost"; readonly error: BmcError }
  | { readonly kind: "close" };

export type SerialEffect =
  | { readonly kind: "write"; readonly bytes: Uint8Array }
  | { readonly kind: "opened" }
  /** The login failed; nothing more will come. */
  | { readonly kind: "refused"; readonly error: BmcError }
  | { readonly kind: "done"; readonly id: number; readonly result: Result<IpmiReply, BmcError> }
  | { readonly kind: "ping"; readonly sessionState: number }
  | { readonly kind: "closed" };

type Phase = "new" | "login" | "open" | "closing" | "over";

/** Ids of the session's own requests. */
const LOGIN_ID = -1;
const KEEP_ALIVE_ID = -2;
const CLOSE_ID = -3;

/** A BMC ends a silent session after 60 s ± 3 s by default (§14.4, parameter 4 of the serial configuration). */
export const KEEP_ALIVE_MS = 25_000;
/** A refused request is no lost session when the login was just before. */
export const RELOGIN_MS_MIN = 10_000;
/** An answer to a text, and to what ends the session. */
export const TEXT_MS = 2_000;
export const CLOSE_MS = 700;
const PRIVILEGE_TOO_LOW = 0xd4;

export class SerialSession {
  readonly #options: SerialSessionOptions;
  readonly #transactor: Transactor;
  #phase: Phase = "new";
  /** Why nothing is sent any more. */
  #over: BmcError = bmcError("disconnected", "the line is closed");
  #login: Login<LoggedIn> | null = null;
  #loggedIn: LoggedIn | null = null;
  #loggedInMs = Number.NEGATIVE_INFINITY;
  /** Until when the answer to a text is waited for. */
  #textUntilMs: number | null = null;
  #closeUntilMs: number | null = null;
  #sentMs = 0;
  /** Asked and not done, with how often they have been asked anew after a login. */
  readonly #asked = new Map<number, { readonly request: IpmiRequest; readonly isAnew: boolean }>();
  /** Waiting for a login. */
  #held: number[] = [];
  readonly #gate: SendGate;

  constructor(options: SerialSessionOptions) {
    this.#options = options;
    this.#gate = new SendGate(options.baudRate);
    this.#transactor = new Transactor({
      windowMax: options.line.windowMax,
      firstTimeoutMs: options.firstTimeoutMs,
      timeoutMsMin: 250,
      timeoutMsMax: 5_000,
      triesMax: options.triesMax,
      busyMsMax: 20_000,
      unrepeatableMsMin: UNREPEATABLE_MS_MIN,
      hasSamePacket: false,
      holdsWhenSilent: false,
    });
  }

  get isPaced(): boolean {
    return this.#gate.isPaced;
  }

  get windowSize(): number {
    return this.#transactor.windowSize;
  }

  /** When `tick` is due; null: nothing waits for time. */
  get wakeMs(): number | null {
    const dues = [
      this.#transactor.wakeMs,
      this.#gate.wakeMs,
      this.#textUntilMs,
      this.#closeUntilMs,
    ];
    if (this.#isKeptAlive()) dues.push(this.#sentMs + KEEP_ALIVE_MS);
    const known = dues.filter((due) => due !== null);
    return known.length === 0 ? null : Math.min(...known);
  }

  step(event: SerialEvent, nowMs: number): readonly SerialEffect[] {
    const effects: SerialEffect[] = [];
    switch (event.kind) {
      case "open":
        this.#beginLogin(nowMs, effects);
        break;
      case "ask":
        this.#ask(event.id, event.request, nowMs, effects);
        break;
      case "bytes":
        for (const item of this.#options.line.push(event.bytes)) this.#take(item, nowMs, effects);
        break;
      case "tick":
        this.#tick(nowMs, effects);
        break;
      case "lost":
        this.#end(event.error, effects);
        break;
      case "close":
        this.#close(nowMs, effects);
        break;
    }
    return effects;
  }

  #ask(id: number, request: IpmiRequest, nowMs: number, effects: SerialEffect[]): void {
    if (this.#phase === "over" || this.#phase === "closing") {
      effects.push({ kind: "done", id, result: err(this.#over) });
      return;
    }
    if (request.data.byteLength > SERIAL_REQUEST_BYTES_MAX) {
      const detail = `${request.data.byteLength} bytes of data, at most ${SERIAL_REQUEST_BYTES_MAX} fit a serial line`;
      effects.push({ kind: "done", id, result: err(bmcError("bad-request", detail)) });
      return;
    }
    this.#asked.set(id, { request, isAnew: false });
    if (this.#phase === "open") this.#transact(id, request, nowMs, effects);
    else this.#held.push(id);
  }

  #transact(id: number, request: IpmiRequest, nowMs: number, effects: SerialEffect[]): void {
    this.#perform(this.#transactor.step({ kind: "ask", id, request }, nowMs), nowMs, effects);
  }

  #take(item: LineItem, nowMs: number, effects: SerialEffect[]): void {
    switch (item.kind) {
      case "reply":
        this.#gate.noteReply(item.reply.sequence, nowMs);
        this.#perform(
          this.#transactor.step({ kind: "reply", reply: item.reply }, nowMs),
          nowMs,
          effects,
        );
        return;
      case "handshake":
        this.#gate.noteHandshake();
        this.#pour(nowMs, effects);
        return;
      case "text":
        if (this.#textUntilMs === null) return;
        this.#textUntilMs = null;
        this.#goOn({ kind: "text", result: { ok: true, value: item.text } }, nowMs, effects);
        return;
      case "bmc-request":
        if (
          item.netFn === CONNECTION_ACTIVE.netFn &&
          item.command === CONNECTION_ACTIVE.command &&
          item.data[0] !== undefined
        ) {
          effects.push({ kind: "ping", sessionState: item.data[0] & 0x0f });
        }
        return;
    }
  }

  #tick(nowMs: number, effects: SerialEffect[]): void {
    if (this.#textUntilMs !== null && this.#textUntilMs <= nowMs) {
      this.#textUntilMs = null;
      const error = bmcError("timeout", `no answer to a text within ${TEXT_MS} ms`);
      this.#goOn({ kind: "text", result: err(error) }, nowMs, effects);
    }
    if (this.#closeUntilMs !== null && this.#closeUntilMs <= nowMs) {
      this.#end(this.#over, effects);
      return;
    }
    this.#perform(this.#transactor.step({ kind: "tick" }, nowMs), nowMs, effects);
    if (this.#isKeptAlive() && this.#sentMs + KEEP_ALIVE_MS <= nowMs) {
      const args = { channel: THIS_CHANNEL, privilege: PRIVILEGES.administrator };
      const request = requestOf(getChannelAuthenticationCapabilities, args);
      this.#transact(KEEP_ALIVE_ID, request, nowMs, effects);
    }
  }

  #isKeptAlive(): boolean {
    const hasSession = this.#loggedIn !== null && logout(this.#loggedIn) !== null;
    return this.#phase === "open" && hasSession && this.#transactor.isIdle;
  }

  #perform(done: readonly TransactorEffect[], nowMs: number, effects: SerialEffect[]): void {
    for (const effect of done) {
      if (effect.kind === "send") {
        const bytes = this.#options.line.encode(effect.request, effect.sequence);
        this.#gate.add(bytes, effect.sequence, effect.isResend, nowMs);
      } else if (effect.kind === "done") this.#done(effect.id, effect.result, nowMs, effects);
    }
    this.#pour(nowMs, effects);
  }

  #pour(nowMs: number, effects: SerialEffect[]): void {
    for (const bytes of this.#gate.take(nowMs)) {
      effects.push({ kind: "write", bytes });
      this.#sentMs = nowMs;
    }
  }

  #done(
    id: number,
    result: Result<IpmiReply, BmcError>,
    nowMs: number,
    effects: SerialEffect[],
  ): void {
    if (id === LOGIN_ID) this.#goOn({ kind: "reply", result }, nowMs, effects);
    else if (id === CLOSE_ID) this.#end(this.#over, effects);
    if (id < 0) return;
    const asked = this.#asked.get(id);
    if (asked === undefined) return;
    if (this.#isSessionLost(result, asked.isAnew, nowMs)) {
      this.#asked.set(id, { ...asked, isAnew: true });
      this.#held.push(id);
      if (this.#phase === "open") this.#beginLogin(nowMs, effects);
      return;
    }
    this.#asked.delete(id);
    effects.push({ kind: "done", id, result });
  }

  /** Refused before it was carried out, so it may be asked again whatever it is. */
  #isSessionLost(result: Result<IpmiReply, BmcError>, isAnew: boolean, nowMs: number): boolean {
    if (!result.ok || result.value.completionCode !== PRIVILEGE_TOO_LOW) return false;
    if (isAnew || this.#options.credentials === null) return false;
    return this.#phase === "login" || nowMs - this.#loggedInMs >= RELOGIN_MS_MIN;
  }

  #beginLogin(nowMs: number, effects: SerialEffect[]): void {
    this.#phase = "login";
    const { line, credentials, crypto } = this.#options;
    this.#login = login(line.mode, credentials, crypto);
    this.#goOn(null, nowMs, effects);
  }

  /** The next step of the login, or its end. */
  #goOn(answer: LoginAnswer | null, nowMs: number, effects: SerialEffect[]): void {
    if (this.#phase === "closing") {
      this.#end(this.#over, effects);
      return;
    }
    if (this.#login === null) return;
    // The first `next` starts the task, and what it is given then goes nowhere.
    const next = answer === null ? this.#login.next(UNHEARD) : this.#login.next(answer);
    if (!next.done) {
      if (next.value.kind === "ask") this.#transact(LOGIN_ID, next.value.request, nowMs, effects);
      else this.#say(next.value.text, nowMs, effects);
      return;
    }
    this.#login = null;
    this.#loginEnded(next.value, nowMs, effects);
  }

  #loginEnded(result: Result<LoggedIn, BmcError>, nowMs: number, effects: SerialEffect[]): void {
    const isFirst = this.#loggedIn === null;
    if (isFirst && !result.ok) {
      effects.push({ kind: "refused", error: result.error });
      this.#end(result.error, effects);
      return;
    }
    this.#phase = "open";
    this.#loggedInMs = nowMs;
    if (isFirst) effects.push({ kind: "opened" });
    if (result.ok) this.#loggedIn = result.value;
    for (const id of this.#held.splice(0)) {
      const asked = this.#asked.get(id);
      if (asked === undefined) continue;
      if (result.ok) this.#transact(id, asked.request, nowMs, effects);
      else {
        // A BMC that is just starting, perhaps: whoever asks later tries again.
        this.#asked.delete(id);
        effects.push({ kind: "done", id, result });
      }
    }
  }

  #say(text: string, nowMs: number, effects: SerialEffect[]): void {
    effects.push({ kind: "write", bytes: this.#options.line.encodeText(text) });
    this.#sentMs = nowMs;
    this.#textUntilMs = nowMs + TEXT_MS;
  }

  #close(nowMs: number, effects: SerialEffect[]): void {
    if (this.#phase === "closing" || this.#phase === "over") {
      if (this.#phase === "over") effects.push({ kind: "closed" });
      return;
    }
    const farewell = this.#loggedIn === null ? null : logout(this.#loggedIn);
    this.#login = null;
    this.#failAll(this.#over, effects);
    if (farewell === null) {
      this.#end(this.#over, effects);
      return;
    }
    this.#phase = "closing";
    this.#closeUntilMs = nowMs + CLOSE_MS;
    if (farewell.kind === "say") this.#say(farewell.text, nowMs, effects);
    else this.#transact(CLOSE_ID, farewell.request, nowMs, effects);
  }

  #end(error: BmcError, effects: SerialEffect[]): void {
    if (this.#phase === "over") return;
    this.#over = error;
    this.#phase = "over";
    this.#login = null;
    this.#textUntilMs = null;
    this.#closeUntilMs = null;
    this.#failAll(error, effects);
    effects.push({ kind: "closed" });
  }

  #failAll(error: BmcError, effects: SerialEffect[]): void {
    this.#transactor.takeAll();
    this.#gate.clear();
    this.#held = [];
    for (const id of this.#asked.keys()) effects.push({ kind: "done", id, result: err(error) });
    this.#asked.clear();
  }
}

const UNHEARD: LoginAnswer = {
  kind: "text",
  result: err(bmcError("timeout", "nothing was said yet")),
};

/**
 * A client's RMCP+ session over LAN: opened when there is something to ask, kept alive, opened anew when the BMC lost it,
 * closed in good order.
 *
 * Pure: `step(event, nowMs)` gives datagrams to send and requests that are done; `wakeMs` says when `tick` is due. The
 * handshake is in `handshake.ts`, the matching of replies in `transactor.ts`; here is what joins them, and what happens when
 * a BMC falls silent. Then a question outside the session tells a dead BMC from one that forgot us:
 *
 *   silent ──► nobody there ──► everything that waits fails with `timeout`
 *          └─► there, session lost ──► a new session; what may be repeated is asked again, what may not fails with
 *                                      `disconnected`, since nobody knows whether it was carried out
 *
 * Invariants: each `ask` ends with one `done`. A wrong password is not tried again at once: a BMC may lock the user out. After
 * `LOSSES_MAX` sessions lost without one answer in between, what waits fails. Only packets with a right code and a new number
 * are read.
 */
import { err, ok, type Result } from "../../../core/result.ts";
import { type BmcError, bmcError } from "../../bmc-error.ts";
import { closeSession } from "../app/close-session.ts";
import {
  getChannelAuthenticationCapabilities,
  THIS_CHANNEL,
} from "../app/get-channel-authentication-capabilities.ts";
import { setSessionPrivilegeLevel } from "../app/set-session-privilege-level.ts";
import type { IpmiCrypto } from "../crypto.ts";
import { type IpmiReply, type IpmiRequest, requestOf } from "../ipmi.ts";
import type { CipherSuiteId } from "../rmcp/cipher-suite.ts";
import {
  decodeSessionPacket,
  type RmcpPlusPacket,
  type SessionPacket,
} from "../rmcp/session-packet.ts";
import { Handshake, type HandshakeOptions } from "./handshake.ts";
import type { OpenedSession } from "./key-exchange.ts";
import { closedError, privilegeNotRaised, sessionLost } from "./refusal.ts";
import { isRepeatable } from "./repeatable.ts";
import { SecureChannel } from "./secure-channel.ts";
import { Transactor, type TransactorEffect, type TransactorOptions } from "./transactor.ts";
import { Conversation, isThere } from "./turns.ts";

export type LanEvent =
  /** Opens the session if there is none; `done` with an empty reply once it is open. */
  | { readonly kind: "open"; readonly id: number }
  /** `id` is not negative; it comes back with `done`. */
  | { readonly kind: "ask"; readonly id: number; readonly request: IpmiRequest }
  | { readonly kind: "datagram"; readonly bytes: Uint8Array }
  | { readonly kind: "tick" }
  /** The network says that nobody listens there. Everything that waits fails; the next request tries anew. */
  | { readonly kind: "unreachable"; readonly error: BmcError }
  | { readonly kind: "close" };

export type LanEffect =
  | { readonly kind: "datagram"; readonly bytes: Uint8Array }
  | { readonly kind: "done"; readonly id: number; readonly result: Result<IpmiReply, BmcError> }
  /** After `close`: the session is ended, or will not be. */
  | { readonly kind: "closed" };

/** Of a LAN: a BMC answers within milliseconds, and sometimes not for a second. */
const TRANSACTOR: TransactorOptions = {
  windowMax: 32,
  firstTimeoutMs: 1_000,
  timeoutMsMin: 250,
  timeoutMsMax: 2_000,
  triesMax: 5,
  busyMsMax: 15_000,
  unrepeatableMsMin: 2_000,
  hasSamePacket: true,
  holdsWhenSilent: true,
};
export const LAN_WINDOW_MAX: number = TRANSACTOR.windowMax;

/** A BMC ends a session that was idle for 60 s ± 3 s (§6.12.15). */
const KEEP_ALIVE_MS = 25_000;
const CLOSE_WITHIN_MS = 800;
const LOSSES_MAX = 3;
const REFUSALS_MAX = 2;
/** A user that is refused is not tried again for so long: BMCs lock out whoever is refused a few times in minutes. */
const VERDICT_MS = 300_000;

/** Requests of the session's own. */
const ID_PRIVILEGE = -1;
const ID_KEEP_ALIVE = -2;
const ID_CLOSE = -3;

const NOTHING: IpmiReply = { completionCode: 0, data: new Uint8Array(0) };

type Phase = "idle" | "opening" | "raising" | "active" | "probing" | "closing" | "closed";

interface Waiting {
  readonly id: number;
  /** null: only that the session is open. */
  readonly request: IpmiRequest | null;
}

function sender(effects: LanEffect[]): (bytes: Uint8Array) => void {
  return (bytes) => effects.push({ kind: "datagram", bytes });
}

export class LanSession {
  readonly #crypto: IpmiCrypto;
  readonly #options: HandshakeOptions;
  #phase: Phase = "idle";
  #transactor = new Transactor(TRANSACTOR);
  #waiting: Waiting[] = [];
  #opening: Conversation<Result<OpenedSession, BmcError>> | null = null;
  #probing: Conversation<IpmiReply | null> | null = null;
  #channel: SecureChannel | null = null;
  #losses = 0;
  #refusals = 0;
  #sentMs = 0;
  #closeByMs = 0;
  /** What another try does not change soon. */
  #verdict: BmcError | null = null;
  #verdictUntilMs = 0;

  constructor(crypto: IpmiCrypto, options: HandshakeOptions) {
    this.#crypto = crypto;
    this.#options = options;
  }

  get phase(): Phase {
    return this.#phase;
  }

  /** Of the session as it stands. */
  get suite(): CipherSuiteId | null {
    return this.#channel?.opened.suite.id ?? null;
  }

  get windowSize(): number {
    return this.#transactor.windowSize;
  }

  /** When `tick` is due; null: nothing waits for time. */
  get wakeMs(): number | null {
    if (this.#phase === "opening") return this.#opening?.dueMs ?? null;
    if (this.#phase === "probing") return this.#probing?.dueMs ?? null;
    if (this.#phase === "closing") return this.#closeByMs;
    if (this.#phase === "raising") return this.#transactor.wakeMs;
    if (this.#phase === "active") return this.#transactor.wakeMs ?? this.#sentMs + KEEP_ALIVE_MS;
    return null;
  }

  step(event: LanEvent, nowMs: number): readonly LanEffect[] {
    const effects: LanEffect[] = [];
    switch (event.kind) {
      case "open":
        this.#onAsk({ id: event.id, request: null }, nowMs, effects);
        break;
      case "ask":
        this.#onAsk(event, nowMs, effects);
        break;
      case "datagram":
        this.#onDatagram(event.bytes, nowMs, effects);
        break;
      case "tick":
        this.#onTick(nowMs, effects);
        break;
      case "unreachable":
        this.#onUnreachable(event.error, effects);
        break;
      case "close":
        this.#onClose(nowMs, effects);
        break;
    }
    return effects;
  }

  #onAsk(asked: Waiting, nowMs: number, effects: LanEffect[]): void {
    const error = this.#refusalNow(nowMs);
    if (error !== null) {
      effects.push({ kind: "done", id: asked.id, result: err(error) });
      return;
    }
    if (this.#phase === "active") {
      this.#askOf(asked, nowMs, effects);
      return;
    }
    this.#waiting.push(asked);
    if (this.#phase === "idle") this.#open(nowMs, effects);
  }

  #refusalNow(nowMs: number): BmcError | null {
    if (this.#phase === "closed" || this.#phase === "closing")
      return closedError(this.#options.name);
    return nowMs < this.#verdictUntilMs ? this.#verdict : null;
  }

  /** Bun tells an error twice, the second time perhaps when a new session is being opened: there it takes two. */
  #onUnreachable(error: BmcError, effects: LanEffect[]): void {
    this.#refusals++;
    if (this.#phase === "opening" && this.#refusals < REFUSALS_MAX) return;
    this.#giveUp(error, effects);
  }

  #open(nowMs: number, effects: LanEffect[]): void {
    this.#phase = "opening";
    this.#refusals = 0;
    this.#opening = new Conversation(new Handshake(this.#crypto, this.#options).open());
    this.#goOnOpening(null, nowMs, effects);
  }

  #goOnOpening(packet: SessionPacket | null, nowMs: number, effects: LanEffect[]): void {
    const ended = this.#opening?.advance(packet, nowMs, sender(effects)) ?? null;
    if (ended === null) return;
    this.#opening = null;
    if (!ended.value.ok) {
      const { error } = ended.value;
      if (error.kind === "wrong-password") this.#judge(error, nowMs);
      this.#giveUp(error, effects);
      return;
    }
    this.#channel = new SecureChannel(this.#crypto, ended.value.value);
    this.#transactor = new Transactor(TRANSACTOR);
    this.#phase = "raising";
    const request = requestOf(setSessionPrivilegeLevel, this.#options.privilege);
    this.#ask(ID_PRIVILEGE, request, nowMs, effects);
  }

  #ask(id: number, request: IpmiRequest, nowMs: number, effects: LanEffect[]): void {
    this.#transact(this.#transactor.step({ kind: "ask", id, request }, nowMs), nowMs, effects);
  }

  #onDatagram(bytes: Uint8Array, nowMs: number, effects: LanEffect[]): void {
    const packet = decodeSessionPacket(bytes);
    if (!packet.ok) return;
    if (this.#phase === "opening") this.#goOnOpening(packet.value, nowMs, effects);
    else if (packet.value.version === "2.0") this.#onSealed(packet.value, nowMs, effects);
    else if (this.#phase === "probing") this.#goOnProbing(packet.value, nowMs, effects);
  }

  #onSealed(packet: RmcpPlusPacket, nowMs: number, effects: LanEffect[]): void {
    const reply = this.#channel?.open(packet) ?? null;
    if (reply === null) return;
    this.#transact(this.#transactor.step({ kind: "reply", reply }, nowMs), nowMs, effects);
    if (this.#phase !== "probing") return;
    // The session answers after all: what was held is asked in it, as far as it may be asked again.
    this.#probing = null;
    this.#takeBack(effects);
    this.#askWaiting(nowMs, effects);
  }

  #onTick(nowMs: number, effects: LanEffect[]): void {
    const due = this.wakeMs;
    if (due === null || nowMs < due) return;
    if (this.#phase === "opening") this.#goOnOpening(null, nowMs, effects);
    else if (this.#phase === "probing") this.#goOnProbing(null, nowMs, effects);
    else if (this.#phase === "closing") this.#end(effects);
    else if (this.#transactor.isIdle) this.#keepAlive(nowMs, effects);
    else this.#transact(this.#transactor.step({ kind: "tick" }, nowMs), nowMs, effects);
  }

  #keepAlive(nowMs: number, effects: LanEffect[]): void {
    const args = { channel: THIS_CHANNEL, privilege: this.#options.privilege };
    const request = requestOf(getChannelAuthenticationCapabilities, args);
    this.#ask(ID_KEEP_ALIVE, request, nowMs, effects);
  }

  #transact(made: readonly TransactorEffect[], nowMs: number, effects: LanEffect[]): void {
    for (const effect of made) {
      if (effect.kind === "done") this.#onDone(effect.id, effect.result, nowMs, effects);
      else if (effect.kind === "silent") this.#probe(nowMs, effects);
      else if (this.#channel !== null) {
        this.#sentMs = nowMs;
        effects.push({ kind: "datagram", bytes: this.#channel.seal(effect) });
      }
    }
  }

  #onDone(
    id: number,
    result: Result<IpmiReply, BmcError>,
    nowMs: number,
    effects: LanEffect[],
  ): void {
    if (result.ok) this.#losses = 0;
    if (id >= 0) effects.push({ kind: "done", id, result });
    else if (id === ID_PRIVILEGE) this.#onPrivilege(result, nowMs, effects);
    else if (id === ID_CLOSE) this.#end(effects);
  }

  #onPrivilege(result: Result<IpmiReply, BmcError>, nowMs: number, effects: LanEffect[]): void {
    if (!result.ok) {
      this.#giveUp(result.error, effects);
      return;
    }
    const { completionCode } = result.value;
    if (completionCode !== 0) {
      const error = privilegeNotRaised(this.#options.name, completionCode);
      this.#judge(error, nowMs);
      // The slot is given back; nobody waits for the answer.
      this.#ask(ID_KEEP_ALIVE, requestOf(closeSession, this.#bmcId()), nowMs, effects);
      this.#giveUp(error, effects);
      return;
    }
    this.#askWaiting(nowMs, effects);
  }

  #judge(error: BmcError, nowMs: number): void {
    this.#verdict = error;
    this.#verdictUntilMs = nowMs + VERDICT_MS;
  }

  #askWaiting(nowMs: number, effects: LanEffect[]): void {
    this.#phase = "active";
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const asked of waiting) this.#askOf(asked, nowMs, effects);
  }

  #askOf({ id, request }: Waiting, nowMs: number, effects: LanEffect[]): void {
    if (request !== null) this.#ask(id, request, nowMs, effects);
    else effects.push({ kind: "done", id, result: ok(NOTHING) });
  }

  #probe(nowMs: number, effects: LanEffect[]): void {
    if (this.#phase === "closing") return;
    this.#phase = "probing";
    this.#probing = new Conversation(isThere());
    this.#goOnProbing(null, nowMs, effects);
  }

  #goOnProbing(packet: SessionPacket | null, nowMs: number, effects: LanEffect[]): void {
    const ended = this.#probing?.advance(packet, nowMs, sender(effects)) ?? null;
    if (ended === null) return;
    this.#probing = null;
    const { name } = this.#options;
    if (ended.value === null) {
      this.#giveUp(bmcError("timeout", `${name} has stopped to answer`), effects);
      return;
    }
    this.#losses++;
    if (this.#losses >= LOSSES_MAX) {
      const detail = `${name} opens sessions and answers nothing in them`;
      this.#giveUp(bmcError("disconnected", detail), effects);
      return;
    }
    this.#takeBack(effects);
    this.#channel = null;
    if (this.#waiting.length > 0) this.#open(nowMs, effects);
    else this.#phase = "idle";
  }

  /** Empties the transactor: what may run a second time waits for a session again, what may not fails. */
  #takeBack(effects: LanEffect[]): void {
    const back: Waiting[] = [];
    for (const { id, request, mayHaveRun } of this.#transactor.takeAll()) {
      if (id < 0) continue;
      if (!mayHaveRun || isRepeatable(request)) {
        back.push({ id, request });
        continue;
      }
      const error = sessionLost(this.#options.name, request);
      effects.push({ kind: "done", id, result: err(error) });
    }
    this.#waiting = [...back, ...this.#waiting];
  }

  /** Everything that waits fails; the next request begins with a new session. */
  #giveUp(error: BmcError, effects: LanEffect[]): void {
    this.#failAll(error, effects);
    this.#opening = null;
    this.#probing = null;
    this.#channel = null;
    this.#losses = 0;
    if (this.#phase === "closing") this.#end(effects);
    else if (this.#phase !== "closed") this.#phase = "idle";
  }

  #failAll(error: BmcError, effects: LanEffect[]): void {
    const waiting = [...this.#transactor.takeAll(), ...this.#waiting];
    this.#waiting = [];
    for (const { id } of waiting) {
      if (id >= 0) effects.push({ kind: "done", id, result: err(error) });
    }
  }

  #onClose(nowMs: number, effects: LanEffect[]): void {
    if (this.#phase === "closing" || this.#phase === "closed") return;
    const isOpen = this.#phase === "active" || this.#phase === "raising";
    this.#failAll(closedError(this.#options.name), effects);
    if (!isOpen) {
      this.#end(effects);
      return;
    }
    this.#phase = "closing";
    this.#closeByMs = nowMs + CLOSE_WITHIN_MS;
    this.#ask(ID_CLOSE, requestOf(closeSession, this.#bmcId()), nowMs, effects);
  }

  #end(effects: LanEffect[]): void {
    this.#phase = "closed";
    this.#channel = null;
    effects.push({ kind: "closed" });
  }

  #bmcId(): number {
    return this.#channel?.opened.bmcId ?? 0;
  }
}

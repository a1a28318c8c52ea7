/**
 * Conversations outside a session, one message and one answer at a time: sent again until an answer is accepted or the tries
 * are over.
 *
 * A generator of turns: it says what to send and how long it waits, and is given a packet or nothing. It reads no clock and
 * sends nothing itself.
 */
import {
  getChannelAuthenticationCapabilities,
  THIS_CHANNEL,
} from "../app/get-channel-authentication-capabilities.ts";
import { type IpmiReply, type IpmiRequest, requestOf } from "../ipmi.ts";
import { decodeReplyMessage, encodeRequestToBmc, SEQUENCE_COUNT } from "../message.ts";
import { encodePlainPacket, type SessionPacket } from "../rmcp/session-packet.ts";

/** What to send, null for nothing, and how long to wait for a packet from now. */
export interface Turn {
  readonly send: Uint8Array | null;
  readonly waitMs: number;
}

/** null: nothing came in time. After a packet that was not wanted, the next turn goes on with the time that is left. */
export interface Incoming {
  readonly packet: SessionPacket | null;
  readonly leftMs: number;
}

export type Turns<T> = Generator<Turn, T, Incoming>;

/** Once more after each of these without an answer. A BMC that does session set-up slowly is met by the later ones. */
export const TRIES_MS: readonly number[] = [500, 1_000, 2_000, 2_000, 2_000];
/** For what a BMC may leave unanswered because it does not know it. */
export const OPTIONAL_TRIES_MS: readonly number[] = [500, 1_000, 2_000];
/** Sends until a packet is accepted; null: none was, in all the tries. */
export function* exchange<T>(
  datagram: Uint8Array,
  triesMs: readonly number[],
  accept: (packet: SessionPacket) => T | null,
): Turns<T | null> {
  for (const tryMs of triesMs) {
    let turn: Turn = { send: datagram, waitMs: tryMs };
    for (;;) {
      const { packet, leftMs }: Incoming = yield turn;
      if (packet === null) break;
      const accepted = accept(packet);
      if (accepted !== null) return accepted;
      turn = { send: null, waitMs: leftMs };
    }
  }
  return null;
}

/** A command outside any session, in an IPMI 1.5 packet. */
export function* askOutside(
  request: IpmiRequest,
  sequence: number,
  triesMs: readonly number[],
): Turns<IpmiReply | null> {
  const number = sequence % SEQUENCE_COUNT;
  const datagram = encodePlainPacket(encodeRequestToBmc(request, number));
  return yield* exchange(datagram, triesMs, (packet) => {
    if (packet.version !== "1.5") return null;
    const reply = decodeReplyMessage(packet.payload);
    if (!reply.ok) return null;
    const { netFn, command, sequence: answered } = reply.value;
    const isFitting =
      netFn === (request.netFn | 1) && command === request.command && answered === number;
    return isFitting ? reply.value : null;
  });
}

/** Whether the BMC is there, whatever became of a session; asked with a number that the handshake does not use. */
export function isThere(): Turns<IpmiReply | null> {
  const args = { channel: THIS_CHANNEL, privilege: 2 };
  return askOutside(requestOf(getChannelAuthenticationCapabilities, args), 63, [500, 1_000, 1_500]);
}

/** Of a packet of session set-up; null for any other. */
export function payloadOf(packet: SessionPacket, payloadType: number): Uint8Array | null {
  const isSetup =
    packet.version === "2.0" && packet.payloadType === payloadType && !packet.isEncrypted;
  return isSetup ? packet.payload : null;
}

/** OpenBMC answers with tag 0, whatever the tag was; the console id tells well enough. */
export function isAnswerTo(tag: number, consoleId: number, itsTag: number, itsId: number): boolean {
  return itsId === consoleId && (itsTag === tag || itsTag === 0);
}

/** A conversation under way, and when it goes on without an answer. */
export class Conversation<T> {
  readonly #turns: Turns<T>;
  #dueMs = 0;

  constructor(turns: Turns<T>) {
    this.#turns = turns;
  }

  get dueMs(): number {
    return this.#dueMs;
  }

  /**
   * Begins it, and goes on with a packet, or with null once `dueMs` has come. What is to be sent is given to `send`; what it
   * ended with comes back, null as long as it goes on.
   */
  advance(
    packet: SessionPacket | null,
    nowMs: number,
    send: (datagram: Uint8Array) => void,
  ): { readonly value: T } | null {
    const leftMs = Math.max(0, this.#dueMs - nowMs);
    const turn = this.#turns.next({ packet, leftMs });
    if (turn.done) return { value: turn.value };
    this.#dueMs = nowMs + turn.value.waitMs;
    if (turn.value.send !== null) send(turn.value.send);
    return null;
  }
}

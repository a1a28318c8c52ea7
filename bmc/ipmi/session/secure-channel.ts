/**
 * The packets of one open session, both directions: numbered, sealed, opened, and each taken once.
 *
 * A request that may not be carried out twice is resent as the very same packet, with the same session sequence number: a BMC
 * that has it drops the second as a repetition (IPMI 2.0 §6.12.13), one that does not takes it. Every other packet has a
 * number of its own.
 */
import type { IpmiCrypto } from "../crypto.ts";
import type { IpmiRequest } from "../ipmi.ts";
import { decodeReplyMessage, encodeRequestToBmc, type ReplyMessage } from "../message.ts";
import { PAYLOAD_IPMI, PacketCipher, type RmcpPlusPacket } from "../rmcp/session-packet.ts";
import type { OpenedSession } from "./key-exchange.ts";
import { nextSequence, SequenceWindow } from "./sequence-window.ts";

/** What of a transactor's `send` matters here. */
interface Sending {
  readonly sequence: number;
  readonly request: IpmiRequest;
  readonly isOnce: boolean;
  readonly isResend: boolean;
}

export class SecureChannel {
  readonly opened: OpenedSession;
  readonly #cipher: PacketCipher;
  readonly #inbound = new SequenceWindow();
  /** Last packet of each request that may not be carried out twice, by the request's number. */
  readonly #kept = new Map<number, Uint8Array>();
  #sequence = 0;

  constructor(crypto: IpmiCrypto, opened: OpenedSession) {
    this.opened = opened;
    this.#cipher = new PacketCipher(crypto, opened.suite, opened.keys);
  }

  /** The datagram of a request. */
  seal(sending: Sending): Uint8Array {
    const kept = sending.isResend ? this.#kept.get(sending.sequence) : undefined;
    if (kept !== undefined) return kept;
    this.#sequence = nextSequence(this.#sequence);
    const message = encodeRequestToBmc(sending.request, sending.sequence);
    const bytes = this.#cipher.seal(PAYLOAD_IPMI, this.opened.bmcId, this.#sequence, message);
    // As many as there are sequence numbers, at most.
    if (sending.isOnce) this.#kept.set(sending.sequence, bytes);
    return bytes;
  }

  /** The reply in a packet; null: it is not of this session, not sealed by the BMC, repeated, or no reply. */
  open(packet: RmcpPlusPacket): ReplyMessage | null {
    if (packet.sessionId !== this.opened.consoleId) return null;
    const plain = this.#cipher.open(packet);
    // The number counts only once the code has vouched for it.
    if (!plain.ok || !this.#inbound.accept(packet.sequence)) return null;
    if (packet.payloadType !== PAYLOAD_IPMI) return null;
    const reply = decodeReplyMessage(plain.value);
    return reply.ok ? reply.value : null;
  }
}

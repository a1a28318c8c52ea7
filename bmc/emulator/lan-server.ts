/**
 * The LAN side of the emulated BMC: datagrams in, datagrams out (IPMI 2.0 §13), with cipher suites 3 and 17.
 *
 * Decides presence, session set-up, which packets are believed, who may have a session and when it ends; commands are the
 * model's. A packet in a session must be authenticated and encrypted, new in its window, and of a session that is not
 * over; anything else is dropped without a word. Invariant: at most `sessionsMax` sessions, set-ups included; a set-up
 * that is not finished makes room for a newer one.
 */

import type { IpmiCrypto } from "../ipmi/crypto.ts";
import type { IpmiReply, IpmiRequest } from "../ipmi/ipmi.ts";
import { decodeRequestMessage, encodeReplyMessage, replyTo } from "../ipmi/message.ts";
import { decodeAsfMessage, encodeAsfMessage } from "../ipmi/rmcp/asf-ping.ts";
import {
  decodeOpenSessionRequest,
  encodeOpenSessionResponse,
  PAYLOAD_OPEN_SESSION_REQUEST,
  PAYLOAD_OPEN_SESSION_RESPONSE,
} from "../ipmi/rmcp/open-session.ts";
import { PAYLOAD_RAKP_1, PAYLOAD_RAKP_3 } from "../ipmi/rmcp/rakp.ts";
import { decodeRmcp } from "../ipmi/rmcp/rmcp.ts";
import {
  decodeSessionPacket,
  encodePlainPacket,
  encodeSetupPacket,
  PAYLOAD_IPMI,
  type RmcpPlusPacket,
} from "../ipmi/rmcp/session-packet.ts";
import { type Asker, commandKey, type Level } from "./commands/command.ts";
import { type Datagram, DatagramFaults, type Peer } from "./datagram-faults.ts";
import { LanRakp } from "./lan-rakp.ts";
import { LanSession } from "./lan-session.ts";
import { LAN_CHANNEL, lanSessionCommand, offeredSuites } from "./lan-session-commands.ts";
import type { BmcModel } from "./model.ts";

const STATUS = { noRoom: 0x01, noSuite: 0x11 } as const;
/** A set-up that does not go on is forgotten after this; clients repeat for some seconds. */
const SETUP_TIMEOUT_MS = 30_000;

export type OnRequest = (request: IpmiRequest, reply: IpmiReply | null) => void;

export class LanServer {
  readonly #model: BmcModel;
  readonly #rakp: LanRakp;
  readonly #crypto: IpmiCrypto;
  readonly #network: DatagramFaults;
  readonly #onRequest: OnRequest;
  readonly #sessions = new Map<number, LanSession>();
  /** Of the fault that works on one request at a time. */
  #busyUntilMs = 0;

  constructor(model: BmcModel, crypto: IpmiCrypto, onRequest: OnRequest) {
    this.#model = model;
    this.#crypto = crypto;
    this.#rakp = new LanRakp(model, crypto);
    this.#network = new DatagramFaults(model.state.faults, model.state.prng);
    this.#onRequest = onRequest;
  }

  get activeCount(): number {
    let count = 0;
    for (const session of this.#sessions.values()) if (session.cipher !== null) count++;
    return count;
  }

  find(bmcId: number): LanSession | null {
    return this.#sessions.get(bmcId) ?? null;
  }

  remove(bmcId: number): void {
    this.#sessions.delete(bmcId);
  }

  /** The BMC starts anew: nobody is told. */
  forget(): void {
    this.#sessions.clear();
  }

  receive(bytes: Uint8Array, peer: Peer, nowMs: number): readonly Datagram[] {
    if (this.#network.isLostOnTheWayIn() || this.#model.state.isAsleep(nowMs)) return [];
    const rmcp = decodeRmcp(bytes);
    if (!rmcp.ok) return [];
    const isAsf = rmcp.value.messageClass === "asf";
    const answers = isAsf ? this.#ping(rmcp.value.body) : this.#packet(bytes, nowMs);
    return this.#network.onTheWayOut(
      answers.map((answer) => ({ peer, ...answer })),
      nowMs,
    );
  }

  #ping(body: Uint8Array): readonly Answer[] {
    const { faults } = this.#model.state;
    const message = decodeAsfMessage(body);
    if (!message.ok || message.value.kind !== "ping") return [];
    if (faults.isOn("no-ping") || faults.valueOf("stops-after") === 0) return [];
    return [now(encodeAsfMessage({ kind: "pong", tag: message.value.tag, hasIpmi: true }))];
  }

  #packet(bytes: Uint8Array, nowMs: number): readonly Answer[] {
    const packet = decodeSessionPacket(bytes);
    if (!packet.ok) return [];
    if (packet.value.version === "1.5") {
      if (packet.value.sessionId !== 0) return [];
      const reply = this.#command(packet.value.payload, null, nowMs);
      return reply === null ? [] : [now(encodePlainPacket(reply))];
    }
    if (packet.value.sessionId === 0) return this.#setup(packet.value, nowMs);
    return this.#inSession(packet.value, nowMs);
  }

  #setup(packet: RmcpPlusPacket, nowMs: number): readonly Answer[] {
    const { payloadType, payload } = packet;
    if (packet.isAuthenticated || packet.isEncrypted) return [];
    if (this.#model.state.faults.valueOf("stops-after") === 0) return [];
    switch (payloadType) {
      case PAYLOAD_OPEN_SESSION_REQUEST:
        return this.#open(payload, nowMs);
      case PAYLOAD_RAKP_1:
        return this.#rakp.answer1(payload, this);
      case PAYLOAD_RAKP_3:
        return this.#rakp.answer3(payload, this, nowMs);
      case PAYLOAD_IPMI: {
        // Outside of a session in the new form: ipmitool asks for the cipher suites so.
        const reply = this.#command(payload, null, nowMs);
        return reply === null ? [] : [setup(PAYLOAD_IPMI, reply)];
      }
      default:
        return [];
    }
  }

  #open(payload: Uint8Array, nowMs: number): readonly Answer[] {
    const decoded = decodeOpenSessionRequest(payload);
    if (!decoded.ok) return [];
    const { tag, consoleId, privilege, ...algorithms } = decoded.value;
    const refuse = (status: number): readonly Answer[] => {
      const response = { isAccepted: false, tag, status, consoleId } as const;
      return [setup(PAYLOAD_OPEN_SESSION_RESPONSE, encodeOpenSessionResponse(response))];
    };
    const suite = offeredSuites(this.#model.state).find(
      (one) =>
        one.authentication === algorithms.authentication &&
        one.integrity === algorithms.integrity &&
        one.confidentiality === algorithms.confidentiality,
    );
    if (suite === undefined) return refuse(STATUS.noSuite);
    if (!this.#hasRoom(nowMs)) return refuse(STATUS.noRoom);
    const levelMax = (privilege === 0 ? 4 : Math.min(privilege, 4)) as Level;
    const session = new LanSession({ bmcId: this.#freshId(), consoleId, levelMax }, suite, nowMs);
    this.#sessions.set(session.bmcId, session);
    const response = {
      isAccepted: true,
      tag,
      privilege: levelMax,
      consoleId,
      bmcId: session.bmcId,
      algorithms,
    } as const;
    return [setup(PAYLOAD_OPEN_SESSION_RESPONSE, encodeOpenSessionResponse(response))];
  }

  /** Makes room where it can: by what timed out, then by the oldest set-up. */
  #hasRoom(nowMs: number): boolean {
    this.expire(nowMs);
    if (this.#sessions.size < this.#model.state.config.sessionsMax) return true;
    for (const session of this.#sessions.values()) {
      if (session.cipher === null) return this.#sessions.delete(session.bmcId);
    }
    return false;
  }

  #freshId(): number {
    const id = new DataView(this.#crypto.random(4).slice().buffer).getUint32(0);
    return id === 0 || this.#sessions.has(id) ? this.#freshId() : id;
  }

  /** Ends what nobody used for too long. O(sessions). */
  expire(nowMs: number): void {
    const { sessionTimeoutMs } = this.#model.state.config;
    for (const { bmcId, cipher, lastMs } of this.#sessions.values()) {
      const limitMs = cipher === null ? SETUP_TIMEOUT_MS : sessionTimeoutMs;
      if (nowMs - lastMs > limitMs) this.#sessions.delete(bmcId);
    }
  }

  #inSession(packet: RmcpPlusPacket, nowMs: number): readonly Answer[] {
    const session = this.#sessions.get(packet.sessionId);
    if (session === undefined || session.cipher === null) return [];
    if (packet.payloadType !== PAYLOAD_IPMI) return [];
    if (nowMs - session.lastMs > this.#model.state.config.sessionTimeoutMs) {
      this.#sessions.delete(session.bmcId);
      return [];
    }
    const plain = session.cipher.open(packet);
    if (!plain.ok || !session.window.take(packet.sequence)) return [];
    session.lastMs = nowMs;
    const delayMs = this.#workMs(nowMs);
    if (delayMs === null || this.#isExpiredByFault(session)) return [];
    const { cipher } = session;
    const reply = this.#command(plain.value, session, nowMs);
    if (reply === null) return [];
    const bytes = cipher.seal(PAYLOAD_IPMI, session.consoleId, session.nextSequence(), reply);
    return [{ bytes, delayMs }];
  }

  /** How long a request is worked on; null: it comes while another is, and is lost. */
  #workMs(nowMs: number): number | null {
    const workMs = this.#model.state.faults.valueOf("one-outstanding");
    if (workMs === null) return 0;
    if (nowMs < this.#busyUntilMs) return null;
    this.#busyUntilMs = nowMs + workMs;
    return workMs;
  }

  #isExpiredByFault(session: LanSession): boolean {
    session.requestCount += 1;
    const requestsMax = this.#model.state.faults.valueOf("session-expiry");
    if (requestsMax === null || session.requestCount <= requestsMax) return false;
    return this.#sessions.delete(session.bmcId);
  }

  #command(message: Uint8Array, session: LanSession | null, nowMs: number): Uint8Array | null {
    const request = decodeRequestMessage(message);
    if (!request.ok) return null;
    const { netFn, command } = request.value;
    const own = lanSessionCommand(commandKey(netFn, command), session, this);
    const asker: Asker = { channel: LAN_CHANNEL, level: session?.level ?? 0 };
    const reply = this.#model.request(request.value, asker, nowMs, own);
    this.#onRequest(request.value, reply);
    return reply === null ? null : encodeReplyMessage(replyTo(request.value, reply));
  }
}

export interface Answer {
  readonly bytes: Uint8Array;
  readonly delayMs: number;
}

function now(bytes: Uint8Array): Answer {
  return { bytes, delayMs: 0 };
}

export function setup(payloadType: number, payload: Uint8Array): Answer {
  return now(encodeSetupPacket(payloadType, payload));
}

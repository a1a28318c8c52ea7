/**
 * The BMC's half of RAKP: who is let in (IPMI 2.0 §13.20–13.23), with the mistakes that real BMCs make there.
 *
 * Decides whether a user and a password are right. A repeated message 1 or 3 gets the answer it got before, since a client
 * that heard nothing asks again with the same tag. A wrong password ends the set-up.
 */
import type { IpmiCrypto } from "../ipmi/crypto.ts";
import {
  decodeRakp1,
  decodeRakp3,
  encodeRakp2,
  encodeRakp4,
  encodeRakpRefusal,
  PAYLOAD_RAKP_2,
  PAYLOAD_RAKP_4,
  RANDOM_BYTES,
  type Rakp1,
  ROLE_NAME_ONLY,
} from "../ipmi/rmcp/rakp.ts";
import {
  paddedKey,
  rakp2Code,
  rakp3Code,
  rakp4CheckValue,
  sessionKeys,
} from "../ipmi/rmcp/session-keys.ts";
import { encodeSetupPacket, PacketCipher } from "../ipmi/rmcp/session-packet.ts";
import type { UserConfig } from "./config.ts";
import type { Handshake, LanSession } from "./lan-session.ts";
import type { SessionTable } from "./lan-session-commands.ts";
import type { BmcModel } from "./model.ts";

const STATUS = {
  badId: 0x02,
  badRole: 0x0a,
  badName: 0x0d,
  badCheck: 0x0f,
} as const;
/** So much later a RAKP 2 comes again, by that fault. */
const REPEAT_MS = 30;

interface Answer {
  readonly bytes: Uint8Array;
  readonly delayMs: number;
}

function spoiled(bytes: Uint8Array, isSpoiled: boolean): Uint8Array {
  return isSpoiled ? bytes.map((byte, index) => (index === 0 ? byte ^ 0x01 : byte)) : bytes;
}

export class LanRakp {
  readonly #model: BmcModel;
  readonly #crypto: IpmiCrypto;

  constructor(model: BmcModel, crypto: IpmiCrypto) {
    this.#model = model;
    this.#crypto = crypto;
  }

  answer1(payload: Uint8Array, sessions: SessionTable): readonly Answer[] {
    const decoded = decodeRakp1(payload);
    if (!decoded.ok) return [];
    const rakp1 = decoded.value;
    const { faults } = this.#model.state;
    const tag = faults.isOn("rakp2-tag-zero") ? 0 : rakp1.tag;
    const session = sessions.find(rakp1.bmcId);
    if (session === null) return refusal(PAYLOAD_RAKP_2, tag, STATUS.badId, 0);
    if (session.cipher !== null) return [];
    const known = session.handshake;
    const isRepeated = known !== null && this.#crypto.isEqual(known.rakp1, payload);
    if (!isRepeated) {
      const made = this.#shakeHands(session, rakp1, payload);
      if (typeof made === "number") return refusal(PAYLOAD_RAKP_2, tag, made, session.consoleId);
      session.handshake = made;
    }
    const bytes = encodeSetupPacket(PAYLOAD_RAKP_2, session.handshake?.rakp2 ?? payload);
    const answer = { bytes, delayMs: faults.valueOf("rakp2-late") ?? 0 };
    const again = { bytes, delayMs: answer.delayMs + REPEAT_MS };
    return faults.isOn("rakp2-repeated") ? [answer, again] : [answer];
  }

  /** A status where the user is not let in. */
  #shakeHands(session: LanSession, rakp1: Rakp1, payload: Uint8Array): Handshake | number {
    const user = this.#userOf(rakp1);
    if (typeof user === "number") return user;
    const { state } = this.#model;
    const { suite, consoleId, bmcId } = session;
    const exchange = {
      consoleId,
      bmcId,
      consoleRandom: rakp1.consoleRandom.slice(),
      bmcRandom: this.#crypto.random(RANDOM_BYTES),
      guid: state.guid,
      role: rakp1.role,
      user: rakp1.user.slice(),
    };
    const encoder = new TextEncoder();
    const userKey = paddedKey(encoder.encode(user.password));
    const kg = encoder.encode(state.config.kg);
    const bmcKey = kg.length === 0 ? userKey : paddedKey(kg);
    const { faults } = state;
    const code = rakp2Code(this.#crypto, suite, userKey, exchange);
    const rakp2 = encodeRakp2({
      isAccepted: true,
      tag: faults.isOn("rakp2-tag-zero") ? 0 : rakp1.tag,
      consoleId,
      bmcRandom: exchange.bmcRandom,
      guid: exchange.guid,
      code: spoiled(code, faults.isOn("rakp2-wrong-check")),
    });
    const keys = sessionKeys(this.#crypto, suite, bmcKey, exchange);
    return { user, userKey, exchange, keys, rakp1: payload.slice(), rakp2 };
  }

  /** By name alone, or by name and privilege (§13.20); a status where there is none. */
  #userOf(rakp1: Rakp1): UserConfig | number {
    const name = new TextDecoder().decode(rakp1.user);
    const named = this.#model.state.config.users.filter((user) => user.name === name);
    const wanted = rakp1.role & 0x0f;
    const isByNameOnly = (rakp1.role & ROLE_NAME_ONLY) !== 0;
    const first = named[0];
    if (first === undefined) return STATUS.badName;
    const isAllowed = (user: UserConfig): boolean => wanted <= user.privilege;
    if (isByNameOnly) return isAllowed(first) ? first : STATUS.badRole;
    return named.find(isAllowed) ?? STATUS.badRole;
  }

  answer3(payload: Uint8Array, sessions: SessionTable, nowMs: number): readonly Answer[] {
    const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
    if (payload.byteLength < 8) return [];
    const session = sessions.find(view.getUint32(4, true));
    const handshake = session?.handshake ?? null;
    const { faults } = this.#model.state;
    const tag = faults.isOn("rakp2-tag-zero") ? 0 : (payload[0] ?? 0);
    if (session === null || handshake === null) {
      return refusal(PAYLOAD_RAKP_4, tag, STATUS.badId, 0);
    }
    const rakp3 = decodeRakp3(payload, session.suite.digestBytes);
    if (!rakp3.ok) return [];
    const { consoleId, suite } = session;
    if (!rakp3.value.isAccepted) {
      // The console did not believe RAKP 2: it goes, and so does the set-up (§13.22).
      sessions.remove(session.bmcId);
      return [];
    }
    const code = rakp3Code(this.#crypto, suite, handshake.userKey, handshake.exchange);
    if (!this.#crypto.isEqual(code, rakp3.value.code)) {
      sessions.remove(session.bmcId);
      return refusal(PAYLOAD_RAKP_4, tag, STATUS.badCheck, consoleId);
    }
    session.cipher ??= new PacketCipher(this.#crypto, suite, handshake.keys);
    session.lastMs = nowMs;
    const { sik } = handshake.keys;
    const check = rakp4CheckValue(this.#crypto, suite, sik, handshake.exchange);
    const checkValue = spoiled(check, faults.isOn("rakp4-wrong-check"));
    const rakp4 = encodeRakp4({ isAccepted: true, tag, consoleId, checkValue });
    return [{ bytes: encodeSetupPacket(PAYLOAD_RAKP_4, rakp4), delayMs: 0 }];
  }
}

function refusal(type: number, tag: number, status: number, sessionId: number): readonly Answer[] {
  const payload = encodeRakpRefusal({ isAccepted: false, tag, status, sessionId });
  return [{ bytes: encodeSetupPacket(type, payload), delayMs: 0 }];
}

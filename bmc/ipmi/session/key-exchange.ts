/**
 * One attempt at a session with one cipher suite: Open Session and RAKP 1 to 4, from the console's side (IPMI 2.0 §13.17 to
 * §13.23).
 *
 * Both sides prove that they know the password before anything secret is sent: a wrong code in RAKP 2 ends it there. From then
 * on a refusal of ours is not about the password; it is a BMC that mixed up two RAKP 1 of ours, and the attempt is to be
 * made anew with other random numbers. What arrives from an earlier attempt has another console id, and is dropped. A BMC
 * that forgets the tag answers with 0; the console id tells well enough.
 */
import { err, ok, type Result } from "../../../core/result.ts";
import { type BmcError, bmcError } from "../../bmc-error.ts";
import type { IpmiCrypto } from "../crypto.ts";
import type { CipherSuite } from "../rmcp/cipher-suite.ts";
import {
  decodeOpenSessionResponse,
  encodeOpenSessionRequest,
  type OpenSessionResponse,
  PAYLOAD_OPEN_SESSION_REQUEST,
  PAYLOAD_OPEN_SESSION_RESPONSE,
} from "../rmcp/open-session.ts";
import {
  decodeRakp2,
  decodeRakp4,
  encodeRakp1,
  encodeRakp3,
  PAYLOAD_RAKP_1,
  PAYLOAD_RAKP_2,
  PAYLOAD_RAKP_3,
  PAYLOAD_RAKP_4,
  RANDOM_BYTES,
  type Rakp2,
  type Rakp4,
  type RakpRefusal,
  ROLE_NAME_ONLY,
} from "../rmcp/rakp.ts";
import {
  paddedKey,
  type RakpExchange,
  rakp2Code,
  rakp3Code,
  rakp4CheckValue,
  type SessionKeys,
  sessionKeys,
} from "../rmcp/session-keys.ts";
import { encodeSetupPacket, type SessionPacket } from "../rmcp/session-packet.ts";
import {
  isOtherSuiteWorthTrying,
  isUserLookupRefused,
  isWorthAnew,
  noAnswer,
  refusal,
  wrongKg,
  wrongPassword,
} from "./refusal.ts";
import { exchange, isAnswerTo, payloadOf, TRIES_MS, type Turns } from "./turns.ts";

export interface SessionSecrets {
  /** How the BMC is called in errors. */
  readonly name: string;
  /** At most 16 bytes. */
  readonly user: Uint8Array;
  /** At most 20 bytes. */
  readonly password: Uint8Array;
  /** The BMC's own key, where it has one. */
  readonly kg: Uint8Array | null;
  /** 2 user, 3 operator, 4 administrator. */
  readonly privilege: number;
}

export interface OpenedSession {
  readonly suite: CipherSuite;
  readonly consoleId: number;
  readonly bmcId: number;
  readonly guid: Uint8Array;
  readonly keys: SessionKeys;
}

export type Attempt =
  | Result<OpenedSession, BmcError>
  | { readonly again: "anew" | "without-lookup" };

/** RAKP 2 that may follow one another before the attempt is given up. */
const RAKP2_MAX = 3;

export class KeyExchange {
  readonly #crypto: IpmiCrypto;
  readonly #secrets: SessionSecrets;
  readonly #suite: CipherSuite;
  readonly #isKgSet: boolean;
  readonly #userKey: Uint8Array;
  #tag = 0;
  #consoleId = 0;

  constructor(crypto: IpmiCrypto, secrets: SessionSecrets, suite: CipherSuite, isKgSet: boolean) {
    this.#crypto = crypto;
    this.#secrets = secrets;
    this.#suite = suite;
    this.#isKgSet = isKgSet;
    this.#userKey = paddedKey(secrets.password);
  }

  /** `hasNameLookup`: the user is looked up by name alone; BMCs differ in which form they take. */
  *attempt(hasNameLookup: boolean, openTriesMs: readonly number[]): Turns<Attempt> {
    const { name } = this.#secrets;
    const suite = this.#suite;
    this.#consoleId = this.#newConsoleId();
    const opened = yield* this.#openSession(openTriesMs);
    if (opened === null) return err(noAnswer(name, `Open Session with cipher suite ${suite.id}`));
    if (!opened.isAccepted) {
      if (!isOtherSuiteWorthTrying(opened.status)) {
        return err(refusal(name, "Open Session", opened.status));
      }
      const detail = `${name} refuses cipher suite ${suite.id}; of 17 and 3, enable one in it`;
      return err(bmcError("wrong-cipher", detail));
    }
    const { algorithms, bmcId } = opened;
    const isAsProposed =
      algorithms.authentication === suite.authentication &&
      algorithms.integrity === suite.integrity &&
      algorithms.confidentiality === suite.confidentiality;
    if (!isAsProposed) {
      const detail = `${name} answers cipher suite ${suite.id} with other algorithms: not used`;
      return err(bmcError("wrong-cipher", detail));
    }
    return yield* this.#authenticate(bmcId, hasNameLookup);
  }

  *#openSession(triesMs: readonly number[]): Turns<OpenSessionResponse | null> {
    const [tag, consoleId] = [this.#newTag(), this.#consoleId];
    const { authentication, integrity, confidentiality } = this.#suite;
    const algorithms = { authentication, integrity, confidentiality };
    // Privilege 0: the highest that the algorithms allow. The role in RAKP 1 is what counts.
    const request = encodeOpenSessionRequest({ tag, privilege: 0, consoleId, ...algorithms });
    const datagram = encodeSetupPacket(PAYLOAD_OPEN_SESSION_REQUEST, request);
    return yield* exchange(datagram, triesMs, (packet) => {
      const payload = payloadOf(packet, PAYLOAD_OPEN_SESSION_RESPONSE);
      if (payload === null) return null;
      const response = decodeOpenSessionResponse(payload);
      if (!response.ok) return null;
      const { value } = response;
      const isOurs = isAnswerTo(tag, consoleId, value.tag, value.consoleId);
      return isOurs || (!value.isAccepted && value.tag === tag) ? value : null;
    });
  }

  *#authenticate(bmcId: number, hasNameLookup: boolean): Turns<Attempt> {
    const { name, privilege, user } = this.#secrets;
    const [tag, consoleId] = [this.#newTag(), this.#consoleId];
    const consoleRandom = this.#crypto.random(RANDOM_BYTES);
    const role = privilege | (hasNameLookup ? ROLE_NAME_ONLY : 0);
    const rakp1 = encodeRakp1({ tag, bmcId, consoleRandom, role, user });
    const packet = encodeSetupPacket(PAYLOAD_RAKP_1, rakp1);
    const rakp2 = yield* exchange(packet, TRIES_MS, (one) => this.#readRakp2(one, tag));
    if (rakp2 === null) return err(noAnswer(name, "RAKP 1"));
    if (!rakp2.isAccepted) {
      if (isWorthAnew(rakp2.status)) return { again: "anew" };
      const hasOtherLookup = hasNameLookup && isUserLookupRefused(rakp2.status);
      if (hasOtherLookup) return { again: "without-lookup" };
      return err(refusal(name, "RAKP 1", rakp2.status));
    }
    return yield* this.#prove(rakp2, { consoleId, bmcId, consoleRandom, role, user });
  }

  /** From a RAKP 2 on. A later one, to a RAKP 1 that was sent twice, takes the place of the first: the BMC knows only that. */
  *#prove(first: Rakp2, ours: Omit<RakpExchange, "bmcRandom" | "guid">): Turns<Attempt> {
    const { name } = this.#secrets;
    let rakp2 = first;
    for (let count = 0; count < RAKP2_MAX; count++) {
      // Copies: the message is a view of a datagram that is gone when the next one comes.
      const both = { ...ours, bmcRandom: rakp2.bmcRandom.slice(), guid: rakp2.guid.slice() };
      if (!this.#hasRightCode(rakp2, both)) return err(wrongPassword(name));
      const tag = this.#newTag();
      const code = rakp3Code(this.#crypto, this.#suite, this.#userKey, both);
      const rakp3 = encodeRakp3({ isAccepted: true, tag, bmcId: ours.bmcId, code });
      const packet = encodeSetupPacket(PAYLOAD_RAKP_3, rakp3);
      const accept = (one: SessionPacket): Rakp2 | Rakp4 | RakpRefusal | null =>
        this.#readNewerRakp2(one, both) ?? this.#readRakp4(one, tag);
      const answer = yield* exchange(packet, TRIES_MS, accept);
      // Perhaps it took RAKP 3, and each RAKP 4 was lost: only a new session can tell.
      if (answer === null) return { again: "anew" };
      if (!answer.isAccepted) {
        if (isWorthAnew(answer.status)) return { again: "anew" };
        return err(refusal(name, "RAKP 3", answer.status));
      }
      if ("checkValue" in answer) return this.#finish(answer, both);
      rakp2 = answer;
    }
    return { again: "anew" };
  }

  #finish(rakp4: Rakp4, both: RakpExchange): Result<OpenedSession, BmcError> {
    const { name, kg } = this.#secrets;
    const bmcKey = kg === null ? this.#userKey : paddedKey(kg);
    const keys = sessionKeys(this.#crypto, this.#suite, bmcKey, both);
    const expected = rakp4CheckValue(this.#crypto, this.#suite, keys.sik, both);
    if (!this.#crypto.isEqual(expected, rakp4.checkValue)) {
      return err(wrongKg(name, kg !== null, this.#isKgSet));
    }
    const { consoleId, bmcId, guid } = both;
    return ok({ suite: this.#suite, consoleId, bmcId, guid, keys });
  }

  #hasRightCode(rakp2: Rakp2, both: RakpExchange): boolean {
    const expected = rakp2Code(this.#crypto, this.#suite, this.#userKey, both);
    return this.#crypto.isEqual(expected, rakp2.code);
  }

  #readRakp2(packet: SessionPacket, tag: number): Rakp2 | RakpRefusal | null {
    const payload = payloadOf(packet, PAYLOAD_RAKP_2);
    if (payload === null) return null;
    const message = decodeRakp2(payload, this.#suite.digestBytes);
    if (!message.ok) return null;
    const { value } = message;
    if (!value.isAccepted) return this.#isRefusalOfOurs(value, tag) ? value : null;
    return isAnswerTo(tag, this.#consoleId, value.tag, value.consoleId) ? value : null;
  }

  /** Nobody but the BMC may send us back a step: with a wrong code, or the numbers we know, it is noise. */
  #readNewerRakp2(packet: SessionPacket, known: RakpExchange): Rakp2 | null {
    const payload = payloadOf(packet, PAYLOAD_RAKP_2);
    if (payload === null) return null;
    const message = decodeRakp2(payload, this.#suite.digestBytes);
    if (!message.ok || !message.value.isAccepted) return null;
    const { value } = message;
    const isRepeated = value.bmcRandom.every((byte, index) => byte === known.bmcRandom[index]);
    if (isRepeated || value.consoleId !== this.#consoleId) return null;
    const { bmcRandom, guid } = value;
    return this.#hasRightCode(value, { ...known, bmcRandom, guid }) ? value : null;
  }

  #readRakp4(packet: SessionPacket, tag: number): Rakp4 | RakpRefusal | null {
    const payload = payloadOf(packet, PAYLOAD_RAKP_4);
    if (payload === null) return null;
    const message = decodeRakp4(payload, this.#suite.codeBytes);
    if (!message.ok) return null;
    const { value } = message;
    if (!value.isAccepted) return this.#isRefusalOfOurs(value, tag) ? value : null;
    return isAnswerTo(tag, this.#consoleId, value.tag, value.consoleId) ? value : null;
  }

  #isRefusalOfOurs(refused: RakpRefusal, tag: number): boolean {
    return refused.sessionId === this.#consoleId || refused.tag === tag;
  }

  #newTag(): number {
    // Never 0: that is what BMCs answer that forget the tag.
    this.#tag = (this.#tag % 0xff) + 1;
    return this.#tag;
  }

  #newConsoleId(): number {
    const [a = 0, b = 0, c = 0, d = 0] = this.#crypto.random(4);
    const id = ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
    return id === 0 ? 1 : id;
  }
}

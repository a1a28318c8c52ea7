/**
 * Keys and codes of an RMCP+ session: what each side computes from the password and from what RAKP carried (IPMI 2.0
 * §13.28, §13.31, §13.32).
 *
 * The same functions on both sides: the console compares the BMC's codes with these, the emulator the console's. Session ids
 * enter as they travel, little-endian. Traps: the role enters as the whole byte with its name-only bit; K1 and K2 are made
 * from 20 constant bytes with SHA-256 too; the check value of RAKP 4 is keyed with the SIK, not with the password.
 */
import { assert } from "../../../core/assert.ts";
import type { IpmiCrypto } from "../crypto.ts";
import type { CipherSuite } from "./cipher-suite.ts";

/** Longest password of IPMI 2.0 (§22.30); of Kg too (§22.25). */
export const PASSWORD_BYTES_MAX = 20;
const CONSTANT_BYTES = 20;

/** What RAKP 1 and 2 carried, known to both sides. */
export interface RakpExchange {
  readonly consoleId: number;
  readonly bmcId: number;
  readonly consoleRandom: Uint8Array;
  readonly bmcRandom: Uint8Array;
  readonly guid: Uint8Array;
  /** The whole byte of RAKP 1. */
  readonly role: number;
  readonly user: Uint8Array;
}

export interface SessionKeys {
  readonly sik: Uint8Array;
  /** Key of the code behind each packet: the whole digest. */
  readonly k1: Uint8Array;
  /** Its first 16 bytes encrypt. */
  readonly k2: Uint8Array;
}

/** Password or Kg as a key: padded with zeros to 20 bytes. */
export function paddedKey(secret: Uint8Array): Uint8Array {
  assert(secret.byteLength <= PASSWORD_BYTES_MAX, "a secret has at most 20 bytes");
  const key = new Uint8Array(PASSWORD_BYTES_MAX);
  key.set(secret);
  return key;
}

function idBytes(id: number): Uint8Array {
  return Uint8Array.of(id & 0xff, (id >>> 8) & 0xff, (id >>> 16) & 0xff, id >>> 24);
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let offset = 0;
  for (const part of parts) {
    bytes.set(part, offset);
    offset += part.byteLength;
  }
  return bytes;
}

function userPart(exchange: RakpExchange): Uint8Array {
  return joined([Uint8Array.of(exchange.role, exchange.user.byteLength), exchange.user]);
}

/** The BMC's proof in RAKP 2, keyed with the user's padded password. */
export function rakp2Code(
  crypto: IpmiCrypto,
  suite: CipherSuite,
  userKey: Uint8Array,
  exchange: RakpExchange,
): Uint8Array {
  const { consoleId, bmcId, consoleRandom, bmcRandom, guid } = exchange;
  const ids = [idBytes(consoleId), idBytes(bmcId)];
  const data = joined([...ids, consoleRandom, bmcRandom, guid, userPart(exchange)]);
  return crypto.hmac(suite.hash, userKey, data);
}

/** The console's proof in RAKP 3, keyed with the user's padded password. */
export function rakp3Code(
  crypto: IpmiCrypto,
  suite: CipherSuite,
  userKey: Uint8Array,
  exchange: RakpExchange,
): Uint8Array {
  const data = joined([exchange.bmcRandom, idBytes(exchange.consoleId), userPart(exchange)]);
  return crypto.hmac(suite.hash, userKey, data);
}

/** `bmcKey` is the padded Kg, or the user's padded password where the BMC has none (§13.31). */
export function sessionKeys(
  crypto: IpmiCrypto,
  suite: CipherSuite,
  bmcKey: Uint8Array,
  exchange: RakpExchange,
): SessionKeys {
  const data = joined([exchange.consoleRandom, exchange.bmcRandom, userPart(exchange)]);
  const sik = crypto.hmac(suite.hash, bmcKey, data);
  const constant = (value: number): Uint8Array =>
    crypto.hmac(suite.hash, sik, new Uint8Array(CONSTANT_BYTES).fill(value));
  return { sik, k1: constant(1), k2: constant(2) };
}

/** The check value of RAKP 4: cut by the authentication algorithm (§13.28.1). */
export function rakp4CheckValue(
  crypto: IpmiCrypto,
  suite: CipherSuite,
  sik: Uint8Array,
  exchange: RakpExchange,
): Uint8Array {
  const data = joined([exchange.consoleRandom, idBytes(exchange.bmcId), exchange.guid]);
  return crypto.hmac(suite.hash, sik, data).subarray(0, suite.codeBytes);
}

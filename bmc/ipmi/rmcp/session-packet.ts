/**
 * Session packets behind the RMCP header: those of IPMI 1.5 that ask a BMC what it is, and those of RMCP+ that carry a session
 * (IPMI 2.0 §13.6, §13.28, §13.29).
 *
 * Decides bytes and their protection; which session, which sequence number and what is replayed is for who calls. Of 1.5
 * only packets without authentication are made: they carry Get Channel Authentication Capabilities and nothing secret.
 * In an RMCP+ session only packets that are authenticated **and** encrypted are opened.
 *
 *   IPMI 1.5                              RMCP+
 *   0  authentication type, 0 none        0  06h
 *   1  session sequence, 4                1  b7 encrypted, b6 authenticated, b5:0 payload type
 *   5  session id, 4                      2  [type 2 only: IANA 4, id 2]
 *   9  [code, 16, if type is not 0]       2  session id, 4
 *   9  length, then the message           6  session sequence, 4
 *      [one pad byte, legacy]            10  payload length, 2
 *                                        12  payload
 *                                            [if authenticated: FFh pad to a multiple of 4, pad length, 07h, code]
 *
 * The code covers everything from 06h to 07h. An encrypted payload is IV 16 ‖ AES-128-CBC(plain ‖ 01 02 … n ‖ n).
 */
import { assert } from "../../../core/assert.ts";
import { err, ok, type Result } from "../../../core/result.ts";
import type { AesCbc, IpmiCrypto } from "../crypto.ts";
import { badChecksum, badValue, type DecodeError, tooShort } from "../decode.ts";
import type { CipherSuite } from "./cipher-suite.ts";
import { RMCP_HEADER_BYTES, rmcpClassOf, writeRmcpHeader } from "./rmcp.ts";
import type { SessionKeys } from "./session-keys.ts";

export const PAYLOAD_IPMI = 0x00;

const AUTH_TYPE_NONE = 0x00;
const AUTH_TYPE_RMCP_PLUS = 0x06;
const NEXT_HEADER = 0x07;
const ENCRYPTED = 0x80;
const AUTHENTICATED = 0x40;
const PAYLOAD_OEM = 0x02;
const BLOCK_BYTES = 16;
/** From the start of the datagram. */
const V15_HEAD_BYTES = RMCP_HEADER_BYTES + 10;
const V20_HEAD_BYTES = RMCP_HEADER_BYTES + 12;

export interface PlainPacket {
  readonly version: "1.5";
  readonly sequence: number;
  readonly sessionId: number;
  readonly payload: Uint8Array;
}

export interface RmcpPlusPacket {
  readonly version: "2.0";
  /** b5:0 of the byte: 0 IPMI, 10h to 15h session set-up. */
  readonly payloadType: number;
  readonly isEncrypted: boolean;
  readonly isAuthenticated: boolean;
  readonly sessionId: number;
  readonly sequence: number;
  /** As it travels, perhaps encrypted. */
  readonly payload: Uint8Array;
  /** The whole, with what the code covers, and behind it the code. */
  readonly datagram: Uint8Array;
}

export type SessionPacket = PlainPacket | RmcpPlusPacket;

function u32At(bytes: Uint8Array, offset: number): number {
  return (
    ((bytes[offset] as number) |
      ((bytes[offset + 1] as number) << 8) |
      ((bytes[offset + 2] as number) << 16) |
      ((bytes[offset + 3] as number) << 24)) >>>
    0
  );
}

function writeU32(bytes: Uint8Array, offset: number, value: number): void {
  bytes[offset] = value & 0xff;
  bytes[offset + 1] = (value >>> 8) & 0xff;
  bytes[offset + 2] = (value >>> 16) & 0xff;
  bytes[offset + 3] = value >>> 24;
}

/** A whole datagram of IPMI 1.5 outside a session. */
export function encodePlainPacket(message: Uint8Array): Uint8Array {
  assert(message.byteLength <= 0xff, "an IPMI 1.5 message has at most 255 bytes");
  const bytes = new Uint8Array(V15_HEAD_BYTES + message.byteLength);
  writeRmcpHeader(bytes, "ipmi");
  bytes[RMCP_HEADER_BYTES] = AUTH_TYPE_NONE;
  bytes[V15_HEAD_BYTES - 1] = message.byteLength;
  bytes.set(message, V15_HEAD_BYTES);
  return bytes;
}

/** A whole RMCP+ datagram of session set-up: neither authenticated nor encrypted, session id and sequence 0. */
export function encodeSetupPacket(payloadType: number, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(V20_HEAD_BYTES + payload.byteLength);
  writeRmcpHeader(bytes, "ipmi");
  bytes[RMCP_HEADER_BYTES] = AUTH_TYPE_RMCP_PLUS;
  bytes[RMCP_HEADER_BYTES + 1] = payloadType & 0x3f;
  bytes[V20_HEAD_BYTES - 2] = payload.byteLength & 0xff;
  bytes[V20_HEAD_BYTES - 1] = payload.byteLength >> 8;
  bytes.set(payload, V20_HEAD_BYTES);
  return bytes;
}

function decodePlainPacket(bytes: Uint8Array): Result<PlainPacket, DecodeError> {
  if (bytes.byteLength < V15_HEAD_BYTES) {
    return err(tooShort("IPMI 1.5 packet", V15_HEAD_BYTES, bytes.byteLength));
  }
  const payloadBytes = bytes[V15_HEAD_BYTES - 1] as number;
  const end = V15_HEAD_BYTES + payloadBytes;
  if (bytes.byteLength < end) return err(tooShort("IPMI 1.5 packet", end, bytes.byteLength));
  return ok({
    version: "1.5",
    sequence: u32At(bytes, RMCP_HEADER_BYTES + 1),
    sessionId: u32At(bytes, RMCP_HEADER_BYTES + 5),
    payload: bytes.subarray(V15_HEAD_BYTES, end),
  });
}

function decodeRmcpPlusPacket(bytes: Uint8Array): Result<RmcpPlusPacket, DecodeError> {
  if (bytes.byteLength < V20_HEAD_BYTES) {
    return err(tooShort("RMCP+ packet", V20_HEAD_BYTES, bytes.byteLength));
  }
  const flags = bytes[RMCP_HEADER_BYTES + 1] as number;
  const payloadType = flags & 0x3f;
  // OEM payloads have six bytes more in the head; nobody here speaks one.
  if (payloadType === PAYLOAD_OEM) return err(badValue("RMCP+ payload type", payloadType));
  const payloadBytes =
    (bytes[V20_HEAD_BYTES - 2] as number) | ((bytes[V20_HEAD_BYTES - 1] as number) << 8);
  const end = V20_HEAD_BYTES + payloadBytes;
  if (bytes.byteLength < end) return err(tooShort("RMCP+ packet", end, bytes.byteLength));
  return ok({
    version: "2.0",
    payloadType,
    isEncrypted: (flags & ENCRYPTED) !== 0,
    isAuthenticated: (flags & AUTHENTICATED) !== 0,
    sessionId: u32At(bytes, RMCP_HEADER_BYTES + 2),
    sequence: u32At(bytes, RMCP_HEADER_BYTES + 6),
    payload: bytes.slice(V20_HEAD_BYTES, end),
    datagram: bytes,
  });
}

/** Of a whole datagram of RMCP class IPMI. Nothing is verified here but lengths. */
export function decodeSessionPacket(datagram: Uint8Array): Result<SessionPacket, DecodeError> {
  const rmcp = rmcpClassOf(datagram);
  if (!rmcp.ok) return rmcp;
  if (rmcp.value !== "ipmi") return err(badValue("RMCP class", 0x06));
  const authType = datagram[RMCP_HEADER_BYTES];
  if (authType === undefined) return err(tooShort("session header", 1, 0));
  if (authType === AUTH_TYPE_NONE) return decodePlainPacket(datagram);
  if (authType === AUTH_TYPE_RMCP_PLUS) return decodeRmcpPlusPacket(datagram);
  return err(badValue("authentication type", authType));
}

/** Seals and opens the packets of one session. Both sides have the same: the keys do not tell directions apart. */
export class PacketCipher {
  readonly #codeBytes: number;
  readonly #hmac: (data: Uint8Array) => Uint8Array;
  readonly #aes: AesCbc;

  constructor(crypto: IpmiCrypto, suite: CipherSuite, keys: SessionKeys) {
    this.#codeBytes = suite.codeBytes;
    this.#hmac = crypto.keyedHmac(suite.hash, keys.k1);
    this.#aes = crypto.aesCbc(keys.k2.slice(0, BLOCK_BYTES));
  }

  /** The whole datagram. `sessionId` is the receiver's. */
  seal(payloadType: number, sessionId: number, sequence: number, plain: Uint8Array): Uint8Array {
    const padBytes = (BLOCK_BYTES - ((plain.byteLength + 1) % BLOCK_BYTES)) % BLOCK_BYTES;
    const padded = new Uint8Array(plain.byteLength + padBytes + 1);
    padded.set(plain);
    for (let n = 1; n <= padBytes; n++) padded[plain.byteLength + n - 1] = n;
    padded[padded.byteLength - 1] = padBytes;
    const payload = this.#aes.encrypt(padded);
    // 12 bytes of head and whole blocks leave two bytes to fill up to a multiple of 4.
    const covered = new Uint8Array(12 + payload.byteLength + 4);
    covered[0] = AUTH_TYPE_RMCP_PLUS;
    covered[1] = ENCRYPTED | AUTHENTICATED | payloadType;
    writeU32(covered, 2, sessionId);
    writeU32(covered, 6, sequence);
    covered[10] = payload.byteLength & 0xff;
    covered[11] = payload.byteLength >> 8;
    covered.set(payload, 12);
    const trailer = 12 + payload.byteLength;
    covered[trailer] = 0xff;
    covered[trailer + 1] = 0xff;
    covered[trailer + 2] = 2;
    covered[trailer + 3] = NEXT_HEADER;
    const code = this.#hmac(covered);
    // Copied instead of put into one array by views: a view on a small array costs the runtime more than its bytes do.
    const bytes = new Uint8Array(RMCP_HEADER_BYTES + covered.byteLength + this.#codeBytes);
    writeRmcpHeader(bytes, "ipmi");
    bytes.set(covered, RMCP_HEADER_BYTES);
    const codeOffset = RMCP_HEADER_BYTES + covered.byteLength;
    for (let n = 0; n < this.#codeBytes; n++) bytes[codeOffset + n] = code[n] as number;
    return bytes;
  }

  /** The payload, once its code is right. The code is compared before anything else of the packet is believed. */
  open(packet: RmcpPlusPacket): Result<Uint8Array, DecodeError> {
    if (!packet.isAuthenticated || !packet.isEncrypted) {
      return err(badValue("protection of a packet in a session", packet.payloadType));
    }
    const { datagram, payload } = packet;
    const codeOffset = datagram.byteLength - this.#codeBytes;
    const codeOffsetMin = V20_HEAD_BYTES + payload.byteLength + 2;
    if (codeOffset < codeOffsetMin) {
      const wantBytes = codeOffsetMin + this.#codeBytes;
      return err(tooShort("RMCP+ session trailer", wantBytes, datagram.byteLength));
    }
    if (!this.#isRightCode(datagram, codeOffset)) {
      return err(badChecksum("integrity code of a packet"));
    }
    if (payload.byteLength < 2 * BLOCK_BYTES || payload.byteLength % BLOCK_BYTES !== 0) {
      return err(badValue("length of an encrypted payload", payload.byteLength));
    }
    const padded = this.#aes.decrypt(payload);
    // What the pad consists of is not checked: there are BMCs that get it wrong, and the code has vouched for it.
    const padBytes = padded[padded.byteLength - 1] as number;
    if (padBytes >= BLOCK_BYTES) return err(badValue("pad length", padBytes));
    return ok(padded.slice(0, padded.byteLength - 1 - padBytes));
  }

  /** In a time that does not depend on where the codes differ. */
  #isRightCode(datagram: Uint8Array, codeOffset: number): boolean {
    const code = this.#hmac(datagram.slice(RMCP_HEADER_BYTES, codeOffset));
    let difference = 0;
    for (let n = 0; n < this.#codeBytes; n++) {
      difference |= (code[n] as number) ^ (datagram[codeOffset + n] as number);
    }
    return difference === 0;
  }
}

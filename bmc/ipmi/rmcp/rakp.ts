/**
 * RAKP messages 1 to 4, both directions: how console and BMC prove to each other that they know the password (IPMI 2.0
 * §13.20–13.23, payload types 12h–15h). Layout only: what the codes are computed from is in `session-keys.ts`.
 *
 *   RAKP 1                    RAKP 2                    RAKP 3                RAKP 4
 *    0  tag                    0  tag                    0  tag                0  tag
 *    1  reserved, 3            1  status, 2 reserved, 2  1  status, 2 res., 2  1  status, 2 reserved, 2
 *    4  BMC session id         4  console session id     4  BMC session id     4  console session id
 *    8  console random, 16     8  BMC random, 16         8  code, 20 or 32     8  check value, 12 or 16
 *   24  role                  24  GUID, 16
 *   25  reserved, 2           40  code, 20 or 32
 *   27  user length, 28 user
 *
 * With an error, 2 to 4 end after byte 7.
 */
import { assert } from "../../../core/assert.ts";
import { err, ok, type Result } from "../../../core/result.ts";
import { ByteReader, badValue, type DecodeError } from "../decode.ts";

export const PAYLOAD_RAKP_1 = 0x12;
export const PAYLOAD_RAKP_2 = 0x13;
export const PAYLOAD_RAKP_3 = 0x14;
export const PAYLOAD_RAKP_4 = 0x15;

export const RANDOM_BYTES = 16;
export const GUID_BYTES = 16;
export const USER_BYTES_MAX = 16;
/** b4 of the role: the user is looked up by name alone, not by name and privilege (§13.20). */
export const ROLE_NAME_ONLY = 0x10;

/** Status codes of §13.24, as a BMC says them and as people read them. */
export const RAKP_STATUS: Readonly<Record<number, string>> = {
  0: "no error",
  1: "no room for another session",
  2: "invalid session id",
  3: "invalid payload type",
  4: "invalid authentication algorithm",
  5: "invalid integrity algorithm",
  6: "no matching authentication payload",
  7: "no matching integrity payload",
  8: "inactive session id",
  9: "invalid role",
  10: "unauthorised role or privilege level",
  11: "no room for a session at that role",
  12: "invalid name length",
  13: "unauthorised name",
  14: "unauthorised GUID",
  15: "invalid integrity check value",
  16: "invalid confidentiality algorithm",
  17: "no cipher suite matches the proposed algorithms",
  18: "illegal or unknown parameter",
};

export function rakpStatusText(status: number): string {
  return RAKP_STATUS[status] ?? `status 0x${status.toString(16).padStart(2, "0")}`;
}

export interface Rakp1 {
  readonly tag: number;
  readonly bmcId: number;
  readonly consoleRandom: Uint8Array;
  /** The whole byte goes into the codes, with its bit for name-only lookup. */
  readonly role: number;
  /** At most 16 bytes. */
  readonly user: Uint8Array;
}

export interface RakpRefusal {
  readonly isAccepted: false;
  readonly tag: number;
  readonly status: number;
  /** Console's of RAKP 2 and 4, BMC's of RAKP 3; 0 where less than 8 bytes came. */
  readonly sessionId: number;
}

export interface Rakp2 {
  readonly isAccepted: true;
  readonly tag: number;
  readonly consoleId: number;
  readonly bmcRandom: Uint8Array;
  readonly guid: Uint8Array;
  readonly code: Uint8Array;
}

export interface Rakp3 {
  readonly isAccepted: true;
  readonly tag: number;
  readonly bmcId: number;
  readonly code: Uint8Array;
}

export interface Rakp4 {
  readonly isAccepted: true;
  readonly tag: number;
  readonly consoleId: number;
  readonly checkValue: Uint8Array;
}

/** Tag, status, session id: the head that RAKP 2, 3 and 4 share, with room for what follows. */
function head(tag: number, status: number, sessionId: number, restBytes: number): Uint8Array {
  const bytes = new Uint8Array(8 + restBytes);
  bytes[0] = tag;
  bytes[1] = status;
  new DataView(bytes.buffer).setUint32(4, sessionId, true);
  return bytes;
}

/** Reads the head; a refusal where the status says so, else tag and session id with `restBytes` more to come. */
function readHead(
  what: string,
  reader: ByteReader,
  restBytes: number,
): Result<RakpRefusal | { isAccepted: true; tag: number; sessionId: number }, DecodeError> {
  const short = reader.needs(what, 2);
  if (short !== null) return err(short);
  const [tag, status] = [reader.u8(), reader.u8()];
  const isRefusal = status !== 0;
  if (isRefusal && reader.remaining < 6) {
    return ok({ isAccepted: false, tag, status, sessionId: 0 });
  }
  const truncated = reader.needs(what, 6 + (isRefusal ? 0 : restBytes));
  if (truncated !== null) return err(truncated);
  reader.bytes(2);
  const sessionId = reader.u32le();
  return ok(
    isRefusal
      ? { isAccepted: false, tag, status, sessionId }
      : { isAccepted: true, tag, sessionId },
  );
}

export function encodeRakp1(message: Rakp1): Uint8Array {
  assert(message.user.byteLength <= USER_BYTES_MAX, "a user's name has at most 16 bytes");
  assert(message.consoleRandom.byteLength === RANDOM_BYTES, "16 random bytes");
  const bytes = head(message.tag, 0, message.bmcId, 20 + message.user.byteLength);
  bytes.set(message.consoleRandom, 8);
  bytes[24] = message.role;
  bytes[27] = message.user.byteLength;
  bytes.set(message.user, 28);
  return bytes;
}

export function decodeRakp1(bytes: Uint8Array): Result<Rakp1, DecodeError> {
  const reader = new ByteReader(bytes);
  const short = reader.needs("RAKP 1", 28);
  if (short !== null) return err(short);
  const tag = reader.u8();
  reader.bytes(3);
  const bmcId = reader.u32le();
  const consoleRandom = reader.bytes(RANDOM_BYTES);
  const role = reader.u8();
  reader.bytes(2);
  const userBytes = reader.u8();
  if (userBytes > USER_BYTES_MAX) return err(badValue("RAKP 1 user length", userBytes));
  const truncated = reader.needs("RAKP 1", userBytes);
  if (truncated !== null) return err(truncated);
  return ok({ tag, bmcId, consoleRandom, role, user: reader.bytes(userBytes) });
}

/** Of RAKP 2, 3 and 4 alike. */
export function encodeRakpRefusal(refusal: RakpRefusal): Uint8Array {
  return head(refusal.tag, refusal.status, refusal.sessionId, 0);
}

export function encodeRakp2(message: Rakp2): Uint8Array {
  const { bmcRandom, guid, code } = message;
  const bytes = head(message.tag, 0, message.consoleId, 32 + code.byteLength);
  bytes.set(bmcRandom, 8);
  bytes.set(guid, 24);
  bytes.set(code, 40);
  return bytes;
}

/** `codeBytes`: of the suite's digest; bytes behind it are ignored. */
export function decodeRakp2(
  bytes: Uint8Array,
  codeBytes: number,
): Result<Rakp2 | RakpRefusal, DecodeError> {
  const reader = new ByteReader(bytes);
  const start = readHead("RAKP 2", reader, RANDOM_BYTES + GUID_BYTES + codeBytes);
  if (!start.ok) return start;
  if (!start.value.isAccepted) return ok(start.value);
  return ok({
    isAccepted: true,
    tag: start.value.tag,
    consoleId: start.value.sessionId,
    bmcRandom: reader.bytes(RANDOM_BYTES),
    guid: reader.bytes(GUID_BYTES),
    code: reader.bytes(codeBytes),
  });
}

export function encodeRakp3(message: Rakp3): Uint8Array {
  const bytes = head(message.tag, 0, message.bmcId, message.code.byteLength);
  bytes.set(message.code, 8);
  return bytes;
}

export function decodeRakp3(
  bytes: Uint8Array,
  codeBytes: number,
): Result<Rakp3 | RakpRefusal, DecodeError> {
  const reader = new ByteReader(bytes);
  const start = readHead("RAKP 3", reader, codeBytes);
  if (!start.ok) return start;
  if (!start.value.isAccepted) return ok(start.value);
  const { tag, sessionId } = start.value;
  return ok({ isAccepted: true, tag, bmcId: sessionId, code: reader.bytes(codeBytes) });
}

export function encodeRakp4(message: Rakp4): Uint8Array {
  const bytes = head(message.tag, 0, message.consoleId, message.checkValue.byteLength);
  bytes.set(message.checkValue, 8);
  return bytes;
}

export function decodeRakp4(
  bytes: Uint8Array,
  codeBytes: number,
): Result<Rakp4 | RakpRefusal, DecodeError> {
  const reader = new ByteReader(bytes);
  const start = readHead("RAKP 4", reader, codeBytes);
  if (!start.ok) return start;
  if (!start.value.isAccepted) return ok(start.value);
  const { tag, sessionId } = start.value;
  return ok({ isAccepted: true, tag, consoleId: sessionId, checkValue: reader.bytes(codeBytes) });
}

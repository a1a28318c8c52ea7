/**
 * Get Session Challenge (IPMI 2.0 §22.16): the first half of a session as of IPMI 1.5, which serial lines have to this day.
 *
 *   request  0  authentication type   1  user name, 16, padded with 0; all 0 is the user without a name
 *   reply    0  temporary session id, 4   4  challenge, 16
 *
 * Completion codes of its own: 81h unknown user, 82h the user without a name is disabled.
 */
import { assert } from "../../../core/assert.ts";
import { err, ok } from "../../../core/result.ts";
import { ByteReader } from "../decode.ts";
import { type IpmiCommand, NET_FN } from "../ipmi.ts";

/** Bit of each in the capabilities of a channel, and its number in a request (§22.13). */
export const AUTHENTICATION_TYPES = { none: 0, md2: 1, md5: 2, password: 4, oem: 5 } as const;
export const USER_NAME_BYTES = 16;
export const CHALLENGE_BYTES = 16;

export interface SessionChallengeArgs {
  readonly authenticationType: number;
  /** At most 16 bytes. */
  readonly userName: Uint8Array;
}

export interface SessionChallenge {
  readonly temporaryId: number;
  readonly challenge: Uint8Array;
}

export const getSessionChallenge: IpmiCommand<SessionChallengeArgs, SessionChallenge> = {
  name: "Get Session Challenge",
  netFn: NET_FN.app,
  command: 0x39,
  encode: ({ authenticationType, userName }) => {
    assert(userName.byteLength <= USER_NAME_BYTES, "a user name has 16 bytes at most");
    const bytes = new Uint8Array(1 + USER_NAME_BYTES);
    bytes[0] = authenticationType & 0x0f;
    bytes.set(userName, 1);
    return bytes;
  },
  decode: (data) => {
    const reader = new ByteReader(data);
    const short = reader.needs("Get Session Challenge", 4 + CHALLENGE_BYTES);
    if (short !== null) return err(short);
    return ok({ temporaryId: reader.u32le(), challenge: reader.bytes(CHALLENGE_BYTES).slice() });
  },
};

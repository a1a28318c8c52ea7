/**
 * Activate Session (IPMI 2.0 §22.17): the second half of a session as of IPMI 1.5.
 *
 *   request  0  authentication type   1  highest privilege wanted   2  authentication code or challenge, 16
 *           18  first sequence number of packets to the client, 4; a serial line has none
 *   reply    0  authentication type of what follows   1  session id, 4   5  first sequence number to the BMC, 4
 *            9  highest privilege allowed
 *
 * On a serial line the 16 bytes prove the password (§14.4): the password itself, or MD5 over it. Completion codes of its own:
 * 81h to 83h no session slot, 84h sequence number, 85h session id, 86h privilege above the limit.
 */
import { assert } from "../../../core/assert.ts";
import { err, ok } from "../../../core/result.ts";
import { ByteReader } from "../decode.ts";
import { type IpmiCommand, NET_FN } from "../ipmi.ts";

export const AUTHENTICATION_CODE_BYTES = 16;

export interface ActivateSessionArgs {
  readonly authenticationType: number;
  readonly privilege: number;
  readonly authenticationCode: Uint8Array;
  readonly outboundSequence: number;
}

export interface ActivatedSession {
  readonly authenticationType: number;
  readonly sessionId: number;
  readonly inboundSequence: number;
  readonly privilegeMax: number;
}

export const activateSession: IpmiCommand<ActivateSessionArgs, ActivatedSession> = {
  name: "Activate Session",
  netFn: NET_FN.app,
  command: 0x3a,
  encode: ({ authenticationType, privilege, authenticationCode, outboundSequence }) => {
    assert(authenticationCode.byteLength === AUTHENTICATION_CODE_BYTES, "a code has 16 bytes");
    const bytes = new Uint8Array(2 + AUTHENTICATION_CODE_BYTES + 4);
    bytes[0] = authenticationType & 0x0f;
    bytes[1] = privilege & 0x0f;
    bytes.set(authenticationCode, 2);
    new DataView(bytes.buffer).setUint32(18, outboundSequence, true);
    return bytes;
  },
  decode: (data) => {
    const reader = new ByteReader(data);
    const short = reader.needs("Activate Session", 10);
    if (short !== null) return err(short);
    return ok({
      authenticationType: reader.u8() & 0x0f,
      sessionId: reader.u32le(),
      inboundSequence: reader.u32le(),
      privilegeMax: reader.u8() & 0x0f,
    });
  },
};

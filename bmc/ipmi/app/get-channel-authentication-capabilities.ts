/**
 * Get Channel Authentication Capabilities (IPMI 2.0 §22.13): what a client may ask before it has a session.
 *
 *   request  0  b7 give IPMI 2.0 data, b3:0 channel (0Eh: this one)   1  b3:0 privilege wanted
 *   reply    0  channel
 *            1  b7 IPMI 2.0 data follow, b5:0 authentication types of 1.5
 *            2  b5 Kg is set, b4 no per-message and b3 no user-level authentication, b2 named users, b1 null users,
 *               b0 anonymous login
 *            3  b1 RMCP+ can be used, b0 IPMI 1.5 sessions can
 *            4  IANA of an OEM authentication type, 3    7  its data
 */
import { err, ok } from "../../../core/result.ts";
import { ByteReader } from "../decode.ts";
import type { IpmiCommand } from "../ipmi.ts";
import { NET_FN } from "../ipmi.ts";

export const THIS_CHANNEL = 0x0e;

export interface ChannelAuthenticationArgs {
  readonly channel: number;
  /** 1 callback, 2 user, 3 operator, 4 administrator. */
  readonly privilege: number;
}

export interface ChannelAuthenticationCapabilities {
  readonly channel: number;
  /** Of IPMI 1.5, one bit each: b0 none, b1 MD2, b2 MD5, b4 the password itself, b5 of an OEM. */
  readonly authenticationTypes: number;
  readonly hasRmcpPlus: boolean;
  /** A key of the BMC's own takes the user's place in session keys. */
  readonly isKgSet: boolean;
  readonly hasNamedUsers: boolean;
  readonly hasNullUsers: boolean;
  readonly hasAnonymousLogin: boolean;
}

export const getChannelAuthenticationCapabilities: IpmiCommand<
  ChannelAuthenticationArgs,
  ChannelAuthenticationCapabilities
> = {
  name: "Get Channel Authentication Capabilities",
  netFn: NET_FN.app,
  command: 0x38,
  encode: ({ channel, privilege }) => Uint8Array.of(0x80 | (channel & 0x0f), privilege & 0x0f),
  decode: (data) => {
    const reader = new ByteReader(data);
    const short = reader.needs("Get Channel Authentication Capabilities", 4);
    if (short !== null) return err(short);
    const [channel, types, users, versions] = [reader.u8(), reader.u8(), reader.u8(), reader.u8()];
    return ok({
      channel: channel & 0x0f,
      authenticationTypes: types & 0x3f,
      // The fourth byte counts only where the second says that there are data of 2.0.
      hasRmcpPlus: (types & 0x80) !== 0 && (versions & 0x02) !== 0,
      isKgSet: (users & 0x20) !== 0,
      hasNamedUsers: (users & 0x04) !== 0,
      hasNullUsers: (users & 0x02) !== 0,
      hasAnonymousLogin: (users & 0x01) !== 0,
    });
  },
};

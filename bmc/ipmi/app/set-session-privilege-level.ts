/**
 * Set Session Privilege Level (IPMI 2.0 §22.18): every session starts as user and is raised by this.
 *
 *   request  0  b3:0 level: 0 tell the present one, 2 user, 3 operator, 4 administrator
 *   reply    0  b3:0 the level from now on
 *
 * Completion codes of its own: 80h level not available to this user, 81h above the limit of user or channel.
 */
import { err, ok } from "../../../core/result.ts";
import { ByteReader } from "../decode.ts";
import type { IpmiCommand } from "../ipmi.ts";
import { NET_FN } from "../ipmi.ts";

export const PRIVILEGES = { user: 2, operator: 3, administrator: 4 } as const;
export type Privilege = keyof typeof PRIVILEGES;

export const setSessionPrivilegeLevel: IpmiCommand<number, number> = {
  name: "Set Session Privilege Level",
  netFn: NET_FN.app,
  command: 0x3b,
  encode: (level) => Uint8Array.of(level & 0x0f),
  decode: (data) => {
    const reader = new ByteReader(data);
    const short = reader.needs("Set Session Privilege Level", 1);
    if (short !== null) return err(short);
    return ok(reader.u8() & 0x0f);
  },
};

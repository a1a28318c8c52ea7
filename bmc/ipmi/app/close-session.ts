/**
 * Close Session (IPMI 2.0 §22.19): gives the BMC its slot back, of which it has few.
 *
 *   request  0  session id, 4: the BMC's, as it told it in Open Session
 *   reply    empty
 *
 * Completion code of its own: 87h invalid session id.
 */
import { ok } from "../../../core/result.ts";
import type { IpmiCommand } from "../ipmi.ts";
import { NET_FN } from "../ipmi.ts";

export const closeSession: IpmiCommand<number, null> = {
  name: "Close Session",
  netFn: NET_FN.app,
  command: 0x3c,
  encode: (id) => Uint8Array.of(id & 0xff, (id >>> 8) & 0xff, (id >>> 16) & 0xff, id >>> 24),
  decode: () => ok(null),
};

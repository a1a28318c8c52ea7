/**
 * Cold Reset and Warm Reset of the BMC itself (IPMI 2.0 §20.2, §20.3).
 *
 * Neither touches the system's power. A session usually ends with either; a cold reset may take a minute, and the reply may
 * never come.
 */
import { type IpmiCommand, NET_FN } from "../ipmi.ts";
import { decodeNothing, encodeNothing } from "../no-data.ts";

/** Everything as after power came: settings are read anew, self tests run. */
export const coldReset: IpmiCommand<void, null> = {
  name: "Cold Reset",
  netFn: NET_FN.app,
  command: 0x02,
  encode: encodeNothing,
  decode: decodeNothing,
};

/** Communications begin anew, settings and states stay. Optional. */
export const warmReset: IpmiCommand<void, null> = {
  name: "Warm Reset",
  netFn: NET_FN.app,
  command: 0x03,
  encode: encodeNothing,
  decode: decodeNothing,
};

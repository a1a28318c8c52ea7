/**
 * Arm PEF Postpone Timer (IPMI 2.0 §30.2): software that handles events itself keeps the BMC from acting on them meanwhile.
 *
 *   request: 1 byte   00h off, 01h-FDh seconds, FEh PEF postponed until told otherwise, FFh tell
 *   reply:   1 byte   what remains, in the same form
 */
import { err, ok, type Result } from "../../../core/result.ts";
import { ByteReader, type DecodeError } from "../decode.ts";
import { type IpmiCommand, NET_FN } from "../ipmi.ts";

export const POSTPONE_SECONDS_MAX = 0xfd;

/** A number of seconds, at most `POSTPONE_SECONDS_MAX`; 0 is off. */
export type Postponement = number | "forever";

const FOREVER = 0xfe;
const TELL = 0xff;

export const armPefPostponeTimer: IpmiCommand<Postponement | "tell", Postponement> = {
  name: "Arm PEF Postpone Timer",
  netFn: NET_FN.sensorEvent,
  command: 0x11,
  encode: (how) => {
    const seconds = typeof how === "number" ? Math.min(how, POSTPONE_SECONDS_MAX) : 0;
    return Uint8Array.of(how === "tell" ? TELL : how === "forever" ? FOREVER : seconds);
  },
  decode: decodePostponement,
};

function decodePostponement(data: Uint8Array): Result<Postponement, DecodeError> {
  const reader = new ByteReader(data);
  const short = reader.needs("PEF postpone timer", 1);
  if (short !== null) return err(short);
  const value = reader.u8();
  return ok(value >= FOREVER ? "forever" : value);
}

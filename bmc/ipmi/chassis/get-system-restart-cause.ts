/**
 * Get System Restart Cause: why the system last started (IPMI 2.0 §28.11).
 *
 *   byte  reply
 *      0  b3:0 cause
 *      1  channel over which the command came, where a command was it
 */
import { err, ok, type Result } from "../../../core/result.ts";
import { ByteReader, type DecodeError } from "../decode.ts";
import { type IpmiCommand, NET_FN } from "../ipmi.ts";
import { encodeNothing } from "../no-data.ts";

export interface RestartCause {
  readonly code: number;
  /** null: the BMC does not know. */
  readonly text: string | null;
  readonly channel: number | null;
}

/** By number. */
const CAUSES = [
  null,
  "chassis control command",
  "reset button",
  "power button",
  "watchdog expired",
  "OEM cause",
  "AC came back, policy is always on",
  "AC came back, policy is as before",
  "reset by an event filter",
  "power cycle by an event filter",
  "soft reset",
  "power-up by the clock",
] as const;

function decode(data: Uint8Array): Result<RestartCause, DecodeError> {
  const reader = new ByteReader(data);
  const short = reader.needs("Get System Restart Cause", 1);
  if (short !== null) return err(short);
  const code = reader.u8() & 0x0f;
  const text = code < CAUSES.length ? (CAUSES[code] ?? null) : `cause ${code}`;
  return ok({ code, text, channel: reader.remaining > 0 ? reader.u8() & 0x0f : null });
}

export const getSystemRestartCause: IpmiCommand<void, RestartCause> = {
  name: "Get System Restart Cause",
  netFn: NET_FN.chassis,
  command: 0x07,
  encode: encodeNothing,
  decode,
};

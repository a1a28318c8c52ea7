/**
 * Alert Immediate (IPMI 2.0 §30.7): send an alert now, to see whether a destination works; and ask how it went.
 *
 *   request                                  reply, to `tell` only
 *   offset  bytes  field                     offset  bytes  field
 *        0      1  bits 3:0 channel               0      1  status: 00h none, 01h sent, 02h dial failed,
 *        1      1  bits 7:6 00b begin,                      03h no acknowledgement, FFh in progress
 *                  01b tell, 10b clear the
 *                  status; 3:0 destination
 *        2      1  bit 7 with string, 6:0 its
 *                  selector
 *   An event may follow in the request: generator id, revision, sensor type, number, direction and type, data 1-3
 *   (9 bytes); the alert then tells of that one.
 */
import { ok, type Result } from "../../../core/result.ts";
import type { DecodeError } from "../decode.ts";
import { type IpmiCommand, NET_FN } from "../ipmi.ts";

export interface AlertImmediate {
  readonly channel: number;
  readonly action: "begin" | "tell" | "clear";
  readonly destination: number;
  /** null: without one. */
  readonly stringSelector: number | null;
}

export type AlertStatus = "none" | "sent" | "dial-failed" | "not-acknowledged" | "in-progress";

const ACTIONS = { begin: 0x00, tell: 0x40, clear: 0x80 } as const;
const STATUSES: readonly AlertStatus[] = ["none", "sent", "dial-failed", "not-acknowledged"];

export const alertImmediate: IpmiCommand<AlertImmediate, AlertStatus> = {
  name: "Alert Immediate",
  netFn: NET_FN.sensorEvent,
  command: 0x16,
  encode: ({ channel, action, destination, stringSelector }) =>
    Uint8Array.of(
      channel & 0x0f,
      ACTIONS[action] | (destination & 0x0f),
      stringSelector === null ? 0 : 0x80 | (stringSelector & 0x7f),
    ),
  decode: decodeStatus,
};

/** To `begin` and `clear` nothing follows the completion code. */
function decodeStatus(data: Uint8Array): Result<AlertStatus, DecodeError> {
  const status = data[0] ?? 0;
  return ok(STATUSES[status] ?? (status === 0xff ? "in-progress" : "none"));
}

/**
 * Which requests may be carried out twice without harm.
 *
 * A request whose answer does not come may have been carried out or not. One that is listed here is simply sent again, also
 * in a new session; any other is not, since a second power cycle, a second record in the event log or an old clock setting
 * is worse than an error. What is not listed, OEM commands among it, counts as not repeatable.
 */
import { type IpmiRequest, NET_FN } from "../ipmi.ts";

const REPEATABLE: ReadonlyMap<number, ReadonlySet<number>> = new Map([
  // All but Chassis Control 02h and Chassis Reset 03h.
  [NET_FN.chassis, new Set([0x00, 0x01, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0f])],
  // All but Platform Event 02h, Alert Immediate 16h and Set Sensor Reading 30h.
  [
    NET_FN.sensorEvent,
    new Set([
      0x00, 0x01, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x17, 0x20, 0x21, 0x22, 0x23, 0x24, 0x25,
      0x26, 0x27, 0x28, 0x29, 0x2a, 0x2b, 0x2c, 0x2d, 0x2e, 0x2f,
    ]),
  ],
  // Not the resets 02h and 03h, not what takes messages out of a queue (33h, 35h) or passes them on (34h, 52h).
  [
    NET_FN.app,
    new Set([
      0x01, 0x04, 0x06, 0x07, 0x08, 0x22, 0x24, 0x25, 0x2e, 0x2f, 0x30, 0x31, 0x37, 0x38, 0x3b,
      0x3d, 0x40, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47, 0x4c, 0x4d, 0x4e, 0x4f, 0x54, 0x55,
      0x56, 0x57, 0x58, 0x59,
    ]),
  ],
  // Reads and reservations; writing FRU bytes twice writes the same bytes. Not add, delete, clear, nor setting a clock.
  [
    NET_FN.storage,
    new Set([
      0x10, 0x11, 0x12, 0x20, 0x21, 0x22, 0x23, 0x28, 0x40, 0x41, 0x42, 0x43, 0x48, 0x5a, 0x5c,
      0x5d,
    ]),
  ],
  [NET_FN.transport, new Set([0x01, 0x02, 0x03, 0x04, 0x10, 0x11])],
]);

const CLEAR_SEL = 0x47;
const CLEAR_STATUS = 0x00;

export function isRepeatable(request: IpmiRequest): boolean {
  if (request.netFn === NET_FN.storage && request.command === CLEAR_SEL) {
    // Asking whether an erase is done is a read.
    return request.data[5] === CLEAR_STATUS;
  }
  return REPEATABLE.get(request.netFn)?.has(request.command) ?? false;
}

/**
 * Platform Event (IPMI 2.0 §29.3): an event is handed to the BMC, which logs it, filters it and sends alerts of it.
 *
 * Over LAN, IPMB and serial lines the BMC knows the sender by its address; over the system interface the request begins with
 * the sender's generator id, so the two forms differ by one byte.
 *
 *   offset  bytes  field
 *       -1      1  generator id      over the system interface only
 *        0      1  revision          04h
 *        1      1  sensor type
 *        2      1  sensor number
 *        3      1  bit 7 deassertion, 6:0 event/reading type
 *        4    1-3  event data        missing ones are FFh
 */
import { err, ok, type Result } from "../../../core/result.ts";
import { ByteReader, type DecodeError } from "../decode.ts";
import { type IpmiCommand, NET_FN } from "../ipmi.ts";
import { decodeNothing } from "../no-data.ts";
import { EVENT_MESSAGE_REVISION } from "../sel/sel-record.ts";

export interface PlatformEvent {
  /** Of whoever reports it, such as 41h for system software; null: not over the system interface. */
  readonly generator: number | null;
  readonly sensorType: number;
  readonly sensorNumber: number;
  readonly isAssertion: boolean;
  readonly eventType: number;
  readonly eventData: readonly [number, number, number];
}

const EVENT_BYTES_MIN = 5;
const EVENT_BYTES_MAX = 8;

export const platformEvent: IpmiCommand<PlatformEvent, null> = {
  name: "Platform Event",
  netFn: NET_FN.sensorEvent,
  command: 0x02,
  encode: (event) =>
    Uint8Array.of(
      ...(event.generator === null ? [] : [event.generator]),
      EVENT_MESSAGE_REVISION,
      event.sensorType,
      event.sensorNumber,
      (event.isAssertion ? 0 : 0x80) | event.eventType,
      ...event.eventData,
    ),
  decode: decodeNothing,
};

/** The request, for whoever plays a BMC; it knows on which interface it came. */
export function decodePlatformEvent(
  data: Uint8Array,
  isSystemInterface: boolean,
): Result<PlatformEvent & { readonly revision: number }, DecodeError> {
  const reader = new ByteReader(data.subarray(0, EVENT_BYTES_MAX));
  const short = reader.needs("platform event", EVENT_BYTES_MIN + (isSystemInterface ? 1 : 0));
  if (short !== null) return err(short);
  const generator = isSystemInterface ? reader.u8() : null;
  const revision = reader.u8();
  const sensorType = reader.u8();
  const sensorNumber = reader.u8();
  const direction = reader.u8();
  const next = (): number => (reader.remaining > 0 ? reader.u8() : 0xff);
  return ok({
    generator,
    revision,
    sensorType,
    sensorNumber,
    isAssertion: direction < 0x80,
    eventType: direction & 0x7f,
    eventData: [next(), next(), next()],
  });
}

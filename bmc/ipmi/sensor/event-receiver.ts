/**
 * Set and Get Event Receiver (IPMI 2.0 §29.1-29.2): to whom a controller sends its event messages.
 *
 * Address FFh switches the messages off. On the BMC itself it says where its own events go, which is the BMC.
 *
 *   offset  bytes  field
 *        0      1  address    IPMB slave address, FFh none
 *        1      1  bits 1:0 lun
 */
import { err, ok, type Result } from "../../../core/result.ts";
import { ByteReader, type DecodeError } from "../decode.ts";
import { type IpmiCommand, NET_FN } from "../ipmi.ts";
import { decodeNothing, encodeNothing } from "../no-data.ts";

export interface EventReceiver {
  /** null: event messages are switched off. */
  readonly address: number | null;
  readonly lun: number;
}

const DISABLED = 0xff;

export const setEventReceiver: IpmiCommand<EventReceiver, null> = {
  name: "Set Event Receiver",
  netFn: NET_FN.sensorEvent,
  command: 0x00,
  encode: ({ address, lun }) => Uint8Array.of(address ?? DISABLED, lun & 0x03),
  decode: decodeNothing,
};

export const getEventReceiver: IpmiCommand<void, EventReceiver> = {
  name: "Get Event Receiver",
  netFn: NET_FN.sensorEvent,
  command: 0x01,
  encode: encodeNothing,
  decode: decodeReceiver,
};

function decodeReceiver(data: Uint8Array): Result<EventReceiver, DecodeError> {
  const reader = new ByteReader(data);
  const short = reader.needs("event receiver", 2);
  if (short !== null) return err(short);
  const address = reader.u8();
  return ok({ address: address === DISABLED ? null : address, lun: reader.u8() & 0x03 });
}

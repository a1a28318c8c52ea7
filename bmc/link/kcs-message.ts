/**
 * What Linux' driver of the system interface (`/dev/ipmi0`) takes and gives: the structures of `linux/ipmi.h` as bytes.
 *
 * Decides layouts, ioctl numbers and what a message of the driver is; makes no calls. The structures hold pointers, so
 * each is laid out together with the blocks that it points to in one piece of memory, an arena: one address, which the caller
 * keeps alive, and all pointers lead into it. The layouts are those of 64-bit Linux, little-endian, which is every machine
 * that Bun runs on: x86-64 and arm64 have the same structures and, both by asm-generic/ioctl.h, the same numbers.
 *
 * Which wire the driver speaks behind it (KCS, SMIC, BT, SSIF: IPMI 2.0 §9 to §12) makes no difference here.
 */
import { err, ok, type Result } from "../../core/result.ts";
import { badValue, type DecodeError, tooShort } from "../ipmi/decode.ts";
import type { IpmiReply, IpmiRequest } from "../ipmi/ipmi.ts";

/** IPMI_MAX_MSG_LENGTH of the driver: network function and command included, in either direction. */
export const DRIVER_MESSAGE_BYTES_MAX = 272;

/** More, and the driver answers EMSGSIZE. */
export const REQUEST_BYTES_MAX: number = DRIVER_MESSAGE_BYTES_MAX - 2;

/** What every KCS and SMIC interface can give back: 38 bytes of message, less NetFn, command and completion code (§8). */
export const REPLY_BYTES_MAX = 35;

const REQUEST_BYTES = 40;
const RECEIVED_BYTES = 48;
/** Of the address of the system interface; the shortest there is. */
const ADDRESS_BYTES = 8;
/** The longest address, IPMI_MAX_ADDR_SIZE and its head, rounded up. */
const ADDRESS_BYTES_MAX = 40;

const READ = 2;
const READ_WRITE = 3;

/** asm-generic/ioctl.h: direction 2 bits, size 14, magic 8 ('i' = 69h), number 8. */
function ioctlNumber(direction: number, number: number, bytes: number): number {
  return ((direction << 30) | (bytes << 16) | (0x69 << 8) | number) >>> 0;
}

type IpmiIoctl = "sendCommand" | "receiveTruncated" | "setGetsEvents" | "getMyAddress";

/** SEND is declared as a read although it writes, and so are the setters: the header says so, and it is what counts. */
export const IPMI_IOCTL: Readonly<Record<IpmiIoctl, number>> = {
  sendCommand: ioctlNumber(READ, 13, REQUEST_BYTES),
  receiveTruncated: ioctlNumber(READ_WRITE, 11, RECEIVED_BYTES),
  setGetsEvents: ioctlNumber(READ, 16, 4),
  getMyAddress: ioctlNumber(READ, 18, 4),
};

/** IPMI_SYSTEM_INTERFACE_ADDR_TYPE and IPMI_BMC_CHANNEL. */
const SYSTEM_INTERFACE = 0x0c;
const BMC_CHANNEL = 0x0f;

/*
 * The arena of a request:
 *
 *   offset  bytes  field
 *        0      8  addr*      → 40
 *        8      4  addr_len   8                     (4 bytes of padding follow)
 *       16      8  msgid      comes back with the reply
 *       24      1  netfn      even
 *       25      1  cmd
 *       26      2  data_len                         (4 bytes of padding follow)
 *       32      8  data*      → 48
 *       40      4  addr_type  0Ch, system interface
 *       44      2  channel    0Fh, the BMC
 *       46      1  lun                              (1 byte of padding follows)
 *       48      …  data
 */
const REQUEST_ADDRESS = REQUEST_BYTES;
const REQUEST_DATA: number = REQUEST_ADDRESS + ADDRESS_BYTES;
export const REQUEST_ARENA_BYTES: number = REQUEST_DATA + DRIVER_MESSAGE_BYTES_MAX;

/** `address` is where the arena lies. The caller has checked that the data fit. */
export function encodeDriverRequest(
  arena: DataView,
  address: number,
  messageId: number,
  request: IpmiRequest,
): void {
  arena.setBigUint64(0, BigInt(address + REQUEST_ADDRESS), true);
  arena.setUint32(8, ADDRESS_BYTES, true);
  arena.setBigInt64(16, BigInt(messageId), true);
  arena.setUint8(24, request.netFn);
  arena.setUint8(25, request.command);
  arena.setUint16(26, request.data.byteLength, true);
  arena.setBigUint64(32, BigInt(address + REQUEST_DATA), true);
  arena.setInt32(REQUEST_ADDRESS, SYSTEM_INTERFACE, true);
  arena.setInt16(REQUEST_ADDRESS + 4, BMC_CHANNEL, true);
  arena.setUint8(REQUEST_ADDRESS + 6, request.lun);
  for (let index = 0; index < request.data.byteLength; index++) {
    arena.setUint8(REQUEST_DATA + index, request.data[index] as number);
  }
}

/*
 * The arena of a message received; the driver fills in everything but the pointers, and shortens the two lengths:
 *
 *   offset  bytes  field
 *        0      4  recv_type  1 reply, 2 event, 3 command, 4 reply to a reply, 5 OEM   (4 bytes of padding follow)
 *        8      8  addr*      → 48
 *       16      4  addr_len   in: room, out: used   (4 bytes of padding follow)
 *       24      8  msgid
 *       32      1  netfn      odd in a reply
 *       33      1  cmd
 *       34      2  data_len   in: room, out: used   (4 bytes of padding follow)
 *       40      8  data*      → 88
 *       48     40  address
 *       88      …  data: of a reply the completion code first; of an event its 16 bytes and no completion code
 */
const RECEIVED_ADDRESS = RECEIVED_BYTES;
const RECEIVED_DATA: number = RECEIVED_ADDRESS + ADDRESS_BYTES_MAX;
export const RECEIVED_ARENA_BYTES: number = RECEIVED_DATA + DRIVER_MESSAGE_BYTES_MAX;

/** Before every receiving call, since the last one changed the lengths. */
export function prepareDriverReceive(arena: DataView, address: number): void {
  arena.setBigUint64(8, BigInt(address + RECEIVED_ADDRESS), true);
  arena.setUint32(16, ADDRESS_BYTES_MAX, true);
  arena.setUint16(34, DRIVER_MESSAGE_BYTES_MAX, true);
  arena.setBigUint64(40, BigInt(address + RECEIVED_DATA), true);
}

const RECEIVED_REPLY = 1;
const RECEIVED_EVENT = 2;
/** As the driver reads it from the BMC: Read Event Message Buffer (§22.8). */
const EVENT_BYTES = 16;

export type DriverMessage =
  | { readonly kind: "reply"; readonly messageId: number; readonly reply: IpmiReply }
  /** In SEL format (§32.1). */
  | { readonly kind: "event"; readonly record: Uint8Array }
  /** Commands of others and OEM messages, which nobody here has registered for. */
  | { readonly kind: "other"; readonly receivedType: number };

/** What the driver has written into the arena. Bytes are copied: the arena is used again. */
export function decodeDriverMessage(arena: DataView): Result<DriverMessage, DecodeError> {
  if (arena.byteLength < RECEIVED_ARENA_BYTES) {
    return err(tooShort("message of the driver", RECEIVED_ARENA_BYTES, arena.byteLength));
  }
  const receivedType = arena.getInt32(0, true);
  const dataBytes = arena.getUint16(34, true);
  if (dataBytes > DRIVER_MESSAGE_BYTES_MAX) {
    return err(badValue("length of the driver's message", dataBytes));
  }
  const data = new Uint8Array(arena.buffer, arena.byteOffset + RECEIVED_DATA, dataBytes);
  if (receivedType === RECEIVED_REPLY) {
    const completionCode = data[0];
    if (completionCode === undefined) return err(tooShort("reply of the driver", 1, 0));
    const messageId = Number(arena.getBigInt64(24, true));
    return ok({ kind: "reply", messageId, reply: { completionCode, data: data.slice(1) } });
  }
  if (receivedType === RECEIVED_EVENT) {
    if (dataBytes < EVENT_BYTES) return err(tooShort("event", EVENT_BYTES, dataBytes));
    return ok({ kind: "event", record: data.slice(0, EVENT_BYTES) });
  }
  return ok({ kind: "other", receivedType });
}

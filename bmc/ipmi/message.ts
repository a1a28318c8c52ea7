/**
 * IPMB messages: what travels inside a session, over serial Basic Mode and over IPMB itself (IPMI 2.0 §13.8, §14.4).
 *
 * Decides the bytes of a message and whether bytes are one; not which reply answers which request. Both directions: a client
 * encodes requests and decodes replies, the emulator the other way round. Both checksums are made and checked here.
 *
 *   request                              reply
 *   0  responder address                 0  requester address
 *   1  netFn<<2 | responder LUN          1  (netFn|1)<<2 | requester LUN
 *   2  checksum of 0..1                  2  checksum of 0..1
 *   3  requester address                 3  responder address
 *   4  sequence<<2 | requester LUN       4  sequence<<2 | responder LUN
 *   5  command                           5  command
 *   6  data…                             6  completion code
 *   n  checksum of 3..n-1                7  data…, then checksum of 3..n-1
 */
import { assert } from "../../core/assert.ts";
import { err, ok, type Result } from "../../core/result.ts";
import { badChecksum, badValue, type DecodeError, tooShort } from "./decode.ts";
import type { IpmiReply, IpmiRequest } from "./ipmi.ts";

/** Slave address of the BMC (§5.5). */
export const BMC_ADDRESS = 0x20;
/** First software id of a remote console, 40h, as an address byte (§5.5). */
export const CONSOLE_ADDRESS = 0x81;
/** The sequence number has 6 bits. */
export const SEQUENCE_COUNT = 64;

const CLIENT_ROUTE = (BMC_ADDRESS << 16) | (CONSOLE_ADDRESS << 8);
const REQUEST_BYTES_MIN = 7;
const REPLY_BYTES_MIN = 8;

export interface RequestMessage extends IpmiRequest {
  readonly responderAddress: number;
  readonly requesterAddress: number;
  /** 0..63 */
  readonly sequence: number;
  readonly requesterLun: number;
}

export interface ReplyMessage extends IpmiReply {
  /** Odd: that of the request plus one. */
  readonly netFn: number;
  readonly requesterAddress: number;
  readonly requesterLun: number;
  readonly responderAddress: number;
  /** The LUN that the request was sent to. */
  readonly lun: number;
  /** 0..63, that of the request. */
  readonly sequence: number;
  readonly command: number;
}

function checksumOf(bytes: Uint8Array, start: number, end: number): number {
  let sum = 0;
  for (let index = start; index < end; index++) sum += bytes[index] as number;
  return -sum & 0xff;
}

/** Writes both checksums into a message whose other bytes stand already. */
function sealed(bytes: Uint8Array): Uint8Array {
  bytes[2] = checksumOf(bytes, 0, 2);
  bytes[bytes.byteLength - 1] = checksumOf(bytes, 3, bytes.byteLength - 1);
  return bytes;
}

function headError(what: string, bytes: Uint8Array, bytesMin: number): DecodeError | null {
  if (bytes.byteLength < bytesMin) return tooShort(what, bytesMin, bytes.byteLength);
  if (checksumOf(bytes, 0, 3) !== 0) return badChecksum(`${what} head`);
  if (checksumOf(bytes, 3, bytes.byteLength) !== 0) return badChecksum(what);
  return null;
}

export function encodeRequestMessage(message: RequestMessage): Uint8Array {
  const { responderAddress, requesterAddress, requesterLun, sequence } = message;
  const route = (responderAddress << 16) | (requesterAddress << 8) | requesterLun;
  return encodeRequest(message, route, sequence);
}

/** `route`: responder's address, requester's address, requester's LUN, a byte each. */
function encodeRequest(request: IpmiRequest, route: number, sequence: number): Uint8Array {
  assert(sequence >= 0 && sequence < SEQUENCE_COUNT, "a sequence has 6 bits");
  assert(request.netFn % 2 === 0 && request.netFn <= 0x3e, "a request has an even netFn");
  const bytes = new Uint8Array(REQUEST_BYTES_MIN + request.data.byteLength);
  bytes[0] = route >> 16;
  bytes[1] = (request.netFn << 2) | (request.lun & 3);
  bytes[3] = route >> 8;
  bytes[4] = (sequence << 2) | (route & 3);
  bytes[5] = request.command;
  bytes.set(request.data, 6);
  return sealed(bytes);
}

/** A request as a client sends it to the BMC. */
export function encodeRequestToBmc(request: IpmiRequest, sequence: number): Uint8Array {
  return encodeRequest(request, CLIENT_ROUTE, sequence);
}

export function decodeRequestMessage(bytes: Uint8Array): Result<RequestMessage, DecodeError> {
  const wrong = headError("request message", bytes, REQUEST_BYTES_MIN);
  if (wrong !== null) return err(wrong);
  const [responderAddress = 0, netFnLun = 0, , requesterAddress = 0, seqLun = 0, command = 0] =
    bytes;
  const netFn = netFnLun >> 2;
  if (netFn % 2 !== 0) return err(badValue("netFn of a request", netFn));
  return ok({
    responderAddress,
    netFn,
    lun: netFnLun & 3,
    requesterAddress,
    sequence: seqLun >> 2,
    requesterLun: seqLun & 3,
    command,
    data: bytes.subarray(6, bytes.byteLength - 1),
  });
}

export function encodeReplyMessage(message: ReplyMessage): Uint8Array {
  assert(message.sequence >= 0 && message.sequence < SEQUENCE_COUNT, "a sequence has 6 bits");
  assert(message.netFn % 2 === 1 && message.netFn <= 0x3f, "a reply has an odd netFn");
  const bytes = new Uint8Array(REPLY_BYTES_MIN + message.data.byteLength);
  bytes[0] = message.requesterAddress;
  bytes[1] = (message.netFn << 2) | (message.requesterLun & 3);
  bytes[3] = message.responderAddress;
  bytes[4] = (message.sequence << 2) | (message.lun & 3);
  bytes[5] = message.command;
  bytes[6] = message.completionCode;
  bytes.set(message.data, 7);
  return sealed(bytes);
}

/** The reply that answers a request, addressed as the request asks. */
export function replyTo(request: RequestMessage, reply: IpmiReply): ReplyMessage {
  return {
    netFn: request.netFn | 1,
    requesterAddress: request.requesterAddress,
    requesterLun: request.requesterLun,
    responderAddress: request.responderAddress,
    lun: request.lun,
    sequence: request.sequence,
    command: request.command,
    completionCode: reply.completionCode,
    data: reply.data,
  };
}

export function decodeReplyMessage(bytes: Uint8Array): Result<ReplyMessage, DecodeError> {
  const wrong = headError("reply message", bytes, REPLY_BYTES_MIN);
  if (wrong !== null) return err(wrong);
  const netFn = (bytes[1] as number) >> 2;
  if (netFn % 2 !== 1) return err(badValue("netFn of a reply", netFn));
  return ok({
    netFn,
    requesterAddress: bytes[0] as number,
    requesterLun: (bytes[1] as number) & 3,
    responderAddress: bytes[3] as number,
    lun: (bytes[4] as number) & 3,
    sequence: (bytes[4] as number) >> 2,
    command: bytes[5] as number,
    completionCode: bytes[6] as number,
    data: bytes.slice(7, bytes.byteLength - 1),
  });
}

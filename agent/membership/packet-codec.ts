/**
 * Packets as bytes. Decoding checks the length first, then every field, and never throws; what does not fit is refused
 * whole. Encoding drops the claims that do not fit any more: they ride on a later packet.
 *
 *   offset  bytes  field                          little endian throughout
 *        0      2  magic       "hf"
 *        2      1  version     1
 *        3      1  kind        0 ping, 1 ack, 2 ping-req, 3 nack, 4 gossip
 *        4      4  cluster     clusterTag, 0 for none
 *        8      4  epoch
 *       12      4  seq         0 for gossip
 *       16      4  rebuttal
 *       20         from        member
 *                  target      string          ping, ping-req; may be empty in a ping
 *                  endpoint    string, u16     ping-req: address and port
 *                1 claimCount  0..CLAIMS_MAX
 *                  claims
 *
 *   string: u8 length, ASCII bytes       member: id, instance, address (strings), u16 port, u32 incarnation, u8 role
 *   claim:  member, u32 rebuttal, u8 standing, accuser (string)
 *
 * Frozen: agents of two releases talk to each other during an upgrade. A new form takes a new version byte.
 */
import { assert } from "../../core/assert.ts";
import { err, ok, type Result } from "../../core/result.ts";
import type { Epoch, Member, NodeId, Role } from "./membership.ts";
import {
  ADDRESS_BYTES_MAX,
  CLAIMS_MAX,
  type Claim,
  type ClaimStanding,
  type Endpoint,
  ID_BYTES_MAX,
  INSTANCE_BYTES_MAX,
  NO_CLAIMS,
  PACKET_BYTES_MAX,
  type Packet,
} from "./packet.ts";

const MAGIC_0 = 0x68;
const MAGIC_1 = 0x66;
const VERSION = 1;
const HEAD_BYTES = 20;
/** Head, the shortest member (one byte a string), claim count. */
const PACKET_BYTES_MIN = HEAD_BYTES + 13 + 1;

const KINDS = ["ping", "ack", "ping-req", "nack", "gossip"] as const;
const STANDINGS: readonly ClaimStanding[] = ["alive", "suspect", "unreachable", "left"];
const ROLES: readonly Role[] = ["worker", "witness"];

const ID = /^[a-z0-9-]+$/;
const INSTANCE = /^[A-Za-z0-9-]+$/;
const ADDRESS = /^[0-9A-Za-z:.%]+$/;

export type PacketError =
  | { readonly kind: "bad-length"; readonly gotBytes: number }
  | { readonly kind: "bad-magic" }
  | { readonly kind: "bad-version"; readonly version: number }
  | { readonly kind: "bad-field"; readonly field: string };

/** Refuses what can never be sent, when an agent starts rather than when it speaks. */
export function isSendable(member: Member): boolean {
  return (
    isText(member.id, ID, ID_BYTES_MAX) &&
    isText(member.instance, INSTANCE, INSTANCE_BYTES_MAX) &&
    isText(member.address, ADDRESS, ADDRESS_BYTES_MAX) &&
    Number.isInteger(member.port) &&
    member.port >= 1 &&
    member.port <= 65_535
  );
}

function isText(text: string, pattern: RegExp, bytesMax: number): boolean {
  return text.length <= bytesMax && pattern.test(text);
}

class Writer {
  readonly bytes: Uint8Array = new Uint8Array(PACKET_BYTES_MAX);
  readonly #view: DataView = new DataView(this.bytes.buffer);
  at = 0;

  u8(value: number): void {
    this.bytes[this.at++] = value;
  }

  u16(value: number): void {
    this.#view.setUint16(this.at, value, true);
    this.at += 2;
  }

  u32(value: number): void {
    this.#view.setUint32(this.at, value, true);
    this.at += 4;
  }

  text(value: string): void {
    this.u8(value.length);
    for (let i = 0; i < value.length; i++) this.u8(value.charCodeAt(i));
  }

  member(member: Member): void {
    this.text(member.id);
    this.text(member.instance);
    this.text(member.address);
    this.u16(member.port);
    this.u32(member.incarnation);
    this.u8(ROLES.indexOf(member.role));
  }

  claim(claim: Claim): void {
    this.member(claim.member);
    this.u32(claim.rebuttal);
    this.u8(STANDINGS.indexOf(claim.standing));
    this.text(claim.accuser);
  }
}

function claimBytes(claim: Claim): number {
  const { id, instance, address } = claim.member;
  return id.length + instance.length + address.length + claim.accuser.length + 16;
}

/** One for all: encoding is synchronous and its result is a copy. */
const writer = new Writer();

export function encodePacket(packet: Packet): Uint8Array {
  writer.at = 0;
  writer.u8(MAGIC_0);
  writer.u8(MAGIC_1);
  writer.u8(VERSION);
  writer.u8(KINDS.indexOf(packet.kind));
  writer.u32(packet.cluster);
  writer.u32(packet.epoch);
  writer.u32(packet.kind === "gossip" ? 0 : packet.seq);
  writer.u32(packet.rebuttal);
  writer.member(packet.from);
  if (packet.kind === "ping" || packet.kind === "ping-req") writer.text(packet.target);
  if (packet.kind === "ping-req") {
    writer.text(packet.endpoint.address);
    writer.u16(packet.endpoint.port);
  }
  const countAt = writer.at;
  writer.u8(0);
  let count = 0;
  for (const claim of packet.claims) {
    if (count === CLAIMS_MAX || writer.at + claimBytes(claim) > PACKET_BYTES_MAX) break;
    writer.claim(claim);
    count++;
  }
  writer.bytes[countAt] = count;
  assert(writer.at <= PACKET_BYTES_MAX, "a packet has its bound");
  return writer.bytes.slice(0, writer.at);
}

/** Reads forward only. The first thing that is wrong is remembered; what is read after it means nothing. */
class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;
  /** The name of the first field that is wrong; empty while all is well. */
  wrong = "";

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  #has(byteCount: number, field: string): boolean {
    if (this.wrong === "" && this.#at + byteCount > this.#bytes.length) this.wrong = field;
    return this.wrong === "";
  }

  isAtEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  u8(field: string): number {
    if (!this.#has(1, field)) return 0;
    return this.#bytes[this.#at++] as number;
  }

  u16(field: string): number {
    if (!this.#has(2, field)) return 0;
    this.#at += 2;
    return this.#view.getUint16(this.#at - 2, true);
  }

  u32(field: string): number {
    if (!this.#has(4, field)) return 0;
    this.#at += 4;
    return this.#view.getUint32(this.#at - 4, true);
  }

  text(field: string, pattern: RegExp, bytesMax: number): string {
    const length = this.u8(field);
    if (!this.#has(length, field)) return "";
    let text = "";
    for (let i = 0; i < length; i++) text += String.fromCharCode(this.#bytes[this.#at++] as number);
    if (!isText(text, pattern, bytesMax)) this.wrong = field;
    return text;
  }

  /** One of a closed list. */
  choice<T>(field: string, choices: readonly T[]): T {
    const index = this.u8(field);
    if (index >= choices.length && this.wrong === "") this.wrong = field;
    return choices[index] ?? (choices[0] as T);
  }

  port(field: string): number {
    const port = this.u16(field);
    if (port === 0 && this.wrong === "") this.wrong = field;
    return port;
  }

  member(): Member {
    return {
      id: this.text("id", ID, ID_BYTES_MAX) as NodeId,
      instance: this.text("instance", INSTANCE, INSTANCE_BYTES_MAX),
      address: this.text("address", ADDRESS, ADDRESS_BYTES_MAX),
      port: this.port("port"),
      incarnation: this.u32("incarnation"),
      role: this.choice("role", ROLES),
    };
  }

  claims(): readonly Claim[] {
    const count = this.u8("claimCount");
    if (count > CLAIMS_MAX && this.wrong === "") this.wrong = "claimCount";
    if (count === 0 || this.wrong !== "") return NO_CLAIMS;
    const claims: Claim[] = [];
    for (let i = 0; i < count && this.wrong === ""; i++) {
      claims.push({
        member: this.member(),
        rebuttal: this.u32("rebuttal"),
        standing: this.choice("standing", STANDINGS),
        accuser: this.text("accuser", ID, ID_BYTES_MAX) as NodeId,
      });
    }
    return claims;
  }
}

const TARGET = /^[A-Za-z0-9-]*$/;

function readTarget(
  reader: Reader,
  kind: Packet["kind"],
): { readonly target: string; readonly endpoint: Endpoint } {
  const hasTarget = kind === "ping" || kind === "ping-req";
  const target = hasTarget ? reader.text("target", TARGET, INSTANCE_BYTES_MAX) : "";
  if (kind !== "ping-req") return { target, endpoint: { address: "", port: 0 } };
  const address = reader.text("endpoint", ADDRESS, ADDRESS_BYTES_MAX);
  return { target, endpoint: { address, port: reader.port("endpoint") } };
}

export function readPacket(bytes: Uint8Array): Result<Packet, PacketError> {
  if (bytes.length < PACKET_BYTES_MIN || bytes.length > PACKET_BYTES_MAX) {
    return err({ kind: "bad-length", gotBytes: bytes.length });
  }
  if (bytes[0] !== MAGIC_0 || bytes[1] !== MAGIC_1) return err({ kind: "bad-magic" });
  if (bytes[2] !== VERSION) return err({ kind: "bad-version", version: bytes[2] as number });
  const reader = new Reader(bytes.subarray(3));
  const kind = reader.choice("kind", KINDS);
  const cluster = reader.u32("cluster");
  const epoch = reader.u32("epoch") as Epoch | 0;
  const seq = reader.u32("seq");
  const rebuttal = reader.u32("rebuttal");
  const from = reader.member();
  const head = { from, rebuttal, epoch, cluster };
  const { target, endpoint } = readTarget(reader, kind);
  const claims = reader.claims();
  if (reader.wrong === "" && !reader.isAtEnd()) reader.wrong = "end";
  if (reader.wrong === "" && kind === "gossip" && seq !== 0) reader.wrong = "seq";
  if (reader.wrong !== "") return err({ kind: "bad-field", field: reader.wrong });
  if (kind === "ping") return ok({ kind, seq, target, ...head, claims });
  if (kind === "ping-req") return ok({ kind, seq, target, endpoint, ...head, claims });
  if (kind === "gossip") return ok({ kind, ...head, claims });
  return ok({ kind, seq, ...head, claims });
}

/** For a socket that only wants to know whether there is a packet. */
export function decodePacket(bytes: Uint8Array): Packet | null {
  const result = readPacket(bytes);
  return result.ok ? result.value : null;
}

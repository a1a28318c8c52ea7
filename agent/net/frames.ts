/**
 * Frames on the link between two agents: what a WebSocket message holds.
 *
 * The first frame each side sends is its hello; nothing else is read before it. A frame is msgpack, with plain objects
 * only. Its length is checked first, then it is decoded, then its shape is validated by the codec that the composition
 * gives; whatever fails on the way closes the link with one line, and never reaches code that decides.
 */
import { Packr } from "msgpackr";
import { err, ok, type Result } from "../../core/result.ts";

/** A change of any message's meaning takes a new number; agents of different numbers do not link. */
export const LINK_PROTOCOL = 1;

/** A report of a node with thousands of ranks and versions fits; nothing that size is ever legitimate beyond it. */
export const FRAME_BYTES_MAX: number = 8 * 1024 * 1024;

/** A stranger may make us hold no more than this before it has said who it is. */
export const HELLO_BYTES_MAX = 8192;

export interface Hello {
  readonly protocol: number;
  readonly node: string;
  readonly instance: string;
  readonly incarnation: number;
  /** With TLS: a token for exactly the other side, that shows that `node` is the sender's name. */
  readonly proof?: string;
}

export interface LinkCodec<Message> {
  encode(message: Message): Uint8Array;
  decode(bytes: Uint8Array): Result<Message, string>;
}

const packr = new Packr({ useRecords: false, moreTypes: false });

export function pack(value: unknown): Uint8Array {
  return packr.pack(value);
}

/** msgpackr throws on truncation, on unknown extensions and on bytes left over. */
export function unpack(bytes: Uint8Array): Result<unknown, string> {
  try {
    return ok(packr.unpack(bytes));
  } catch (cause) {
    return err(`not msgpack: ${cause instanceof Error ? cause.message : String(cause)}`);
  }
}

/** A codec for messages of which `validate` says whether they are well-formed. */
export function linkCodec<Message>(
  validate: (value: unknown) => Result<Message, string>,
): LinkCodec<Message> {
  return {
    encode: pack,
    decode: (bytes) => {
      if (bytes.byteLength > FRAME_BYTES_MAX) return err(`a frame of ${bytes.byteLength} bytes`);
      const value = unpack(bytes);
      return value.ok ? validate(value.value) : value;
    },
  };
}

export function encodeHello(hello: Hello): Uint8Array {
  return pack(hello);
}

export function decodeHello(bytes: Uint8Array): Result<Hello, string> {
  if (bytes.byteLength > HELLO_BYTES_MAX) return err(`a hello of ${bytes.byteLength} bytes`);
  const value = unpack(bytes);
  if (!value.ok) return value;
  const hello = value.value as Partial<Hello> | null;
  if (typeof hello !== "object" || hello === null) return err("the first frame is no hello");
  const { protocol, node, instance, incarnation, proof } = hello;
  if (!Number.isSafeInteger(protocol)) return err("the first frame is no hello");
  if (protocol !== LINK_PROTOCOL) {
    return err(`it speaks link protocol ${protocol}, this agent ${LINK_PROTOCOL}`);
  }
  const isWhole =
    typeof node === "string" &&
    /^[a-z0-9-]{1,32}$/.test(node) &&
    typeof instance === "string" &&
    /^[\w-]{1,64}$/.test(instance) &&
    Number.isSafeInteger(incarnation) &&
    (incarnation ?? -1) >= 0;
  if (!isWhole) return err("a hello that names no node, instance and incarnation");
  if (proof !== undefined && typeof proof !== "string")
    return err("a hello with a proof that is none");
  const named = { protocol, node, instance, incarnation: incarnation ?? 0 };
  return ok(proof === undefined ? named : { ...named, proof });
}

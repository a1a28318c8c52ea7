/**
 * The frames that proxies say to each other over a byte stream: a header of 48 bytes, then `payloadBytes` of payload.
 *
 *   offset  bytes  field
 *        0      2  kind
 *        2      2  0x4846: anything else is not a proxy
 *        4      4  epoch
 *        8      4  source rank (or -1)
 *       12      4  destination rank (or -1)
 *       16      4  tag; collective: its number
 *       20      4  id: of a send, a receive, a step
 *       24      4  payload bytes, at most PAYLOAD_BYTES_MAX
 *       28      4  auxiliary number
 *       32      8  total bytes, or an offset (a double: exact up to 2^53)
 *       40      8  second one
 *
 * Decides what is well formed. A frame that is not is refused with one line and the stream is given up: after a wrong length
 * nothing that follows means anything.
 */
import { err, ok, type Result } from "../../core/result.ts";

export const FRAME_HEADER_BYTES = 48;
const FRAME_MARK = 0x4846;

/** A piece of a large message, or a segment of a collective; a sender never needs more in one frame. */
export const PAYLOAD_BYTES_MAX = 1_048_576;
/** Before a peer has said who it is. */
export const HELLO_BYTES_MAX = 4096;

export const FRAME = {
  hello: 1,
  /** A whole small message, sent without asking. */
  eager: 2,
  /** A large message exists: may it come? */
  offer: 3,
  /** Room for `total` more bytes of it at offset `second`. */
  grant: 4,
  data: 5,
  /** `total` bytes of eager messages were taken: as many more may come unasked. */
  credit: 6,
  collective: 7,
  /** Everything this rank sent before cut `id` lies before this frame. */
  marker: 8,
  /** Checkpoint negotiation; see `checkpoint-cut.ts`. */
  prepare: 9,
  count: 10,
  decide: 11,
  /** What this proxy selects, as JSON. */
  opinion: 12,
  /** The dialler's proof that it knows the job's key, 32 bytes; see `io/peer-secret.ts`. */
  proof: 13,
} as const;
export type FrameKind = (typeof FRAME)[keyof typeof FRAME];

export interface FrameHeader {
  readonly kind: FrameKind;
  readonly epoch: number;
  readonly source: number;
  readonly destination: number;
  readonly tag: number;
  readonly id: number;
  readonly payloadBytes: number;
  readonly aux: number;
  readonly total: number;
  readonly second: number;
}

const KIND_MAX = 13;

export function encodeFrameHeader(header: FrameHeader, view: DataView, at: number): void {
  view.setUint16(at, header.kind, true);
  view.setUint16(at + 2, FRAME_MARK, true);
  view.setUint32(at + 4, header.epoch, true);
  view.setInt32(at + 8, header.source, true);
  view.setInt32(at + 12, header.destination, true);
  view.setInt32(at + 16, header.tag, true);
  view.setUint32(at + 20, header.id, true);
  view.setUint32(at + 24, header.payloadBytes, true);
  view.setInt32(at + 28, header.aux, true);
  view.setFloat64(at + 32, header.total, true);
  view.setFloat64(at + 40, header.second, true);
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

/** `view` holds at least FRAME_HEADER_BYTES from `at` on. */
export function decodeFrameHeader(view: DataView, at: number): Result<FrameHeader, string> {
  const mark = view.getUint16(at + 2, true);
  if (mark !== FRAME_MARK) return err("does not speak the proxies' protocol");
  const kind = view.getUint16(at, true);
  if (kind < 1 || kind > KIND_MAX) return err(`sends a frame of unknown kind ${kind}`);
  const payloadBytes = view.getUint32(at + 24, true);
  if (payloadBytes > PAYLOAD_BYTES_MAX) {
    return err(`announces ${payloadBytes} bytes in a frame; the limit is ${PAYLOAD_BYTES_MAX}`);
  }
  const total = view.getFloat64(at + 32, true);
  const second = view.getFloat64(at + 40, true);
  if (!isCount(total) || !isCount(second)) return err("sends a frame with a length that is none");
  return ok({
    kind: kind as FrameKind,
    epoch: view.getUint32(at + 4, true),
    source: view.getInt32(at + 8, true),
    destination: view.getInt32(at + 12, true),
    tag: view.getInt32(at + 16, true),
    id: view.getUint32(at + 20, true),
    payloadBytes,
    aux: view.getInt32(at + 28, true),
    total,
    second,
  });
}

/** Who a proxy is: the payload of the first frame in each direction. */
export interface Hello {
  readonly protocol: number;
  readonly job: string;
  readonly epoch: number;
  readonly node: string;
  /** Of a job with a key, hexadecimal: what the other side's proof must be about, and the acceptor's proof. */
  readonly nonce?: string;
  readonly proof?: string;
}

export const FRAME_PROTOCOL = 1;

export function decodeHello(payload: Uint8Array): Result<Hello, string> {
  try {
    const value: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(payload));
    if (typeof value === "object" && value !== null) {
      const said = value as Partial<Record<keyof Hello, unknown>>;
      const { protocol, job, epoch, node, nonce, proof } = said;
      const isWhole =
        typeof protocol === "number" &&
        typeof job === "string" &&
        typeof epoch === "number" &&
        typeof node === "string";
      const isHex = (text: unknown): text is string | undefined =>
        text === undefined ||
        (typeof text === "string" && /^(?:[0-9a-f]{32}|[0-9a-f]{64})$/.test(text));
      if (isWhole && isHex(nonce) && isHex(proof)) {
        return ok({
          ...{ protocol, job, epoch, node },
          ...(nonce === undefined ? {} : { nonce }),
          ...(proof === undefined ? {} : { proof }),
        });
      }
    }
  } catch {
    // The answer below says all there is to say.
  }
  return err("says a hello that cannot be read");
}

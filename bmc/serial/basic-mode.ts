/**
 * Serial Basic Mode (IPMI 2.0 §14.4): bytes of a line in, whole messages out, and back. The same for a console and for a BMC.
 *
 * Decides where a message begins and ends, what is noise, and whether the checksums are right; not what a message means nor
 * whose it is. An echo of what was sent comes out like any message: who knows its own addresses drops it.
 *
 *   byte   on the line                 escaped inside a frame as
 *   A0h    start of a message          AA B0
 *   A5h    end of a message            AA B5
 *   A6h    handshake, see below        AA B6
 *   AAh    escape                      AA BA
 *   1Bh    never (ESC: port sharing)   AA 3B
 *
 * Invariants: any split of the same bytes gives the same frames and the same counters; a start begins anew wherever it comes;
 * no more than `bytesMax` bytes are kept; 1Bh is never put on the line, since a shared port might switch or reset the host.
 * The handshake says that the BMC's buffer is free again. It may come between any two bytes of a frame but not behind
 * an escape (§14.4.5), so it is taken out first and told apart from the frames.
 */
import { assert } from "../../core/assert.ts";

export const BASIC_START = 0xa0;
export const BASIC_STOP = 0xa5;
export const BASIC_HANDSHAKE = 0xa6;
const ESCAPE = 0xaa;
const ASCII_ESC = 0x1b;

/** rsAddr, netFn/LUN, checksum, rqAddr, seq/LUN, command, checksum. */
export const BASIC_MESSAGE_BYTES_MIN = 7;
/** A message of IPMB has 32 bytes and ipmitool takes 47; what is longer than this is a lost stop byte. */
export const BASIC_MESSAGE_BYTES_MAX = 256;

export type BasicFrame =
  /** From rsAddr to the second checksum, both checksums right; owned by the receiver. */
  { readonly kind: "message"; readonly bytes: Uint8Array } | { readonly kind: "handshake" };

export interface BasicCounts {
  messages: number;
  handshakes: number;
  /** Bytes outside of frames. */
  noiseBytes: number;
  badChecksums: number;
  badEscapes: number;
  tooLong: number;
  tooShort: number;
  /** A start inside a frame: what was there before is gone. */
  cutShort: number;
}

const ESCAPED: ReadonlyMap<number, number> = new Map([
  [BASIC_START, 0xb0],
  [BASIC_STOP, 0xb5],
  [BASIC_HANDSHAKE, 0xb6],
  [ESCAPE, 0xba],
  [ASCII_ESC, 0x3b],
]);
const UNESCAPED: ReadonlyMap<number, number> = new Map(
  [...ESCAPED].map(([raw, sent]) => [sent, raw]),
);

/** 1 for what is escaped: a table, since all but a few bytes of a line are looked up here and nowhere else. */
const IS_SPECIAL: Uint8Array = Uint8Array.from({ length: 256 }, (_, byte) =>
  ESCAPED.has(byte) ? 1 : 0,
);

/** A frame around any bytes; O(bytes), at most twice as long and two. */
export function encodeBasicFrame(message: Uint8Array): Uint8Array {
  assert(message.byteLength <= BASIC_MESSAGE_BYTES_MAX, "a message fits a frame");
  const frame = new Uint8Array(2 * message.byteLength + 2);
  let length = 0;
  frame[length++] = BASIC_START;
  for (let index = 0; index < message.byteLength; index++) {
    const byte = message[index] as number;
    const escaped = IS_SPECIAL[byte] === 1 ? ESCAPED.get(byte) : undefined;
    if (escaped !== undefined) frame[length++] = ESCAPE;
    frame[length++] = escaped ?? byte;
  }
  frame[length++] = BASIC_STOP;
  return frame.subarray(0, length);
}

/** Whether both checksums of a message are right (§13.8). */
export function hasGoodChecksums(message: Uint8Array): boolean {
  return sumOf(message, 0, 3) === 0 && sumOf(message, 3, message.byteLength) === 0;
}

function sumOf(bytes: Uint8Array, start: number, end: number): number {
  let sum = 0;
  for (let index = start; index < end; index++) sum += bytes[index] as number;
  return sum & 0xff;
}

/** `outside` a frame, `inside`, or behind an `escape` in it. */
type BasicState = "outside" | "inside" | "escape";

export class BasicModeFramer {
  readonly counts: BasicCounts = {
    messages: 0,
    handshakes: 0,
    noiseBytes: 0,
    badChecksums: 0,
    badEscapes: 0,
    tooLong: 0,
    tooShort: 0,
    cutShort: 0,
  };
  readonly #body: Uint8Array;
  #length = 0;
  #state: BasicState = "outside";

  constructor(bytesMax: number = BASIC_MESSAGE_BYTES_MAX) {
    assert(bytesMax >= BASIC_MESSAGE_BYTES_MIN, "the shortest message fits");
    this.#body = new Uint8Array(bytesMax);
  }

  /** Inside a frame, with its end still to come. */
  get isInside(): boolean {
    return this.#state !== "outside";
  }

  push(chunk: Uint8Array): readonly BasicFrame[] {
    const frames: BasicFrame[] = [];
    for (let index = 0; index < chunk.byteLength; index++) {
      const byte = chunk[index] as number;
      if (IS_SPECIAL[byte] === 0 && this.#state === "inside") this.#keep(byte);
      else this.#take(byte, frames);
    }
    return frames;
  }

  #take(byte: number, frames: BasicFrame[]): void {
    if (byte === BASIC_START) this.#start();
    else if (byte === BASIC_HANDSHAKE) this.#handshake(frames);
    else if (this.#state === "outside") this.counts.noiseBytes++;
    else if (this.#state === "escape") this.#unescape(byte);
    else if (byte === BASIC_STOP) this.#stop(frames);
    else if (byte === ESCAPE) this.#state = "escape";
    else this.#keep(byte);
  }

  /** Forgets what has begun: after a change of the line. */
  reset(): void {
    this.#state = "outside";
    this.#length = 0;
  }

  #start(): void {
    if (this.#state !== "outside") this.counts.cutShort++;
    this.#state = "inside";
    this.#length = 0;
  }

  #handshake(frames: BasicFrame[]): void {
    // An escape stands for the byte behind it, so this one was never sent as a handshake: the line lost something.
    if (this.#state === "escape") this.#drop("badEscapes");
    else {
      this.counts.handshakes++;
      frames.push({ kind: "handshake" });
    }
  }

  #unescape(byte: number): void {
    const raw = UNESCAPED.get(byte);
    if (raw === undefined) this.#drop("badEscapes");
    else {
      this.#state = "inside";
      this.#keep(raw);
    }
  }

  #keep(byte: number): void {
    if (this.#length === this.#body.byteLength) this.#drop("tooLong");
    else this.#body[this.#length++] = byte;
  }

  #stop(frames: BasicFrame[]): void {
    this.#state = "outside";
    if (this.#length < BASIC_MESSAGE_BYTES_MIN) {
      this.counts.tooShort++;
      return;
    }
    const bytes = this.#body.slice(0, this.#length);
    if (!hasGoodChecksums(bytes)) {
      this.counts.badChecksums++;
      return;
    }
    this.counts.messages++;
    frames.push({ kind: "message", bytes });
  }

  #drop(why: "badEscapes" | "tooLong"): void {
    this.counts[why]++;
    this.#state = "outside";
    this.#length = 0;
  }
}

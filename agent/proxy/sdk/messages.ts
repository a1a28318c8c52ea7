/**
 * Point-to-point messages of a program, of any size through a slab of fixed size.
 *
 * Memory the proxy can reach goes as it is. Other memory is copied: small messages in one piece; of a large one only what
 * the other side has room for is in the slab at a time, at most PIECES_MAX pieces. A large send holds no slab until its receiver
 * wants it, and an open receive holds at most RECEIVE_BYTES, so open requests can never starve the ones that move.
 */
import { OP, PIECE_BYTES, SLAB_BYTES, SLAB_OFFSET, STATUS } from "../segment-layout.ts";
import { EAGER_BYTES_MAX } from "../send-side.ts";
import { SlabAllocator } from "../slab-allocator.ts";
import type { Channel, Completion } from "./channel.ts";
import type { Numbers, Received, Request } from "./context.ts";
import { bytesOf } from "./numbers.ts";
import type { Regions } from "./regions.ts";

/** Two keep copying and sending at the same time. */
const PIECES_MAX = 2;
/** Half the slab at most lies in open receives. */
const OPEN_MAX = 128;
const RECEIVE_BYTES = EAGER_BYTES_MAX;

/** The slab of a segment, with the program's view of it. */
export class Slab {
  readonly #bytes: Uint8Array;
  #allocator = new SlabAllocator(SLAB_BYTES);

  constructor(segmentBytes: Uint8Array) {
    this.#bytes = segmentBytes;
  }

  restart(): void {
    this.#allocator = new SlabAllocator(SLAB_BYTES);
  }

  allocate(bytes: number): number {
    return this.#allocator.allocate(bytes);
  }

  release(offset: number): void {
    this.#allocator.release(offset);
  }

  /** `bytes` of the block at `offset`. */
  view(offset: number, bytes: number): Uint8Array {
    const from = SLAB_OFFSET + offset;
    return this.#bytes.subarray(from, from + bytes);
  }
}

export interface Envelope {
  readonly peer: number;
  readonly tag: number;
}

interface Piece {
  readonly offset: number;
  readonly bytes: number;
}

/** Common to sends and receives under way. */
abstract class Transfer implements Request {
  protected readonly messages: Messages;
  protected readonly data: Uint8Array;
  protected readonly slot: number;
  /** Blocks handed to the proxy, oldest first; their completions come in this order. */
  protected readonly pieces: Piece[] = [];
  protected error: Error | null = null;
  protected result: Received | null = null;
  #isDone = false;

  constructor(messages: Messages, data: Uint8Array) {
    this.messages = messages;
    this.data = data;
    this.slot = messages.channel.open((completion) => this.onCompletion(completion));
    if (this.slot < 0) throw new RangeError(`more than ${OPEN_MAX} requests are open`);
  }

  get isDone(): boolean {
    return this.#isDone;
  }

  wait(): Received | null {
    const { channel } = this.messages;
    channel.waitUntil(() => this.#isDone);
    if (this.error !== null) throw this.error;
    return this.result;
  }

  /** Tries again what found no room in the slab. */
  abstract advance(): void;
  protected abstract onCompletion(completion: Completion): void;

  protected finish(): void {
    this.#isDone = true;
    this.messages.finish(this, this.slot);
  }

  protected takeFailure(completion: Completion): boolean {
    const { status, source, totalBytes } = completion;
    if (status === STATUS.ok) return false;
    this.error ??=
      status === STATUS.truncated
        ? new RangeError(
            `a message of ${totalBytes} bytes from rank ${source} does not fit in ${this.data.byteLength}`,
          )
        : new Error(this.messages.channel.mapped.segment.failureText);
    return true;
  }
}

class Send extends Transfer {
  #handedBytes = 0;
  #doneBytes = 0;
  #isGranted = false;

  start(envelope: Envelope, view: Numbers): void {
    const { channel, regions, slab } = this.messages;
    const totalBytes = this.data.byteLength;
    const base = { op: OP.send, ...envelope, totalBytes };
    const area = regions.areaOf(view);
    if (area !== null) {
      this.#isGranted = true;
      this.#handedBytes = totalBytes;
      this.pieces.push({ offset: -1, bytes: totalBytes });
      channel.submit(this.slot, { ...base, ...area, bytes: totalBytes });
      return;
    }
    if (totalBytes > EAGER_BYTES_MAX) {
      this.pieces.push({ offset: -1, bytes: 0 });
      channel.submit(this.slot, base.totalBytes === 0 ? base : { ...base, bytes: 0 });
      return;
    }
    this.#isGranted = true;
    const offset = this.messages.allocateOrWait(Math.max(totalBytes, 1));
    slab.view(offset, totalBytes).set(this.data);
    this.#handedBytes = totalBytes;
    this.pieces.push({ offset, bytes: totalBytes });
    channel.submit(this.slot, { ...base, offset, bytes: totalBytes });
  }

  override advance(): void {
    const { slab, channel } = this.messages;
    while (this.#isGranted && this.pieces.length < PIECES_MAX) {
      const bytes = Math.min(PIECE_BYTES, this.data.byteLength - this.#handedBytes);
      if (bytes === 0) return;
      const offset = slab.allocate(bytes);
      if (offset < 0) return;
      const from = this.#handedBytes;
      slab.view(offset, bytes).set(this.data.subarray(from, from + bytes));
      this.#handedBytes += bytes;
      this.pieces.push({ offset, bytes });
      channel.submit(this.slot, { op: OP.piece, offset, bytes });
    }
  }

  protected override onCompletion(completion: Completion): void {
    const piece = this.pieces.shift();
    if (piece !== undefined && piece.offset >= 0) this.messages.slab.release(piece.offset);
    if (this.takeFailure(completion)) {
      if (this.pieces.length === 0) this.finish();
      return;
    }
    this.#doneBytes += piece?.bytes ?? 0;
    this.#isGranted = true;
    if (this.#doneBytes === this.data.byteLength) this.finish();
    else this.messages.want(this);
  }
}

class Receive extends Transfer {
  #gotBytes = 0;
  #totalBytes = -1;
  #roomBytes = 0;

  start(envelope: Envelope, view: Numbers): void {
    const { channel, regions } = this.messages;
    const totalBytes = this.data.byteLength;
    const base = { op: OP.receive, ...envelope, totalBytes };
    const area = regions.areaOf(view);
    if (area !== null) {
      this.pieces.push({ offset: -1, bytes: totalBytes });
      this.#roomBytes = totalBytes;
      channel.submit(this.slot, { ...base, ...area, bytes: totalBytes });
      return;
    }
    const bytes = Math.min(totalBytes, RECEIVE_BYTES);
    const offset = this.messages.allocateOrWait(Math.max(bytes, 1));
    this.pieces.push({ offset, bytes });
    this.#roomBytes = bytes;
    channel.submit(this.slot, { ...base, offset, bytes });
  }

  override advance(): void {
    const { slab, channel } = this.messages;
    while (this.pieces.length < PIECES_MAX) {
      const bytes = Math.min(PIECE_BYTES, this.#totalBytes - this.#roomBytes);
      if (bytes <= 0) return;
      const offset = slab.allocate(bytes);
      if (offset < 0) return;
      this.pieces.push({ offset, bytes });
      this.#roomBytes += bytes;
      channel.submit(this.slot, { op: OP.piece, offset, bytes });
    }
  }

  protected override onCompletion(completion: Completion): void {
    const { slab } = this.messages;
    const piece = this.pieces.shift();
    if (piece !== undefined && piece.offset >= 0) {
      const from = slab.view(piece.offset, completion.bytes);
      this.data.set(from, this.#gotBytes);
      slab.release(piece.offset);
    }
    if (this.takeFailure(completion)) {
      if (this.pieces.length === 0) this.finish();
      return;
    }
    this.#gotBytes += completion.bytes;
    this.#totalBytes = completion.totalBytes;
    const { source, tag } = completion;
    this.result = { source, tag, bytes: completion.totalBytes };
    if (this.#gotBytes < completion.totalBytes) this.messages.want(this);
    else if (this.pieces.length === 0) this.finish();
  }
}

export class Messages {
  readonly channel: Channel;
  readonly regions: Regions;
  readonly slab: Slab;
  readonly #open = new Set<Transfer>();
  /** Transfers that could move more with more slab. */
  readonly #wanting = new Set<Transfer>();
  #isAdvancing = false;

  constructor(channel: Channel, regions: Regions, slab: Slab) {
    this.channel = channel;
    this.regions = regions;
    this.slab = slab;
  }

  restart(): void {
    this.#open.clear();
    this.#wanting.clear();
    this.slab.restart();
  }

  get openCount(): number {
    return this.#open.size;
  }

  send(envelope: Envelope, data: Numbers): Request {
    this.#checkCount();
    const send = new Send(this, bytesOf(data));
    this.#open.add(send);
    send.start(envelope, data);
    return send;
  }

  receive(envelope: Envelope, into: Numbers): Request {
    this.#checkCount();
    const receive = new Receive(this, bytesOf(into));
    this.#open.add(receive);
    receive.start(envelope, into);
    return receive;
  }

  finish(transfer: Transfer, slot: number): void {
    this.#open.delete(transfer);
    this.#wanting.delete(transfer);
    this.channel.close(slot);
    this.#advanceAll();
  }

  want(transfer: Transfer): void {
    this.#wanting.add(transfer);
    this.#advanceAll();
  }

  /** Waits for room; what moves at the moment gives it back. */
  allocateOrWait(bytes: number): number {
    let offset = this.slab.allocate(bytes);
    this.channel.waitUntil(() => {
      if (offset < 0) offset = this.slab.allocate(bytes);
      return offset >= 0;
    });
    return offset;
  }

  #advanceAll(): void {
    if (this.#isAdvancing) return;
    this.#isAdvancing = true;
    for (const transfer of [...this.#wanting]) transfer.advance();
    this.#isAdvancing = false;
  }

  #checkCount(): void {
    if (this.#open.size >= OPEN_MAX)
      throw new RangeError(`more than ${OPEN_MAX} requests are open`);
  }
}

/**
 * One TCP connection between two proxies: frames in, frames out.
 *
 * Payload of any size goes between the socket and its final place without a copy in between, except small ones, which share one
 * system call with their headers. Knows nothing of ranks; what a frame means is its owner's to say.
 * From the moment it is encrypted all bytes go through a `SealedStream`, which copies them; the frames are the same.
 * Bounded: a frame by its length check, a turn by READ_TURN_BYTES, what lies unsent by the owner's requests.
 */
import { assert } from "../../../core/assert.ts";
import { ffiBuffer } from "../../../core/io/native.ts";
import { libc } from "../../runtime/io/ffi.ts";
import {
  decodeFrameHeader,
  encodeFrameHeader,
  FRAME_HEADER_BYTES,
  type FrameHeader,
} from "../frame.ts";
import { type OutFrame, type Span, spanBytes } from "../transport.ts";
import { type Poller, READABLE, WRITABLE } from "./poller.ts";
import { type SealedKeys, SealedStream } from "./sealed-stream.ts";
import { MSG_DONTWAIT, MSG_MORE, MSG_NOSIGNAL, wouldBlock } from "./socket.ts";

const STAGING_BYTES = 65_536;
/** A payload up to this is copied behind its header. */
const INLINE_BYTES_MAX = 8192;
/** Others wait at most as long as reading this takes. */
const READ_TURN_BYTES = 2_097_152;

export interface ConnectionOwner {
  /** Judges the header (error: the connection is refused) and says where its payload goes; null: wherever. */
  onHeader(connection: TcpConnection, header: FrameHeader): string | null;
  spanFor(connection: TcpConnection, header: FrameHeader): Span | null;
  onFrame(connection: TcpConnection, header: FrameHeader, payload: Span | null): void;
  /** Exactly once, unless closed from this side. */
  onBroken(connection: TcpConnection, reason: string): void;
}

interface Incoming {
  readonly header: FrameHeader;
  readonly span: Span;
  readBytes: number;
}

export class TcpConnection {
  readonly fd: number;
  readonly #poller: Poller;
  readonly #owner: ConnectionOwner;
  readonly #in = ffiBuffer(STAGING_BYTES);
  #inStart = 0;
  #inEnd = 0;
  #incoming: Incoming | null = null;
  readonly #out = ffiBuffer(STAGING_BYTES);
  #outStart = 0;
  #outEnd = 0;
  readonly #queue: OutFrame[] = [];
  #queueStart = 0;
  /** The large payload that follows what is staged. */
  #bulk: { readonly frame: OutFrame; readonly span: Span; sentBytes: number } | null = null;
  #isFlushing = false;
  #isOpen = true;
  #isPaused = false;
  #wantsWrite = false;
  /** null: in the clear. */
  #sealed: SealedStream | null = null;

  constructor(fd: number, poller: Poller, owner: ConnectionOwner) {
    this.fd = fd;
    this.#poller = poller;
    this.#owner = owner;
    poller.add(fd, READABLE, (isReadable, isWritable) => {
      if (isWritable) this.#flush();
      if (isReadable && this.#isOpen && !this.#isPaused) this.#read();
    });
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  send(frame: OutFrame): void {
    if (!this.#isOpen) return;
    this.#queue.push(frame);
    // While the socket is full, the poller says when to go on.
    if (!this.#wantsWrite) this.#flush();
  }

  /** From here on, both ways: the other side does the same after the same frames. False: what was sent before still lies here. */
  encrypt(keys: SealedKeys): boolean {
    const isAllSent =
      this.#outStart === this.#outEnd &&
      this.#bulk === null &&
      this.#queueStart === this.#queue.length;
    if (!isAllSent) return false;
    const ahead = this.#in.u8.slice(this.#inStart, this.#inEnd);
    this.#inStart = 0;
    this.#inEnd = 0;
    this.#sealed = new SealedStream(this.fd, keys, ahead);
    return true;
  }

  /** Stops reading until `resume`: the sender is then held back by TCP itself. */
  pause(): void {
    this.#isPaused = true;
    this.#setInterest();
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#setInterest();
    this.#parse();
    this.#read();
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#poller.remove(this.fd);
    libc.close(this.fd);
  }

  #break(reason: string): void {
    if (!this.#isOpen) return;
    this.close();
    this.#owner.onBroken(this, reason);
  }

  #setInterest(): void {
    if (!this.#isOpen) return;
    const interest = (this.#isPaused ? 0 : READABLE) | (this.#wantsWrite ? WRITABLE : 0);
    this.#poller.change(this.fd, interest);
  }

  // --- out

  #flush(): void {
    if (this.#isFlushing) return;
    this.#isFlushing = true;
    let isFull = this.#sealed !== null && !this.#sealed.flush() && !this.#sendFailed();
    while (this.#isOpen && !isFull) {
      if (this.#outStart === this.#outEnd && this.#bulk === null) this.#stage();
      if (this.#outStart < this.#outEnd) isFull = !this.#sendStaged();
      else if (this.#bulk !== null) isFull = !this.#sendBulk();
      else break;
    }
    if (this.#sealed?.hasUnsent === true) isFull = true;
    this.#isFlushing = false;
    if (this.#isOpen && isFull !== this.#wantsWrite) {
      this.#wantsWrite = isFull;
      this.#setInterest();
    }
  }

  /** Copies headers and small payloads until the staging memory is full or a large payload follows. */
  #stage(): void {
    this.#outStart = 0;
    this.#outEnd = 0;
    while (this.#queueStart < this.#queue.length && this.#bulk === null) {
      if (!this.#stageFrame(this.#queue[this.#queueStart] as OutFrame)) break;
    }
    if (this.#queueStart === this.#queue.length) {
      this.#queue.length = 0;
      this.#queueStart = 0;
    } else if (this.#queueStart > 1024) {
      this.#queue.splice(0, this.#queueStart);
      this.#queueStart = 0;
    }
  }

  /** False: it does not fit any more. */
  #stageFrame(frame: OutFrame): boolean {
    const bytes = frame.payload?.bytes ?? 0;
    const isInline = bytes <= INLINE_BYTES_MAX;
    const needBytes = FRAME_HEADER_BYTES + (isInline ? bytes : 0);
    if (this.#outEnd + needBytes > STAGING_BYTES) return false;
    this.#queueStart++;
    encodeFrameHeader(frame.header, this.#out.view, this.#outEnd);
    this.#outEnd += FRAME_HEADER_BYTES;
    if (frame.payload !== null && !isInline) {
      this.#bulk = { frame, span: frame.payload, sentBytes: 0 };
      return true;
    }
    if (frame.payload !== null) this.#out.u8.set(spanBytes(frame.payload), this.#outEnd);
    this.#outEnd += bytes;
    frame.onWritten?.();
    return true;
  }

  /** False: the socket is full, or broken. */
  #sendStaged(): boolean {
    const flags = MSG_DONTWAIT | MSG_NOSIGNAL | (this.#bulk === null ? 0 : MSG_MORE);
    const bytes = this.#outEnd - this.#outStart;
    const sent =
      this.#sealed === null
        ? libc.send(this.fd, this.#out.pointer + this.#outStart, bytes, flags)
        : this.#sealed.send(this.#out.u8.subarray(this.#outStart, this.#outEnd));
    if (sent < 0) return this.#sendFailed();
    this.#outStart += sent;
    return sent === bytes;
  }

  #sendBulk(): boolean {
    const bulk = this.#bulk;
    assert(bulk !== null, "there is a large payload");
    const { span } = bulk;
    const left = span.bytes - bulk.sentBytes;
    const address = span.memory.pointer + span.offset + bulk.sentBytes;
    const sent =
      this.#sealed === null
        ? libc.send(this.fd, address, left, MSG_DONTWAIT | MSG_NOSIGNAL)
        : this.#sealed.send(spanBytes(span).subarray(bulk.sentBytes));
    if (sent < 0) return this.#sendFailed();
    bulk.sentBytes += sent;
    // A sealed stream takes a record at a time, so less than all need not mean that the socket is full.
    if (sent < left) return this.#sealed !== null && !this.#sealed.hasUnsent;
    this.#bulk = null;
    bulk.frame.onWritten?.();
    return true;
  }

  #sendFailed(): boolean {
    if (!wouldBlock()) this.#break("connection lost");
    return false;
  }

  // --- in

  #read(): void {
    let budget = READ_TURN_BYTES;
    // What was read ahead of an encrypted stream is taken in any case: the poller knows nothing of it.
    while (this.#isOpen && !this.#isPaused && (budget > 0 || this.#sealed?.hasAhead === true)) {
      const incoming = this.#incoming;
      const isBulk = incoming !== null && incoming.span.bytes - incoming.readBytes > 0;
      const got = isBulk ? this.#readBulk(incoming) : this.#readStaged();
      if (got < 0) return;
      budget -= got;
      this.#parse();
    }
  }

  /** Bytes read; -1: none there, or broken. */
  #readBulk(incoming: Incoming): number {
    const { span } = incoming;
    const { readBytes } = incoming;
    const address = span.memory.pointer + span.offset + readBytes;
    const got =
      this.#sealed === null
        ? this.#receive(address, span.bytes - readBytes)
        : this.#receiveSealed(this.#sealed, spanBytes(span).subarray(readBytes));
    if (got > 0) incoming.readBytes += got;
    return got;
  }

  #readStaged(): number {
    if (this.#inStart > 0) {
      this.#in.u8.copyWithin(0, this.#inStart, this.#inEnd);
      this.#inEnd -= this.#inStart;
      this.#inStart = 0;
    }
    const got =
      this.#sealed === null
        ? this.#receive(this.#in.pointer + this.#inEnd, STAGING_BYTES - this.#inEnd)
        : this.#receiveSealed(this.#sealed, this.#in.u8.subarray(this.#inEnd, STAGING_BYTES));
    if (got > 0) this.#inEnd += got;
    return got;
  }

  #receive(address: number, bytes: number): number {
    const got = libc.recv(this.fd, address, bytes, MSG_DONTWAIT);
    if (got > 0) return got;
    if (got === 0) this.#break("connection closed");
    else if (!wouldBlock()) this.#break("connection lost");
    return -1;
  }

  #receiveSealed(sealed: SealedStream, into: Uint8Array): number {
    const received = sealed.receive(into);
    if (received.kind === "bytes") return received.bytes;
    if (received.kind === "broken") this.#break(received.why);
    return -1;
  }

  /** Takes every frame that is whole; leaves at most a part of one. */
  #parse(): void {
    while (this.#isOpen) {
      const incoming = this.#incoming;
      if (incoming === null) {
        if (this.#inEnd - this.#inStart < FRAME_HEADER_BYTES || !this.#begin()) return;
        continue;
      }
      if (!this.#fill(incoming)) return;
      this.#incoming = null;
      const payload = incoming.span.bytes === 0 ? null : incoming.span;
      this.#owner.onFrame(this, incoming.header, payload);
      if (this.#isPaused) return;
    }
  }

  /** Moves what is staged into place; false: more is missing. */
  #fill(incoming: Incoming): boolean {
    const missing = incoming.span.bytes - incoming.readBytes;
    const bytes = Math.min(missing, this.#inEnd - this.#inStart);
    if (bytes > 0) {
      const from = this.#in.u8.subarray(this.#inStart, this.#inStart + bytes);
      spanBytes(incoming.span).set(from, incoming.readBytes);
      incoming.readBytes += bytes;
      this.#inStart += bytes;
    }
    return bytes === missing;
  }

  /** Reads a header; false: refused. */
  #begin(): boolean {
    const decoded = decodeFrameHeader(this.#in.view, this.#inStart);
    if (!decoded.ok) {
      this.#break(decoded.error);
      return false;
    }
    const header = decoded.value;
    const refusal = this.#owner.onHeader(this, header);
    if (refusal !== null) {
      this.#break(refusal);
      return false;
    }
    this.#inStart += FRAME_HEADER_BYTES;
    const span = header.payloadBytes === 0 ? null : this.#owner.spanFor(this, header);
    this.#incoming = { header, span: span ?? heapSpan(header.payloadBytes), readBytes: 0 };
    return true;
  }
}

export function heapSpan(bytes: number): Span {
  return { memory: ffiBuffer(bytes), offset: 0, bytes };
}

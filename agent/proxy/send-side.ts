/**
 * The sends of one local rank.
 *
 * A small message goes at once ("eager") while the receiver has promised room for it; a large one, or one beyond that
 * promise, is offered first and flows piece by piece into room that the receiver grants, so memory stays bounded on both
 * sides and nothing large is copied on the way.
 * Invariant: a frame of data never crosses the end of a grant, hence lands in one stretch of the receiver's memory.
 */
import type { Call, Done } from "./communication-library.ts";
import { FRAME, type FrameHeader, type FrameKind, PAYLOAD_BYTES_MAX } from "./frame.ts";
import { STATUS } from "./segment-layout.ts";
import { type Span, subSpan, type Transport } from "./transport.ts";

/** Beyond this an extra round trip costs less than a copy at a receiver who is not ready. */
export const EAGER_BYTES_MAX = 65_536;
/** What one rank may have lying unread at another. */
export const EAGER_CREDIT_BYTES = 4_194_304;
/** What a message costs besides its payload: so that empty ones are bounded too. */
export const EAGER_OVERHEAD_BYTES = 64;

interface Grant {
  readonly receiveId: number;
  offset: number;
  bytes: number;
}

interface Sending {
  readonly id: number;
  readonly request: number;
  readonly destination: number;
  readonly tag: number;
  readonly totalBytes: number;
  readonly pieces: { readonly span: Span; sentBytes: number }[];
  readonly grants: Grant[];
  /** Bytes of pieces that the program has handed over. */
  takenBytes: number;
  /** The receiver wants nothing of it: its buffer is too small, and it knows. */
  isUnwanted: boolean;
}

export function frameHeader(
  kind: FrameKind,
  fields: Partial<Omit<FrameHeader, "kind">> & Pick<FrameHeader, "epoch">,
): FrameHeader {
  return {
    kind,
    epoch: fields.epoch,
    source: fields.source ?? -1,
    destination: fields.destination ?? -1,
    tag: fields.tag ?? 0,
    id: fields.id ?? 0,
    payloadBytes: fields.payloadBytes ?? 0,
    aux: fields.aux ?? 0,
    total: fields.total ?? 0,
    second: fields.second ?? 0,
  };
}

export class SendSide {
  readonly #rank: number;
  readonly #epoch: number;
  readonly #transport: Transport;
  readonly #onDone: (done: Done) => void;
  readonly #byId = new Map<number, Sending>();
  readonly #byRequest = new Map<number, Sending>();
  /** Eager bytes that lie, as far as this side knows, unread at each rank. */
  readonly #unread = new Map<number, number>();
  #nextId = 1;
  /** Eager frames not yet written. */
  #eagerCount = 0;

  constructor(rank: number, epoch: number, transport: Transport, onDone: (done: Done) => void) {
    this.#rank = rank;
    this.#epoch = epoch;
    this.#transport = transport;
    this.#onDone = onDone;
  }

  get openCount(): number {
    return this.#byId.size + this.#eagerCount;
  }

  start(call: Call): void {
    const cost = call.totalBytes + EAGER_OVERHEAD_BYTES;
    const unread = this.#unread.get(call.peer) ?? 0;
    const isEager =
      call.totalBytes <= EAGER_BYTES_MAX &&
      call.input.bytes === call.totalBytes &&
      unread + cost <= EAGER_CREDIT_BYTES;
    if (isEager) {
      this.#unread.set(call.peer, unread + cost);
      this.#sendEager(call);
      return;
    }
    const sending: Sending = {
      id: this.#nextId++,
      request: call.request,
      destination: call.peer,
      tag: call.tag,
      totalBytes: call.totalBytes,
      pieces: [],
      grants: [],
      takenBytes: 0,
      isUnwanted: false,
    };
    this.#byId.set(sending.id, sending);
    this.#byRequest.set(sending.request, sending);
    this.#take(sending, call.input);
    this.#send(FRAME.offer, sending, { id: sending.id, total: sending.totalBytes });
  }

  /** More data of an open send. False: there is no such send. */
  piece(request: number, span: Span): boolean {
    const sending = this.#byRequest.get(request);
    if (sending === undefined) return false;
    this.#take(sending, span);
    this.#pump(sending);
    return true;
  }

  onGrant(header: FrameHeader): void {
    const sending = this.#byId.get(header.id);
    if (sending === undefined) return;
    if (header.tag === 1) sending.isUnwanted = true;
    else {
      const { aux: receiveId, second: offset, total: bytes } = header;
      sending.grants.push({ receiveId, offset, bytes });
    }
    this.#pump(sending);
  }

  onCredit(header: FrameHeader): void {
    const unread = this.#unread.get(header.source) ?? 0;
    this.#unread.set(header.source, Math.max(0, unread - header.total));
  }

  #sendEager(call: Call): void {
    this.#eagerCount++;
    this.#transport.send({
      header: frameHeader(FRAME.eager, {
        epoch: this.#epoch,
        source: this.#rank,
        destination: call.peer,
        tag: call.tag,
        payloadBytes: call.totalBytes,
        total: call.totalBytes,
      }),
      payload: call.totalBytes === 0 ? null : call.input,
      onWritten: () => {
        this.#eagerCount--;
        this.#done(call, call.totalBytes);
      },
    });
  }

  #take(sending: Sending, span: Span): void {
    sending.pieces.push({ span, sentBytes: 0 });
    sending.takenBytes += span.bytes;
  }

  /** Sends what there is both data and room for. */
  #pump(sending: Sending): void {
    for (;;) {
      const piece = sending.pieces[0];
      if (piece === undefined) return;
      if (sending.isUnwanted) {
        this.#finishPiece(sending, piece.span.bytes);
        continue;
      }
      const grant = sending.grants[0];
      if (grant === undefined) return;
      const left = piece.span.bytes - piece.sentBytes;
      const bytes = Math.min(left, grant.bytes, PAYLOAD_BYTES_MAX);
      if (bytes > 0) this.#sendData(sending, piece, grant, bytes);
      else if (left === 0) this.#finishPiece(sending, piece.span.bytes);
      if (grant.bytes === 0) sending.grants.shift();
    }
  }

  #sendData(
    sending: Sending,
    piece: { readonly span: Span; sentBytes: number },
    grant: Grant,
    bytes: number,
  ): void {
    const span = subSpan(piece.span, piece.sentBytes, bytes);
    piece.sentBytes += bytes;
    const offset = grant.offset;
    grant.offset += bytes;
    grant.bytes -= bytes;
    const isLast = piece.sentBytes === piece.span.bytes;
    // The piece leaves the queue now, and is reported when its last byte is written: later pieces follow in order.
    if (isLast) sending.pieces.shift();
    this.#transport.send({
      header: frameHeader(FRAME.data, {
        epoch: this.#epoch,
        source: this.#rank,
        destination: sending.destination,
        id: grant.receiveId,
        payloadBytes: bytes,
        second: offset,
      }),
      payload: span,
      onWritten: isLast ? () => this.#report(sending, piece.span.bytes) : null,
    });
  }

  #finishPiece(sending: Sending, bytes: number): void {
    sending.pieces.shift();
    this.#report(sending, bytes);
  }

  #report(sending: Sending, bytes: number): void {
    if (sending.takenBytes >= sending.totalBytes && sending.pieces.length === 0) {
      this.#byId.delete(sending.id);
      if (this.#byRequest.get(sending.request) === sending) {
        this.#byRequest.delete(sending.request);
      }
    }
    this.#done(sending, bytes);
  }

  #done(
    what: { readonly request: number; readonly tag: number; readonly totalBytes: number },
    bytes: number,
  ): void {
    this.#onDone({
      rank: this.#rank,
      request: what.request,
      status: STATUS.ok,
      source: this.#rank,
      tag: what.tag,
      bytes,
      totalBytes: what.totalBytes,
      text: "",
    });
  }

  #send(
    kind: FrameKind,
    sending: Sending,
    fields: { readonly id: number; readonly total: number },
  ): void {
    this.#transport.send({
      header: frameHeader(kind, {
        epoch: this.#epoch,
        source: this.#rank,
        destination: sending.destination,
        tag: sending.tag,
        ...fields,
      }),
      payload: null,
      onWritten: null,
    });
  }
}

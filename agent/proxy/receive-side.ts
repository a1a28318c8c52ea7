/**
 * The receives of one local rank: matching, the unexpected queue, room granted to large messages.
 *
 * Every piece that the program hands over comes back exactly once, filled or empty. A message longer than the whole receive
 * is refused (`truncated`), and its sender is told not to send it.
 * Each unexpected message remembers how many cuts of its sender came before it; that tells which messages were under way
 * across a checkpoint.
 */
import type { Call, Done, SavedMessage } from "./communication-library.ts";
import { FRAME, type FrameHeader } from "./frame.ts";
import { Matcher } from "./matching.ts";
import { STATUS, type Status } from "./segment-layout.ts";
import { EAGER_OVERHEAD_BYTES, frameHeader } from "./send-side.ts";
import { type Span, spanBytes, subSpan, type Transport } from "./transport.ts";

/** Credit is given back in lumps: a frame for every message would double the frames. */
const CREDIT_BATCH_BYTES = 524_288;

interface Piece {
  readonly span: Span;
  grantedBytes: number;
  arrivedBytes: number;
}

interface Receiving {
  readonly id: number;
  readonly request: number;
  readonly source: number;
  readonly tag: number;
  readonly capacityBytes: number;
  readonly pieces: Piece[];
  from: Label | null;
  grantedBytes: number;
  arrivedBytes: number;
}

interface Label {
  readonly source: number;
  readonly tag: number;
  readonly totalBytes: number;
}

interface Message extends Label {
  /** Null: it is only offered. */
  readonly payload: Uint8Array | null;
  readonly sendId: number;
  readonly cut: number;
  /** Whether its sender waits for credit. */
  readonly isCredited: boolean;
}

export class ReceiveSide {
  readonly #rank: number;
  readonly #epoch: number;
  readonly #transport: Transport;
  readonly #onDone: (done: Done) => void;
  readonly #matcher = new Matcher<Receiving, Message>();
  readonly #byId = new Map<number, Receiving>();
  readonly #byRequest = new Map<number, Receiving>();
  /** Receives whose eager payload is being read straight into place, by sender. */
  readonly #claimed = new Map<number, Receiving>();
  readonly #creditOwed = new Map<number, number>();
  readonly #cuts = new Map<number, number>();
  /** The sender's number of each large message being received, by own number. */
  readonly #senders = new Map<number, number>();
  #nextId = 1;

  constructor(rank: number, epoch: number, transport: Transport, onDone: (done: Done) => void) {
    this.#rank = rank;
    this.#epoch = epoch;
    this.#transport = transport;
    this.#onDone = onDone;
  }

  get openCount(): number {
    return this.#byId.size;
  }

  start(call: Call): void {
    const receiving: Receiving = {
      id: this.#nextId++,
      request: call.request,
      source: call.peer,
      tag: call.tag,
      capacityBytes: call.totalBytes,
      pieces: [{ span: call.input, grantedBytes: 0, arrivedBytes: 0 }],
      from: null,
      grantedBytes: 0,
      arrivedBytes: 0,
    };
    this.#byId.set(receiving.id, receiving);
    this.#byRequest.set(receiving.request, receiving);
    const message = this.#matcher.post(receiving);
    if (message !== null) this.#accept(receiving, message);
  }

  /** More room for an open receive; room for one that is over comes back empty. */
  piece(request: number, span: Span): void {
    const receiving = this.#byRequest.get(request);
    if (receiving === undefined) {
      const status = STATUS.ok;
      this.#onDone({
        rank: this.#rank,
        request,
        status,
        source: -1,
        tag: -1,
        bytes: 0,
        totalBytes: 0,
        text: "",
      });
      return;
    }
    receiving.pieces.push({ span, grantedBytes: 0, arrivedBytes: 0 });
    if (receiving.from !== null) this.#grant(receiving, receiving.from);
  }

  spanFor(header: FrameHeader): Span | null {
    if (header.kind === FRAME.data) return this.#roomFor(header);
    if (header.kind !== FRAME.eager) return null;
    const receiving = this.#matcher.match(header);
    if (receiving === null) return null;
    this.#claimed.set(header.source, receiving);
    const piece = receiving.pieces[0];
    const isFitting = piece !== undefined && header.payloadBytes <= piece.span.bytes;
    return isFitting ? subSpan(piece.span, 0, header.payloadBytes) : null;
  }

  onEager(header: FrameHeader, payload: Span | null): void {
    const label = { source: header.source, tag: header.tag, totalBytes: header.payloadBytes };
    const claimed = this.#claimed.get(header.source);
    this.#claimed.delete(header.source);
    const receiving = claimed ?? this.#matcher.match(header);
    if (receiving === null) {
      const copy = payload === null ? new Uint8Array(0) : spanBytes(payload);
      const cut = this.#cuts.get(header.source) ?? 0;
      this.#matcher.keep({ ...label, payload: copy, sendId: 0, cut, isCredited: true });
      return;
    }
    this.#returnCredit(header.source, header.payloadBytes);
    const first = receiving.pieces[0];
    const isInPlace =
      payload !== null && first !== undefined && payload.memory === first.span.memory;
    this.#fill(receiving, label, isInPlace ? null : payload && spanBytes(payload));
  }

  onOffer(header: FrameHeader): void {
    const { source, tag, total, id } = header;
    const cut = this.#cuts.get(source) ?? 0;
    const message: Message = {
      source,
      tag,
      totalBytes: total,
      payload: null,
      sendId: id,
      cut,
      isCredited: false,
    };
    const receiving = this.#matcher.match(message);
    if (receiving === null) this.#matcher.keep(message);
    else this.#accept(receiving, message);
  }

  onData(header: FrameHeader): void {
    const receiving = this.#byId.get(header.id);
    const piece = receiving && this.#pieceAt(receiving, header.second);
    if (receiving === undefined || piece === undefined || receiving.from === null) return;
    piece.arrivedBytes += header.payloadBytes;
    receiving.arrivedBytes += header.payloadBytes;
    if (receiving.arrivedBytes === receiving.from.totalBytes) this.#finish(receiving, STATUS.ok);
    else if (piece.arrivedBytes === piece.span.bytes) {
      // Reported in order: data comes in order, so this is always the first piece.
      receiving.pieces.shift();
      this.#report(receiving, piece.arrivedBytes, STATUS.ok);
    }
  }

  onMarker(source: number, cut: number): void {
    this.#cuts.set(source, cut);
  }

  unexpectedBefore(cut: number): readonly SavedMessage[] {
    return this.#matcher
      .unexpected()
      .flatMap(({ source, tag, payload, cut: sentIn }) =>
        payload !== null && sentIn < cut ? [{ source, tag, payload }] : [],
      );
  }

  /** Before the first receive of this epoch. */
  preload(messages: readonly SavedMessage[]): void {
    const kept = messages.map(({ source, tag, payload }) => {
      const label = { source, tag, totalBytes: payload.byteLength };
      return { ...label, payload, sendId: 0, cut: 0, isCredited: false };
    });
    this.#matcher.keepInFront(kept);
  }

  /** A receive and a message have found each other. */
  #accept(receiving: Receiving, message: Message): void {
    if (message.payload !== null) {
      if (message.isCredited) this.#returnCredit(message.source, message.totalBytes);
      this.#fill(receiving, message, message.payload);
      return;
    }
    receiving.from = message;
    if (message.totalBytes > receiving.capacityBytes) {
      this.#sendGrant(message, { tag: 1, receiveId: receiving.id, offset: 0, bytes: 0 });
      this.#finish(receiving, STATUS.truncated);
      return;
    }
    this.#senders.set(receiving.id, message.sendId);
    this.#grant(receiving, message);
  }

  #grant(receiving: Receiving, from: Label): void {
    const sendId = this.#senders.get(receiving.id) ?? 0;
    const target = { source: from.source, sendId };
    if (from.totalBytes === 0) {
      this.#sendGrant(target, { tag: 0, receiveId: receiving.id, offset: 0, bytes: 0 });
      this.#finish(receiving, STATUS.ok);
      return;
    }
    for (const piece of receiving.pieces) {
      const bytes = Math.min(piece.span.bytes, from.totalBytes - receiving.grantedBytes);
      if (piece.grantedBytes > 0 || bytes === 0) continue;
      const offset = receiving.grantedBytes;
      piece.grantedBytes = bytes;
      receiving.grantedBytes += bytes;
      this.#sendGrant(target, { tag: 0, receiveId: receiving.id, offset, bytes });
    }
  }

  /** A whole small message; `payload` null: it lies in the first piece already. */
  #fill(receiving: Receiving, from: Label, payload: Uint8Array | null): void {
    receiving.from = from;
    const roomBytes = receiving.pieces.reduce((sum, piece) => sum + piece.span.bytes, 0);
    if (from.totalBytes > roomBytes) {
      this.#finish(receiving, STATUS.truncated);
      return;
    }
    let taken = 0;
    for (const piece of receiving.pieces) {
      const bytes = Math.min(piece.span.bytes, from.totalBytes - taken);
      if (payload !== null) spanBytes(piece.span).set(payload.subarray(taken, taken + bytes));
      piece.arrivedBytes = bytes;
      taken += bytes;
    }
    this.#finish(receiving, STATUS.ok);
  }

  /** The piece that holds byte `offset` of the message: grants are consecutive, reported pieces are gone. */
  #pieceAt(receiving: Receiving, offset: number): Piece | undefined {
    let end = receiving.arrivedBytes - (receiving.pieces[0]?.arrivedBytes ?? 0);
    for (const piece of receiving.pieces) {
      end += piece.grantedBytes;
      if (offset < end) return piece;
    }
    return undefined;
  }

  #roomFor(header: FrameHeader): Span | null {
    const receiving = this.#byId.get(header.id);
    const piece = receiving && this.#pieceAt(receiving, header.second);
    if (piece === undefined || piece.arrivedBytes + header.payloadBytes > piece.grantedBytes) {
      return null;
    }
    return subSpan(piece.span, piece.arrivedBytes, header.payloadBytes);
  }

  #finish(receiving: Receiving, status: Status): void {
    this.#byId.delete(receiving.id);
    this.#byRequest.delete(receiving.request);
    this.#senders.delete(receiving.id);
    for (const piece of receiving.pieces) {
      this.#report(receiving, status === STATUS.ok ? piece.arrivedBytes : 0, status);
    }
  }

  #report(receiving: Receiving, bytes: number, status: Status): void {
    this.#onDone({
      rank: this.#rank,
      request: receiving.request,
      status,
      source: receiving.from?.source ?? -1,
      tag: receiving.from?.tag ?? -1,
      bytes,
      totalBytes: receiving.from?.totalBytes ?? 0,
      text: "",
    });
  }

  #returnCredit(source: number, payloadBytes: number): void {
    const owed = (this.#creditOwed.get(source) ?? 0) + payloadBytes + EAGER_OVERHEAD_BYTES;
    if (owed < CREDIT_BATCH_BYTES) {
      this.#creditOwed.set(source, owed);
      return;
    }
    this.#creditOwed.set(source, 0);
    this.#transport.send({
      header: frameHeader(FRAME.credit, {
        epoch: this.#epoch,
        source: this.#rank,
        destination: source,
        total: owed,
      }),
      payload: null,
      onWritten: null,
    });
  }

  #sendGrant(
    target: { readonly source: number; readonly sendId: number },
    grant: {
      readonly tag: number;
      readonly receiveId: number;
      readonly offset: number;
      readonly bytes: number;
    },
  ): void {
    this.#transport.send({
      header: frameHeader(FRAME.grant, {
        epoch: this.#epoch,
        source: this.#rank,
        destination: target.source,
        tag: grant.tag,
        id: target.sendId,
        aux: grant.receiveId,
        total: grant.bytes,
        second: grant.offset,
      }),
      payload: null,
      onWritten: null,
    });
  }
}
